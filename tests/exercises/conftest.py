"""Toy exercises of a lesson 99, one of each kind, and a progress file of the test's own."""

import pytest
import torch

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, CodeExercise, Mistake, Problem, case, registered
from vizcourse.exercises.feedback import collecting

COMMON = {
    "stars": 1,
    "minutes": 5,
    "hints": ("Look at one window.", "Look at its largest value."),
    "insight": "A window keeps its strongest answer.",
    "used_next": "99.2 counts its windows.",
}


def max_pool(image, size=2):
    """Largest value in each window: (C, H, W) -> (C, H // size, W // size)."""
    channels, height, width = image.shape
    windows = image[:, : height // size * size, : width // size * size]
    return windows.reshape(channels, height // size, size, width // size, size).amax(dim=(2, 4))


def _average(image, size=2):
    channels, height, width = image.shape
    windows = image[:, : height // size * size, : width // size * size]
    return windows.reshape(channels, height // size, size, width // size, size).mean(dim=(2, 4))


def _over_channels(image, size=2):
    return max_pool(image, size).amax(dim=0, keepdim=True)


def _spoils(image, size=2):
    result = max_pool(image, size)
    image.zero_()
    return result


def _doubled(image, size=2):
    return 2 * max_pool(image, size)


def _pool_cases(seed):
    generator = torch.Generator().manual_seed(seed)
    small, middle, large = (
        torch.randint(0, 50, size, generator=generator).float() for size in ((1, 2, 2), (2, 4, 5), (3, 7, 6))
    )
    return [case(large, size=3), (middle, 2), (small,)]


class Doubler(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x) * 2


class _Single(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


class _NoBias(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.layer(x) * 2


class _Tripler(_Single):
    def forward(self, x):
        return self.layer(x) * 3


def sort_up(values):
    return sorted(values)


def _judge_sort(function):
    given = function([3, 1, 2])
    if given == [3, 2, 1]:
        return Problem(mistake="downwards")
    if given == [3, 1, 2]:
        return Problem("It is the list itself.", mistake="untouched")
    if given == [1]:
        return Problem(mistake="smallest-only")
    return None if given == [1, 2, 3] else "That is not sorted."


class Lab:
    """Stands for a widget: something with a state and `answer_value()`."""

    def __init__(self):
        self.kernel = [0, 0, 0]

    def set(self, kernel):
        self.kernel = kernel

    def answer_value(self):
        return self.kernel


def _judge_kernel(kernel):
    return None if kernel[0] < 0 < kernel[2] else "This kernel does not answer to an edge from dark to light."


TOYS = (
    CodeExercise(
        id="99.1",
        title="Max pooling",
        reference=max_pool,
        cases=_pool_cases,
        unlisted=(_doubled,),
        **COMMON,
        mistakes=(
            Mistake("average", "This is the average of each window: pooling keeps the largest value.", _average),
            Mistake("over-channels", "Each channel is pooled on its own.", _over_channels),
            Mistake("spoils-input", "The picture itself is written to: work on a copy.", _spoils),
        ),
    ),
    AnswerExercise(
        id="99.2",
        title="Output size",
        reference=lambda: 11,
        unlisted=(13,),
        **COMMON,
        mistakes=(
            Mistake("one-more", "That counts one window too many.", 12),
            Mistake("no-padding", "Padding.", 9),
            Mistake("huge", "That is larger than the picture.", lambda value: value > 32, example=64),
        ),
    ),
    ChoiceExercise(
        id="99.3",
        title="Reading",
        options={"a": "first", "b": "second", "c": "third", "d": "fourth"},
        correct="b",
        mistakes=(Mistake("is-a", "Not a.", "a"), Mistake("is-c", "Not c.", "c"), Mistake("is-d", "Not d.", "d")),
        **COMMON,
    ),
    AnswerExercise(
        id="99.4",
        title="Edge",
        judge=_judge_kernel,
        blank=([0, 0, 0],),
        setup_source="class Lab:\n    kernel = [0, 0, 0]\n    def answer_value(self):\n        return self.kernel\n"
        "lab = Lab()",
        solution_source='lab.kernel = [-1, 0, 1]\nanswer("99.4", lab)',
        mistakes=(
            Mistake("reversed", "That is light to dark.", lambda k: k[0] > 0 > k[2], example=[1, 0, -1]),
            Mistake("blur", "That blurs.", [1, 1, 1]),
            Mistake("identity", "That copies.", [0, 1, 0]),
        ),
        **COMMON,
    ),
    CodeExercise(
        id="99.5",
        title="A layer, twice",
        reference=Doubler,
        cases=[(torch.ones(1, 2),), (torch.ones(3, 2) * 4,)],
        setup_source="class Doubler: pass",
        **COMMON,
        mistakes=(
            Mistake("single", "The factor is missing.", _Single),
            Mistake("no-bias", "Bias.", _NoBias),
            Mistake("three", "That is three times.", _Tripler),
        ),
    ),
    CodeExercise(
        id="99.6",
        title="Sort",
        reference=sort_up,
        judge=_judge_sort,
        unlisted=(lambda values: [0],),
        **COMMON,
        mistakes=(
            Mistake("downwards", "It runs downwards.", lambda values: sorted(values)[::-1]),
            Mistake("untouched", "Nothing is sorted.", lambda values: values),
            Mistake("smallest-only", "Only one is left.", lambda values: [min(values)]),
        ),
    ),
)


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """The toy exercises by id; they can be attempted, and progress goes to a file of the test's own."""
    monkeypatch.setenv("VIZCOURSE_PROGRESS", str(tmp_path / "progress.json"))
    with registered(TOYS):
        yield {one.id: one for one in TOYS}


@pytest.fixture
def said(toys):
    """The list of messages that the learner was shown."""
    with collecting() as messages:
        yield messages


@pytest.fixture
def lab():
    return Lab()
