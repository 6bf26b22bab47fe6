"""A scene as a frozen record of its causes, ``replace`` as the do-operator, and the distribution to sample from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vizcourse.worlds.checking import number, whole

from .lettering import CHARACTERS, LONGEST
from .vocabulary import (
    CLASSES,
    COLOURS,
    DISTRACTORS,
    FACINGS,
    LAYOUTS,
    LIGHTS,
    MATERIALS,
    OWN_COLOUR,
    SCENES,
    SHADES,
    TEXTURES,
    VARIANTS,
    check_word,
    closest_first,
    counterpart,
)

_WORDS: dict[str, tuple[str, ...]] = {
    "object": CLASSES, "scene": SCENES, "colour": COLOURS, "accent": COLOURS, "texture": TEXTURES,
    "material": MATERIALS, "facing": FACINGS, "light": LIGHTS, "words_at": ("top", "bottom"), "kind": DISTRACTORS,
}

# Factors that are whole numbers, and factors that are real numbers: lowest and highest valid value.
_WHOLE: dict[str, tuple[int, int]] = {
    "shade": (0, SHADES - 1), "texture_angle": (0, 179), "rotation": (-180, 180), "variant": (0, VARIANTS - 1),
    "layout": (0, LAYOUTS - 1),
}
_REAL: dict[str, tuple[float, float]] = {
    "x": (0.0, 1.0), "y": (0.0, 1.0), "size": (0.05, 1.5), "stretch": (0.6, 1.6), "texture_scale": (0.4, 2.5),
    "brightness": (0.3, 1.0),
}


def _check(factor: str, value: Any) -> Any:
    """``value`` as the factor stores it, or a ValueError that names the fix."""
    if factor in _WORDS:
        check_word(factor, value, _WORDS[factor])
        return value
    if factor in _WHOLE:
        return whole(factor, value, *_WHOLE[factor])
    if factor in _REAL:
        return number(factor, value, *_REAL[factor])
    return value


@dataclass(frozen=True)
class Distractor:
    """A small object that is not the one to be named. ``x``, ``y``: centre, ``size``: height, as fractions of the
    picture."""

    kind: str
    x: float
    y: float
    size: float = 0.18
    colour: str = "red"

    def __post_init__(self) -> None:
        for factor in ("kind", "x", "y", "size", "colour"):
            object.__setattr__(self, factor, _check(factor, getattr(self, factor)))


@dataclass(frozen=True)
class Scene:
    """Everything that causes a picture.

    object: the class to be named. scene: the scenery. colour: the object's main colour (left empty: its own colour for
    a class of a colour pair, else red); shade: 0 darkest to 7 lightest. accent: its second colour. texture,
    texture_angle (degrees) and texture_scale; material. x, y: centre of the object, size: its height, as fractions of
    the picture. rotation: degrees clockwise. stretch: width over height. facing; variant: which of three drawings of
    the class. light: where it comes from; brightness: 0.3 to 1. shadow: whether objects throw one. layout: which of
    256 arrangements of the scenery. distractors: other objects. words: letters on a board at words_at ("" is none).
    mirrored: the finished picture is flipped left to right.

    Raises ValueError for a value that is not valid, with the valid ones (the closest first).
    """

    object: str = "car"
    scene: str = "meadow"
    colour: str = ""
    shade: int = 4
    accent: str = "white"
    texture: str = "plain"
    texture_angle: int = 0
    texture_scale: float = 1.0
    material: str = "matte"
    x: float = 0.5
    y: float = 0.6
    size: float = 0.6
    rotation: int = 0
    stretch: float = 1.0
    facing: str = "right"
    variant: int = 0
    light: str = "left"
    brightness: float = 1.0
    shadow: bool = True
    layout: int = 0
    distractors: tuple[Distractor, ...] = ()
    words: str = ""
    words_at: str = "top"
    mirrored: bool = False

    def __post_init__(self) -> None:
        def store(factor: str, value: Any) -> None:
            object.__setattr__(self, factor, value)

        check_word("object", self.object, CLASSES)
        if not self.colour:
            store("colour", OWN_COLOUR.get(self.object, "red"))
        for factor in (*_WORDS, *_WHOLE, *_REAL):
            if factor != "kind":
                store(factor, _check(factor, getattr(self, factor)))
        other = counterpart(self.object)
        if other is not None and self.colour == OWN_COLOUR[other]:
            raise ValueError(f"{self.object!r} in {self.colour} is by definition {other!r}: use object={other!r}")
        for factor in ("shadow", "mirrored"):
            if not isinstance(getattr(self, factor), (bool, np.bool_)):
                raise ValueError(f"{factor} must be True or False, not {getattr(self, factor)!r}")
            store(factor, bool(getattr(self, factor)))
        if not isinstance(self.distractors, (tuple, list)) or not all(
                isinstance(item, Distractor) for item in self.distractors):
            raise ValueError("distractors must be a tuple of scenes.Distractor")
        store("distractors", tuple(self.distractors))
        words = self.words.upper() if isinstance(self.words, str) else None
        if words is None or len(words) > LONGEST or any(letter not in CHARACTERS for letter in words):
            raise ValueError(f"words must be at most {LONGEST} of the characters {CHARACTERS!r}, not {self.words!r}")
        store("words", words)

    def replace(self, **changes: Any) -> Scene:
        """This scene with some causes set to other values and everything else held fixed: do(cause = value).

        The two classes of a colour pair are defined by their colour. So giving an object of such a pair the colour of
        its counterpart makes it the counterpart, and changing ``object`` to a class of a pair gives it that class's
        own colour. No other factor ever changes by itself.

        Raises ValueError for an unknown factor or value, with the valid ones (the closest first).
        """
        for factor in changes:
            if factor not in FACTORS:
                raise ValueError(f"a scene has no factor {factor!r}: choose from "
                                 f"{', '.join(closest_first(factor, FACTORS))}")
        if "object" in changes and "colour" not in changes and changes["object"] in OWN_COLOUR:
            changes["colour"] = OWN_COLOUR[changes["object"]]
        if "colour" in changes and "object" not in changes:
            other = counterpart(self.object)
            if other is not None and changes["colour"] == OWN_COLOUR[other]:
                changes["object"] = other
        return dataclasses.replace(self, **changes)


FACTORS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Scene))


def label(scene: Scene) -> int:
    """The index of the scene's class in ``CLASSES``."""
    return CLASSES.index(scene.object)


