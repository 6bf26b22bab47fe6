"""Skin lesions, drawn: nevi and melanomas, some with a coloured plaster beside them, and every cause known.

The case is Penzel and Denzler's (WACV 2026): in a public collection of dermoscopic photographs many harmless moles carry
a coloured plaster and hardly a melanoma does, so that a network can take the plaster for a sign of health. These drawings
are no medical data and look like dermoscopy from afar only. What tells the two apart here follows the A, B and C of
dermatology's ABCD rule: asymmetry, an irregular border, several colours.

``lesion.replace(opacity=0.5)`` is do(opacity = 0.5): everything else stays, down to the last hair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vizcourse.worlds.checking import number, one_of, picture_type, whole

from .gradual import Path

CLASSES = ("nevus", "melanoma")
#: Plasters, red, green and blue. "skin" is a plaster of the skin's own tone: all of a plaster but its colour.
PATCHES: dict[str, tuple[float, float, float] | None] = {
    "blue": (0.15, 0.35, 0.85), "green": (0.20, 0.65, 0.35), "yellow": (0.95, 0.80, 0.20), "orange": (0.95, 0.50, 0.15),
    "skin": None,
}
CORNERS = ("top left", "top right", "bottom left", "bottom right")
#: Numbers of a lesion and their ranges. Only the first three depend on the diagnosis.
RANGES: dict[str, tuple[float, float]] = {
    "asymmetry": (0, 1), "border": (0, 1), "variegation": (0, 1), "size": (0.3, 0.5), "pigment": (0, 1), "tone": (0, 1),
    "x": (0.45, 0.55), "y": (0.45, 0.55), "angle": (0, 360), "opacity": (0, 1),
}
SIGNS = ("asymmetry", "border", "variegation")
#: Mean and deviation of a sign, before it is cut to its range: the two classes overlap.
_SIGN = {"nevus": (0.25, 0.18), "melanoma": (0.65, 0.20)}
_SMOOTH = 2  # pixels drawn for each pixel shown, across and down


@dataclass(frozen=True)
class Lesion:
    """One picture by its causes. Lengths are shares of the picture's side; ``opacity`` 0 is a plaster not there.

    ``diagnosis`` is the label; the picture shows it through its signs alone, so set those to change what is seen.
    ``detail`` chooses one of many outlines, freckles and hairs with the same causes.
    """

    diagnosis: str = "nevus"
    asymmetry: float = 0.2
    border: float = 0.2
    variegation: float = 0.2
    size: float = 0.4
    pigment: float = 0.5
    tone: float = 0.3
    x: float = 0.5
    y: float = 0.5
    angle: float = 0.0
    hairs: int = 3
    patch: str = "blue"
    corner: str = "top left"
    opacity: float = 0.0
    detail: int = 0

    def __post_init__(self) -> None:
        for name, known in (("diagnosis", CLASSES), ("patch", tuple(PATCHES)), ("corner", CORNERS)):
            one_of(name, getattr(self, name), known)
        for name, (low, high) in RANGES.items():
            number(name, getattr(self, name), low, high)
        for name, most in (("hairs", 12), ("detail", 2**31)):
            whole(name, getattr(self, name), 0, most)

    def replace(self, **changes: Any) -> Lesion:
        """The do() operator: the same lesion with some causes changed and all else held fixed."""
        for name in changes:
            one_of("A cause of a lesion", name, [field.name for field in fields(self)])
        return replace(self, **changes)


def sample(count: int, seed: int, *, patched: Mapping[str, float] | None = None, **fixed: Any) -> list[Lesion]:
    """Draw lesions; both diagnoses are equally likely unless one is fixed.

    Args:
        count: how many.
        seed: the same seed gives the same lesions, whatever ``patched`` says: only their plasters differ.
        patched: share of each diagnosis that wears a plaster, ``{"nevus": 0.5}``; by default nobody does.
        fixed: causes that all of them share.

    Raises:
        ValueError: an unknown diagnosis or cause, or a share that is none.
    """
    shares = dict(patched or {})
    for name, chance in shares.items():
        one_of("patched", name, CLASSES)
        if not 0 <= chance <= 1:
            raise ValueError(f"patched must hold shares from 0 to 1, not {chance!r} for {name!r}.")
    generator = torch.Generator().manual_seed(seed)
    colours = [name for name in PATCHES if name != "skin"]
    drawn = []
    for _ in range(count):
        number = torch.rand(16, generator=generator).tolist()  # always as many, so that nothing shifts
        normal = torch.randn(len(SIGNS), generator=generator).tolist()
        diagnosis = fixed.get("diagnosis", CLASSES[int(2 * number[0])])
        one_of("diagnosis", diagnosis, CLASSES)
        mean, deviation = _SIGN[diagnosis]
        signs = {name: min(max(mean + deviation * one, 0.0), 1.0) for name, one in zip(SIGNS, normal, strict=True)}
        others = {
            name: low + (high - low) * share
            for (name, (low, high)), share in zip(
                [(name, ends) for name, ends in RANGES.items() if name not in (*SIGNS, "opacity")], number[1:], strict=False
            )
        }
        lesion = Lesion(
            diagnosis, **signs, **others, hairs=int(7 * number[8]), patch=colours[int(len(colours) * number[9])],
            corner=CORNERS[int(4 * number[10])], opacity=float(number[11] < shares.get(diagnosis, 0.0)),
            detail=int(number[12] * 2**24),
        )
        drawn.append(lesion.replace(**fixed))
    return drawn


class Labels(NamedTuple):
    """Where things are, each (N, size, size) or (size, size), True there: the lesion, and the plaster if it is visible."""

    lesion: Tensor
    patch: Tensor


def render(
    lesions: Lesion | Sequence[Lesion], size: int = 64, *, labels: bool = False, dtype: torch.dtype = torch.float32
) -> Tensor | tuple[Tensor, Labels]:
    """Draw lesions.

    Args:
        lesions: one or several.
        size: pixels of a side, 16 or more.
        labels: give the masks too.
        dtype: ``torch.float32`` for pictures in [0, 1], ``torch.uint8`` for 0 to 255.

    Returns:
        ``(3, size, size)`` for one, ``(N, 3, size, size)`` for several; with ``labels`` also a :class:`Labels`.

    Raises:
        ValueError: nothing to draw, or a size or a type that cannot be.
    """
    listed = [lesions] if isinstance(lesions, Lesion) else list(lesions)
    if not listed:
        raise ValueError("There is nothing to draw: pass one lesion or several.")
    size, dtype = whole("size", size, 16, of="pixels"), picture_type(dtype)
    drawn = [_draw(lesion, size) for lesion in listed]
    pictures = torch.stack([picture for picture, _, _ in drawn])
    if dtype == torch.uint8:
        pictures = (255 * pictures).round().to(torch.uint8)
    found = Labels(torch.stack([lesion for _, lesion, _ in drawn]), torch.stack([patch for _, _, patch in drawn]))
    if isinstance(lesions, Lesion):
        pictures, found = pictures[0], Labels(found.lesion[0], found.patch[0])
    return (pictures, found) if labels else pictures


def turn(lesion: Lesion, factor: str, start: float | None = None, stop: float | None = None, *, steps: int = 100,
         size: int = 64) -> Path:
    """Change one number of a lesion from ``start`` to ``stop`` (by default its whole range) and draw every step.

    A plaster's ``opacity`` is such a number: this is the paper's intervention, a plaster blended in.

    Raises:
        ValueError: a factor that is no number, fewer than three steps, or both ends alike.
    """
    one_of("The factor to turn", factor, tuple(RANGES))
    if steps < 3:
        raise ValueError(f"A gradual intervention needs at least three steps, not {steps}.")
    low, high = RANGES[factor]
    start, stop = low if start is None else start, high if stop is None else stop
    if start == stop:
        raise ValueError(f"Both ends of {factor!r} are {start!r}: choose two different values.")
    values = torch.linspace(float(start), float(stop), steps, dtype=torch.float64)
    return Path(factor, start, stop, values, render([lesion.replace(**{factor: value}) for value in values.tolist()], size))


# ------------------------------------------------------------------------------------------------------ drawing

_LIGHT_SKIN, _DARK_SKIN = torch.tensor([0.93, 0.76, 0.67]), torch.tensor([0.62, 0.43, 0.33])
_BROWNS = torch.tensor([0.62, 0.40, 0.27]), torch.tensor([0.30, 0.17, 0.11])
_BLOTCHES = torch.tensor([[0.12, 0.08, 0.08], [0.42, 0.44, 0.52], [0.66, 0.28, 0.24]])  # black, blue-grey, red


def _draw(lesion: Lesion, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The picture (3, size, size), and the masks of lesion and plaster."""
    chance = torch.Generator().manual_seed(lesion.detail)
    fine = size * _SMOOTH
    places = (torch.arange(fine) + 0.5) / fine
    y, x = places[:, None].expand(fine, fine), places[None, :].expand(fine, fine)

    tone = torch.lerp(_LIGHT_SKIN, _DARK_SKIN, lesion.tone)
    shade = 1 + 0.05 * _waves(x, y, chance, 6) - 0.25 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    picture = tone[:, None, None] * shade

    alpha = _outline(lesion, x, y, chance)
    picture = torch.lerp(picture, _surface(lesion, x, y, chance), alpha)
    for start_x, start_y, turn_, bend in torch.rand(12, 4, generator=chance).tolist()[: lesion.hairs]:
        picture = torch.lerp(picture, torch.tensor([0.14, 0.09, 0.07])[:, None, None], 0.8 * _hair(
            x, y, start_x, start_y, 2 * math.pi * turn_, 3 * (bend - 0.5)
        ))

    patch = _plaster(lesion, x, y) * (1 - alpha)  # beside the lesion, never on it
    colour = torch.tensor(PATCHES[lesion.patch]) if PATCHES[lesion.patch] else tone
    weave = 1 + 0.06 * torch.sin(160 * x) * torch.sin(160 * y)
    picture = torch.lerp(picture, colour[:, None, None] * weave, lesion.opacity * patch)
    shown = patch if lesion.opacity > 0 else torch.zeros_like(patch)
    return _shrink(picture.clamp(0, 1)), _shrink(alpha[None])[0] > 0.5, _shrink(shown[None])[0] > 0.5


