"""Exercises of lesson 01: other right ways to write them, mistakes that look alike, and what 1.8 says to a network."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from vizcourse.exercises.kinds import SOLVED, WRONG
from vizcourse.hooks import replace
from vizcourse.lessons.cnn_basics import exercises as lesson
from vizcourse.lessons.cnn_basics import study
from vizcourse.lessons.cnn_basics.exercises import training
from vizcourse.methods.convolution import output_size, silencing_effects

# ---------------------------------------------------------------------------------------------- right, in other ways


def by_counting(size, kernel, stride=1, padding=0):
    return len([start for start in range(0, size + 2 * padding, stride) if start + kernel <= size + 2 * padding])


def as_numpy(size, kernel, stride=1, padding=0):
    return np.int64((size + 2 * padding - kernel) // stride + 1)


def as_tensor(size, kernel, stride=1, padding=0):
    return torch.tensor([(size + 2 * padding - kernel) // stride + 1])


def by_unfolding(image, kernels, stride=1, padding=0):
    columns = functional.unfold(image[None], kernels.shape[2:], stride=stride, padding=padding)[0]
    rows = output_size(image.shape[1], kernels.shape[2], stride, padding)
    return (kernels.flatten(1) @ columns).unflatten(1, (rows, -1))


def as_lists(image, kernels, stride=1, padding=0):
    return lesson.conv2d(image, kernels, stride, padding).tolist()


def pooled_by_windows(image, size=2):
    return image.unfold(1, size, size).unfold(2, size, size).amax(dim=(3, 4))


def pooled_by_pairs(image, size=2):
    return image.unfold(1, size, size).max(dim=3).values.unfold(2, size, size).max(dim=3)[0]


def pooled_in_lists(image, size=2):
    channels, height, width = image.shape
    return [[[image[k, r * size : r * size + size, c * size : c * size + size].max() for c in range(width // size)]
             for r in range(height // size)] for k in range(channels)]  # fmt: skip


def field_from_the_end(layers):
    size = 1
    for kernel, stride in reversed(layers):
        size = (size - 1) * stride + kernel
    return size


def importance_by_hand(model, layer, images, labels):
    rows, found = torch.arange(len(labels)), []
    clean = model(images).softmax(1)
    for channel in range(model.conv.out_channels):

        def off(activation, channel=channel):
            activation = activation.clone()
            activation[:, channel] = 0
            return activation

        with replace(model, {layer: off}):
            found.append((model(images).softmax(1)[rows, labels] - clean[rows, labels]).abs().mean().item())
    return np.argmax(found)


def importance_at_once(model, layer, images, labels):
    effects = silencing_effects(model, images, layer)
    return effects[:, torch.arange(len(labels)), labels].abs().mean(1).argmax()


@pytest.mark.parametrize(
    ("exercise", "solution"),
    [
        *((lesson.OUTPUT_SIZE, each) for each in (by_counting, as_numpy, as_tensor)),
        *((lesson.CONVOLUTION, each) for each in (by_unfolding, as_lists)),
        *((lesson.POOLING, each) for each in (pooled_by_windows, pooled_by_pairs, pooled_in_lists)),
        (lesson.FIELD, field_from_the_end),
        *((lesson.IMPORTANCE, each) for each in (importance_by_hand, importance_at_once)),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "id", "")),
)
def test_other_right_solutions_are_accepted(exercise, solution):
    verdict = exercise.verdict(solution)
    assert verdict.status == SOLVED, verdict.text


@pytest.mark.parametrize(
    "kernel",
    [
        [[-1, 0, 1]] * 3,
        np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
        torch.tensor([[-1e-8, 0, 1e-8]] * 3),
        [[-2, -1, 0, 1, 2]] * 5,
    ],
)
def test_any_scale_and_kind_of_a_right_kernel_is_accepted(kernel):
    assert lesson.ORIENTATION.verdict(kernel).status == SOLVED


# -------------------------------------------------------------------------------------------- wrong, and what is said


@pytest.mark.parametrize(
    ("kernel", "mistake"),
    [
        ([[0, 0, 0]] * 3, "zero"),
        ([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], "silent"),  # answers to checks, so not "to nothing"
        ([[1e-9, 1e-9, 1e-9], [0, 0, 0], [-1e-9, -1e-9, -1e-9]], "turned"),
        ([[0, 0, 0], [0, 2, 0], [0, 0, 0]], "brightness"),
        ([[0, -1, 0], [-1, 0, 1], [0, 1, 0]], "both"),
    ],
)
def test_kernels_get_the_message_of_what_was_measured(kernel, mistake):
    assert lesson.ORIENTATION.verdict(kernel).mistake == mistake


def test_a_float_is_named_wherever_it_appears():
    verdict = lesson.OUTPUT_SIZE.verdict(
        lambda size, kernel, stride=1, padding=0: float(output_size(size, kernel, stride, padding))
    )
    assert verdict.status == WRONG and "is a float (1.0)" in verdict.text and "int(…)" in verdict.text


@pytest.mark.parametrize(
    ("exercise", "wrong"),
    [
        (lesson.POOLING, lambda image, size=2: image.amax(dim=0)),
        (lesson.POOLING, lambda image, size=2: image.amax()),
        (
            lesson.CONVOLUTION,
            lambda image, kernels, stride=1, padding=0: lesson.conv2d(image, kernels, stride, padding).mean(0),
        ),
        (
            lesson.CONVOLUTION,
            lambda image, kernels, stride=1, padding=0: lesson.conv2d(image, kernels, stride, padding).amax((1, 2)),
        ),
    ],
)
def test_nothing_is_called_right_but_for_its_shape_where_it_is_not(exercise, wrong):
    verdict = exercise.verdict(wrong)
    assert verdict.status == WRONG and "values are right" not in verdict.text


def test_the_cases_of_1_9_tell_the_mistakes_apart():
    cases = lesson.IMPORTANCE.case_list
    answers = {one.name: [outcome.value for outcome in found] for one, found in lesson.IMPORTANCE.mistake_outcomes}
    answers["right"] = [lesson.most_important_channel(*case.args) for case in cases]
    assert all(first != second for first, second in itertools.combinations(answers.values(), 2))


def test_a_hook_that_stays_is_refused():
    def hook_stays(model, layer, images, labels):
        model.get_submodule(layer).register_forward_hook(lambda *_: None)
        return lesson.most_important_channel(model, layer, images, labels)

    verdict = lesson.IMPORTANCE.verdict(hook_stays)
    assert verdict.status == WRONG and "leaves a hook" in verdict.text


# -------------------------------------------------------------------------------------------------- 1.8, untrained


class Own(nn.Module):
    """A module of one's own, with the pooling outside of any layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 3)

    def forward(self, images):
        return self.fc(self.conv(images).relu().amax(dim=(2, 3)))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lesson.make_network, (3, True, "max")),
        *((functools.partial(study.pattern, *which), which) for which in [(3, True, "mean"), (3, False, "max")]),
        *((functools.partial(study.pattern, *which), which) for which in [(2, True, "flatten"), (1, False, "mean")]),
        (
            lambda: nn.Sequential(nn.Sequential(*lesson.make_network()[:8]), nn.Sequential(*lesson.make_network()[8:])),
            (3, True, "max"),
        ),
        (lambda: nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.MaxPool2d(30), nn.Flatten()), (1, False, "max")),
        (Own, None),
    ],
)
def test_what_a_network_is_made_of(make, expected):
    network = make()
    assert lesson.pattern_of(network) == expected
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("pattern", "changes"),
    [
        ((3, True, "mean"), ("average",)),
        ((3, True, "flatten"), ("flattened",)),
        ((3, False, "max"), ("no-batch-norm",)),
        ((1, True, "max"), ("one-convolution",)),
        ((1, False, "mean"), ("average", "no-batch-norm", "one-convolution")),
        ((3, True, "max"), None),
    ],
)
def test_what_is_advised_has_reached_it_and_less_has_not(pattern, changes):
    assert lesson.fewest_changes(pattern) == changes
    if changes:
        assert min(training._trials(training._changed(pattern, changes))) >= study.ENOUGH
        for fewer in itertools.combinations(changes, len(changes) - 1):
            assert min(training._trials(training._changed(pattern, fewer))) < study.ENOUGH


def test_networks_that_share_weights_are_refused_before_any_training():
    network = lesson.make_network()
    assert lesson.TRAINING.verdict(lambda: network).mistake == "not-new"
    assert lesson.TRAINING.verdict(lambda: [lesson.make_network()]).text.startswith("make_network() gave a list")
