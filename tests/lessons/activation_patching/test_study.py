"""The studies of lesson 04: the file holds what the script makes, and its numbers can be had again."""

from __future__ import annotations

import pytest
import torch

from vizcourse.lessons.activation_patching import study
from vizcourse.methods.activation_patching import greyscale, sweep
from vizcourse.models import cards, load
from vizcourse.worlds import photos, scenes


def test_the_file_holds_every_experiment():
    study.register()
    # Those of a network that has not been trained yet can wait.
    waiting = set() if study.LINEAR in cards() else {name for name in study.EXPERIMENTS if name.startswith("linear-")}
    assert set(study.results()) == set(study.EXPERIMENTS) - waiting


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
    lent = study.results()["transplant"]
    own, same, other, partner, partner_other = (
        {key: lent["logit_difference"][name][key][1] for key in ("mean", "low", "high")} for name in study.DONORS
    )
    assert other["low"] > 0 > partner_other["high"] > partner["high"]
    assert abs(own["mean"] - same["mean"]) < 0.5 and other["high"] < own["low"]
    assert lent["colour"]["low"][1] > 0 and lent["both"]["low"][1] > 0
    assert lent["object"]["low"][1] < 0 < lent["object"]["high"][1]


def test_object_and_class_token_cross_where_the_lesson_says():
    """At layer 1 they cannot be told apart; before it the object gives back more, after it the class token."""
    for gap in study.results()["where-difference"].values():
        assert gap["high"][0] < 0 and gap["low"][1] < 0 < gap["high"][1] and min(gap["low"][2:]) > 0


def test_a_study_counts_how_often_a_layer_is_the_peak():
    found = study.results()
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


def test_without_the_photographs_the_study_says_one_sentence(monkeypatch, capsys, tmp_path):
    def missing(*_, **__):
        raise photos.PhotosUnavailable("CIFAR-10 is not here: connect to the network")

    study.photographs.cache_clear()
    monkeypatch.setattr(study.photos, "cifar10", missing)
    monkeypatch.setattr(study, "FILE", tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["study", "photos-attn_out-3", "linear-attn_out-3"])
    study.main()
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 and all("left out. CIFAR-10 is not here" in line for line in lines)
    assert not study.FILE.exists()


def test_the_controls_came_out_as_the_lesson_says():
    found = study.results()
    blind = found["blind-attn_out-3"]["probability"]["colour"]
    assert max(blind["mean"]) < 0.02 and abs(blind["total"][0]) < 0.06 and blind["high"][1] < 0
    grey = found["grey-attn_out-3"]["probability"]
    assert grey["free"]["total"][0] < 0.25 * grey["colour"]["total"][0]
    for name in ("noise-3", "blur-2", "silhouette", "shuffle-16"):
        effects = found[f"{name}-attn_out"]["probability"]["all"]["mean"]
        assert effects.index(max(effects)) == 1


@pytest.mark.parametrize("place", ["class", "object"])
def test_tokens_are_chosen_from_the_masks(place):
    part = study.where(place, 6)["probability"]["all"]
    assert len(part["mean"]) == 12 and part["pictures"] == 6
