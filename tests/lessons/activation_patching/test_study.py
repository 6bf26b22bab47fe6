"""The studies of lesson 04: the file holds what the script makes, and its numbers can be had again."""

from __future__ import annotations

import pytest
import torch

from vizcourse.lessons.activation_patching import study
from vizcourse.lessons.activation_patching.study import STUDY
from vizcourse.methods.activation_patching import greyscale, sweep
from vizcourse.models import load
from vizcourse.worlds import photos, scenes


def test_the_file_holds_every_experiment():
    assert set(STUDY.results()) == set(STUDY.parts)


def test_a_study_is_the_sweep_of_the_same_pictures():
    """In all three metrics and both groups of classes, on a few pictures."""
    found = study.sweep("attn_out", 3, 12)
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
    part = STUDY.results()["grey-attn_out-3"]["probability"]["all"]
    spread = torch.tensor(part["standard deviation"]) / len(images) ** 0.5
    assert ((result.mean - torch.tensor(part["mean"])).abs() < 4 * spread).all()
    assert part["pictures"] == study.MANY


def test_donors_cross_the_colour_with_the_object_and_nothing_else():
    some = study.drawn(24, True)[0]
    lent = study.donors(some)
    assert tuple(lent) == study.DONORS and lent["own picture"] == some
    for number, scene in enumerate(some):
        four = [lent[name][number] for name in study.DONORS[1:]]
        twin = scenes.counterpart(scene.object)
        assert [each.object for each in four[::2]] == [scene.object, twin]
        assert four[1].object == four[3].object in study.OTHERS
        assert [each.colour for each in four] == [scenes.OWN_COLOUR[scene.object]] * 2 + [scenes.OWN_COLOUR[twin]] * 2
        # All else is one scene, which is not the picture's own.
        assert len({each.replace(object="car", colour="red") for each in four}) == 1
        assert four[0] != scene


def test_the_transplant_came_out_as_the_lesson_says():
    """Signs and order only: the numbers stand in the lesson."""
    lent = STUDY.results()["transplant"]
    own, same, other, partner, partner_other = (
        {key: lent["logit_difference"][name][key][1] for key in ("mean", "low", "high")} for name in study.DONORS
    )
    assert other["low"] > 0 > partner_other["high"] > partner["high"]
    assert abs(own["mean"] - same["mean"]) < 0.5 and other["high"] < own["low"]
    assert lent["colour"]["low"][1] > 0 and lent["both"]["low"][1] > 0
    assert lent["object"]["low"][1] < 0 < lent["object"]["high"][1]


def test_object_and_class_token_cross_where_the_lesson_says():
    """At layer 1 they cannot be told apart; before it the object gives back more, after it the class token."""
    for gap in STUDY.results()["where-difference"].values():
        assert gap["high"][0] < 0 and gap["low"][1] < 0 < gap["high"][1] and min(gap["low"][2:]) > 0


def test_a_study_counts_how_often_a_layer_is_the_peak():
    found = STUDY.results()
    for window, peak in {1: 0, 2: 1, 3: 1, 5: 2}.items():
        part = found[f"grey-attn_out-{window}"]["probability"]["colour"]
        assert sum(part["peak"]) == pytest.approx(1, abs=1e-3) and part["peak"][peak] > 0.95
        assert max(range(12), key=part["mean"].__getitem__) == peak


def test_single_tokens_are_the_patches_of_those_tokens():
    model = load("vit-scenes")
    some, images, targets, _ = study.drawn(1, True)
    corrupted = study.partners(some)
    rival = torch.tensor([scenes.CLASSES.index(scenes.counterpart(some[0].object))])
    maps = study.one_token_each(model, images[0], corrupted[0], int(targets[0]), int(rival[0]), layers=(1,))
    for token in (0, 7, 36):
        wanted = sweep(model, images, corrupted, targets, component="resid", window=1, tokens=[token], against=rival,
                       metric="logit_difference", progress=False).normalised[1]  # fmt: skip
        assert float(maps[0, token]) == pytest.approx(float(wanted), abs=1e-3)


def test_without_the_photographs_the_study_says_one_sentence(monkeypatch):
    def missing(*_, **__):
        raise photos.PhotosUnavailable("CIFAR-10 is not here: connect to the network")

    study.photographs.cache_clear()
    monkeypatch.setattr(study.photos, "cifar10", missing)
    said = []
    STUDY.run(["photos-attn_out-3", "linear-attn_out-3"], quick=True, say=said.append)
    assert len(said) == 2 and all("left out: CIFAR-10 is not here" in line for line in said)
    assert STUDY.check(["photos-attn_out-3"], say=said.append) and "left out: CIFAR-10 is not here" in said[-1]


@pytest.mark.parametrize("name", ["noise-1-attn_out", "where-difference", "inside-all"])
def test_a_quick_run_measures_what_is_stored_on_a_few_pictures(name):
    part = STUDY.parts[name]
    found = part.measure(**{**part.settings, "count": 2})
    assert skeleton(found) == skeleton(STUDY.stored(name))


def skeleton(found):
    """The keys of a result, and how long its lists are, but for groups that a few pictures do not fill.

    The "peak" came later than some of the stored sweeps.
    """
    if isinstance(found, dict):
        return {key: skeleton(value) for key, value in found.items() if key not in ("colour", "free", "peak")}
    return len(found) if isinstance(found, list) else type(found)


def test_a_cell_that_has_drifted_is_found(monkeypatch):
    monkeypatch.setattr(study, "touched", lambda masks: torch.zeros(len(masks), 6, 6, dtype=torch.bool))
    assert not [cell for _, cell in STUDY.cells(["where-object"]) if cell.agrees]


def test_the_controls_came_out_as_the_lesson_says():
    found = STUDY.results()
    blind = found["blind-attn_out-3"]["probability"]["colour"]
    assert max(blind["mean"]) < 0.02 and abs(blind["total"][0]) < 0.06 and blind["high"][1] < 0
    grey = found["grey-attn_out-3"]["probability"]
    assert grey["free"]["total"][0] < 0.25 * grey["colour"]["total"][0]
    for name in ("noise-3", "blur-2", "silhouette", "shuffle-16"):
        effects = found[f"{name}-attn_out"]["probability"]["all"]["mean"]
        assert effects.index(max(effects)) == 1


@pytest.mark.parametrize("place", ["class", "object"])
def test_tokens_are_chosen_from_the_masks(place):
    part = study.sweep("resid", 1, 6, by="partner", place=place)["probability"]["all"]
    assert len(part["mean"]) == 12 and part["pictures"] == 6
