"""Exercises of lesson 04, activation patching.

Written down before the mistakes were coded, what learners of patching really do: forget the softmax, compare with the
clean run in place of the corrupted one, turn the sign, follow the predicted class; record the corrupted run and patch it
into itself, patch the wrong way round, write a hook that returns nothing or never goes away; let windows wrap round the
ends, take the width for a radius, keep earlier patches; read a window's peak as a layer; believe a sweep of the residual
stream; divide by the wrong gap; rank cells one by one and add them up; take the gradient at the clean run, or average
where a sum is meant.
"""

from vizcourse.lessons.activation_patching.exercises.attribution import ATTRIBUTION, attribution_estimate
from vizcourse.lessons.activation_patching.exercises.best_layer import READING
from vizcourse.lessons.activation_patching.exercises.directions import DIRECTIONS
from vizcourse.lessons.activation_patching.exercises.effect import EFFECT, indirect_effect
from vizcourse.lessons.activation_patching.exercises.metric import METRIC, normalised_logit_difference
from vizcourse.lessons.activation_patching.exercises.one_layer import PATCH, patch_layer
from vizcourse.lessons.activation_patching.exercises.smallest_set import (
    SMALLEST_SET,
    TEAM,
    restored_probabilities,
    share_of_difference,
)
from vizcourse.lessons.activation_patching.exercises.trap import TRAP
from vizcourse.lessons.activation_patching.exercises.windows import SWEEP, window_sweep

EXERCISES = (EFFECT, PATCH, SWEEP, READING, TRAP, DIRECTIONS, SMALLEST_SET, METRIC, ATTRIBUTION)

__all__ = [
    "EXERCISES",
    "TEAM",
    "attribution_estimate",
    "indirect_effect",
    "normalised_logit_difference",
    "patch_layer",
    "restored_probabilities",
    "share_of_difference",
    "window_sweep",
]
