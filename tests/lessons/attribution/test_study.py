"""vizcourse.lessons.attribution.study: what is shipped, and that the script still measures it."""

import pytest
import torch

from vizcourse.lessons.attribution import study
from vizcourse.methods.sanity_checks import METRICS


@pytest.fixture(scope="module")
def shipped():
    return study.STUDY.results()["scenes-small-0"]


def test_the_table_is_whole(shipped):
    assert shipped["pictures"] >= 500
    assert {*study.TABLE, "edge detector", "centre Gaussian", "random map"} <= set(shipped["table"])
    for row in shipped["table"].values():
        assert set(row) == set(study.MEASURES)
        for mean, low, high in row.values():
            assert -1 <= low <= mean <= high <= 1


def test_the_cascade_is_whole(shipped):
    steps = len(shipped["cascade"]["blocks"]) + 1
    assert set(shipped["cascade"]["similarity"]) == set(study.CASCADE)
    for by_metric in shipped["cascade"]["similarity"].values():
        for metric in METRICS:
            assert len(by_metric[metric]) == steps
    first, *later = shipped["cascade"]["probability"]
    assert first[0] > 0.9 and max(mean for mean, _, _ in later) < 0.2


def test_the_table_of_two_objects_is_whole(shipped):
    assert shipped["two"]["pictures"] >= 90
    table = shipped["two"]["table"]
    assert set(table) == {*study.TWO, "Grad-CAM for", "Grad-CAM against"}
    for name in study.TWO:
        share, moved = table[name]["share"], table[name]["discrimination"]
        assert share[0] == pytest.approx((1 + moved[0]) / 2, abs=1e-3)
        assert all(low <= mean <= high for mean, low, high in table[name].values())


def test_two_objects_are_measured_the_same(shipped):
    found = study.contrasted("scenes-small-0", 0, 3, only=("gradient", "Grad-CAM"))
    assert all(values.shape == (3,) and values.isfinite().all() for row in found.values() for values in row.values())
    whole = study.contrasted("scenes-small-0", 2, 1, only=("Grad-CAM",))["Grad-CAM"]
    for name, values in whole.items():
        torch.testing.assert_close(values, found["Grad-CAM"][name][2:], atol=2e-3, rtol=1e-2)


def test_absent_classes_are_absent_and_no_other_colour_of_one_that_is_there():
    here = torch.tensor([[0, 5], [16, 17], [2, 27]])
    away = study.absent_classes(here, 0)
    assert torch.equal(away[1:], study.absent_classes(here[1:], 1))
    for classes, others in zip(here.tolist(), away.tolist(), strict=True):
        forms = {study.scenes.FORM[study.scenes.CLASSES[index]] for index in classes}
        assert not forms & {study.scenes.FORM[study.scenes.CLASSES[index]] for index in others} and len(set(others)) == 2


def test_the_script_measures_the_same(shipped):
    found = study.measure("scenes-small-0", 0, 3)
    assert set(found) == {"pictures", *shipped["table"]}
    for name, row in found.items():
        assert all(values.shape == (3,) and values.isfinite().all() for values in row.values()), name
    whole = study.measure("scenes-small-0", 2, 1)
    for name in ("gradient", "Grad-CAM", "edge detector"):
        for measure in study.MEASURES:
            torch.testing.assert_close(whole[name][measure], found[name][measure][2:], atol=2e-3, rtol=0)
