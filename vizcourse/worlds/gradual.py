"""One cause of a scene, changed step by step: the ordered pictures of a gradual intervention.

Everything but the one factor is held fixed, which on photographs nobody can promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from . import scenes
from .scenes import Scene

#: From where to where a factor is changed unless one says otherwise. Numbers are drawn at every step; of words the
#: pictures of both ends are drawn and faded into each other.
RANGES: dict[str, tuple[Any, Any]] = {
    "colour": ("black", "white"),
    "accent": ("black", "white"),
    "texture": ("plain", "stripes"),
    "material": ("matte", "glossy"),
    "scene": ("meadow", "night city"),
    "light": ("left", "right"),
    "facing": ("left", "right"),
    "shadow": (False, True),
    "words": ("", "CAT"),
    "shade": (0, 7),
    "texture_angle": (0, 179),
    "texture_scale": (0.4, 2.5),
    "x": (0.3, 0.7),
    "y": (0.4, 0.7),
    "size": (0.35, 0.85),
    "rotation": (-60, 60),
    "stretch": (0.6, 1.6),
    "brightness": (0.3, 1.0),
}

#: Factors whose every step is a scene of the world. All others are faded.
NUMBERS: tuple[str, ...] = ("texture_angle", "texture_scale", "x", "y", "size", "rotation", "stretch", "brightness")


@dataclass(frozen=True)
class Path:
    """The ordered pictures of one intervention.

    Attributes:
        factor: what was changed.
        start, stop: its first and its last value.
        values: its value at each step, ``(steps,)``; for a faded factor, how far it is from start (0) to stop (1).
        pictures: ``(steps, 3, size, size)``.
    """

    factor: str
    start: Any
    stop: Any
    values: torch.Tensor
    pictures: torch.Tensor


def turn(
    scene: Scene, factor: str, start: Any = None, stop: Any = None, *, steps: int = 100, size: int = 64
) -> Path:
    """Change one factor of a scene from ``start`` to ``stop`` and draw every step.

    A factor that is a number (size, rotation, …) is drawn anew at every step. A factor with a list of values (colour,
    scenery, …) is drawn at both ends, and the two pictures are faded into each other: of colours this gives the colours
    in between; of everything else it gives double exposures, which are no pictures of the world.

    Args:
        scene: the one to change; its own value of the factor does not matter.
        factor: any factor of a scene but ``distractors``.
        start, stop: by default those of :data:`RANGES`, or the scene's own value and the next one in the list.
        steps: number of pictures, at least 3. Whole-number factors are rounded.
        size: pixels.

    Raises:
        ValueError: an unknown factor or value, fewer than three steps, or both ends alike.
    """
    if factor not in scenes.FACTORS or factor == "distractors":
        known = ", ".join(name for name in scenes.FACTORS if name != "distractors")
        raise ValueError(f"There is no factor {factor!r} that can be turned: choose one of {known}.")
    if steps < 3:
        raise ValueError(f"A gradual intervention needs at least three steps, not {steps}.")
    first, last = _ends(scene, factor)
    start, stop = first if start is None else start, last if stop is None else stop
    if start == stop:
        raise ValueError(f"Both ends of {factor!r} are {start!r}: choose two different values.")
    if factor in NUMBERS:
        whole = isinstance(getattr(scene, factor), int)
        values = torch.linspace(float(start), float(stop), steps, dtype=torch.float64)
        drawn = scenes.render(
            [scene.replace(**{factor: round(value) if whole else value}) for value in values.tolist()], size
        )
        return Path(factor, start, stop, values, drawn)
    values = torch.linspace(0, 1, steps, dtype=torch.float64)
    ends = scenes.render([scene.replace(**{factor: start}), scene.replace(**{factor: stop})], size)
    return Path(factor, start, stop, values, torch.lerp(ends[:1], ends[1:], values.float()[:, None, None, None]))


def _ends(scene: Scene, factor: str) -> tuple[Any, Any]:
    if factor in RANGES:
        return RANGES[factor]
    own = getattr(scene, factor)
    if isinstance(own, bool):
        return own, not own
    if factor == "object":
        return own, {"cat": "dog", "dog": "cat"}.get(own) or scenes.counterpart(own) or "car"
    if factor == "words_at":
        return "top", "bottom"
    return own, own + 1 if own == 0 else own - 1  # variant, layout
