"""vizcourse.lessons.gradual_interventions.study: the shipped results are whole, and each part runs when it is made small."""

from __future__ import annotations

import json

import pytest
import torch

from vizcourse.lessons.gradual_interventions import study
from vizcourse.models import load


def test_the_shipped_results_are_whole():
    stored = study.STUDY.results()
    assert set(stored) == set(study.STUDY.parts)
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
    assert (study.STUDY.folder / "study.json").stat().st_size < 200_000


def test_the_conflicts_are_whole_and_know_the_unbiased_network():
    rows = study.STUDY.results()["conflicts"]["result"]
    assert {(row["factor"], row["network"]) for row in rows} == {(f, n) for f in study.FACTORS for n in study.NETWORKS}
    found = {(row["factor"], row["network"]): row for row in rows}
    for row in rows:
        low, high = row["conflict interval"]
        assert low <= row["by the factor"] <= high and 0 <= row["disturbed"] <= 1
    assert found["object", "pets-unbiased"]["by the factor"] > 0.9 > 0.1 > found["colour", "pets-unbiased"]["by the factor"]
    for name in ("pets-dark-cats", "pets-dark-dogs"):  # what was planted is used, and not in every answer
        assert 0.2 < found["colour", name]["by the factor"] < 1
        assert found["colour", name]["conflict interval"][0] > found["colour", name]["disturbed interval"][1]


def test_the_plasters_are_whole():
    rows = study.STUDY.results()["plasters"]["result"]
    assert len(rows) == 2 * 5 * 3
    found = {(row["network"], row["diagnosis"], row["factor"]): row for row in rows}
    worst = found["lesions-biased", "melanoma", "plaster"]
    assert worst["nevus at first"] < 0.3 and worst["nevus at last"] > 0.8
    assert worst["interval"][0] > found["lesions-mixed", "melanoma", "plaster"]["interval"][1]


def test_a_new_last_layer_has_two_classes_and_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    for name in ("scenes-small-0", "vit-scenes"):
        network = study.with_two_classes(load(name), seed=0)
        assert network(torch.zeros(1, 3, network.input_size, network.input_size)).shape == (1, 2)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("part", study.STUDY.parts)
def test_each_part_runs(part, monkeypatch, tmp_path):
    monkeypatch.setenv("VIZCOURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(study, "FACTORS", ("colour", "size"))
    monkeypatch.setattr(study, "SEEN", {"size": (0.44, 0.76)})
    found = study.STUDY.parts[part].measure(**study.STUDY.parts[part].quick)
    assert found["result"] and json.loads(json.dumps(found)) == found


def test_the_same_seed_trains_the_same_network():
    first, again = (study.training(**study.STUDY.parts["training"].quick) for _ in range(2))
    assert first == again and first[0] != first[1]