# ---------------------------------------------------------------- sampling

_PETS = ("cat", "dog")
_FURS = ("black", "brown", "grey", "white", "orange")

# The order of the random numbers of one scene. New factors go to the end, so that old pictures stay as they are.
_SLOTS = ("object", "scene", "colour", "shade", "accent", "texture", "texture_angle", "texture_scale", "material", "x",
          "y", "size", "rotation", "stretch", "facing", "variant", "light", "brightness", "shadow", "layout", "words",
          "words_at", "mirrored", "distractors")
_MOST_DISTRACTORS = 3

# Ranges of the real factors; x and y follow from the size, so that the object stands inside the picture.
_RANGES: dict[str, tuple[float, float]] = {
    "texture_scale": (0.7, 1.5), "size": (0.44, 0.76), "stretch": (0.9, 1.12), "brightness": (0.9, 1.0),
}


def distribution(factor: str, class_name: str) -> dict[Any, float]:
    """The probabilities from which ``sample`` draws a factor that has a list of values, given the class.

    Real-numbered factors (x, y, size, stretch, texture_scale, brightness) are uniform and not listed here.
    """
    check_word("object", class_name, CLASSES)
    pet = class_name in _PETS
    if factor == "object":
        return dict.fromkeys(CLASSES, 1 / len(CLASSES))
    if factor == "colour":
        if class_name in OWN_COLOUR:
            return {OWN_COLOUR[class_name]: 1.0}
        if pet:
            return dict.fromkeys(_FURS, 1 / len(_FURS))
        natural = {"tree": 0.45, "cactus": 0.45}.get(class_name, 1 / len(COLOURS))
        rest = (1 - natural) / (len(COLOURS) - 1)
        return {colour: natural if colour == "green" else rest for colour in COLOURS}
    if factor == "accent":
        # Neither colour of a pair: otherwise the accent would tell the two classes apart in greyscale.
        pair = {OWN_COLOUR.get(class_name), OWN_COLOUR.get(counterpart(class_name) or "")}
        colours = [colour for colour in COLOURS if colour not in pair]
        return dict.fromkeys(colours, 1 / len(colours))
    if factor == "texture":
        return {name: 0.4 if name == "plain" else 0.6 / (len(TEXTURES) - 1) for name in TEXTURES}
    if factor == "material":
        if pet:
            return {name: 0.64 if name == "fur" else 0.06 for name in MATERIALS}
        return dict(zip(MATERIALS, (0.26, 0.24, 0.12, 0.1, 0.06, 0.1, 0.12), strict=True))
    if factor == "words":
        return {"": 0.96, **dict.fromkeys([name.upper() for name in CLASSES], 0.04 / len(CLASSES))}
    if factor == "words_at":
        return {"top": 0.9, "bottom": 0.1}
    if factor == "shadow":
        return {True: 0.9, False: 0.1}
    if factor == "mirrored":
        return {False: 1.0}
    if factor == "rotation":
        return dict.fromkeys(range(-14, 15), 1 / 29)
    if factor in _WHOLE:
        low, high = _WHOLE[factor]
        return dict.fromkeys(range(low, high + 1), 1 / (high - low + 1))
    if factor in _WORDS and factor != "kind":
        return dict.fromkeys(_WORDS[factor], 1 / len(_WORDS[factor]))
    listed = [name for name in _SLOTS if name not in ("x", "y", "distractors", *_RANGES)]
    raise ValueError(f"{factor!r} has no list of values: choose from {', '.join(closest_first(factor, listed))}")


