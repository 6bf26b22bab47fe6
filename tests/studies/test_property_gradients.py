"""vizcourse.studies.property_gradients: the shipped results are whole, and each part runs when it is made small."""

from __future__ import annotations

import json

import pytest

from vizcourse.studies import property_gradients as study


def test_the_shipped_results_are_whole():
    stored = study.read()
    assert list(stored) == list(study.PARTS)
    rows = stored["factors"]["result"]
    assert len(rows) == 3 * (len(study.FACTORS) + len(study.SEEN))
    assert sum(row["planted bits"] for row in rows) == 5  # the animal in all three, the fur in two
    for row in rows:
        assert row["interval"][0] <= row["score"] <= row["interval"][1]
        assert 0 <= row["negligible but significant"] <= row["significant"] <= 1
    assert stored["null"]["result"]["runs"] >= 500
    assert {row["steps"] for row in stored["null"]["result"]["networks"]} == {10, 30, 100}
    assert {row["shape"] for row in stored["power"]["result"]} == set(study.SHAPES)
    runs = stored["training"]["result"]
    assert len(runs) == len({(row["bias"], row["seed"], row["step"]) for row in runs})
    assert {row["step"] for row in runs} == set(study.CHECKPOINTS)
    assert study.FILE.stat().st_size < 200_000


@pytest.mark.parametrize("part", study.PARTS)
def test_each_part_runs(part, monkeypatch):
    monkeypatch.setattr(study, "FACTORS", ("colour", "size"))
    monkeypatch.setattr(study, "SEEN", {"size": (0.44, 0.76)})
    result = study.rounded(study.PARTS[part](**study.TRIAL[part]))
    assert json.loads(json.dumps(result)) == result


def test_the_same_seed_trains_the_same_network():
    first, again = (study.training(**study.TRIAL["training"]) for _ in range(2))
    assert first == again and first[0] != first[1]


def test_rounding():
    assert study.rounded({"a": [0.123456789, 3], "b": (1e-9,)}) == {"a": [0.12346, 3], "b": [1e-9]}
