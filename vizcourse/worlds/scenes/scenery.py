"""The eight sceneries: layered backgrounds in a square from 0 to 1 (x right, y down), 256 layouts of each.

Every layer is a polygon with a colour that runs from its top to its bottom; distance is shown by haze (far layers are
paler), overlap and a horizon.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from .colours import code
from .geometry import Contour, Edges, arc, box, compile_edges, cosine, ellipse, sine
from .vocabulary import LAYOUTS, MATERIALS, PARTS, SCENES, TEXTURES

RGB = tuple[int, int, int]

# Colour steps of a vertical gradient.
GRADIENT_STEPS = 48


@dataclass
class Backdrop:
    """A scenery in the making."""

    random: np.random.Generator
    layers: list[tuple] = field(default_factory=list)

    def add(self, part: str, top_rgb: RGB, colour: str, *contours: Contour, bottom_rgb: RGB | None = None,
            texture: str = "plain", material: str = "matte", span: tuple[float, float] | None = None) -> None:
        """Draw a layer; ``span``: where its gradient begins and ends (default: its own top and bottom)."""
        if span is None:
            heights = [y for contour in contours for _, y in contour]
            span = (min(heights), max(heights))
        self.layers.append((part, top_rgb, top_rgb if bottom_rgb is None else bottom_rgb, colour, texture, material,
                            span, contours))

    def between(self, low: float, high: float) -> float:
        """A random number from ``low`` to ``high``."""
        return low + (high - low) * float(self.random.random())

    def whole(self, low: int, high: int) -> int:
        """A random whole number from ``low`` up to but not including ``high``."""
        return int(self.random.integers(low, high))

    def ridge(self, height: float, swing: float, waves: int, points: int = 24) -> Contour:
        """A rolling skyline across the picture, closed along the bottom."""
        first, second = self.whole(0, 360), self.whole(0, 360)
        top = [(i / points, height - swing * (0.65 * sine(first + 360 * waves * i // points)
                                              + 0.35 * sine(second + 360 * (2 * waves + 1) * i // points)))
               for i in range(points + 1)]
        return [*top, (1.0, 1.0), (0.0, 1.0)]

    def clouds(self, count: int, low: float, high: float, top: RGB = (255, 255, 255), bottom: RGB = (236, 244, 250)
               ) -> None:
        """Flat-bottomed clouds with their bases between two heights."""
        for i in range(count):
            x, y = (i + self.between(0.15, 0.85)) / count, self.between(low, high)
            size = self.between(0.045, 0.085)
            contour = [(x - 1.7 * size, y)]
            contour += arc(x - 1.05 * size, y, 0.65 * size, 0.6 * size, 180, 300, 6)
            contour += arc(x - 0.1 * size, y - 0.35 * size, 0.75 * size, 0.75 * size, 200, 340, 8)
            contour += arc(x + 1.0 * size, y, 0.7 * size, 0.6 * size, 250, 360, 6)
            contour += [(x + 1.6 * size, y + 0.06 * size), (x - 1.6 * size, y + 0.06 * size)]
            self.add("cloud", top, "white", contour, bottom_rgb=bottom)

    def sky(self, top: RGB, bottom: RGB, colour: str) -> None:
        """The sky, behind everything."""
        self.add("sky", top, colour, box(0, 0, 1, 1), bottom_rgb=bottom, texture="gradient", span=(0.0, 0.66))

    def sun(self, rgb: RGB, halo: RGB, low: float = 0.1, high: float = 0.3) -> None:
        """The sun with a pale ring."""
        x, y = self.between(0.1, 0.9), self.between(low, high)
        self.add("sun", halo, "yellow", ellipse(x, y, 0.085))
        self.add("sun", rgb, "yellow", ellipse(x, y, 0.062))

    def tufts(self, count: int, low: float, high: float, rgb: RGB, colour: str = "green", part: str = "grass") -> None:
        """Small blades of grass, larger towards the viewer."""
        for _ in range(count):
            x, y = self.between(0.0, 1.0), self.between(low, high)
            size = 0.008 + 0.03 * (y - low)
            self.add(part, rgb, colour, [(x - 1.4 * size, y - 1.5 * size), (x - 0.2 * size, y), (x - size, y)],
                     [(x - 0.3 * size, y), (x, y - 2.4 * size), (x + 0.3 * size, y)],
                     [(x + 0.2 * size, y), (x + 1.4 * size, y - 1.7 * size), (x + size, y)])


def _meadow(b: Backdrop) -> None:
    b.sky((104, 182, 236), (216, 240, 250), "blue")
    b.sun((255, 222, 110), (240, 238, 198))
    b.clouds(b.whole(2, 4), 0.12, 0.36)
    b.add("hill", (176, 214, 190), "green", b.ridge(0.5, 0.06, 1), bottom_rgb=(150, 200, 160), span=(0.42, 0.66))
    b.add("hill", (136, 196, 132), "green", b.ridge(0.57, 0.05, 2), bottom_rgb=(118, 182, 108), span=(0.5, 0.72))
    for _ in range(b.whole(2, 6)):
        x, y, size = b.between(0.02, 0.98), b.between(0.57, 0.62), b.between(0.02, 0.034)
        b.add("conifer", (84, 150, 96), "green", [(x - size, y), (x, y - 3.4 * size), (x + size, y)])
    b.add("grass", (146, 204, 98), "green", b.ridge(0.65, 0.025, 1), bottom_rgb=(88, 158, 66), texture="gradient",
          span=(0.62, 1.0))
    b.tufts(16, 0.7, 0.98, (78, 144, 58))
    for _ in range(b.whole(4, 10)):
        x, y = b.between(0.02, 0.98), b.between(0.72, 0.98)
        size = 0.004 + 0.012 * (y - 0.7) / 0.3
        rgb, name = (((252, 250, 240), "white"), ((250, 214, 84), "yellow"), ((240, 150, 186), "pink"))[b.whole(0, 3)]
        b.add("petal", rgb, name, *(ellipse(x + 1.1 * size * cosine(a), y + 1.1 * size * sine(a), size, corners=8)
                                    for a in (0, 90, 180, 270)))


def _beach(b: Backdrop) -> None:
    b.sky((78, 178, 234), (224, 243, 250), "blue")
    b.sun((255, 226, 120), (236, 240, 208), 0.08, 0.24)
    b.clouds(b.whole(1, 4), 0.12, 0.34)
    if b.whole(0, 2):
        x = b.between(0.1, 0.9)
        b.add("island", (124, 176, 168), "green", [(x - 0.16, 0.5), (x - 0.08, 0.45), (x, 0.42), (x + 0.07, 0.46),
                                                   (x + 0.17, 0.5)])
    b.add("sea", (34, 134, 190), "blue", box(0, 0.5, 1, 1), bottom_rgb=(96, 200, 206), texture="gradient",
          span=(0.5, 0.72))
    for _ in range(9):
        x, y = b.between(0, 1), b.between(0.52, 0.65)
        wide = 0.02 + 0.24 * (y - 0.5)
        b.add("foam", (176, 226, 234), "white", ellipse(x, y, wide, 0.0035, 12))
    shore, swing = b.between(0.66, 0.7), b.between(0.008, 0.02)
    edge = b.ridge(shore, swing, 1)
    b.add("foam", (244, 252, 252), "white", edge)
    b.add("sand", (222, 190, 136), "brown", [(x, min(1.0, y + 0.016)) for x, y in edge])
    b.add("sand", (246, 222, 164), "yellow", [(x, min(1.0, y + 0.045)) for x, y in edge], bottom_rgb=(230, 190, 122),
          texture="gradient", span=(0.68, 1.0))
    for _ in range(26):
        x, y = b.between(0, 1), b.between(0.77, 0.99)
        size = 0.002 + 0.006 * (y - 0.7) / 0.3
        b.add("sand", (208, 166, 102), "brown", ellipse(x, y, size * 1.6, size, 8), texture="noise")


def _night_city(b: Backdrop) -> None:
    b.sky((14, 18, 52), (88, 62, 122), "blue")
    for _ in range(26):
        x, y, size = b.between(0, 1), b.between(0.0, 0.42), b.between(0.0022, 0.0048)
        b.add("star", (250, 246, 220), "white", ellipse(x, y, size, corners=8))
    x, y = b.between(0.1, 0.9), b.between(0.1, 0.22)
    b.add("moon", (252, 240, 200), "yellow", ellipse(x, y, 0.06))
    b.add("moon", (232, 216, 170), "yellow", ellipse(x - 0.018, y - 0.012, 0.014, corners=12),
          ellipse(x + 0.022, y + 0.018, 0.01, corners=12))
    for row, (rgb, low, high) in enumerate((((52, 46, 98), 0.3, 0.5), ((30, 30, 70), 0.4, 0.62))):
        left = -b.between(0.0, 0.1)
        while left < 1:
            right, top = left + b.between(0.09, 0.17), b.between(low, high)
            outline = box(left, top, right - 0.004, 0.8)
            if b.whole(0, 4) == 0:
                middle = (left + right) / 2
                outline = [(left, 0.8), (left, top), (middle, top - 0.05), (right - 0.004, top), (right - 0.004, 0.8)]
            b.add("building", rgb, "blue", outline, bottom_rgb=tuple(int(c * 0.8) for c in rgb), span=(0.3, 0.75))
            columns = int((right - left - 0.02) / 0.026)
            lit: list[Contour] = []
            for i in range(columns):
                for j in range(int((0.7 - top) / 0.04)):
                    if b.random.random() < (0.28 if row == 0 else 0.42):
                        x0, y0 = left + 0.014 + i * 0.026, top + 0.018 + j * 0.04
                        lit.append(box(x0, y0, x0 + 0.013, y0 + 0.02))
            if lit:
                b.add("lit window", (176, 140, 112) if row == 0 else (252, 208, 106), "yellow", *lit)
            left = right
    b.add("kerb", (98, 96, 124), "grey", box(0, 0.7, 1, 1), bottom_rgb=(74, 74, 102), span=(0.7, 0.8))
    b.add("road", (62, 62, 84), "grey", box(0, 0.755, 1, 1), bottom_rgb=(40, 40, 58), texture="gradient")
    offset = b.between(0, 0.2)
    for i in range(-1, 6):
        x = offset + 0.2 * i
        b.add("road", (206, 204, 196), "white", [(x, 0.868), (x + 0.1, 0.868), (x + 0.092, 0.884), (x - 0.014, 0.884)])


def _desert(b: Backdrop) -> None:
    b.sky((244, 176, 96), (254, 234, 190), "orange")
    b.sun((255, 248, 220), (254, 226, 160))
    for _ in range(b.whole(1, 4)):
        x, wide, top = b.between(0.05, 0.95), b.between(0.06, 0.15), b.between(0.38, 0.48)
        b.add("mountain", (222, 140, 98), "orange", [(x - wide * 1.3, 0.62), (x - wide * 0.9, top + 0.05),
              (x - wide * 0.75, top), (x + wide * 0.7, top), (x + wide * 0.85, top + 0.06), (x + wide * 1.4, 0.62)],
              bottom_rgb=(232, 162, 112))
        b.add("mountain", (204, 118, 82), "orange", [(x - wide * 0.84, top + 0.03), (x + wide * 0.77, top + 0.03),
              (x + wide * 0.8, top + 0.045), (x - wide * 0.88, top + 0.045)])
    b.add("dune", (240, 196, 130), "orange", b.ridge(0.58, 0.035, 1), bottom_rgb=(228, 172, 100), span=(0.54, 0.75))
    b.add("dune", (230, 176, 102), "orange", b.ridge(0.65, 0.035, 1), bottom_rgb=(218, 158, 84), span=(0.6, 0.82))
    b.add("sand", (242, 200, 128), "orange", b.ridge(0.7, 0.02, 1), bottom_rgb=(216, 158, 86), texture="gradient",
          span=(0.68, 1.0))
    for _ in range(14):
        x, y = b.between(0, 1), b.between(0.76, 0.98)
        wide = 0.03 + 0.1 * (y - 0.7)
        b.add("sand", (210, 152, 84), "orange", arc(x, y, wide, 0.012, 200, 340, 8)
              + arc(x, y - 0.001, wide, 0.007, 340, 200, 8), texture="waves")


def _snow(b: Backdrop) -> None:
    b.sky((150, 190, 226), (236, 243, 250), "blue")
    b.clouds(b.whole(1, 3), 0.1, 0.26, (246, 249, 252), (226, 236, 245))
    for i in range(3):
        x, top, wide = (i + b.between(0.2, 0.8)) / 3, b.between(0.26, 0.4), b.between(0.2, 0.3)
        b.add("mountain", (142, 164, 196), "blue", [(x - wide, 0.64), (x, top), (x + wide, 0.64)],
              bottom_rgb=(184, 202, 224))
        drop = 0.3 * (0.64 - top)
        part = wide * 0.3
        b.add("snow cap", (250, 252, 255), "white",
              [(x, top), (x + part, top + drop), (x + 0.5 * part, top + 0.75 * drop),
               (x + 0.1 * part, top + 1.2 * drop), (x - 0.4 * part, top + 0.8 * drop), (x - part, top + drop)])
    b.add("snow", (222, 233, 245), "white", b.ridge(0.58, 0.03, 1), bottom_rgb=(206, 221, 238), span=(0.55, 0.72))
    for _ in range(b.whole(3, 8)):
        x, y, size = b.between(0.02, 0.98), b.between(0.58, 0.66), b.between(0.022, 0.036)
        for k in range(3):
            tip = y - (4.2 - 1.1 * k) * size
            b.add("conifer", (72, 116, 112), "green", [(x - size * (0.6 + 0.25 * k), tip + 1.7 * size), (x, tip),
                                                       (x + size * (0.6 + 0.25 * k), tip + 1.7 * size)])
        b.add("snow cap", (244, 248, 252), "white", [(x, y - 4.25 * size), (x + 0.32 * size, y - 3.3 * size),
                                                     (x, y - 3.5 * size), (x - 0.32 * size, y - 3.3 * size)])
    b.add("snow", (248, 251, 255), "white", b.ridge(0.68, 0.022, 1), bottom_rgb=(210, 224, 240), texture="gradient",
          span=(0.66, 1.0))
    for _ in range(10):
        x, y = b.between(0, 1), b.between(0.76, 0.97)
        b.add("snow", (224, 234, 246), "white", ellipse(x, y, 0.03 + 0.1 * (y - 0.7), 0.006, 12))
    for _ in range(24):
        x, y, size = b.between(0, 1), b.between(0, 0.66), b.between(0.003, 0.007)
        b.add("snowflake", (255, 255, 255), "white", ellipse(x, y, size, corners=8))


_WALLS: tuple[tuple[RGB, RGB, str], ...] = (
    ((246, 226, 196), (238, 212, 174), "orange"), ((204, 224, 218), (188, 212, 206), "green"),
    ((222, 214, 234), (210, 200, 226), "purple"), ((208, 222, 238), (194, 210, 230), "blue"),
    ((248, 214, 206), (240, 200, 192), "pink"), ((236, 234, 228), (224, 222, 214), "white"),
)


def _indoor(b: Backdrop) -> None:
    wall, wall_dark, name = _WALLS[b.whole(0, len(_WALLS))]
    style = b.whole(0, 3)
    b.add("interior wall", wall, name, box(0, 0, 1, 0.72), texture=("plain", "stripes", "dots")[style],
          material="paper")
    if style == 1:
        stripes = [box(0.03 + 0.1 * i, 0, 0.08 + 0.1 * i, 0.68) for i in range(10)]
        b.add("interior wall", wall_dark, name, *stripes, texture="stripes", material="paper")
    elif style == 2:
        dots = [ellipse(0.05 + 0.1 * i + 0.05 * (j % 2), 0.05 + 0.09 * j, 0.014, corners=12)
                for i in range(10) for j in range(7)]
        b.add("interior wall", wall_dark, name, *dots, texture="dots", material="paper")
    x = (0.08, 0.62)[b.whole(0, 2)] + b.between(-0.03, 0.05)
    b.add("frame", (250, 248, 242), "white", box(x, 0.1, x + 0.3, 0.48))
    b.add("window", (150, 206, 240), "blue", box(x + 0.02, 0.12, x + 0.28, 0.46), bottom_rgb=(220, 240, 250),
          material="glass")
    b.add("frame", (250, 248, 242), "white", box(x + 0.142, 0.12, x + 0.158, 0.46),
          box(x + 0.02, 0.27, x + 0.142, 0.286), box(x + 0.158, 0.27, x + 0.28, 0.286))
    x = x + 0.5 if x < 0.4 else x - 0.45
    y, wide, high = b.between(0.14, 0.22), b.between(0.15, 0.22), b.between(0.14, 0.2)
    b.add("picture", (150, 104, 66), "brown", box(x, y, x + wide, y + high), material="glossy")
    b.add("picture", (120, 190, 214), "blue", box(x + 0.015, y + 0.015, x + wide - 0.015, y + high - 0.015),
          bottom_rgb=(236, 226, 196), material="paper")
    b.add("picture", (110, 166, 112), "green", [(x + 0.015, y + high - 0.015), (x + 0.015, y + 0.7 * high),
          (x + 0.4 * wide, y + 0.45 * high), (x + 0.7 * wide, y + 0.75 * high), (x + wide - 0.015, y + 0.6 * high),
          (x + wide - 0.015, y + high - 0.015)], material="paper")
    b.add("floor", (196, 146, 98), "brown", box(0, 0.68, 1, 1), bottom_rgb=(164, 112, 70), texture="wood")
    centre = b.between(0.3, 0.7)
    boards = []
    for i in range(-9, 10):
        top, bottom = centre + 0.085 * i, centre + 0.15 * i
        boards.append([(top - 0.0018, 0.68), (top + 0.0018, 0.68), (bottom + 0.004, 1.0), (bottom - 0.004, 1.0)])
    b.add("floor", (146, 98, 60), "brown", *boards, texture="wood")
    b.add("floor", (250, 248, 242), "white", box(0, 0.665, 1, 0.695))
    rugs = (((196, 84, 84), (226, 160, 140), "red"), ((84, 120, 172), (170, 192, 220), "blue"),
            ((92, 140, 112), (180, 208, 184), "green"), ((130, 96, 156), (196, 176, 214), "purple"))
    rug, rug_light, name = rugs[b.whole(0, len(rugs))]
    x, y = b.between(0.35, 0.65), 0.87
    b.add("rug", rug, name, ellipse(x, y, 0.42, 0.1), material="cloth")
    b.add("rug", rug_light, name, ellipse(x, y, 0.37, 0.08), ellipse(x, y, 0.34, 0.07), material="cloth")


def _sea(b: Backdrop) -> None:
    b.sky((112, 186, 230), (244, 240, 224), "blue")
    b.sun((255, 232, 150), (246, 240, 208), 0.2, 0.42)
    b.clouds(b.whole(2, 5), 0.1, 0.4)
    if b.whole(0, 2):
        x = b.between(0.1, 0.9)
        b.add("island", (128, 156, 176), "grey", [(x - 0.2, 0.54), (x - 0.1, 0.48), (x - 0.02, 0.45), (x + 0.05, 0.49),
                                                  (x + 0.1, 0.475), (x + 0.2, 0.54)])
    b.add("sea", (60, 150, 196), "blue", box(0, 0.54, 1, 1), bottom_rgb=(44, 132, 186), span=(0.54, 0.62))
    rows = 6
    for row in range(rows):
        depth = row / (rows - 1)
        height = 0.575 + 0.36 * depth * (0.55 + 0.45 * depth)
        wave = 0.05 + 0.09 * depth
        crest = 0.006 + 0.016 * depth
        shift = b.between(0, wave)
        outline: Contour = []
        x = -shift
        while x < 1.02:
            outline += [(x, height), (x + 0.25 * wave, height + 0.75 * crest), (x + 0.5 * wave, height + crest),
                        (x + 0.75 * wave, height + 0.75 * crest)]
            x += wave
        outline.append((x, height))
        tone = tuple(int(a + (z - a) * depth) for a, z in zip((62, 152, 200), (16, 78, 134), strict=True))
        pale = [(px, py - 0.004 - 0.004 * depth) for px, py in outline]
        b.add("foam", tuple(min(255, c + 58) for c in tone), "blue", pale + [(x, 1.0), (-shift, 1.0)])
        b.add("sea", tone, "blue", outline + [(x, 1.0), (-shift, 1.0)], bottom_rgb=tuple(int(c * 0.9) for c in tone),
              texture="waves", span=(height, height + 0.12))


def _forest(b: Backdrop) -> None:
    b.sky((188, 222, 206), (238, 246, 222), "green")
    for row, (rgb, wide, low, high) in enumerate((((164, 202, 178), 0.02, 0.0, 0.2), ((122, 172, 142), 0.028, 0.0, 0.2),
                                                  ((80, 136, 106), 0.04, 0.0, 0.16))):
        base = 0.56 + 0.05 * row
        count = 7 - row
        for i in range(count):
            x = (i + b.between(0.1, 0.9)) / count
            b.add("forest trunk", tuple(int(c * 0.84) for c in rgb), "green" if row < 2 else "brown",
                  [(x - wide * 0.5, -0.01), (x + wide * 0.5, -0.01), (x + wide * 0.6, base), (x - wide * 0.6, base)])
        for i in range(count + 2):
            x, y = (i + b.between(-0.3, 0.3)) / (count + 1), b.between(low, high) - 0.02 * row
            b.add("leaf", rgb, "green", ellipse(x, y, b.between(0.1, 0.16), b.between(0.06, 0.1), 24))
        b.add("grass", rgb, "green", b.ridge(base, 0.018, 2), bottom_rgb=tuple(int(c * 0.92) for c in rgb),
              span=(base - 0.03, base + 0.1))
    b.add("forest floor", (104, 148, 84), "green", b.ridge(0.7, 0.02, 1), bottom_rgb=(58, 96, 56), texture="gradient",
          span=(0.68, 1.0))
    b.tufts(12, 0.74, 0.98, (60, 106, 58), part="grass")
    for _ in range(b.whole(4, 10)):
        x, y = b.between(0, 1), b.between(0.76, 0.98)
        size = 0.006 + 0.012 * (y - 0.7) / 0.3
        b.add("leaf", (206, 140, 66), "orange", [(x - size, y), (x, y - 0.5 * size), (x + size, y),
                                                 (x, y + 0.5 * size)])


_SCENERIES: dict[str, Callable[[Backdrop], None]] = {
    "meadow": _meadow, "beach": _beach, "night city": _night_city, "desert": _desert, "snow": _snow,
    "indoor": _indoor, "sea": _sea, "forest": _forest,
}


@dataclass(frozen=True, eq=False)
class Scenery:
    """A compiled scenery; the first polygon spans the whole width of the picture.

    Per polygon: ``first`` entry, gradient ``steps`` and where they run (``top``, ``height``, fractions of the
    picture). Per entry of the colour table: ``rgb`` (0 to 255) and ``codes`` (part, texture, colour, material).
    """

    edges: Edges
    first: np.ndarray
    steps: np.ndarray
    top: np.ndarray
    height: np.ndarray
    rgb: np.ndarray
    codes: np.ndarray

    def full_rows(self, grid: int) -> int:
        """How many rows of a raster the first polygon covers."""
        bottom = float(self.edges.points[1, self.edges.owner == 0].max())
        return min(grid, math.ceil(bottom * grid - 0.5))


@lru_cache(maxsize=len(SCENES) * LAYOUTS)
def scenery(name: str, layout: int) -> Scenery:
    """The compiled scenery of a scene in one of its layouts."""
    backdrop = Backdrop(np.random.Generator(np.random.PCG64([SCENES.index(name), layout])))
    _SCENERIES[name](backdrop)
    first, steps, top, height, rgb, codes = [], [], [], [], [], []
    for part, top_rgb, bottom_rgb, colour, texture, material, span, _ in backdrop.layers:
        count = GRADIENT_STEPS if top_rgb != bottom_rgb else 1
        first.append(len(rgb))
        steps.append(count)
        top.append(span[0])
        height.append(span[1] - span[0])
        for i in range(count):
            share = i / (count - 1) if count > 1 else 0.0
            rgb.append([int(a + (z - a) * share + 0.5) for a, z in zip(top_rgb, bottom_rgb, strict=True)])
            codes.append((PARTS.index(part), TEXTURES.index(texture), code(colour), MATERIALS.index(material)))
    edges = compile_edges([layer[-1] for layer in backdrop.layers])
    # All 2,048 sceneries are kept once drawn, 40 MB together: hence the small number formats.
    edges = dataclasses.replace(edges, points=edges.points.astype(np.float32), owner=edges.owner.astype(np.int16))
    return Scenery(edges, np.array(first, dtype=np.int32), np.array(steps, dtype=np.int32), np.array(top),
                   np.array(height), np.array(rgb, dtype=np.uint8), np.array(codes, dtype=np.uint8))
