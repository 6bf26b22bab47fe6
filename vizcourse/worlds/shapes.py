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

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

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

_TEXTURE_PERIOD = 12.0  # canvas units; still three pixels at 64 by 64
_TEXTURE_DEPTH = 0.4  # the dark phase of a texture is this much darker than the colour
_GAP = 2  # sampled shapes keep this distance, so that anti-aliased edges never share a pixel
_FREE_COLOUR_DISTANCE = 110.0  # Euclidean distance in RGB between a free colour and the background
_SEED_OF_DRAWING = 1  # keeps the placing of shapes apart from the choice of what the cues say
_ROUNDS = 2000  # attempts to place shapes before giving up


# --------------------------------------------------------------------------------------------- pictures


def _choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise a ValueError that lists what is allowed, with the closest name first."""
    if value not in allowed:
        close = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}{hint}")


def _colour(name: str, value: object) -> tuple[int, int, int]:
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


def _replace(thing, changes: dict):
    names = [field.name for field in fields(thing)]
    for name in changes:
        _choice(f"what to replace in {type(thing).__name__}", name, names)
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
        _choice("shape", self.shape, SHAPES)
        _choice("texture", self.texture, TEXTURES)
        object.__setattr__(self, "colour", _colour("colour", self.colour))
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

    def replace(self, **changes) -> "Item":
        """The same shape with some attributes changed."""
        return _replace(self, changes)


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
            _choice("class_name", self.class_name, CLASSES)
        _choice("background_texture", self.background_texture, TEXTURES)
        object.__setattr__(self, "background", _colour("background", self.background))
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

    def replace(self, **changes) -> "Picture":
        """The do() operator: the same picture with some causes changed and all else held fixed."""
        return _replace(self, changes)

    def replace_item(self, position: int, **changes) -> "Picture":
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


def _as_list(pictures: Picture | Iterable[Picture]) -> list[Picture]:
    pictures = [pictures] if isinstance(pictures, Picture) else list(pictures)
    if not pictures:
        raise ValueError("there is no picture: give at least one, for example shapes.sample(4)")
    if not all(isinstance(picture, Picture) for picture in pictures):
        raise ValueError("pictures must be Picture objects, as made by shapes.sample, not tensors or arrays")
    return pictures


def labels(pictures: Picture | Iterable[Picture]) -> torch.Tensor:
    """Class numbers, (N,), positions in `CLASSES`. A picture without a class is a ValueError."""
    pictures = _as_list(pictures)
    if any(picture.class_name is None for picture in pictures):
        raise ValueError("a picture whose cues disagree has no class: use the labels that came with it")
    return torch.tensor([CLASSES.index(picture.class_name) for picture in pictures])


# --------------------------------------------------------------------------------------------- sampling


def _layout_key(centres: np.ndarray) -> np.ndarray:
    """Hash where the shapes stand, whatever their order: (n, k, 2) whole numbers, (n,) 64-bit keys.

    Places of shapes that are not there are negative. The mixing step is a multiplication by an odd number
    and a shift, repeated, which is enough to make neighbouring places unrelated.
    """

    def mix(value):
        for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F):
            value = value * np.uint64(odd)
            value = value ^ (value >> np.uint64(29))
        return value

    there = centres[..., 0] >= 0
    places = (centres[..., 0] * 1024 + centres[..., 1] + 1).astype(np.uint64)
    return mix(np.where(there, mix(places), np.uint64(0)).sum(axis=1, dtype=np.uint64))


def _split_number(keys: np.ndarray) -> np.ndarray:
    """Position in `SPLITS`: six tenths of all layouts are for training, a tenth for each other split."""
    return np.maximum((keys >> np.uint64(32)) % np.uint64(10), np.uint64(5)).astype(int) - 5


def split_of(picture: Picture) -> str:
    """The split that a picture belongs to, one of `SPLITS`: a fixed function of where its shapes stand.

    Colours, types, sizes, textures and background have no say in it.
    """
    centres = np.array([[[int(x), int(y)] for x, y in (item.centre for item in picture.items)]])
    return SPLITS[_split_number(_layout_key(centres))[0]]


def _range(name: str, value, low: float, high: float) -> tuple[float, float]:
    """A knob that is a number, or a (smallest, largest) pair of them."""
    try:
        pair = (float(value), float(value)) if np.isscalar(value) else tuple(float(end) for end in value)
    except (TypeError, ValueError):
        pair = ()
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, or (smallest, largest), not {value!r}")
    return pair


def _place(rng, split: str, sizes: np.ndarray, low_x: np.ndarray, high_x: np.ndarray) -> np.ndarray:
    """Whole-number centres (n, k, 2) by rejection: inside, apart, in the split, no layout twice.

    ``sizes`` is (n, k), 0 where there is no shape (the centre is then negative); ``low_x`` and ``high_x``,
    (n,), bound the part of the canvas that each picture may use.
    """
    number, most = sizes.shape
    there = sizes > 0
    low = np.stack([low_x[:, None] + sizes, sizes], axis=-1)
    high = np.stack([high_x[:, None] - sizes, CANVAS - sizes], axis=-1)
    low, high = np.ceil(low).astype(int), np.floor(high).astype(int)
    if (low > high).any():
        raise ValueError(
            f"a shape of size {sizes.max():g} does not fit where it must stand: "
            "use smaller sizes, or position_by_class=False"
        )
    centres = np.zeros((number, most, 2), dtype=int)
    seen: set[int] = set()
    pending = np.arange(number)
    for _ in range(_ROUNDS):
        trial = rng.integers(low[pending], high[pending] + 1)
        trial[~there[pending]] = -1
        keys = _layout_key(trial)
        fits = _split_number(keys) == SPLITS.index(split)
        for one, other in itertools.combinations(range(most), 2):
            both = there[pending, one] & there[pending, other]
            reach = sizes[pending, one] + sizes[pending, other] + _GAP
            apart = (np.abs(trial[:, one] - trial[:, other]) >= reach[:, None]).any(axis=1)
            fits &= apart | ~both
        for row in np.flatnonzero(fits):
            key = int(keys[row])
            fits[row] = key not in seen
            seen.add(key)
        centres[pending[fits]] = trial[fits]
        pending = pending[~fits]
        if not len(pending):
            return centres
    raise ValueError(
        f"no room for {len(pending)} of the {number} pictures (shapes too many or too large to stand apart, "
        "or no new place left): use smaller sizes, fewer shapes or fewer pictures"
    )


def _near(rng, colour: tuple[int, int, int], spread: float) -> tuple[int, int, int]:
    """A colour at most ``spread`` away in each channel."""
    if not spread:
        return colour
    return tuple(int(c) for c in np.clip(np.rint(colour + rng.uniform(-spread, spread, 3)), 0, 255))


def _free_colours(rng, number: int) -> list[tuple[int, int, int]]:
    """Any background, and ``number`` colours that can be told from it."""
    while True:
        colours = rng.integers(0, 256, (number + 1, 3))
        if (np.linalg.norm(colours[1:] - colours[0], axis=1) >= _FREE_COLOUR_DISTANCE).all():
            return [tuple(int(channel) for channel in colour) for colour in colours]


def sample(
    n: int,
    seed: int = 0,
    *,
    split: str = "train",
    classes: Sequence[str] = CLASSES,
    cue: str | Sequence[str] = "all",
    sizes: float | tuple[float, float] = SIZE,
    number_of_shapes: int | tuple[int, int] = 2,
    background_range: float = 0,
    colour_range: float = 0,
    free_colours: bool = False,
    textures: Sequence[str] = ("plain",),
    background_textures: Sequence[str] = ("plain",),
    position_by_class: bool = False,
    reliability: Mapping[str, float] | None = None,
) -> list[Picture]:
    """Draw ``n`` pictures, the classes in turn. Without a knob they are exactly the paper's.

    Args:
        n: number of pictures. No two of one call have their shapes in the same places.
        seed: same seed, same pictures.
        split: one of `SPLITS`; pictures of two splits never coincide.
        classes: which classes to draw.
        cue: the cue that tells the class ("background", "colour" or "type"), several of them, or "all".
            Each other cue speaks for a class drawn at random, independently of the picture's class.
            Unless colour and type both tell it, which shape has which colour is random too.
        sizes: size of each shape, or (smallest, largest) to draw it from.
        number_of_shapes: how many, or (fewest, most). With one, it is either shape of the class's pair, and
            so does not tell the class on its own; above two, further shapes repeat the pair.
        background_range: each channel of the background is moved by up to this much (0 to 255).
        colour_range: the same for the colours of the shapes.
        free_colours: any colours at all, for shapes and background, with enough contrast between them;
            only for ``cue="type"``.
        textures: each shape gets one of these, at random (of `TEXTURES`).
        background_textures: the same for the background.
        position_by_class: shapes stand only in their class's third of the canvas: blicket left, dax in the
            middle, wug right.
        reliability: for some cues, in which share of the pictures each speaks for the picture's class; else it
            speaks for one of the other two, at random and independently of the other cues.

    Raises:
        ValueError: for a knob out of range, or when the shapes do not fit.
    """
    class_names, cues = _check_cues(classes, cue)
    told = [class_names[position % len(class_names)] for position in range(_count(n))]
    rng = np.random.default_rng(_check_seed(seed))
    spoken = {name: told if name in cues else [CLASSES[number] for number in rng.integers(0, 3, n)] for name in CUES}
    for name, share in (reliability or {}).items():
        _choice("a cue of reliability", name, CUES)
        _range(f"the reliability of {name}", share, 0, 1)
        right, steps = rng.random(n) < share, rng.integers(1, 3, n)
        other = [CLASSES[(CLASSES.index(own) + step) % 3] for own, step in zip(told, steps, strict=True)]
        spoken[name] = [own if sure else astray for own, sure, astray in zip(told, right, other, strict=True)]
        cues = cues - {name}  # it no longer tells the class of every picture
    if free_colours and cues != {"type"}:
        raise ValueError('free_colours=True leaves only the types to tell the class: use it with cue="type"')
    return _draw(
        seed, told, spoken, split=split, bound={"colour", "type"} <= cues, sizes=sizes,
        number_of_shapes=number_of_shapes, background_range=background_range, colour_range=colour_range,
        free_colours=free_colours, textures=textures, background_textures=background_textures,
        position_by_class=position_by_class,
    )  # fmt: skip


def _check_seed(seed: int) -> int:
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more, not {seed!r}")
    return int(seed)


def _count(n: int) -> int:
    if not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n must be a whole number of pictures, at least 1, not {n!r}")
    return int(n)


def _names(name: str, value: str | Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not names:
        raise ValueError(f"{name} must name at least one of {', '.join(map(repr, allowed))}")
    for each in names:
        _choice(name, each, allowed)
    return names


def _check_cues(classes, cue) -> tuple[tuple[str, ...], set[str]]:
    class_names = _names("classes", classes, CLASSES)
    names = set(_names("cue", cue, (*CUES, "all")))
    return class_names, set(CUES) if "all" in names else names


def _draw(
    seed, told, spoken, *, split="train", bound=True, sizes=SIZE, number_of_shapes=2, background_range=0,
    colour_range=0, free_colours=False, textures=("plain",), background_textures=("plain",),
    position_by_class=False, least_shapes=1,
) -> list[Picture]:  # fmt: skip
    """Pictures in which each cue speaks for the class given in ``spoken``; ``told`` are their class names.

    ``bound``: each shape has its own colour; otherwise the two colours go to the shapes in random order.
    ``least_shapes``: the fewest for which what is asked makes sense.
    """
    _choice("split", split, SPLITS)
    low_size, high_size = _range("sizes", sizes, 2, CANVAS / 2)
    fewest, most = _range("number_of_shapes", number_of_shapes, least_shapes, 12)
    if fewest % 1 or most % 1:
        raise ValueError(f"number_of_shapes must be whole, not {number_of_shapes!r}")
    fewest, most = int(fewest), int(most)
    _range("background_range", background_range, 0, 255)
    _range("colour_range", colour_range, 0, 255)
    textures = _names("textures", textures, TEXTURES)
    background_textures = _names("background_textures", background_textures, TEXTURES)

    rng = np.random.default_rng([_SEED_OF_DRAWING, _check_seed(seed)])
    number = len(told)
    counts = rng.integers(fewest, most + 1, number)
    drawn_sizes = rng.uniform(low_size, high_size, (number, most)) * (np.arange(most) < counts[:, None])
    third = np.array([CLASSES.index(name or CLASSES[0]) for name in told]) * CANVAS / 3
    low_x = third if position_by_class else np.zeros(number)
    high_x = third + CANVAS / 3 if position_by_class else np.full(number, float(CANVAS))
    centres = _place(rng, split, drawn_sizes, low_x, high_x)

    pictures = []
    for i in range(number):
        # A class's pair comes in random order, repeated as often as needed, and so do the colours.
        order, colour_order = rng.permutation(2), rng.permutation(2)
        if bound:
            colour_order = order
        pair, owners = CLASS_SHAPES[spoken["type"][i]], CLASS_SHAPES[spoken["colour"][i]]
        background = _near(rng, BACKGROUNDS[spoken["background"][i]], background_range)
        colours = [_near(rng, COLOURS[owners[colour_order[k % 2]]], colour_range) for k in range(counts[i])]
        if free_colours:
            background, *colours = _free_colours(rng, counts[i])
        items = tuple(
            Item(
                shape=pair[order[k % 2]],
                colour=colours[k],
                centre=tuple(centres[i, k].tolist()),
                size=drawn_sizes[i, k],
                texture=textures[rng.integers(len(textures))],
            )
            for k in range(counts[i])
        )
        texture = background_textures[rng.integers(len(background_textures))]
        pictures.append(Picture(told[i], background, items, texture))
    return pictures


def dataset(
    split: str = "train",
    *,
    per_class: int = 400,
    seed: int = 0,
    size: int = CANVAS,
    dtype: torch.dtype = torch.float32,
    **knobs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The paper's data set: 400 pictures a class, of which 80 in 100 are for training and 20 for the test.

    Args:
        split: "train" gives 4/5 of ``per_class`` pictures of each class, any other split 1/5.
        per_class: pictures of each class, training and test together.
        seed, knobs: as in `sample`, which gives the same pictures as descriptions:
            ``sample(len(labels), seed, split=split, **knobs)``.
        size, dtype: as in `render`. At 244, 960 pictures are 686 MB in float32 and 171 MB in uint8.

    Returns:
        images (N, 3, size, size) and labels (N,), the classes in turn.
    """
    if not isinstance(per_class, int) or per_class < 5:
        raise ValueError(
            f"per_class must be a whole number, at least 5 so that both splits have some, not {per_class!r}"
        )
    test = per_class // 5
    each = per_class - test if split == "train" else test
    class_names, _ = _check_cues(knobs.get("classes", CLASSES), "all")
    pictures = sample(each * len(class_names), seed, split=split, **knobs)
    return render(pictures, size, dtype=dtype), labels(pictures)


