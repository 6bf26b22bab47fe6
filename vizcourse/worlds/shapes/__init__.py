"""Dax, wug and blicket: small pictures in which every cause of the class is known.

The world of E. Bunnapradist, "Interchange Interventions on Vision Models" (Tables 2, 3 and 4): two
plain shapes on a plain background, 244 by 244. Three cues tell the class, and in the original pictures
they always agree:

=======  ==================  ================
class    shapes (the type)   background
=======  ==================  ================
blicket  circle, square      (250, 250, 100)
dax      circle, triangle    (250, 200, 250)
wug      square, triangle    (150, 200, 250)
=======  ==================  ================

A circle is (170, 100, 255), a square (100, 200, 0), a triangle (255, 50, 50). The knobs of `sample`
break that agreement one cue at a time.

*Sizes.* Every shape has one number, ``size``: half the width of the square box that it just fills. The
paper's circle of radius 15 and square of side 30 both have size 15. Its "length 15" of the triangle is
read the same way: an upright triangle, 30 wide and 30 high, so that the three look alike in size.

*Coordinates.* A `Picture` is a description, not pixels: positions and sizes are in units of the paper's
244 by 244 canvas, x to the right and y downwards, and `render` draws it at any resolution.

*Splits.* Where the shapes stand decides to which split a picture belongs (`split_of`), and `sample`
rejects what falls into another split. Training, test and intervention pictures therefore never repeat,
whatever the seeds, and an edit that leaves the shapes where they are never leaves its split.
"""

from vizcourse.worlds.shapes.drawing import masks, render
from vizcourse.worlds.shapes.interventions import CueConflict, Pairs, cue_conflict, edit, pairs
from vizcourse.worlds.shapes.pictures import (
    BACKGROUNDS,
    CANVAS,
    CLASS_SHAPES,
    CLASSES,
    COLOURS,
    CUES,
    SHAPES,
    SIZE,
    SPLITS,
    TEXTURES,
    VARIABLES,
    VARIED,
    Item,
    Picture,
    labels,
)
from vizcourse.worlds.shapes.sampling import dataset, sample, split_of
from vizcourse.worlds.shapes.words import colour_name, describe

__all__ = [
    "BACKGROUNDS",
    "CANVAS",
    "CLASSES",
    "CLASS_SHAPES",
    "COLOURS",
    "CUES",
    "CueConflict",
    "Item",
    "Pairs",
    "Picture",
    "SHAPES",
    "SIZE",
    "SPLITS",
    "TEXTURES",
    "VARIABLES",
    "VARIED",
    "colour_name",
    "cue_conflict",
    "dataset",
    "describe",
    "edit",
    "labels",
    "masks",
    "pairs",
    "render",
    "sample",
    "split_of",
]
