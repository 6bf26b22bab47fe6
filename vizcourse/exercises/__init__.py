"""Exercises: what learners call in a notebook. The engine is in `core`; a lesson's exercises are in its module."""

from vizcourse.exercises.core import (
    answer,
    attempt,
    choose,
    expected_bundle,
    expected_feedback,
    hint,
    predict,
    progress,
    reconcile,
    solution,
    solution_cell,
    tally,
    value_of,
)

__all__ = [
    "answer",
    "attempt",
    "choose",
    "expected_bundle",
    "expected_feedback",
    "hint",
    "predict",
    "progress",
    "reconcile",
    "solution",
    "solution_cell",
    "tally",
    "value_of",
]
