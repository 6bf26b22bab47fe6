"""Exercises: what learners call in a notebook. The engine is in `core`, one further module belongs to each lesson."""

from vizcourse.exercises.core import (
    answer,
    attempt,
    choose,
    hint,
    predict,
    progress,
    reconcile,
    solution,
    tally,
    value_of,
)

__all__ = ["answer", "attempt", "choose", "hint", "predict", "progress", "reconcile", "solution", "tally",
           "value_of"]
