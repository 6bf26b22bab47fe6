"""Lesson 05's study: its parts run, and its stored results are whole."""

import pytest

from vizcourse.studies import das as study
from vizcourse.worlds import shapes


def is_share(value):
    return len(value) == 3 and 0 <= value[1] <= value[0] <= value[2] <= 1


def test_stored_results_are_whole():
    found = study.results()
    assert tuple(found["networks"]) == study.NETWORKS and found["pairs"] == study.PAIRS
    for part, (_, networks) in study.PARTS.items():
        assert all(part in found["networks"][name] for name in networks)
    for entry in found["networks"].values():
        assert all(is_share(value) for value in entry["truth"].values())
        assert set(entry["table"]) == set(study.VARIABLES)
        for row in entry["table"].values():
            assert all(is_share(value) for name, value in row.items() if name not in ("held out, other seeds", "boundless"))


def test_the_alignments_verdict_is_the_truth_in_the_stored_results():
    cue = {"shape_colour": "colour", "background": "background", "shape_type": "type"}
    for entry in study.results()["networks"].values():
        best = max(shapes.VARIABLES, key=lambda name, table=entry["table"]: table[name]["held out"][0])
        assert cue[best] == max(entry["truth"], key=lambda name, shares=entry["truth"]: shares[name][0])


@pytest.mark.parametrize("part", ["truth", "dimensions", "places"])
def test_a_part_runs(part):
    measure, _ = study.PARTS[part]
    found = measure("shapes-cue-colour", True)
    values = found.values() if part == "truth" else [
        value for name in shapes.VARIABLES for value in found[name].values() if isinstance(value, list)
    ]  # fmt: skip
    assert all(is_share(value) for value in values)