# ---------------------------------------------------------------------------------------- interventions


class Pairs(NamedTuple):
    """Base pictures, the same with one cause changed, and the labels before and after, (N,) each."""

    base: list[Picture]
    source: list[Picture]
    base_labels: torch.Tensor
    counterfactual_labels: torch.Tensor


def pairs(variable: str, n: int = 60, seed: int = 0, *, split: str = "intervention", **knobs) -> Pairs:
    """The paper's interventions: in each pair only one cause differs, and the new label is known.

    The classes of a pair share one shape; the *differing* shape is the other one. For blicket to dax (the
    paper's Table 4) it is the square, which

    - "shape_colour": takes the colour of the source class's differing shape (green becomes red);
    - "shape_type": takes its type (square becomes triangle) and keeps its own colour;
    - "background": stays, and the background takes the source class's colour.

    (The paper's running text gives the same example with "wug" for the counterfactual label; only "dax"
    fits its Table 4.)

    Args:
        variable: one of `VARIABLES`.
        n: number of pairs, spread evenly over the six ordered pairs of classes, which come in turn.
        seed, knobs: as in `sample`. The three variables with one seed edit the same base pictures.
        split: "intervention" never shares a picture, base or source, with training or test; for pairs that
            are in turn held out from those, use "intervention_test".

    Returns:
        `Pairs`. A source picture has no ``class_name``: its cues disagree.
    """
    _choice("variable", variable, VARIABLES)
    _choice("split", split, SPLITS)
    for knob in ("classes", "cue", "free_colours"):
        if knob in knobs:
            raise ValueError(f"leave out {knob}: an intervention starts from pictures whose cues agree")
    ordered = list(itertools.permutations(CLASSES, 2))
    both = [ordered[position % len(ordered)] for position in range(_count(n))]
    names = [name for name, _ in both]
    base = _draw(seed, names, dict.fromkeys(CUES, names), split=split, least_shapes=2, **knobs)
    source = [_intervene(picture, new, variable) for picture, (_, new) in zip(base, both, strict=True)]
    counterfactual = torch.tensor([CLASSES.index(new) for _, new in both])
    return Pairs(base, source, labels(base), counterfactual)


