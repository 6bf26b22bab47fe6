"""6.7: what two classes share."""

import re

from vizcourse.exercises import compare
from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.lessons.concept_graph import stored

#: One layer's concepts in pictures of two classes, as the notebook prints them: numbers, and shares of either class's evidence.
TABLE = stored.results()["shared"]


def _rows():
    """Concept -> its share of what speaks for the first class, and for the second."""
    return dict(zip(TABLE["concepts"], zip(*TABLE["shares"], strict=True), strict=True))


def shared_most():
    """The concept of the table whose smaller share is the largest."""
    rows = _rows()
    return max(rows, key=lambda concept: min(rows[concept]))


def _top(side):
    rows = _rows()
    return max(rows, key=lambda concept: rows[concept][side])


def _shared_kind(concept):
    """What is wrong with an answer; None where it is right."""
    if concept == shared_most():
        return None
    if concept == _top(0):
        return "first-only"
    if concept == _top(1):
        return "second-only"
    return "against" if min(_rows()[concept]) < 0 else "less"


def _number_in(value):
    """The one number that an answer holds, the only whole number of a text included; None where there is none."""
    while isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        digits = re.findall(r"\d+(?:\.0+)?(?!\.?\d)", value)
        return float(digits[0]) if len(digits) == 1 else None
    numbers = None if isinstance(value, bool) else compare.numeric(value)
    return numbers.item() if numbers is not None and numbers.size == 1 else None


def _shared_judge(value):
    rows = _rows()
    number = _number_in(value)
    if number not in rows:
        return f"Answer with the number of one concept of the table: {', '.join(map(str, rows))}."
    kind = _shared_kind(int(number))
    if kind is None:
        return None
    shares = " and ".join(f"{share:.1%} of “{name}”" for share, name in zip(rows[int(number)], TABLE["classes"], strict=True))
    return Problem(f"Concept {int(number)} has {shares}.", mistake=kind)


def _shared_example(kind):
    return next((concept for concept in _rows() if _shared_kind(concept) == kind), None)


SHARED = AnswerExercise(
    id="6.7",
    title="What do they share?",
    stars=2,
    minutes=5,
    reference=shared_most,
    judge=_shared_judge,
    hints=(
        "For each concept take the *smaller* of its two shares. Which concept's is largest?",
        "Go down the first class's list from the top, and ask each time: what does the second class say?",
    ),
    mistakes=tuple(
        Mistake(name, message, _shared_example(name))
        for name, message in (
            (
                "first-only",
                "This is the most important concept of the first class, but the second hardly uses it, or not at all. Shared "
                "is what helps both.",
            ),
            (
                "second-only",
                "This is the most important concept of the second class, but the first hardly uses it, or not at all. Shared "
                "is what helps both: look at the other column, its sign included.",
            ),
            (
                "against",
                "For at least one of the two classes this concept's share is below zero: there it speaks *against* the class, "
                "if only a little. That is the opposite of shared.",
            ),
            ("less", "It helps both, but there is one whose smaller share is larger."),
        )
    ),
    unlisted=(1.0, "wheel", -1, TABLE["concepts"][:2]),
    insight="Neither class's first choice: what is shared shows only when both classes stand side by side.",
    used_next="The next figure shows it, between what either class likes best.",
)
