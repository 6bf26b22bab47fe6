"""Shipped numbers cannot drift from the code: of each part of each study, a number is measured afresh."""

import pytest

from vizcourse.course import LESSONS


def has_study(entry):
    return (entry.room / "study.py").is_file()


@pytest.mark.parametrize("entry", filter(has_study, LESSONS), ids=lambda entry: entry.stem)
def test_each_part_can_be_measured_again(entry):
    study = entry.part("study").STUDY
    found = list(study.cells())
    assert found and not [f"{name}: {cell}" for name, cell in found if not cell.agrees]


@pytest.mark.parametrize("entry", filter(has_study, LESSONS), ids=lambda entry: entry.stem)
def test_each_part_is_stored_and_has_a_number_to_measure_again(entry):
    study = entry.part("study").STUDY
    missing = [name for name in study.parts if study.stored(name) is None]
    assert not missing, f"not stored: {missing}"
    # Parts that differ in their settings alone (layers/one, layers/two) may share one number.
    measured = {name.split("/")[0] for name, part in study.parts.items() if part.cell}
    assert {name.split("/")[0] for name in study.parts} == measured
