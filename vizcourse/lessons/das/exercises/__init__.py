"""Exercises of lesson 05, distributed alignment search: one file an exercise, in the notebook's order in ``EXERCISES``.

Written down before the mistakes were coded, what learners of interchange interventions really do: take the label of the base
or of the source, or set the other variable; swap base and source; swap the whole vector; stop after the rotation, or rotate
the wrong way (R and its transpose); put the source's part in without taking the base's out, or the reverse; swap coordinates
instead of directions; score against the network's own answer for base or source; count every changed answer as a hit;
orthonormalise only before, only after, only the length of the columns, or the rows; hand the optimizer a matrix and train
another; draw "random" subspaces that are one and the same, not orthonormal, made of units, or all in one corner; report the
best draw; mix up a cue with the class it speaks for; and call every high IIA a finding.
"""

from vizcourse.lessons.das.exercises.by_hand import BY_HAND
from vizcourse.lessons.das.exercises.counterfactual_labels import LABELS, counterfactual_labels
from vizcourse.lessons.das.exercises.exposed_forgeries import EXPOSE
from vizcourse.lessons.das.exercises.forged_table import FORGE
from vizcourse.lessons.das.exercises.interchange import INTERCHANGE, interchange
from vizcourse.lessons.das.exercises.interchange_accuracy import IIA, iia
from vizcourse.lessons.das.exercises.outvoted import VOTES
from vizcourse.lessons.das.exercises.random_subspaces import RANDOM
from vizcourse.lessons.das.exercises.staying_orthonormal import ROTATION, train_rotation
from vizcourse.lessons.das.exercises.subspace_illusion import ILLUSION
from vizcourse.lessons.das.exercises.who_follows_whom import CONFLICT, FOLLOW, FOLLOWS

__all__ = ["CONFLICT", "EXERCISES", "FOLLOWS", "counterfactual_labels", "iia", "interchange", "train_rotation"]

EXERCISES = (LABELS, INTERCHANGE, IIA, BY_HAND, ROTATION, RANDOM, FOLLOW, ILLUSION, VOTES, FORGE, EXPOSE)
