"""`vizcourse check` finds each way in which an exercise can be wrong."""

import dataclasses
import random

import pytest
import torch

from vizcourse.course import LESSONS, Lesson
from vizcourse.exercises import check as checking
from vizcourse.exercises.check import blank_cells, cells_in, check, problems_of
from vizcourse.exercises.core import Mistake


def test_the_toys_are_right(toys):
    for one in toys.values():
        assert problems_of(one) == []


@pytest.mark.parametrize(
    ("identifier", "changes", "problem"),
    [
        ("99.1", {"id": "x"}, 'not like "1.2"'),
        ("99.1", {"stars": 4}, "stars are 1, 2 or 3"),
        ("99.1", {"minutes": 0}, "minutes have to be more"),
        ("99.1", {"hints": ("one",)}, "at least 2 hints and has 1"),
        ("99.1", {"mistakes": ()}, "at least 3 known mistakes and has 0"),
        ("99.1", {"insight": " "}, "its insight is empty"),
        ("99.1", {"reference": lambda image, size=2: nonesuch}, "stops in case 1: the name `nonesuch`"),  # noqa: F821
        ("99.1", {"reference": lambda image, size=2: None}, "the reference returns None"),
        ("99.1", {"reference": lambda image, size=2: image.zero_()}, "the reference changes its input image"),
        ("99.1", {"reference": lambda image, size=2: next(_COUNTER)}, "something else the second time"),
        ("99.1", {"cases": lambda seed: [(torch.rand(1, 2, 2, generator=_UNSEEDED),)]}, "the cases are others"),
        ("99.1", {"cases": ()}, "everything would be right"),
        ("99.1", {"unlisted": (lambda image, size=2: torch.nn.functional.max_pool2d(image, size),)}, "is not refused"),
        (
            "99.1",
            {"unlisted": (lambda image, size=2: torch.nn.functional.avg_pool2d(image, size),)},
            "gets the message of 'average'",
        ),
        ("99.2", {"reference": 12}, "'one-more' is not refused: it counts as solved"),
        ("99.2", {"unlisted": (12,)}, "gets the message of 'one-more'"),
        ("99.2", {"unlisted": (11,)}, "(11) is not refused"),
        ("99.2", {"mistakes": (Mistake("big", "Big.", lambda value: value > 20),)}, "give it an example"),
        ("99.2", {"mistakes": (Mistake("one-more", "12.", 12),)}, "'one-more' was put to 1 other wrong answers"),
        (
            "99.2",
            {"mistakes": (Mistake("a", "A.", 12), Mistake("big", "Big.", lambda value: value > 11, example=40))},
            "the diagnosis 'big' holds for a, 13 too: narrow its condition",
        ),
        (
            "99.1",
            {"mistakes": (Mistake("doubled", "Doubled.", lambda image, size=2: 2 * max_pool(image, size)),)},
            "'doubled' was put to 1 other wrong solutions whose results have its form",
        ),
        (
            "99.1",
            {
                "unlisted": (lambda image, size=2: 2.0005 * max_pool(image, size),),
                "mistakes": (Mistake("doubled", "Doubled.", lambda image, size=2: 2 * max_pool(image, size)),),
            },
            "only rounding tells 'doubled' from 'unlisted 1'",
        ),
        (
            "99.2",
            {"mistakes": (Mistake("a", "A.", 12), Mistake("b", "B.", 12))},
            "'b' does not get its own message, but: A.",
        ),
        ("99.2", {"mistakes": (Mistake("a", "Same.", 12), Mistake("b", "Same.", 13))}, "have the same message"),
        (
            "99.2",
            {"solution_source": "answer('99.2', 10)"},
            "the solved cell does not give ✓ but: ✗ 99.2 10 is not it.",
        ),
        ("99.2", {"solution_source": "answer('99.2', nonesuch)"}, "the solved cell breaks: NameError"),
        ("99.3", {"correct": "a"}, "a mistake stands for"),
        ("99.3", {"correct": "e"}, "not among the options"),
        ("99.3", {"mistakes": ()}, 'the wrong option "a" has no mistake'),
        ("99.4", {"setup_source": ""}, "the solved cell breaks: NameError"),
        ("99.6", {"judge": lambda function: None}, "'downwards' is not refused"),
        ("99.6", {"judge": lambda function: "No."}, "the solved cell does not give ✓ but: ✗ 99.6 No."),
        ("99.6", {"judge": lambda function: 1 / 0}, "the solved cell does not give ✓"),
    ],
)
def test_each_fault_is_found(toys, identifier, changes, problem):
    found = problems_of(dataclasses.replace(toys[identifier], **changes))
    assert any(problem in sentence for sentence in found), found


