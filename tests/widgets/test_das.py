"""Lesson 05's explorers, driven through their real controls."""

from __future__ import annotations

import random

import pytest
import torch

from vizcourse.methods import das
from vizcourse.models import load
from vizcourse.studies import das as study
from vizcourse.widgets.das import ALL, CUES, FOUND, RANDOM, WHOLE, WIDGETS, DimensionAndLayer, RotateByHand, SwapACue, edited
from vizcourse.worlds import shapes


@pytest.fixture(scope="module")
def alignments():
    model = load("shapes-cue-colour")
    found = []
    for variable in shapes.VARIABLES:
        pairs = shapes.pairs(variable, 12, seed=0)
        images = shapes.render(pairs.base, 96), shapes.render(pairs.source, 96)
        found.append(das.align(model, "avgpool", *images, pairs.counterfactual_labels, dim=4, steps=80, progress=False))
    return {"shapes-cue-colour": found}


@pytest.fixture(scope="module")
def explorers(alignments):
    made = [SwapACue(alignments), RotateByHand(), DimensionAndLayer(study.results()["networks"])]
    yield made
    for each in made:
        each.close()


def test_every_widget_of_the_lesson_is_listed(explorers):
    assert {type(each) for each in explorers} == set(WIDGETS)


def test_edited_pictures_are_those_of_the_article():
    for cue, variable in CUES.items():
        pairs = shapes.pairs(variable, 12, seed=3)
        for base, source, label in zip(pairs.base, pairs.source, pairs.counterfactual_labels, strict=True):
            assert edited(base, shapes.CLASSES[label], [cue]) == source
    whole = edited(pairs.base[0], "wug", list(CUES))
    assert set(whole.cues.values()) == {"wug"}
    assert edited(pairs.base[0], pairs.base[0].class_name, list(CUES)) == pairs.base[0]


def test_the_colour_network_follows_the_colours_alone(explorers):
    swap = explorers[0].set(base="blicket", source="dax", swap=FOUND)
    for cue, answer in [("colours", "dax"), ("background", "blicket"), ("types", "blicket"), (ALL, "dax")]:
        assert swap.set(cue=cue).result.after.argmax() == shapes.CLASSES.index(answer)
        assert f"answers {answer}" in swap.text.value
    assert swap.set(cue="colours", swap=WHOLE).result.after.argmax() == 1
    assert swap.set(swap=RANDOM).result.after.argmax() == 0
    assert swap.set(source="blicket", swap=FOUND).result.after.allclose(swap.result.before)
    assert swap.errors == []


def test_rotating_by_hand(explorers):
    turner = explorers[1].set(angle=60, variable="left", curve=True, search=True)
    assert turner.answer_value() == 60
    assert turner.result.shares == {"left": 1.0, "right": turner.share(60, "right")}
    assert abs(turner.result.network_angle - 60) < 10
    turner.set(variable="right", angle=150)
    assert turner.result.shares["right"] == 1 and turner.result.shares["left"] < 0.7
    assert abs(turner.result.network_angle - 150) < 10
    assert turner.errors == []


def test_curves_are_those_of_the_study(explorers):
    curves = explorers[2]
    for network in curves.results:
        curves.set(network=network, variable="types", dimension="4")
        stored = study.results()["networks"][network]["dimensions"]["shape_type"]["4"]["held out"]
        assert f"held out {stored[0]:.0%}" in curves.text.value
    assert curves.errors == []


def test_extremes_and_a_storm(explorers):
    chance = random.Random(0)
    for each in explorers:
        for name, control in each.controls.items():
            options = getattr(control, "options", None)
            values = [o[1] if isinstance(o, tuple) else o for o in options] if options else (
                [control.min, control.max] if hasattr(control, "min") else [True, False])  # fmt: skip
            for value in values:
                each.set(**{name: value})
            for _ in range(10):
                each.set(**{name: chance.choice(values)})
        assert each.errors == [] and bytes(each.picture.value).startswith(b"\x89PNG") and len(each.picture.value) < 150_000
        with pytest.raises(ValueError, match="no control"):
            each.set(nothing=1)
    with pytest.raises(ValueError, match="does not take"):
        explorers[0].set(network="lenet")


def test_nothing_is_left_on_the_model(alignments, explorers):
    model = alignments["shapes-cue-colour"][0].model
    explorers[0].set(picture=7)
    assert not any(module._forward_hooks or "forward" in module.__dict__ for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.isfinite(explorers[0].result.after).all()
