"""Exercises of lesson 02, feature visualization.

Written down before the mistakes were coded, what learners of feature visualization really do: hand an optimiser that goes
down the value that should go up; never clear the gradient; climb the whole layer, because the channel was indexed where
the batch is; sum where a mean is meant; let the picture leave [0, 1]. Leave out the absolute value in the total variation
(the differences telescope), or average it over the batch. Roll the picture in jitter, give each picture its own shift,
draw one number for both axes, or one too few. Divide the spectrum by what it should be multiplied with, forget what
happens at frequency 0, use one axis of frequencies only. Leave a direction as long as it is, average before the cosine,
let a negative cosine pass. Take the loudest channel's brightest picture for its concept. Bound each step instead of the
whole change.
"""

from vizcourse.lessons.feature_visualization.exercises.ascent import ASCENT
from vizcourse.lessons.feature_visualization.exercises.convincing import CONVINCING
from vizcourse.lessons.feature_visualization.exercises.direction import DIRECTION
from vizcourse.lessons.feature_visualization.exercises.effects import QUESTIONED, concept_effects, object_by_colour
from vizcourse.lessons.feature_visualization.exercises.encoded import ENCODED
from vizcourse.lessons.feature_visualization.exercises.fooling import FOOLING
from vizcourse.lessons.feature_visualization.exercises.jitter import JITTER
from vizcourse.lessons.feature_visualization.exercises.legible import LEGIBLE
from vizcourse.lessons.feature_visualization.exercises.variation import VARIATION
from vizcourse.lessons.feature_visualization.exercises.waves import FOURIER

__all__ = ["EXERCISES", "QUESTIONED", "concept_effects", "object_by_colour"]

EXERCISES = (ASCENT, VARIATION, JITTER, FOURIER, LEGIBLE, ENCODED, FOOLING, CONVINCING, DIRECTION)
