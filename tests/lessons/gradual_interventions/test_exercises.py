"""What lesson 07's exercises accept, refuse and say, on answers that their authors did not write."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizcourse.exercises.kinds import SOLVED, WRONG
from vizcourse.lessons.gradual_interventions import exercises as lesson
from vizcourse.methods.property_gradients import permutation_test, property_effect
from vizcourse.worlds import gradual, scenes

SMALL, LARGE = torch.linspace(0.5, 0.51, 50), torch.rand(50, generator=torch.Generator().manual_seed(0))


def with_lists(model, pictures, target):
    return [float(model(picture[None]).softmax(dim=1)[0, target]) for picture in pictures]


def with_tuples(model, pictures, target):
    return tuple(model(pictures).softmax(dim=1)[:, target])


@pytest.mark.parametrize("curve", [with_lists, with_tuples])
def test_a_curve_may_be_a_list(curve):
    assert lesson.RESPONSE.verdict(curve).status == SOLVED


def test_numpys_gradient_is_the_formula_of_7_2():
    assert lesson.SLOPES.verdict(lambda responses, values: np.gradient(responses.numpy(), values.numpy())).status == SOLVED
    other_ends = lesson.SLOPES.verdict(
        lambda responses, values: np.gradient(responses.numpy(), values.numpy(), edge_order=2)
    )
    assert other_ends.mistake == "parabola-at-the-ends"


@pytest.mark.parametrize(("value", "right"), [
    (0.0073, True), (0.00727, True), (0.72 / 99, True), (np.float32(0.0073), True), (torch.tensor(0.0073), True),
    (0.0072, False), (0.0074, False), (0.0081, False), (0.008, False),
])
def test_four_decimals_are_judged_at_four(value, right):
    assert (lesson.STEPS.verdict(value).status == SOLVED) == right


def in_double_precision(observed, shuffled):
    scores = [float(observed), *map(float, shuffled)]
    mean = sum(scores) / len(scores)
    return sum(abs(each - mean) >= abs(scores[0] - mean) for each in scores) / len(scores)


def in_both_precisions(observed, shuffled):
    orders = torch.cat([shuffled, observed[None]])
    mean = orders.mean().item()
    return sum(abs(each - mean) >= abs(observed.item() - mean) for each in orders) / len(orders)


@pytest.mark.parametrize("p_value", [in_double_precision, in_both_precisions])
def test_ties_are_ties_in_any_precision(p_value):
    assert lesson.P_VALUE.verdict(p_value).status == SOLVED


@pytest.mark.parametrize("answer", [
    [SMALL.tolist(), LARGE.tolist()], (np.linspace(0.5, 0.52, 50), LARGE.numpy()), torch.stack([SMALL, LARGE]),
])
def test_right_curves_of_any_kind(answer):
    assert lesson.CURVES.verdict(answer).status == SOLVED


def test_noise_by_bad_luck_is_not_called_ordered():
    noise = torch.rand(50, generator=torch.Generator().manual_seed(12))
    assert 0.01 <= float(permutation_test(noise).p_value) <= 0.1
    assert lesson.CURVES.verdict((SMALL, noise)).mistake == "second-in-between"
    for curve, name in [
        (torch.linspace(0, 1, 50), "second-smooth"), (LARGE.sort().values, "second-smooth"),
        ((torch.arange(50) % 4 > 1).double(), "second-rough"), ((torch.arange(50) % 2).double(), "alternating"),
    ]:
        assert lesson.CURVES.verdict((SMALL, curve)).mistake == name


def test_how_many_suspects_are_right_is_counted():
    claims = ("none", "dark is cat", "dark is dog")
    for a in claims:
        for b in claims:
            for c in claims:
                verdict = lesson.SUSPECTS.verdict({"A": a, "B": b, "C": c})
                right = (a == "dark is dog") + (b == "none") + (c == "dark is cat")
                assert (verdict.status == SOLVED) == (right == 3)
                assert ("One of the three is right" in verdict.text) <= (right == 1)
                assert ("Two of the three are right" in verdict.text) <= (right == 2)
    assert lesson.SUSPECTS.verdict({"a": " Dark is dog", "b": "None", "c": "dark-is-cat"}).status == SOLVED
    assert lesson.SUSPECTS.verdict({"A": "dark is dog", "B": "none", "C": "dark is bird"}).status == WRONG


def test_what_the_messages_of_7_7_and_7_10_state():
    animals = scenes.sample(16, 70, object=("cat", "dog"))

    def effect(factor):
        pictures = torch.stack([gradual.turn(scene, factor, steps=12).pictures for scene in animals])
        return property_effect(lesson.suspects()["B"], pictures, 1, torch.linspace(0, 1, 12), permutations=199)

    fur, size, scenery = (effect(factor) for factor in ("colour", "size", "scene"))
    assert float((fur.span < 0.01).double().mean()) > 0.5 and float((fur.p_value <= 0.05).double().mean()) > 0.3
    assert int((size.span > 0.2).sum()) == 1 and float((size.span < 0.1).double().mean()) > 0.5
    assert int((scenery.span < 0.01).sum()) >= 12 and 0.4 < float(scenery.span.max()) < 0.6
