"""Lesson 02's exercises: answers in other idioms than the reference's, and mistakes that look like other mistakes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from vizcourse.exercises.kinds import SOLVED
from vizcourse.hooks import capture
from vizcourse.lessons.feature_visualization import exercises as lesson


def by_adding(model, layer, channel, image, steps=8, rate=1.0):
    x = torch.nn.Parameter(image.clone())
    optimizer = torch.optim.SGD([x], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        with capture(model, layer, stop=True) as acts:
            model(x)
        (-acts[layer][0, channel].mean()).backward()
        optimizer.step()
        x.data.clamp_(0, 1)
    return x.data.numpy()


def inside_no_grad(model, layer, channel, image, steps=8, rate=1.0):
    (never_asked,) = (lesson.ASCENT.wrong_example(each) for each in lesson.ASCENT.mistakes if each.name == "never-asked")
    with torch.no_grad():
        return never_asked(model, layer, channel, image, steps, rate)


def written_as_text(images):
    return (images.diff(dim=2).abs().sum((1, 2, 3)) + images.diff(dim=3).abs().sum((1, 2, 3))) / (
        3 * images.shape[2] * images.shape[3]
    )


def one_by_one(images):
    def single(x):
        return np.abs(np.diff(x, axis=1)).sum() + np.abs(np.diff(x, axis=2)).sum()

    return [float(single(x.numpy()) / x.numel()) for x in images]


def by_padding(images, pixels):
    top, left = torch.randint(0, pixels + 1, (2,)).tolist()
    return functional.pad(images, (-left, left - pixels, -top, top - pixels))


@pytest.mark.parametrize(
    ("exercise", "right"),
    [
        (lesson.ASCENT, by_adding),
        (lesson.VARIATION, written_as_text),
        (lesson.VARIATION, one_by_one),
        (lesson.JITTER, by_padding),
    ],
)
def test_other_idioms_are_right(exercise, right):
    assert exercise.verdict(right).status == SOLVED


@pytest.mark.parametrize(
    "answer",
    [
        ("color", "blue"), (" Colour ", "BLUE "), ["colour", "blue"], {"colour": "blue"}, "colour = blue", "Color: Blue",
        ("blue", "colour"), ("colour", np.str_("blue")),
    ],
)  # fmt: skip
def test_a_factor_and_its_value_may_be_written_in_many_ways(answer):
    assert lesson.ENCODED.verdict(answer).status == SOLVED


def moved_by(step, steps_counted=True):
    def learner(model, layer, channel, picture, budget=12 / 255, steps=10):
        now = picture.clone()
        for _ in range(steps if steps_counted else 1):
            now = now.detach().requires_grad_()
            with capture(model, layer, stop=True) as acts:
                model(now)
            (gradient,) = torch.autograd.grad(acts[layer][0, channel].mean(), now)
            now = step(now.detach(), gradient, picture, budget)
        return now

    return learner


def kept(now, picture, budget):
    return torch.max(torch.min(now, picture + budget), picture - budget).clamp(0, 1)


def test_fooling_by_long_steps_is_as_right_as_by_short_ones():
    long = moved_by(lambda now, gradient, picture, budget: kept(now + budget * gradient.sign(), picture, budget))
    assert lesson.FOOLING.verdict(long).status == SOLVED


def test_fooling_is_judged_as_the_next_cell_calls_it():
    right = moved_by(lambda now, gradient, picture, budget: kept(now + budget * gradient.sign(), picture, budget))

    def without_defaults(model, layer, channel, picture, budget, steps):
        return right(model, layer, channel, picture, budget, steps)

    def generous(model, layer, channel, picture, budget=12, steps=10):
        return right(model, layer, channel, picture, budget, steps)

    for wrong in (without_defaults, generous):
        verdict = lesson.FOOLING.verdict(wrong)
        assert verdict.mistake is None and "in the first line" in verdict.text


@pytest.mark.parametrize(
    ("exercise", "wrong", "mistake"),
    [
        (lesson.ASCENT, inside_no_grad, "never-asked"),
        (lesson.JITTER, lambda images, pixels: images + torch.randn_like(images), None),
        (lesson.JITTER, lambda images, pixels: images, None),
        (lesson.JITTER, lambda images, pixels: functional.interpolate(images, size=(5, 7)), None),
        (lesson.FOOLING, lambda model, layer, channel, picture, budget=0.1, steps=10: 0 * picture, "budget-ignored"),
        (lesson.FOOLING, lambda model, layer, channel, picture, budget=0.1, steps=10: picture, "unchanged"),
        (
            lesson.FOOLING,
            lambda model, layer, channel, picture, budget=0.1, steps=10: (picture + budget).clamp(0, 1),
            "one-step",
        ),
        (
            lesson.FOOLING,
            moved_by(lambda now, gradient, picture, budget: kept(now + budget * gradient.sign(), picture, budget), False),
            "one-step",
        ),
        (
            lesson.FOOLING,
            moved_by(lambda now, gradient, picture, budget: kept(now + 0.01 * gradient.sign(), picture, 12 / 255)),
            "budget-ignored",
        ),
    ],
)
def test_a_diagnosis_is_not_given_to_mistakes_that_look_alike(exercise, wrong, mistake):
    verdict = exercise.verdict(wrong)
    assert verdict.status != SOLVED and verdict.mistake == mistake


def test_a_red_blue_tang_may_be_but_no_red_lorry():
    found = lesson.object_by_colour(*lesson.QUESTIONED, ("blue tang", "lorry"), ("red",), count=2)
    assert list(found["blue tang"]) == ["red"] and found["lorry"] == {}
