"""Pictures with one cause changed, and pictures whose cues disagree."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import torch

from vizcourse.worlds.checking import one_of, whole
from vizcourse.worlds.shapes.pictures import (
    BACKGROUNDS,
    CLASS_SHAPES,
    CLASSES,
    COLOURS,
    CUES,
    SPLITS,
    VARIABLES,
    Picture,
    labels,
)
from vizcourse.worlds.shapes.sampling import draw_pictures


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
    one_of("variable", variable, VARIABLES)
    one_of("split", split, SPLITS)
    for knob in ("classes", "cue", "free_colours"):
        if knob in knobs:
            raise ValueError(f"leave out {knob}: an intervention starts from pictures whose cues agree")
    ordered = list(itertools.permutations(CLASSES, 2))
    both = [ordered[position % len(ordered)] for position in range(whole("n", n, 1, of="pictures"))]
    names = [name for name, _ in both]
    base = draw_pictures(seed, names, dict.fromkeys(CUES, names), split=split, least_shapes=2, **knobs)
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
        one_of("cues", cue, CUES)
    one_of("new", new, CLASSES)
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
    shared = [ways[position % len(ways)] for position in range(whole("n", n, 1, of="pictures"))]
    spoken = {cue: [way[position] for way in shared] for position, cue in enumerate(CUES)}
    pictures = draw_pictures(seed, [None] * n, spoken, split=split, bound=False, least_shapes=2, **knobs)
    numbers = {cue: torch.tensor([CLASSES.index(name) for name in names]) for cue, names in spoken.items()}
    return CueConflict(pictures, **numbers)
