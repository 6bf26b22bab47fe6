"""Pictures by lot: each belongs to one split, and the knobs break the agreement of the cues."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from vizcourse.worlds.checking import one_of, whole
from vizcourse.worlds.shapes.drawing import render
from vizcourse.worlds.shapes.pictures import (
    BACKGROUNDS,
    CANVAS,
    CLASS_SHAPES,
    CLASSES,
    COLOURS,
    CUES,
    SIZE,
    SPLITS,
    TEXTURES,
    Item,
    Picture,
    labels,
)

_GAP = 2  # sampled shapes keep this distance, so that anti-aliased edges never share a pixel
_FREE_COLOUR_DISTANCE = 110.0  # Euclidean distance in RGB between a free colour and the background
_SEED_OF_DRAWING = 1  # keeps the placing of shapes apart from the choice of what the cues say
_ROUNDS = 2000  # attempts to place shapes before giving up


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


def checked_range(name: str, value, low: float, high: float) -> tuple[float, float]:
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
    told = [class_names[position % len(class_names)] for position in range(whole("n", n, 1, of="pictures"))]
    rng = np.random.default_rng(whole("seed", seed, 0))
    spoken = {name: told if name in cues else [CLASSES[number] for number in rng.integers(0, 3, n)] for name in CUES}
    for name, share in (reliability or {}).items():
        one_of("a cue of reliability", name, CUES)
        checked_range(f"the reliability of {name}", share, 0, 1)
        right, steps = rng.random(n) < share, rng.integers(1, 3, n)
        other = [CLASSES[(CLASSES.index(own) + step) % 3] for own, step in zip(told, steps, strict=True)]
        spoken[name] = [own if sure else astray for own, sure, astray in zip(told, right, other, strict=True)]
        cues = cues - {name}  # it no longer tells the class of every picture
    if free_colours and cues != {"type"}:
        raise ValueError('free_colours=True leaves only the types to tell the class: use it with cue="type"')
    return draw_pictures(
        seed, told, spoken, split=split, bound={"colour", "type"} <= cues, sizes=sizes,
        number_of_shapes=number_of_shapes, background_range=background_range, colour_range=colour_range,
        free_colours=free_colours, textures=textures, background_textures=background_textures,
        position_by_class=position_by_class,
    )  # fmt: skip


def checked_names(name: str, value: str | Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not names:
        raise ValueError(f"{name} must name at least one of {', '.join(map(repr, allowed))}")
    for each in names:
        one_of(name, each, allowed)
    return names


def _check_cues(classes, cue) -> tuple[tuple[str, ...], set[str]]:
    class_names = checked_names("classes", classes, CLASSES)
    names = set(checked_names("cue", cue, (*CUES, "all")))
    return class_names, set(CUES) if "all" in names else names


def draw_pictures(
    seed, told, spoken, *, split="train", bound=True, sizes=SIZE, number_of_shapes=2, background_range=0,
    colour_range=0, free_colours=False, textures=("plain",), background_textures=("plain",),
    position_by_class=False, least_shapes=1,
) -> list[Picture]:  # fmt: skip
    """Pictures in which each cue speaks for the class given in ``spoken``; ``told`` are their class names.

    ``bound``: each shape has its own colour; otherwise the two colours go to the shapes in random order.
    ``least_shapes``: the fewest for which what is asked makes sense.
    """
    one_of("split", split, SPLITS)
    low_size, high_size = checked_range("sizes", sizes, 2, CANVAS / 2)
    fewest, most = checked_range("number_of_shapes", number_of_shapes, least_shapes, 12)
    if fewest % 1 or most % 1:
        raise ValueError(f"number_of_shapes must be whole, not {number_of_shapes!r}")
    fewest, most = int(fewest), int(most)
    checked_range("background_range", background_range, 0, 255)
    checked_range("colour_range", colour_range, 0, 255)
    textures = checked_names("textures", textures, TEXTURES)
    background_textures = checked_names("background_textures", background_textures, TEXTURES)

    rng = np.random.default_rng([_SEED_OF_DRAWING, whole("seed", seed, 0)])
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
