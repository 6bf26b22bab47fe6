"""Exercises of lesson 03, Grad-CAM and attribution.

Written down before the mistakes were coded, what learners of attribution really do: take the gradient of the probability,
of the loss, of all classes at once, or of the top class whichever was asked for; pair every picture with every class; pool
over channels instead of places; forget the ReLU or put it before the sum; take the gradient at the picture only and call it
integrated; leave out the difference from the baseline, or count an end of the path twice; randomise the network they still
need; delete the least important pixels first; average a curve instead of integrating it; and take a map that lands on the
animal for a proof that the network knows the animal; score a map on the object it was asked for and forget to ask for the
other one; and leave a hook behind.
"""

from vizcourse.lessons.attribution.exercises.by_head import BY_HEAD
from vizcourse.lessons.attribution.exercises.cascade import CASCADE, fresh_weights
from vizcourse.lessons.attribution.exercises.clever_hans import BIAS
from vizcourse.lessons.attribution.exercises.deletion import DELETION
from vizcourse.lessons.attribution.exercises.discrimination import DISCRIMINATION, class_discrimination
from vizcourse.lessons.attribution.exercises.energy import ENERGY, energy_inside
from vizcourse.lessons.attribution.exercises.five_methods import FIVE, FIVE_METHODS
from vizcourse.lessons.attribution.exercises.grad_cam_map import MAP, WEIGHTS, heat_map, importance_weights
from vizcourse.lessons.attribution.exercises.gradients import GRADIENTS, activations_and_gradients
from vizcourse.lessons.attribution.exercises.path import INTEGRATED

__all__ = ["EXERCISES", "FIVE_METHODS", "activations_and_gradients", "class_discrimination", "energy_inside", "fresh_weights",
           "heat_map", "importance_weights"]

#: In the order of the lesson, in which 3.5 and 3.9 come last, as further exercises.
EXERCISES = (GRADIENTS, WEIGHTS, MAP, BY_HEAD, CASCADE, FIVE, ENERGY, BIAS, DISCRIMINATION, INTEGRATED, DELETION)