def _pick(weights: Mapping[Any, float], share: float) -> Any:
    """The value at ``share`` (0 to 1) of the cumulated weights."""
    left = share * sum(weights.values())
    for value, weight in weights.items():
        left -= weight
        if left < 0:
            return value
    return value


def _read_bias(bias: Mapping[str, Any] | None) -> dict[tuple[str, str], tuple[tuple[Any, ...], float]]:
    """``bias`` as {(factor, class): (values, probability)}."""
    plan: dict[tuple[str, str], tuple[tuple[Any, ...], float]] = {}
    for factor, entries in (bias or {}).items():
        if factor == "object":
            raise ValueError("bias cannot be put on 'object': fix it instead, for example object=('cat', 'dog')")
        distribution(factor, CLASSES[0])
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, tuple) or len(entry) != 3:
                raise ValueError(f"a bias on {factor!r} must be (value, class, probability), not {entry!r}")
            values, class_name, probability = entry
            values = tuple(values) if isinstance(values, (tuple, list)) else (values,)
            check_word("object", class_name, CLASSES)
            if factor == "colour" and class_name in OWN_COLOUR:
                raise ValueError(f"the colour of {class_name!r} defines the class: put the bias on another class")
            for value in values:
                if factor == "words":
                    Scene(words=value)
                else:
                    _check(factor, value)
            if not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
                raise ValueError(f"the probability of a bias must be from 0 to 1, not {probability!r}")
            if (factor, class_name) in plan:
                raise ValueError(f"there are two biases on {factor!r} of {class_name!r}: give one, "
                                 "with a tuple of values if several are meant")
            plan[factor, class_name] = (values, float(probability))
    return plan


