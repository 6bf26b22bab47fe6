"""Exercises of lesson 07, gradual interventions.

Written down before the mistakes were coded, what learners of this method really do: record the logit or the winning
probability instead of the probability of one class; divide by the whole width of two uneven gaps, or by nothing; let
rises and falls cancel; test one tail; forget that the true order is one of the orders, so p becomes 0; take a small p
for a large effect and a large p for none; read the curve from the wrong end, so that the bias comes out the other way
round; take what holds on average for what holds here.
"""

from vizcourse.lessons.gradual_interventions.exercises.chance import P_VALUE
from vizcourse.lessons.gradual_interventions.exercises.ignored import IGNORED, PROPERTY
from vizcourse.lessons.gradual_interventions.exercises.local_effect import LOCAL
from vizcourse.lessons.gradual_interventions.exercises.magnitude import SCORE, STEPS
from vizcourse.lessons.gradual_interventions.exercises.response import RESPONSE
from vizcourse.lessons.gradual_interventions.exercises.three_suspects import SUSPECTS, suspects
from vizcourse.lessons.gradual_interventions.exercises.two_curves import CURVES
from vizcourse.lessons.gradual_interventions.exercises.uneven_steps import SLOPES, slopes

__all__ = ["EXERCISES", "slopes", "suspects"]

EXERCISES = (RESPONSE, SLOPES, SCORE, STEPS, P_VALUE, CURVES, SUSPECTS, LOCAL, IGNORED, PROPERTY)