def _intervene(picture: Picture, new: str, variable: str) -> Picture:
    return edit(picture, new, [{"shape_colour": "colour", "shape_type": "type"}.get(variable, variable)])


def edit(picture: Picture, new: str, cues: str | Iterable[str]) -> Picture:
    """A picture whose cues agree, with some of them (names in `CUES`) changed to those of class ``new``, as in `pairs`.

    With the picture's own class or without a cue it is the picture itself; with all three, one of class ``new``.
    """
    cues = {cues} if isinstance(cues, str) else set(cues)
    for cue in cues:
        _choice("cues", cue, CUES)
    _choice("new", new, CLASSES)
    if picture.class_name is None:
        raise ValueError("the cues of this picture already disagree: start from one that has a class_name")
    if new == picture.class_name or not cues:
        return picture
    (old_shape,) = set(CLASS_SHAPES[picture.class_name]) - set(CLASS_SHAPES[new])
    (new_shape,) = set(CLASS_SHAPES[new]) - set(CLASS_SHAPES[picture.class_name])
    change = {"colour": COLOURS[new_shape]} if "colour" in cues else {}
    change |= {"shape": new_shape} if "type" in cues else {}
    items = tuple(item.replace(**change) if item.shape == old_shape else item for item in picture.items)
    background = BACKGROUNDS[new] if "background" in cues else picture.background
    return picture.replace(items=items, background=background, class_name=new if len(cues) == len(CUES) else None)


