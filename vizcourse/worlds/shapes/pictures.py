"""What a picture of the world is: constants, `Item`, `Picture`, and the label that belongs to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from vizcourse.worlds.checking import one_of

CANVAS = 244
SIZE = 15.0
CLASSES = ("blicket", "dax", "wug")
SHAPES = ("circle", "square", "triangle")
CUES = ("background", "colour", "type")
TEXTURES = ("plain", "stripes", "checks", "dots")
SPLITS = ("train", "validation", "test", "intervention", "intervention_test")
VARIABLES = ("shape_colour", "background", "shape_type")

CLASS_SHAPES = {
    "blicket": ("circle", "square"),
    "dax": ("circle", "triangle"),
    "wug": ("square", "triangle"),
}
BACKGROUNDS = {"blicket": (250, 250, 100), "dax": (250, 200, 250), "wug": (150, 200, 250)}
COLOURS = {"circle": (170, 100, 255), "square": (100, 200, 0), "triangle": (255, 50, 50)}

VARIED = {"cue": "type", "free_colours": True, "sizes": (15, 45)}
"""Knobs for pictures in which only the types of the shapes tell the class: ``sample(100, **VARIED)``."""


def checked_colour(name: str, value: object) -> tuple[int, int, int]:
    try:
        channels = tuple(int(channel) for channel in value)
        good = len(channels) == 3 and all(
            channel == given and 0 <= channel <= 255 for channel, given in zip(channels, value, strict=True)
        )
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"{name} must be three whole numbers from 0 to 255, such as (250, 250, 100), not {value!r}")
    return channels


def replaced(thing, changes: dict):
    names = [field.name for field in fields(thing)]
    for name in changes:
        one_of(f"what to replace in {type(thing).__name__}", name, names)
    return replace(thing, **changes)


@dataclass(frozen=True)
class Item:
    """One shape of a picture.

    Attributes:
        shape: one of `SHAPES`.
        colour: red, green, blue, whole numbers from 0 to 255.
        centre: (x, y) of the middle of its box, canvas units.
        size: half the width of its box, canvas units.
        texture: one of `TEXTURES`.
        angle: degrees by which it is turned about its centre, clockwise; 0 in all sampled pictures. (The texture is not.)
    """

    shape: str
    colour: tuple[int, int, int]
    centre: tuple[float, float]
    size: float = SIZE
    texture: str = "plain"
    angle: float = 0.0

    def __post_init__(self):
        one_of("shape", self.shape, SHAPES)
        one_of("texture", self.texture, TEXTURES)
        object.__setattr__(self, "colour", checked_colour("colour", self.colour))
        try:
            x, y = (float(value) for value in self.centre)
            size, angle = float(self.size), float(self.angle)
        except (TypeError, ValueError):
            raise ValueError(
                "centre must be two numbers (x, y), size and angle one each, "
                f"not {self.centre!r}, {self.size!r}, {self.angle!r}"
            ) from None
        if not 0 < size <= CANVAS / 2:
            raise ValueError(f"size must be above 0 and at most {CANVAS / 2:g} canvas units, not {size:g}")
        if not np.isfinite(angle):
            raise ValueError(f"angle must be a finite number of degrees, not {angle!r}")
        object.__setattr__(self, "centre", (x, y))
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "angle", angle)
        reach = self.reach
        if not (reach <= x <= CANVAS - reach and reach <= y <= CANVAS - reach):
            turned = f", turned by {angle:g} degrees," if angle else ""
            raise ValueError(
                f"a {self.shape} of size {size:g}{turned} at ({x:g}, {y:g}) is not wholly inside: "
                f"keep x and y between {reach:g} and {CANVAS - reach:g}"
            )

    @property
    def reach(self) -> float:
        """Half the width of the smallest upright square box about its centre that holds it, turned as it is."""
        if not self.angle or self.shape == "circle":
            return self.size
        corners = [(-1, 1), (1, 1), (0, -1)] if self.shape == "triangle" else [(-1, 1), (1, 1)]
        turn = np.deg2rad(self.angle)
        across = [abs(x * np.cos(turn) - y * np.sin(turn)) for x, y in corners]
        down = [abs(x * np.sin(turn) + y * np.cos(turn)) for x, y in corners]
        return float(self.size * max(*across, *down))

    def replace(self, **changes) -> Item:
        """The same shape with some attributes changed."""
        return replaced(self, changes)


@dataclass(frozen=True)
class Picture:
    """A picture, described by its causes.

    Attributes:
        class_name: one of `CLASSES`, or None where its cues were made to disagree.
        background: red, green, blue, whole numbers from 0 to 255.
        items: the shapes; their boxes do not overlap.
        background_texture: one of `TEXTURES`.
    """

    class_name: str | None
    background: tuple[int, int, int]
    items: tuple[Item, ...]
    background_texture: str = "plain"

    def __post_init__(self):
        if self.class_name is not None:
            one_of("class_name", self.class_name, CLASSES)
        one_of("background_texture", self.background_texture, TEXTURES)
        object.__setattr__(self, "background", checked_colour("background", self.background))
        try:
            items = tuple(self.items)
        except TypeError:
            items = ()
        if not items or not all(isinstance(item, Item) for item in items):
            raise ValueError("items must be one or more Item(shape, colour, centre), in a tuple")
        object.__setattr__(self, "items", items)
        for one, other in itertools.combinations(items, 2):
            reach = one.reach + other.reach
            if all(abs(a - b) < reach for a, b in zip(one.centre, other.centre, strict=True)):
                raise ValueError(
                    f"the {one.shape} at {_point(one.centre)} and the {other.shape} at "
                    f"{_point(other.centre)} overlap: move them at least {reach:g} apart across or down"
                )

    def replace(self, **changes) -> Picture:
        """The do() operator: the same picture with some causes changed and all else held fixed."""
        return replaced(self, changes)

    def replace_item(self, position: int, **changes) -> Picture:
        """The do() operator on one shape: ``picture.replace_item(0, colour=(255, 50, 50))``."""
        if not 0 <= position < len(self.items):
            raise ValueError(f"position must be from 0 to {len(self.items) - 1}, not {position}")
        items = list(self.items)
        items[position] = items[position].replace(**changes)
        return self.replace(items=tuple(items))

    @property
    def cues(self) -> dict[str, str | None]:
        """The class that each cue speaks for on its own; None where it speaks for none of the three."""
        shape_of = {colour: shape for shape, colour in COLOURS.items()}
        pair_of = {frozenset(shapes): name for name, shapes in CLASS_SHAPES.items()}
        background_of = {colour: name for name, colour in BACKGROUNDS.items()}
        return {
            "background": background_of.get(self.background),
            "colour": pair_of.get(frozenset(shape_of.get(item.colour) for item in self.items)),
            "type": pair_of.get(frozenset(item.shape for item in self.items)),
        }


def _point(point: tuple[float, float]) -> str:
    return f"({point[0]:g}, {point[1]:g})"


def as_list(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    pictures = [pictures] if isinstance(pictures, Picture) else list(pictures)
    if not pictures:
        raise ValueError("there is no picture: give at least one, for example shapes.sample(4)")
    if not all(isinstance(picture, Picture) for picture in pictures):
        raise ValueError("pictures must be Picture objects, as made by shapes.sample, not tensors or arrays")
    return pictures


def labels(pictures: Picture | Iterable[Picture]) -> torch.Tensor:
    """Class numbers, (N,), positions in `CLASSES`. A picture without a class is a ValueError."""
    pictures = as_list(pictures)
    if any(picture.class_name is None for picture in pictures):
        raise ValueError("a picture whose cues disagree has no class: use the labels that came with it")
    return torch.tensor([CLASSES.index(picture.class_name) for picture in pictures])
