"""Two objects in one scenery: pictures in which two classes are right, each in its own half."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .factors import Scene, label, sample
from .rendering import render
from .vocabulary import CLASSES

#: What both objects share; everything else is each object's own.
SHARED = ("scene", "layout", "light", "brightness", "shadow")
_LEFT, _RIGHT = 0.26, 0.74


def sample_pairs(n: int, seed: int) -> list[tuple[Scene, Scene]]:
    """``n`` pairs of scenes, one object on the left and one of another class on the right of the same scenery.

    Scenes are drawn as by ``sample``, but smaller, upright, and without distractors and words. Pair ``i`` of a seed does not
    depend on ``n``. Each scene of a pair is the picture with the other object taken away.
    """
    same = {"size": (0.42, 0.48), "stretch": (0.9, 1.0), "rotation": 0, "distractors": (), "words": "", "mirrored": False}
    pairs = []
    for left, right in zip(sample(n, 2 * seed, x=_LEFT, **same), sample(n, 2 * seed + 1, x=_RIGHT, **same), strict=True):
        if right.object == left.object:
            right = right.replace(object=CLASSES[(label(left) + 1) % len(CLASSES)])
        pairs.append((left, right.replace(**{factor: getattr(left, factor) for factor in SHARED})))
    return pairs


def render_pairs(pairs: Sequence[tuple[Scene, Scene]], size: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures ``(N, 3, size, size)`` with the objects of both scenes, and where each is seen ``(N, 2, size, size)``.

    A picture is the left half of the one scene and the right half of the other; the scenery is the same in both.

    Raises ValueError if an object reaches over the middle.
    """
    middle = size // 2
    left_half = torch.arange(size) < middle
    images, labels = zip(*(render(side, size, labels=True) for side in zip(*pairs, strict=True)), strict=True)
    masks = torch.stack([one.mask for one in labels], dim=1)
    if (masks[:, 0] & ~left_half).any() or (masks[:, 1] & left_half).any():
        raise ValueError("An object reaches over the middle: make it smaller, or move it to the side.")
    return torch.where(left_half, images[0], images[1]), masks