class CueConflict(NamedTuple):
    """Pictures whose three cues speak for three different classes, and those classes, (N,) each."""

    pictures: list[Picture]
    background: torch.Tensor
    colour: torch.Tensor
    type: torch.Tensor


def cue_conflict(n: int, seed: int = 0, *, split: str = "intervention", **knobs) -> CueConflict:
    """Pictures in which background, colours and types speak for three different classes.

    The class that a network answers tells which cue it uses. The six ways to share the classes out come in
    turn, so any run of six is balanced. ``knobs`` are those of `sample` that do not choose a class or cue.
    """
    for knob in ("classes", "cue", "free_colours", "position_by_class"):
        if knob in knobs:
            raise ValueError(f"leave out {knob}: the three cues take the three classes in turn")
    ways = list(itertools.permutations(CLASSES))
    shared = [ways[position % len(ways)] for position in range(_count(n))]
    spoken = {cue: [way[position] for way in shared] for position, cue in enumerate(CUES)}
    pictures = _draw(seed, [None] * n, spoken, split=split, bound=False, least_shapes=2, **knobs)
    numbers = {cue: torch.tensor([CLASSES.index(name) for name in names]) for cue, names in spoken.items()}
    return CueConflict(pictures, **numbers)


# ---------------------------------------------------------------------------------------------- drawing


