"""Known mistakes as edits of the reference."""

import pytest
import torch

from vizcourse.exercises.check import problems_of
from vizcourse.exercises.core import CodeExercise, Mistake, edits
from vizcourse.exercises.edits import EditError

OFFSET = 1


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


class Doubler(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = 2

    def forward(self, x):
        return self.factor * x


def test_an_edit_is_the_reference_with_one_thing_changed_and_leaves_the_reference_alone():
    wrong = edits("n * factorial -> n + factorial").of(factorial)
    assert wrong(2) == 3 and factorial(4) == 24
    assert edits(" else n * ->  else ").of(factorial)(5) == 24  # what it calls is the reference, until it is `visible`
    assert edits("< 2 -> < 3", "1 if -> 7 if").of(factorial)(2) == 7


def test_classes_and_names_of_the_module():
    wrong = edits("factor = 2 -> factor = 3").of(Doubler)
    assert wrong()(torch.ones(1)).item() == 3 and Doubler()(torch.ones(1)).item() == 2
    assert edits("n * -> OFFSET * ").of(factorial)(5) == 24


@pytest.mark.parametrize("change", ["a b", " -> b", "a ->b", "a->b"])
def test_an_edit_has_an_arrow(change):
    with pytest.raises(ValueError, match="'old -> new'"):
        edits(change)


def test_an_edit_that_finds_nothing_or_leaves_no_python_is_an_error():
    with pytest.raises(EditError, match="finds nothing to replace"):
        edits("n / 2 -> n").of(factorial)
    with pytest.raises(EditError, match="valid Python"):
        edits("return -> return return").of(factorial)
    with pytest.raises(EditError, match="use math, which the reference's module does not have"):
        edits("n * factorial(n - 1) -> [math.prod(range(k)) for k in (n,)][0]").of(factorial)


def exercise(*mistakes, unlisted=()):
    return CodeExercise(
        id="99.9", title="Factorial", stars=1, minutes=1, hints=("a", "b"), insight="i", used_next="u",
        reference=factorial, cases=[(n,) for n in range(6)], mistakes=mistakes, unlisted=unlisted,
    )  # fmt: skip


def test_edits_serve_as_mistakes_and_as_other_wrong_solutions():
    mistakes = (
        Mistake("sum", "You add.", edits("n * -> n + ")),
        Mistake("zero", "Begins at 0.", edits("1 if -> 0 if")),
        Mistake("late", "Stops late.", edits("< 2 -> < 3")),
    )
    one = exercise(*mistakes, unlisted=(edits("1 if -> 5 if"), edits("1 if -> 3 if")))
    assert [one.verdict(one.wrong_example(mistake)).mistake for mistake in mistakes] == ["sum", "zero", "late"]
    assert problems_of(one) == []


def test_check_says_loudly_that_an_edit_no_longer_fits():
    found = problems_of(exercise(Mistake("gone", "Gone.", edits("n / 2 -> n"))))
    assert any("finds nothing to replace" in sentence for sentence in found)
