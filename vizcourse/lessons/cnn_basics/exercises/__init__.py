"""Exercises of lesson 01, CNN basics: one file an exercise, in the notebook's order in ``EXERCISES``.

Written down before the mistakes were coded, what learners of convolutions really do: count padding once, forget the
"+ 1", round up, flip the kernel, keep only the first channel, pad one side, mix up strides and windows, take the loudest
channel for the most important one, edit a weight and never put it back.
"""

from vizcourse.lessons.cnn_basics.exercises.convolution import CONVOLUTION, conv2d
from vizcourse.lessons.cnn_basics.exercises.important_channel import IMPORTANCE, most_important_channel
from vizcourse.lessons.cnn_basics.exercises.max_pooling import POOLING, max_pool
from vizcourse.lessons.cnn_basics.exercises.output_size import OUTPUT_SIZE, output_size
from vizcourse.lessons.cnn_basics.exercises.parameters import PARAMETERS
from vizcourse.lessons.cnn_basics.exercises.receptive_field import FIELD, receptive_field
from vizcourse.lessons.cnn_basics.exercises.training import TRAINING, fewest_changes, make_network, pattern_of
from vizcourse.lessons.cnn_basics.exercises.vertical_edges import ORIENTATION
from vizcourse.lessons.cnn_basics.exercises.vocabulary import VOCABULARY

__all__ = [
    "EXERCISES", "conv2d", "fewest_changes", "make_network", "max_pool", "most_important_channel", "output_size",
    "pattern_of", "receptive_field",
]  # fmt: skip

EXERCISES = (OUTPUT_SIZE, CONVOLUTION, ORIENTATION, POOLING, PARAMETERS, VOCABULARY, FIELD, TRAINING, IMPORTANCE)