def _pattern(texture: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How dark a texture is, 0 to 1, at canvas offsets x (1, w) and y (h, 1): soft-edged, hence no moire."""
    turn = 2 * np.pi / _TEXTURE_PERIOD
    if texture == "stripes":
        wave = np.sin((x + y) * turn / np.sqrt(2))
    elif texture == "checks":
        wave = np.sin(x * turn) * np.sin(y * turn) * 2
    else:  # dots
        wave = np.cos(x * turn) + np.cos(y * turn) - 0.9
    return np.clip(0.5 + 2 * wave, 0, 1)


def _shade(texture: str, x: np.ndarray, y: np.ndarray) -> np.ndarray | float:
    """What a texture multiplies a colour with: exactly 1 when plain and where the texture is bright."""
    if texture == "plain":
        return 1.0
    return (1 - _TEXTURE_DEPTH * _pattern(texture, x, y)).astype(np.float32)


@lru_cache(maxsize=16)
def _background_shade(texture: str, size: int) -> np.ndarray | float:
    pixels = (np.arange(size) + 0.5) * CANVAS / size
    return _shade(texture, pixels[None, :], pixels[:, None])


def _window(item: Item, size: int) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """The pixels that an item may touch: slices of rows and columns, and the offsets of their middles from
    the item's centre, in pixels: y (h, 1) and x (1, w)."""
    scale = size / CANVAS
    middle_x, middle_y, half = item.centre[0] * scale, item.centre[1] * scale, item.reach * scale
    left, top = max(int(middle_x - half), 0), max(int(middle_y - half), 0)
    right = min(int(np.ceil(middle_x + half)), size)
    bottom = min(int(np.ceil(middle_y + half)), size)
    x = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - middle_x)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - middle_y)
    return slice(top, bottom), slice(left, right), y, x