def max_pool(image, size):
    return torch.nn.functional.max_pool2d(image, size)


_COUNTER = iter(range(10**6))
_UNSEEDED = torch.Generator().manual_seed(random.randrange(10**6))


SOURCE = '''---
jupytext: {}
---
# Title

```{code-cell}
:tags: [exercise]

@attempt("99.1")
def max_pool(image, size=2):
    """Your turn."""
    ...
```

````{code-cell} ipython3
---
tags: [exercise]
---
answer("99.2", ...)
````

```{code-cell}
choose('99.3', ...)
```

```python
answer("99.7", "not a cell")
```
'''


def test_blank_cells_are_found_in_the_source():
    cells = cells_in(SOURCE)
    assert list(cells) == ["99.1", "99.2", "99.3"]
    assert cells["99.1"].startswith('@attempt("99.1")\ndef') and cells["99.2"].strip() == 'answer("99.2", ...)'


def test_blank_cells_are_seen_as_not_started(toys):
    cells = cells_in(SOURCE)
    for identifier in cells:
        assert problems_of(toys[identifier], cells) == []
    assert problems_of(toys["99.5"], cells) == ["no cell of the notebook's source hands it in"]
    written = cells | {"99.1": cells["99.1"].replace("...", "return image")}
    assert "not seen as not started; it gives: ✗ 99.1" in problems_of(toys["99.1"], written)[0]
    broken = cells | {"99.2": "answer('99.2', lab)"}
    assert "breaks: NameError" in problems_of(toys["99.2"], broken)[0]
    widget = {"99.4": "answer('99.4', lab)"}
    assert problems_of(toys["99.4"], widget) == []


def test_counts_and_exit(toys, monkeypatch, capsys):
    lesson = Lesson("99", "toys", "Toys", "", 5, 1)
    monkeypatch.setattr(checking, "exercises_of", lambda one: tuple(toys.values()))
    assert check([lesson]) is True
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ 99.1 Max pooling: 3 mistakes, 1 other wrong solutions"
    assert lines[-1] == "lessons=1 exercises=6 mistakes=18 widgets=0"

    twice = (toys["99.2"], toys["99.2"])
    monkeypatch.setattr(checking, "exercises_of", lambda one: twice)
    assert check([lesson]) is False
    assert "the id stands twice" in capsys.readouterr().out

    monkeypatch.setattr(checking, "exercises_of", lambda one: (toys["99.2"],))
    assert check([Lesson("01", "toys", "Toys", "", 5, 1)]) is False
    assert "does not begin with the lesson's number, 1" in capsys.readouterr().out


def test_an_exercise_that_breaks_does_not_hide_the_others(toys):
    def breaks(seed):
        raise OSError("no such cases")

    assert "breaks with OSError" in problems_of(dataclasses.replace(toys["99.1"], cases=breaks))[-1]


def test_checking_leaves_progress_alone(toys, tmp_path):
    for one in toys.values():
        problems_of(one)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda one: one.number)
def test_the_learners_cells_of_every_lesson_are_found(lesson):
    """That they are right, `make test` sees with `vizcourse check`; without cells it could not."""
    assert set(blank_cells(lesson)) == {one.id for one in lesson.part("exercises").EXERCISES}


def test_several_processes_find_the_same(capsys):
    lessons = [Lesson("98", "none", "None", "", 5, 1), Lesson("99", "nothing", "Nothing", "", 5, 1)]
    assert check(lessons) is False
    alone = capsys.readouterr().out
    assert check(lessons, jobs=2) is False and capsys.readouterr().out == alone
    assert alone.splitlines() == [
        "✗ lesson 98 has no exercises", "✗ lesson 99 has no exercises", "lessons=2 exercises=0 mistakes=0 widgets=0"
    ]  # fmt: skip