def _shrink(fine: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(fine[None], _SMOOTH)[0]


def _waves(x: Tensor, y: Tensor, chance: torch.Generator, highest: float) -> Tensor:
    """A smooth random field of about -1 to 1: a few waves of any direction."""
    field = torch.zeros_like(x)
    for turn_, length, phase in torch.rand(5, 3, generator=chance).tolist():
        angle, rate = 2 * math.pi * turn_, 2 * math.pi * (1 + length * (highest - 1))
        field += torch.sin(rate * (math.cos(angle) * x + math.sin(angle) * y) + 2 * math.pi * phase)
    return field / 2.5


def _outline(lesion: Lesion, x: Tensor, y: Tensor, chance: torch.Generator) -> Tensor:
    """How much of each point the lesion covers, 0 to 1."""
    across, down = x - lesion.x, y - lesion.y
    angle = torch.atan2(down, across) - math.radians(lesion.angle)
    radius = 1 + 0.10 * torch.cos(2 * angle)  # an oval
    phases = 2 * math.pi * torch.rand(8, generator=chance)
    for order, strength, phase in ((1, 0.22, phases[0]), (3, 0.20, phases[1])):
        radius = radius + lesion.asymmetry * strength * torch.cos(order * angle + phase)
    for order, phase in zip((6, 8, 11, 14), phases[2:6], strict=True):
        radius = radius + lesion.border * 0.07 * torch.cos(order * angle + phase)
    soft = 0.02 + 0.02 * (1 - lesion.border)
    return torch.sigmoid((lesion.size / 2 * radius - torch.hypot(across, down)) / (soft / 4))


def _surface(lesion: Lesion, x: Tensor, y: Tensor, chance: torch.Generator) -> Tensor:
    """The colours of the lesion: one brown, and with variegation blotches of black, blue-grey and red."""
    brown = torch.lerp(*_BROWNS, lesion.pigment)[:, None, None] * (1 + 0.12 * _waves(x, y, chance, 9))
    for colour in _BLOTCHES:
        place = _waves(x, y, chance, 5)
        brown = torch.lerp(brown, colour[:, None, None], 0.9 * lesion.variegation * torch.sigmoid(12 * (place - 0.25)))
    return brown


def _hair(x: Tensor, y: Tensor, start_x: float, start_y: float, angle: float, bend: float) -> Tensor:
    along = math.cos(angle) * (x - start_x) + math.sin(angle) * (y - start_y)
    aside = -math.sin(angle) * (x - start_x) + math.cos(angle) * (y - start_y) - bend * along**2
    return torch.sigmoid((0.004 - aside.abs()) / 0.0015) * (along.abs() < 0.3)


def _plaster(lesion: Lesion, x: Tensor, y: Tensor) -> Tensor:
    """A round plaster in a corner, cut off by the picture's border."""
    centre_x = 0.1 if "left" in lesion.corner else 0.9
    centre_y = 0.1 if "top" in lesion.corner else 0.9
    covered = torch.sigmoid((0.18 - torch.hypot(x - centre_x, y - centre_y)) / 0.006)
    return torch.where(covered > 0.004, covered, 0.0)  # a soft edge, and nothing at all beyond it