def _coverage(item: Item, size: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The share of each pixel that the item covers, (h, w), 0 to 1.

    From the distance to the edge: half-way in where the edge runs through the pixel's middle. Exact for
    edges along rows and columns, within a few hundredths for others.
    """
    half = np.float32(item.size * size / CANVAS)
    if item.angle:
        turn = np.deg2rad(item.angle)
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        x, y = cosine * x + sine * y, cosine * y - sine * x
    if item.shape == "circle":
        return np.clip(half + np.float32(0.5) - np.sqrt(x * x + y * y), 0, 1)
    if item.shape == "square":
        return np.clip(half + np.float32(0.5) - abs(x), 0, 1) * np.clip(half + np.float32(0.5) - abs(y), 0, 1)
    # The slanted sides run from (0, -half) to (+-half, +half): distance (half + y - 2 |x|) / sqrt(5).
    side = np.clip((half + y - 2 * abs(x)) / np.float32(np.sqrt(5)) + np.float32(0.5), 0, 1)
    return side * np.clip(half + np.float32(0.5) - y, 0, 1)


def _check_size(size: int) -> int:
    if not isinstance(size, int | np.integer) or not 8 <= size <= 2048:
        raise ValueError(f"size must be a whole number of pixels from 8 to 2048, not {size!r}")
    return int(size)


def render(
    pictures: Picture | Iterable[Picture],
    size: int = CANVAS,
    *,
    antialias: bool = True,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Draw pictures: (N, 3, size, size).

    Args:
        pictures: one or more.
        size: height and width in pixels.
        antialias: blend a pixel on an edge by how much of it is covered; without, the edges are hard, as
            in the paper. Away from edges and textures a colour is exact either way.
        dtype: torch.float32 for values in [0, 1], torch.uint8 for 0 to 255 (a quarter of the memory).
    """
    pictures, size = _as_list(pictures), _check_size(size)
    if dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"dtype must be torch.float32 or torch.uint8, not {dtype}")
    whole = dtype == torch.uint8
    images = np.empty((len(pictures), 3, size, size), dtype=np.uint8 if whole else np.float32)

    def ink(colour):
        values = np.array(colour, dtype=np.float32)[:, None, None]
        return values if whole else values / np.float32(255)

    for image, picture in zip(images, pictures, strict=True):
        shade = _background_shade(picture.background_texture, size)
        image[:] = _stored(ink(picture.background) * shade, whole)
        for item in picture.items:
            rows, columns, y, x = _window(item, size)
            covered = _coverage(item, size, y, x)
            if not antialias:
                covered = (covered >= 0.5).astype(np.float32)
            paint = ink(item.colour) * _shade(item.texture, x * (CANVAS / size), y * (CANVAS / size))
            patch = image[:, rows, columns]
            # Written so that full coverage gives the colour itself, without rounding.
            patch[:] = _stored(covered * paint + (1 - covered) * patch, whole)
    return torch.from_numpy(images)


