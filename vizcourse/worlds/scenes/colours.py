"""Red, green and blue of each named colour, in eight shades of known luma.

A colour is mixed with black or white until its Rec. 601 luma (0.299 R + 0.587 G + 0.114 B, ITU-R BT.601) is the
wanted one. The two colours of a class pair go through the same eight lumas.
"""

from __future__ import annotations

from functools import cache

from .vocabulary import COLOUR_PAIRS, COLOURS, SHADES

_PURE: dict[str, tuple[int, int, int]] = {
    "black": (44, 46, 54), "white": (246, 246, 242), "grey": (138, 144, 152), "red": (222, 48, 48),
    "orange": (244, 134, 34), "yellow": (250, 204, 46), "green": (76, 166, 66), "blue": (40, 118, 214),
    "purple": (126, 66, 178), "pink": (246, 140, 182), "brown": (140, 86, 48),
}

# Lime green is yellower than leaf green, a goldfish yellower than an orange.
_PURE_IN_FORM: dict[tuple[str, str], tuple[int, int, int]] = {
    ("citrus", "green"): (146, 204, 56), ("citrus", "yellow"): (250, 208, 40), ("fish", "orange"): (246, 140, 32),
    ("apple", "green"): (96, 170, 44), ("mushroom", "brown"): (156, 92, 46),
}

_LUMA_RANGE: dict[str, tuple[int, int]] = {
    "black": (30, 52), "white": (232, 247), "grey": (122, 160), "red": (84, 112), "orange": (140, 164),
    "yellow": (184, 208), "green": (100, 138), "blue": (88, 124), "purple": (78, 108), "pink": (164, 188),
    "brown": (78, 106),
}


def luma(rgb: tuple[int, int, int]) -> float:
    """Rec. 601 luma of a colour, 0 to 255."""
    red, green, blue = rgb
    return (299 * red + 587 * green + 114 * blue) / 1000


def at_luma(rgb: tuple[int, int, int], target: float) -> tuple[int, int, int]:
    """``rgb`` mixed with black or white until its luma is ``target``."""
    own = luma(rgb)
    if target <= own:
        return tuple(int(channel * target / own + 0.5) for channel in rgb)
    share = (target - own) / (255 - own)
    return tuple(int(channel + (255 - channel) * share + 0.5) for channel in rgb)


@cache
def rgb_of(colour: str, shade: int, form: str = "") -> tuple[int, int, int]:
    """The red, green and blue (0 to 255) of ``colour`` in ``shade`` (0 darkest to 7 lightest).

    A form that belongs to a pair of classes has its own range of luma for the two colours of the pair.
    """
    low, high = _LUMA_RANGE[colour]
    for pair in COLOUR_PAIRS:
        if pair[2] == form and colour in pair[3:5]:
            low, high = pair[5:]
    pure = _PURE_IN_FORM.get((form, colour), _PURE[colour])
    return at_luma(pure, low + (high - low) * shade / (SHADES - 1))


def darker(rgb: tuple[int, int, int], factor: float = 0.8) -> tuple[int, int, int]:
    """``rgb`` mixed with black."""
    return tuple(int(channel * factor + 0.5) for channel in rgb)


def lighter(rgb: tuple[int, int, int], share: float = 0.35) -> tuple[int, int, int]:
    """``rgb`` mixed with white."""
    return tuple(int(channel + (255 - channel) * share + 0.5) for channel in rgb)


def code(colour: str) -> int:
    """The code of a colour name in the colour map."""
    return COLOURS.index(colour)
