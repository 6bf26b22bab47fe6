"""Lesson 00's study: how often the network is right, with less and less light."""

from __future__ import annotations

import torch
from torch import Tensor

from vizcourse.methods.intervals import wilson
from vizcourse.models import load
from vizcourse.studies import Cell, Part, Study
from vizcourse.worlds import shapes

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


def pictures(count: int) -> tuple[Tensor, Tensor]:
    """Test pictures, ``(N, 3, 64, 64)``, and their classes: as many of each."""
    drawn = shapes.sample(count, seed=3, split="test")
    return shapes.render(drawn, 64), torch.tensor([shapes.CLASSES.index(each.class_name) for each in drawn])


@torch.no_grad()
def light(count: int = 600, levels: tuple[float, ...] = LEVELS) -> list[list[float]]:
    """Accuracy at each level of light, with its interval: ``[estimate, low, high]``."""
    network, (images, labels) = load("cnn-shapes"), pictures(count)
    right = [int((network(images * level).argmax(dim=1) == labels).sum()) for level in levels]
    return [wilson(each, count).rounded() for each in right]


def light_again() -> list[Cell]:
    """Fewer pictures: their share must lie in the interval of as many."""
    stored = dict(zip(LEVELS, STUDY.stored("light"), strict=True))
    return [
        Cell.near(f"accuracy at {level:.0%}", light(120, (level,))[0][0], stored[level][0], 0.1) for level in (0.0, 0.3, 1.0)
    ]


STUDY = Study(__file__, {"light": Part(light, quick={"count": 30}, cell=light_again)}, about={"pictures": 600})
