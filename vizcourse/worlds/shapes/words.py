"""A picture in words."""

from __future__ import annotations

import numpy as np

from vizcourse.worlds.shapes.pictures import CANVAS, SIZE, Picture, checked_colour

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
    wanted = np.array(checked_colour("colour", colour))
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
