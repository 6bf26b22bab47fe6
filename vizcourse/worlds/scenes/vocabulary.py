"""The words of the scenes world: what can be drawn, and the code of each word in the label maps.

Code ``i`` of a label map means ``NAMES[i]``: ``OBJECTS`` for the object map, ``PARTS`` for the part map, and so on.
Every code of every table occurs in pictures; there are no reserved or undefined codes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Pairs of classes with one drawing and one distribution of everything except the colour: (first, second, form,
# colour of the first, colour of the second, darkest and lightest luma). Both colours are mixed to the same Rec. 601
# luma, so a greyscale picture does not tell which of the two it shows.
COLOUR_PAIRS: tuple[tuple[str, str, str, str, str, int, int], ...] = (
    ("ripe apple", "unripe apple", "apple", "red", "green", 92, 124),
    ("lemon", "lime", "citrus", "yellow", "green", 162, 192),
    ("fire engine", "lorry", "truck", "red", "blue", 84, 116),
    ("school bus", "city bus", "bus", "yellow", "blue", 160, 188),
    ("toadstool", "brown mushroom", "mushroom", "red", "brown", 82, 112),
    ("poppy", "cornflower", "flower", "red", "blue", 84, 118),
    ("goldfish", "blue tang", "fish", "orange", "blue", 134, 158),
    ("cardinal", "bluebird", "bird", "red", "blue", 82, 114),
)

# Classes whose colour is free.
FREE_CLASSES: tuple[str, ...] = (
    "car", "bicycle", "house", "church", "tree", "cactus", "cat", "dog", "sailing boat", "rocket", "umbrella", "clock",
)

CLASSES: tuple[str, ...] = tuple(name for pair in COLOUR_PAIRS for name in pair[:2]) + FREE_CLASSES

# The drawing that a class uses: both members of a pair share one.
FORM: dict[str, str] = {name: pair[2] for pair in COLOUR_PAIRS for name in pair[:2]}
FORM.update({name: name for name in FREE_CLASSES})

# The colour that a class of a pair has by definition.
OWN_COLOUR: dict[str, str] = {pair[i]: pair[3 + i] for pair in COLOUR_PAIRS for i in (0, 1)}

DISTRACTORS: tuple[str, ...] = ("ball", "stone", "bush", "crate", "balloon", "lamp post", "tyre", "bucket")

OBJECTS: tuple[str, ...] = ("background", *CLASSES, *DISTRACTORS, "words")

SCENES: tuple[str, ...] = ("meadow", "beach", "night city", "desert", "snow", "indoor", "sea", "forest")

TEXTURES: tuple[str, ...] = (
    "plain", "stripes", "dots", "checks", "bricks", "waves", "noise", "wood", "gradient",
)

COLOURS: tuple[str, ...] = (
    "black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown",
)

MATERIALS: tuple[str, ...] = ("matte", "glossy", "metal", "glass", "fur", "paper", "cloth")

LIGHTS: tuple[str, ...] = ("left", "above", "right")

FACINGS: tuple[str, ...] = ("left", "right")

SCENERY_PARTS: tuple[str, ...] = (
    "sky", "cloud", "sun", "moon", "star", "hill", "mountain", "snow cap", "building", "lit window", "road", "kerb",
    "grass", "sand", "sea", "foam", "dune", "snow", "snowflake", "interior wall", "floor", "rug", "picture", "conifer",
    "forest trunk", "forest floor", "island",
)

OBJECT_PARTS: tuple[str, ...] = (
    "body", "cabin", "roof", "window", "door", "handle", "headlight", "tail light", "bumper", "wheel", "hub", "spoke",
    "frame", "saddle", "handlebar", "pedal", "ladder", "lamp", "stripe", "wall", "chimney", "tower", "spire", "cross",
    "bell", "trunk", "crown", "stem", "leaf", "petal", "flower centre", "fruit", "arm", "spine", "pot", "fin", "tail",
    "gill", "mouth", "eye", "pupil", "wing", "beak", "leg", "head", "ear", "inner ear", "muzzle", "nose", "whisker",
    "tongue", "collar", "hull", "mast", "sail", "flag", "nose cone", "flame", "canopy", "pole", "tip", "case", "dial",
    "hand", "tick", "cap", "spot", "string", "plank", "sign", "letter",
)

PARTS: tuple[str, ...] = SCENERY_PARTS + OBJECT_PARTS

# Colours that count as dark and as light fur in the pets lessons.
DARK_FUR: tuple[str, ...] = ("black", "brown")
LIGHT_FUR: tuple[str, ...] = ("white", "grey", "orange")

LAYOUTS = 256
VARIANTS = 3
SHADES = 8


def counterpart(class_name: str) -> str | None:
    """The class that differs from ``class_name`` in colour only, or None when there is none."""
    check_word("object", class_name, CLASSES)
    for pair in COLOUR_PAIRS:
        if class_name in pair[:2]:
            return pair[1] if class_name == pair[0] else pair[0]
    return None


def closest_first(word: object, valid: Iterable[str]) -> list[str]:
    """``valid`` sorted by likeness to ``word``, the closest first."""
    def unlikeness(name: str) -> float:
        return -difflib.SequenceMatcher(None, str(word).lower(), name.lower()).ratio()

    return sorted(valid, key=unlikeness)


def check_word(factor: str, value: object, valid: Iterable[str]) -> None:
    """Raise a ValueError that lists the valid words, closest first, unless ``value`` is one of them."""
    if value not in valid:
        raise ValueError(f"unknown {factor} {value!r}: choose one of {', '.join(closest_first(value, valid))}")
