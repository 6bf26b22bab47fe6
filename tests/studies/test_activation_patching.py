"""The studies of lesson 04: the file holds what the script makes, and its numbers can be had again."""

from __future__ import annotations

import pytest
import torch

from vizcourse.methods.activation_patching import greyscale, sweep
from vizcourse.models import load
from vizcourse.studies import activation_patching as study


def test_the_file_holds_every_experiment():
    study.register()
    assert set(study.results()) == set(study.EXPERIMENTS)


def test_a_study_is_the_sweep_of_the_same_pictures():
    """In all three metrics and both groups of classes, on a few pictures."""
    found = study.grey("attn_out", 3, 12)
    _, images, targets, _ = study.drawn(12)
    for metric in ("probability", "log_probability", "logit_difference"):
        result = sweep(load("vit-scenes"), images, greyscale(images), targets, metric=metric)
        for group, chosen in {"all": targets >= 0, "colour": targets < study.COLOURS, "free": targets >= study.COLOURS}.items():
            part = found[metric][group]
            assert part["pictures"] == int(chosen.sum())
            torch.testing.assert_close(torch.tensor(part["mean"]), result[chosen].mean, atol=2e-4, rtol=0)
            torch.testing.assert_close(torch.tensor(part["total"][0]), result[chosen].total.mean(), atol=2e-4, rtol=0)


def test_the_first_pictures_lie_where_the_study_says():
    """48 of the pictures give the study's means within their spread."""
    _, images, targets, _ = study.drawn(48)
    result = sweep(load("vit-scenes"), images, greyscale(images), targets)
    part = study.results()["grey-attn_out-3"]["probability"]["all"]
    spread = torch.tensor(part["standard deviation"]) / len(images) ** 0.5
    assert ((result.mean - torch.tensor(part["mean"])).abs() < 4 * spread).all()
    assert part["pictures"] == study.MANY


def test_an_unrelated_picture_is_never_the_picture_itself():
    for count in (2, 3, 128):
        assert (study.unrelated(count) != torch.arange(count)).all()
        assert sorted(study.unrelated(count).tolist()) == list(range(count))


def test_the_controls_came_out_as_the_lesson_says():
    found = study.results()
    blind = found["blind-attn_out-3"]["probability"]["colour"]
    assert max(blind["mean"]) < 0.02 and abs(blind["total"][0]) < 0.06
    assert max(found["stranger-attn_out-3"]["probability"]["all"]["mean"]) < 0.02
    grey = found["grey-attn_out-3"]["probability"]
    assert grey["free"]["total"][0] < 0.25 * grey["colour"]["total"][0]
    for name in ("noise-3", "blur-2", "silhouette", "shuffle-16"):
        effects = found[f"{name}-attn_out"]["probability"]["all"]["mean"]
        assert effects.index(max(effects)) == 1


@pytest.mark.parametrize("place", ["class", "object"])
def test_tokens_are_chosen_from_the_masks(place):
    part = study.where(place, 6)["probability"]["all"]
    assert len(part["mean"]) == 12 and part["pictures"] == 6