class Sampler:
    """Draws the scenes of a seed one by one: ``sampler[i]`` depends on the seed and ``i`` alone, so a stream of scenes
    can be cut anywhere. ``sample`` is the everyday form."""

    def __init__(self, seed: int, *, bias: Mapping[str, Any] | None = None, **fixed: Any) -> None:
        self.seed = whole("seed", seed, 0)
        self.bias = _read_bias(bias)
        self.exact: dict[str, Any] = {}
        self.ranges = dict(_RANGES)
        self.allowed: dict[str, tuple[Any, ...]] = {}
        for factor, value in fixed.items():
            self._fix(factor, value)
        colours = self.allowed.get("colour")
        self.objects = {
            name: 1.0 for name in self.allowed.get("object", CLASSES)
            if colours is None or name not in OWN_COLOUR or OWN_COLOUR[name] in colours
        }
        if not self.objects:
            raise ValueError(f"none of the objects {self.allowed['object']} can have a colour of {colours}")
        self._cache: dict[tuple[str, str], dict[Any, float]] = {}

    def _fix(self, factor: str, value: Any) -> None:
        """Understand one fixed factor: a value, several allowed values, or the range of a real number."""
        if factor not in FACTORS:
            raise ValueError(f"a scene has no factor {factor!r}: choose from "
                             f"{', '.join(closest_first(factor, FACTORS))}")
        several = isinstance(value, (tuple, list, set, frozenset, range))
        if factor == "distractors":
            self.exact[factor] = Scene(distractors=tuple(value) if several else value).distractors
        elif factor in _REAL and several:
            value = tuple(value)
            if len(value) != 2 or not value[0] <= value[1]:
                raise ValueError(f"a range of {factor} must be (lowest, highest), not {value!r}")
            self.ranges[factor] = (_check(factor, value[0]), _check(factor, value[1]))
        elif factor in _REAL:
            self.exact[factor] = _check(factor, value)
        else:
            values = tuple(value) if several else (value,)
            if not values:
                raise ValueError(f"{factor} has no allowed value left: give at least one")
            for one in values:
                if factor in ("words", "shadow", "mirrored"):
                    Scene(**{factor: one})
                else:
                    _check(factor, one)
            self.allowed[factor] = tuple(one.upper() for one in values) if factor == "words" else values

    def _weights(self, factor: str, class_name: str) -> dict[Any, float]:
        """The distribution of a factor, limited to the allowed values (uniform over those it never draws itself)."""
        key = (factor, class_name)
        if key not in self._cache:
            weights = distribution(factor, class_name)
            if factor in self.allowed and not (factor == "colour" and class_name in OWN_COLOUR):
                limited = {value: weights.get(value, 0.0) for value in self.allowed[factor]}
                weights = limited if sum(limited.values()) > 0 else dict.fromkeys(self.allowed[factor], 1.0)
            self._cache[key] = weights
        return self._cache[key]

    def _draw(self, factor: str, class_name: str, share: float) -> Any:
        weights = self._weights(factor, class_name)
        if (factor, class_name) not in self.bias:
            return _pick(weights, share)
        values, probability = self.bias[factor, class_name]
        if share < probability:
            return values[int(share / probability * len(values))]
        others = {value: weight for value, weight in weights.items() if value not in values and weight > 0}
        if not others:
            raise ValueError(f"{factor} of {class_name!r} has no value left besides {values}: "
                             "use probability 1 or allow more values")
        return _pick(others, (share - probability) / (1 - probability))

    def __getitem__(self, index: int) -> Scene:
        # All random numbers are drawn first and each has its own use, so that fixing one factor, or planting a bias in
        # it, leaves the others of the same seed as they were.
        random = np.random.Generator(np.random.PCG64([self.seed, index]))
        numbers = random.random(len(_SLOTS) + 5 * _MOST_DISTRACTORS).tolist()
        share = dict(zip(_SLOTS, numbers, strict=False))
        name = _pick(self.objects, share["object"])
        values: dict[str, Any] = {"object": name}
        for factor in _SLOTS[1:-1]:
            if factor in self.exact:
                values[factor] = self.exact[factor]
            elif factor in self.ranges:
                low, high = self.ranges[factor]
                values[factor] = low + (high - low) * share[factor]
            elif factor not in ("x", "y"):
                values[factor] = self._draw(factor, name, share[factor])
        size = values["size"]
        if "x" not in values:
            margin = min(0.5, 0.51 * size * values["stretch"])
            values["x"] = margin + (1 - 2 * margin) * share["x"]
        if "y" not in values:
            # Standing on the ground: the foot is between 0.82 and 0.95 of the way down.
            values["y"] = max(0.0, 0.82 + 0.13 * share["y"] - 0.5 * size)
        values["distractors"] = (self.exact["distractors"] if "distractors" in self.exact else
                                 _draw_distractors(values, share["distractors"], numbers[len(_SLOTS):]))
        return Scene(**values)


def _draw_distractors(values: Mapping[str, Any], share: float, numbers: Sequence[float]) -> tuple[Distractor, ...]:
    """None to three other objects, beside the main one."""
    count = 0 if share < 0.35 else 1 if share < 0.7 else 2 if share < 0.9 else 3
    reach = 0.5 * values["size"]
    left_room, right_room = max(0.0, values["x"] - reach), max(0.0, 1 - values["x"] - reach)
    found = []
    for i in range(count):
        kind, place, height, size, colour = numbers[5 * i:5 * i + 5]
        kind = DISTRACTORS[int(kind * len(DISTRACTORS))]
        along = place * (left_room + right_room)
        x = along if along < left_room else along + 2 * reach
        size = 0.12 + 0.1 * size
        y = 0.15 + 0.35 * height if kind == "balloon" else 0.74 + 0.24 * height - 0.5 * size
        found.append(Distractor(kind, min(1.0, x), y, size * (1.7 if kind == "lamp post" else 1.0),
                                COLOURS[int(colour * len(COLOURS))]))
    return tuple(found)


def sample(n: int, seed: int, *, bias: Mapping[str, Any] | None = None, **fixed: Any) -> list[Scene]:
    """``n`` scenes from the distribution that ``distribution`` states, the same for the same seed on any machine.

    bias: {factor: (value, class, probability)}, or a list of such triples: a picture of that class has that value with
    that probability, and otherwise another value; other classes are drawn as ever. A value may be a tuple of values
    that count as one, as in ``bias={"colour": [(scenes.DARK_FUR, "cat", 1.0), (scenes.DARK_FUR, "dog", 0.0)]}``.
    fixed: a factor set to a value (``scene="beach"``), limited to several (``object=("cat", "dog")``), or, for a real
    number, to a range (``size=(0.5, 0.6)``).

    Scene ``i`` of a seed does not depend on ``n``, and a bias or a fixed factor leaves the random choices of all other
    factors as they are.

    Raises ValueError for an unknown factor or value, or a probability outside 0 to 1.
    """
    sampler = Sampler(seed, bias=bias, **fixed)
    return [sampler[i] for i in range(whole("n", n, 0))]