def _stored(values: np.ndarray, whole: bool) -> np.ndarray:
    return np.rint(values) if whole else values


def masks(pictures: Picture | Iterable[Picture], size: int = CANVAS) -> torch.Tensor:
    """Which item each pixel belongs to: (N, size, size), int64; 0 is the background, k is ``items[k - 1]``.

    A pixel belongs to an item that covers at least half of it.
    """
    pictures, size = _as_list(pictures), _check_size(size)
    maps = np.zeros((len(pictures), size, size), dtype=np.int64)
    for numbers, picture in zip(maps, pictures, strict=True):
        for position, item in enumerate(picture.items, start=1):
            rows, columns, y, x = _window(item, size)
            numbers[rows, columns][_coverage(item, size, y, x) >= 0.5] = position
    return torch.from_numpy(maps)


# ---------------------------------------------------------------------------------------------- in words

_COLOUR_NAMES = {
    "black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255),
    "red": (255, 50, 50), "dark red": (130, 20, 30), "orange": (255, 150, 40), "brown": (130, 80, 40),
    "yellow": (250, 250, 100), "olive": (130, 130, 30), "green": (100, 200, 0), "dark green": (20, 90, 30),
    "light green": (150, 250, 160), "turquoise": (50, 200, 190), "blue": (50, 90, 230),
    "dark blue": (20, 30, 120), "light blue": (150, 200, 250), "purple": (170, 100, 255),
    "dark purple": (90, 20, 120), "magenta": (230, 40, 200), "pink": (250, 200, 250),
}  # fmt: skip
_TEXTURE_WORDS = {"plain": "", "stripes": "striped ", "checks": "checked ", "dots": "dotted "}


def colour_name(colour: tuple[int, int, int]) -> str:
    """The nearest everyday name of a colour; the world's own six colours have a name each."""
    wanted = np.array(_colour("colour", colour))
    return min(_COLOUR_NAMES, key=lambda name: np.linalg.norm(wanted - _COLOUR_NAMES[name]))


def describe(picture: Picture) -> str:
    """One line of English, for the alternative text of a figure.

    >>> describe(Picture("dax", (250, 200, 250), (Item("circle", (170, 100, 255), (40, 30)),)))
    'A purple circle at the top left, on a pink background.'
    """

    def place(item):
        columns, rows = ("left", "", "right"), ("top", "", "bottom")
        across = columns[min(int(item.centre[0] * 3 / CANVAS), 2)]
        down = rows[min(int(item.centre[1] * 3 / CANVAS), 2)]
        return f"{down} {across}".strip() or "centre"

    def with_article(words):
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

    parts = []
    for item in picture.items:
        large = "large " if item.size >= 2 * SIZE else ""
        words = f"{large}{_TEXTURE_WORDS[item.texture]}{colour_name(item.colour)} {item.shape}"
        turned = f", turned by {item.angle:g} degrees," if item.angle else ""
        parts.append(f"{with_article(words)}{turned} at the {place(item)}")
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    ground = f"{_TEXTURE_WORDS[picture.background_texture]}{colour_name(picture.background)} background"
    return f"{listed[0].upper()}{listed[1:]}, on {with_article(ground)}."
