"""vizcourse.studies.attribution: what is shipped, and that the script still measures it."""

import json

import pytest
import torch

from vizcourse.methods.sanity_checks import METRICS
from vizcourse.studies import attribution as study


@pytest.fixture(scope="module")
def shipped():
    return json.loads(study.FILE.read_text(encoding="utf-8"))["scenes-small-0"]


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


def test_the_script_measures_the_same(shipped):
    found = study.measure("scenes-small-0", 0, 3)
    assert set(found) == {"pictures", *shipped["table"]}
    for name, row in found.items():
        assert all(values.shape == (3,) and values.isfinite().all() for values in row.values()), name
    whole = study.measure("scenes-small-0", 2, 1)
    for name in ("gradient", "Grad-CAM", "edge detector"):
        for measure in study.MEASURES:
            torch.testing.assert_close(whole[name][measure], found[name][measure][2:], atol=2e-3, rtol=0)
