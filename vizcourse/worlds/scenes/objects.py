"""The drawings: every object as a list of parts, each a few outlines in a square from -1 to 1 (x right, y down).

An object is drawn facing right. Its paint is ``main`` (the object's colour, with its texture and material), a plain
shade of it (``main dark``, ``main light``), the same of the accent colour, or one of the fixed paints below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np

from .colours import code, darker, lighter, rgb_of
from .geometry import Contour, Edges, arc, blob, box, compile_edges, cosine, ellipse, line, moved, sine, turned
from .vocabulary import DISTRACTORS, FORM, MATERIALS, PARTS, VARIANTS

# paint: (red, green, blue), name of the colour, material
FIXED_PAINTS: dict[str, tuple[tuple[int, int, int], str, str]] = {
    "rubber": ((46, 48, 56), "black", "matte"),
    "ink": ((36, 36, 44), "black", "glossy"),
    "iron": ((86, 92, 102), "grey", "metal"),
    "chrome": ((198, 204, 212), "grey", "metal"),
    "steel": ((146, 154, 166), "grey", "metal"),
    "pane": ((172, 216, 240), "blue", "glass"),
    "pane light": ((214, 238, 250), "blue", "glass"),
    "lamp glass": ((255, 226, 120), "yellow", "glass"),
    "red glass": ((226, 58, 52), "red", "glass"),
    "enamel": ((250, 250, 246), "white", "glossy"),
    "cream": ((246, 232, 206), "white", "matte"),
    "cream shade": ((224, 204, 170), "white", "matte"),
    "bark": ((122, 82, 52), "brown", "matte"),
    "bark dark": ((98, 64, 42), "brown", "matte"),
    "timber": ((186, 132, 80), "brown", "matte"),
    "timber dark": ((148, 100, 60), "brown", "matte"),
    "leaf": ((88, 158, 70), "green", "matte"),
    "leaf dark": ((62, 128, 58), "green", "matte"),
    "leaf light": ((128, 188, 92), "green", "matte"),
    "horn": ((250, 180, 50), "orange", "matte"),
    "horn dark": ((220, 146, 36), "orange", "matte"),
    "skin": ((246, 164, 168), "pink", "matte"),
    "terracotta": ((200, 104, 66), "orange", "matte"),
    "terracotta dark": ((172, 84, 54), "orange", "matte"),
    "fire": ((250, 126, 36), "orange", "glossy"),
    "fire light": ((255, 216, 92), "yellow", "glossy"),
    "cloth white": ((248, 246, 240), "white", "cloth"),
    "brick": ((168, 84, 68), "brown", "matte"),
    "stone": ((150, 152, 158), "grey", "matte"),
    "stone dark": ((122, 124, 132), "grey", "matte"),
    "stone light": ((178, 180, 186), "grey", "matte"),
    "board": ((250, 246, 232), "white", "paper"),
}

MAIN_PAINTS = ("main", "main dark", "main light")
ACCENT_PAINTS = ("accent", "accent dark", "accent light")
PAINTS: tuple[str, ...] = MAIN_PAINTS + ACCENT_PAINTS + tuple(FIXED_PAINTS)

# Texture steps times light steps: how many entries of the colour table a textured polygon owns.
TEXTURE_STEPS = 8
LIGHT_STEPS = 16
SURFACE_STEPS = TEXTURE_STEPS * LIGHT_STEPS


@dataclass
class Sketch:
    """A drawing in the making."""

    parts: list[str] = field(default_factory=list)
    paints: list[str] = field(default_factory=list)
    outlines: list[tuple[Contour, ...]] = field(default_factory=list)

    def add(self, part: str, paint: str, *contours: Contour) -> None:
        """Draw ``contours`` over everything drawn before; where two of them overlap is a hole."""
        self.parts.append(part)
        self.paints.append(paint)
        self.outlines.append(contours)

    def wheel(self, x: float, y: float, radius: float) -> None:
        """A car's wheel: tyre, rim and hub cap."""
        self.add("wheel", "rubber", ellipse(x, y, radius))
        self.add("hub", "chrome", ellipse(x, y, radius * 0.56, corners=24))
        self.add("hub", "iron", ellipse(x, y, radius * 0.2, corners=12))

    def window(self, left: float, top: float, right: float, bottom: float, radius: float = 0.03) -> None:
        """A pane with a slanting reflection."""
        self.add("window", "pane", box(left, top, right, bottom, radius))
        width, middle = right - left, (left + right) / 2
        self.add("window", "pane light", [(middle - 0.1 * width, top + 0.02), (middle + 0.22 * width, top + 0.02),
                                          (middle - 0.05 * width, bottom - 0.02),
                                          (middle - 0.37 * width, bottom - 0.02)])


@dataclass(frozen=True, eq=False)
class Template:
    """A compiled drawing. ``first``: first colour-table entry of each polygon; ``part`` and ``paint``: per entry;
    ``surfaces``: how many polygons are textured (they own the first ``surfaces * SURFACE_STEPS`` entries);
    ``base``: the lowest y of the drawing, where the shadow lies."""

    edges: Edges
    first: np.ndarray
    part: np.ndarray
    paint: np.ndarray
    surfaces: int
    base: float


def compile_sketch(sketch: Sketch, textured: bool) -> Template:
    """Compile a drawing; a ``textured`` one lets the texture and material show on its ``main`` polygons."""
    surface = [index for index, paint in enumerate(sketch.paints) if textured and paint == "main"]
    flat = [index for index in range(len(sketch.paints)) if index not in surface]
    first = np.zeros(len(sketch.paints), dtype=np.int32)
    first[surface] = np.arange(len(surface)) * SURFACE_STEPS
    first[flat] = len(surface) * SURFACE_STEPS + np.arange(len(flat))
    order = np.array([index for index in surface for _ in range(SURFACE_STEPS)] + flat, dtype=np.int64)
    part = np.array([PARTS.index(name) for name in sketch.parts], dtype=np.uint8)[order]
    paint = np.array([PAINTS.index(name) for name in sketch.paints], dtype=np.int64)[order]
    edges = compile_edges(sketch.outlines)
    return Template(edges, first, part, paint, len(surface), float(edges.points[1].max()))


# ---------------------------------------------------------------- vehicles

def _car(s: Sketch, variant: int) -> None:
    roof_left, roof_right = ((-0.42, 0.22), (-0.62, 0.18), (-0.3, 0.26))[variant]
    top = (-0.46, -0.44, -0.36)[variant]
    s.add("roof", "main", blob([(-0.8 + 0.1 * (variant == 0), 0.04), (roof_left - 0.06, top + 0.08),
                                (roof_left + 0.1, top), (roof_right - 0.08, top), (roof_right + 0.1, top + 0.08),
                                (0.62, 0.06), (0, 0.12)]))
    glass_top = top + 0.1
    s.add("window", "pane", [(roof_left - 0.14, 0.02), (roof_left + 0.03, glass_top), (-0.1, glass_top), (-0.1, 0.02)])
    s.add("window", "pane", [(-0.02, 0.02), (-0.02, glass_top), (roof_right, glass_top), (roof_right + 0.22, 0.02)])
    s.add("window", "pane light", [(0.06, 0.02), (0.16, glass_top), (0.24, glass_top), (0.14, 0.02)])
    s.add("body", "main", blob([(-0.98, 0.12), (-0.9, -0.02), (-0.5, -0.01), (0, 0.0), (0.5, 0.01), (0.86, 0.1),
                                (0.98, 0.22), (0.97, 0.44), (0.8, 0.48), (0, 0.48), (-0.8, 0.48), (-0.98, 0.42)]))
    s.add("stripe", "accent", box(-0.96, 0.25, 0.96, 0.31))
    s.add("door", "main dark", box(-0.12, 0.04, 0.36, 0.42, 0.05), box(-0.1, 0.06, 0.34, 0.40, 0.04))
    s.add("handle", "chrome", box(-0.06, 0.13, 0.05, 0.17, 0.015))
    s.add("headlight", "lamp glass", ellipse(0.9, 0.2, 0.06, 0.075, 18))
    s.add("tail light", "red glass", box(-0.99, 0.12, -0.9, 0.22, 0.03))
    s.add("bumper", "steel", box(0.78, 0.4, 1.0, 0.49, 0.04))
    s.add("bumper", "steel", box(-1.0, 0.4, -0.78, 0.49, 0.04))
    s.wheel(-0.56, 0.48, 0.25)
    s.wheel(0.56, 0.48, 0.25)


def _bus(s: Sketch, variant: int) -> None:
    s.add("roof", "main", box(-0.98, -0.66, 0.96, -0.3, 0.14))
    s.add("body", "main", box(-1.0, -0.5, 1.0, 0.5, 0.1))
    s.add("stripe", "accent", box(-1.0, 0.14, 1.0, 0.24))
    count = 3 + variant
    width = 1.36 / count
    for i in range(count):
        s.window(-0.92 + i * width, -0.4, -0.92 + (i + 0.84) * width, 0.02)
    s.add("door", "main dark", box(0.46, -0.42, 0.72, 0.44, 0.03))
    s.add("door", "pane", box(0.49, -0.38, 0.58, 0.4, 0.02))
    s.add("door", "pane", box(0.6, -0.38, 0.69, 0.4, 0.02))
    s.window(0.78, -0.4, 0.99, 0.08, 0.04)
    s.add("headlight", "lamp glass", ellipse(0.92, 0.32, 0.06, 0.06, 18))
    s.add("tail light", "red glass", box(-1.0, 0.28, -0.93, 0.4, 0.02))
    s.add("bumper", "iron", box(0.8, 0.42, 1.0, 0.52, 0.04))
    s.add("bumper", "iron", box(-1.0, 0.42, -0.84, 0.52, 0.04))
    s.wheel(-0.56, 0.5, 0.22)
    s.wheel(0.3 if variant else 0.24, 0.5, 0.22)


def _truck(s: Sketch, variant: int) -> None:
    s.add("body", "main", box(-1.0, -0.46, 0.32, 0.34, 0.05))
    s.add("stripe", "accent", box(-1.0, 0.0, 0.32, 0.1))
    for i in range(1, 3 + variant):
        x = -1.0 + 1.32 * i / (3 + variant)
        s.add("body", "main dark", box(x - 0.012, -0.4, x + 0.012, 0.3))
    s.add("frame", "iron", box(-1.0, 0.34, 0.96, 0.46))
    s.add("cabin", "main", blob([(0.36, 0.44), (0.36, -0.3), (0.46, -0.36), (0.76, -0.34), (0.9, 0.02), (0.98, 0.12),
                                 (0.98, 0.4), (0.7, 0.46)], 4))
    s.add("window", "pane", [(0.58, -0.26), (0.74, -0.25), (0.85, 0.03), (0.58, 0.03)])
    s.add("window", "pane light", [(0.64, -0.26), (0.7, -0.255), (0.74, 0.03), (0.67, 0.03)])
    s.add("door", "main dark", box(0.42, -0.28, 0.68, 0.36, 0.04), box(0.435, -0.265, 0.665, 0.345, 0.03))
    s.add("handle", "chrome", box(0.45, 0.1, 0.54, 0.135, 0.01))
    s.add("headlight", "lamp glass", ellipse(0.93, 0.24, 0.05, 0.07, 18))
    s.add("bumper", "chrome", box(0.8, 0.37, 1.0, 0.47, 0.03))
    s.add("lamp", "lamp glass", box(0.46, -0.45, 0.64, -0.35, 0.04))
    s.add("ladder", "chrome", box(-0.92, -0.62, 0.3, -0.585), box(-0.92, -0.52, 0.3, -0.485))
    for i in range(7):
        x = -0.86 + i * 0.18
        s.add("ladder", "chrome", box(x, -0.6, x + 0.035, -0.5))
    s.wheel(-0.66, 0.46, 0.2)
    if variant != 1:
        s.wheel(-0.2, 0.46, 0.2)
    s.wheel(0.64, 0.46, 0.2)


def _bicycle(s: Sketch, variant: int) -> None:
    for x in (-0.58, 0.58):
        s.add("wheel", "rubber", ellipse(x, 0.32, 0.4), ellipse(x, 0.32, 0.33))
        for degrees in range(15, 180, 30):
            dx, dy = 0.34 * cosine(degrees), 0.34 * sine(degrees)
            s.add("spoke", "chrome", line(x - dx, 0.32 - dy, x + dx, 0.32 + dy, 0.018))
        s.add("hub", "iron", ellipse(x, 0.32, 0.06, corners=18))
    wide = 0.1
    seat_y, bar_y = -0.36, -0.5
    if variant != 2:
        s.add("frame", "main", line(-0.24, -0.14, 0.4, -0.2, wide))
    else:
        s.add("frame", "main", line(-0.16, 0.1, 0.42, -0.12, wide))
    for x0, y0, x1, y1 in ((-0.58, 0.32, -0.24, -0.18), (-0.58, 0.32, -0.04, 0.34), (-0.04, 0.34, -0.3, seat_y),
                           (-0.04, 0.34, 0.42, -0.14), (0.58, 0.32, 0.36, bar_y + 0.06)):
        s.add("frame", "main", line(x0, y0, x1, y1, wide))
    s.add("saddle", "ink", blob([(-0.5, -0.42), (-0.36, -0.46), (-0.12, -0.4), (-0.14, -0.36), (-0.32, -0.34)]))
    s.add("handlebar", "chrome", line(0.36, bar_y, 0.56, bar_y - 0.06 - 0.06 * (variant == 1), 0.06))
    s.add("handlebar", "ink", line(0.46, bar_y - 0.06, 0.66, bar_y - 0.02, 0.085))
    s.add("headlight", "lamp glass", ellipse(0.5, -0.28, 0.075, 0.065, 18))
    s.add("pedal", "steel", ellipse(-0.04, 0.34, 0.13, corners=24), ellipse(-0.04, 0.34, 0.075, corners=24))
    s.add("pedal", "ink", line(-0.04, 0.34, 0.07, 0.53, 0.04))
    s.add("pedal", "ink", box(0.0, 0.52, 0.16, 0.57))


def _sailing_boat(s: Sketch, variant: int) -> None:
    s.add("mast", "timber dark", box(-0.08, -0.98, -0.02, 0.5))
    s.add("flag", "accent", [(-0.05, -0.98), (-0.34, -0.9), (-0.05, -0.82)])
    tip = (-0.78, -0.76, -0.8)[variant]
    s.add("sail", "main", blob([(0.0, tip), (0.26, -0.42), (0.62, 0.12), (0.84, 0.4), (0.4, 0.42), (0.0, 0.42)], 6)
          if variant == 1 else [(0.0, tip)] + arc(0.0, 0.4, 0.86, 1.18, -84, -1, 10) + [(0.0, 0.4)])
    s.add("sail", "main dark" if variant == 2 else "main", [(-0.12, tip + 0.12)]
          + arc(-0.12, 0.4, -0.62, 0.98, -80, -1, 8) + [(-0.12, 0.4)])
    s.add("mast", "timber dark", box(-0.74, 0.41, 0.86, 0.46))
    s.add("hull", "accent", blob([(-0.96, 0.5), (-0.5, 0.53), (0.4, 0.53), (0.99, 0.48), (0.78, 0.78), (0.56, 0.92),
                                  (-0.6, 0.92), (-0.8, 0.8)], 6))
    s.add("stripe", "enamel", [(-0.93, 0.6), (0.92, 0.6), (0.88, 0.66), (-0.9, 0.66)])
    if variant:
        for x in (-0.46, -0.1, 0.26):
            s.add("window", "pane", ellipse(x, 0.76, 0.06, corners=18))


def _rocket(s: Sketch, variant: int) -> None:
    s.add("flame", "fire", blob([(-0.2, 0.6), (-0.22, 0.76), (0, 1.0), (0.22, 0.76), (0.2, 0.6)]))
    s.add("flame", "fire light", blob([(-0.11, 0.6), (-0.11, 0.72), (0, 0.86), (0.11, 0.72), (0.11, 0.6)]))
    for side in (-1, 1):
        s.add("fin", "accent", blob([(side * 0.2, 0.14), (side * 0.48, 0.4), (side * (0.5 + 0.06 * variant), 0.74),
                                     (side * 0.34, 0.62), (side * 0.18, 0.58)]))
    s.add("body", "main", blob([(0, -0.94), (0.18, -0.66), (0.3, -0.24), (0.32, 0.16), (0.22, 0.6), (0, 0.62),
                                (-0.22, 0.6), (-0.32, 0.16), (-0.3, -0.24), (-0.18, -0.66)]))
    s.add("nose cone", "accent", blob([(0, -0.95), (0.12, -0.76), (0.215, -0.54), (0, -0.5), (-0.215, -0.54),
                                       (-0.12, -0.76)], 6))
    for y, radius in (((-0.2, 0.17),), ((-0.26, 0.14), (0.12, 0.14)), ((-0.22, 0.15), (0.16, 0.1)))[variant]:
        s.add("frame", "chrome", ellipse(0, y, radius))
        s.add("window", "pane", ellipse(0, y, radius * 0.72, corners=24))
        s.add("window", "pane light", ellipse(-radius * 0.22, y - radius * 0.22, radius * 0.26, corners=12))
    s.add("stripe", "accent dark", box(-0.27, 0.4, 0.27, 0.47))
    s.add("fin", "accent dark", blob([(-0.05, 0.36), (0.05, 0.36), (0.06, 0.78), (0, 0.82), (-0.06, 0.78)], 3))


# ---------------------------------------------------------------- buildings

def _house(s: Sketch, variant: int) -> None:
    s.add("chimney", "brick", box(0.36, -0.82, 0.56, -0.3))
    s.add("chimney", "stone", box(0.33, -0.86, 0.59, -0.78))
    s.add("wall", "main", box(-0.76, -0.2, 0.76, 0.86))
    s.add("roof", "accent", [(-0.94, -0.16), (-0.62, -0.7), (0.62, -0.7), (0.94, -0.16)] if variant == 1 else
          [(-0.96, -0.14), (0, -0.9), (0.96, -0.14)])
    s.add("roof", "accent dark", [(-0.96, -0.16), (0.96, -0.16), (0.9, -0.08), (-0.9, -0.08)])
    if variant == 2:
        s.add("window", "enamel", ellipse(0, -0.44, 0.16, corners=24))
        s.add("window", "pane", ellipse(0, -0.44, 0.115, corners=24))
    door = (-0.14, 0.34, -0.5)[variant]
    s.add("door", "timber dark", box(door - 0.03, 0.24, door + 0.33, 0.86, 0.04))
    s.add("door", "timber", box(door, 0.27, door + 0.3, 0.86, 0.03))
    s.add("handle", "chrome", ellipse(door + 0.24, 0.58, 0.03, corners=12))
    for x in ((-0.62, 0.32), (-0.62, -0.16), (0.02, 0.42))[variant]:
        s.add("window", "enamel", box(x - 0.03, 0.1, x + 0.31, 0.48))
        s.window(x, 0.13, x + 0.28, 0.45, 0)
        s.add("window", "enamel", box(x + 0.125, 0.13, x + 0.155, 0.45), box(x, 0.275, x + 0.125, 0.305),
              box(x + 0.155, 0.275, x + 0.28, 0.305))


def _church(s: Sketch, variant: int) -> None:
    s.add("wall", "main", box(-0.3, 0.08, 0.86, 0.9))
    s.add("roof", "accent", [(-0.34, 0.14), (-0.16, -0.3), (0.72, -0.3), (0.94, 0.14)])
    s.add("tower", "main", box(-0.78, -0.34, -0.18, 0.9))
    s.add("tower", "main dark", box(-0.82, -0.38, -0.14, -0.3))
    height = (-0.86, -0.8, -0.84)[variant]
    s.add("spire", "accent dark", [(-0.84, -0.36), (-0.48, height), (-0.12, -0.36)])
    s.add("cross", "lamp glass", box(-0.5, height - 0.14, -0.46, height + 0.03), box(-0.55, height - 0.1, -0.5,
          height - 0.06), box(-0.46, height - 0.1, -0.41, height - 0.06))
    s.add("frame", "main dark", arc(-0.48, -0.1, 0.17, 0.17, 180, 360) + [(-0.31, 0.1), (-0.65, 0.1)])
    s.add("bell", "lamp glass", arc(-0.48, -0.04, 0.07, 0.1, 180, 360, 8) + [(-0.38, 0.06), (-0.58, 0.06)])
    s.add("door", "timber dark", arc(-0.48, 0.52, 0.2, 0.2, 180, 360) + [(-0.28, 0.9), (-0.68, 0.9)])
    s.add("door", "timber", arc(-0.48, 0.52, 0.16, 0.16, 180, 360) + [(-0.32, 0.9), (-0.64, 0.9)])
    s.add("handle", "chrome", ellipse(-0.37, 0.68, 0.028, corners=12))
    count = 2 + (variant > 0)
    for i in range(count):
        x = -0.06 + 0.84 / count * (i + 0.5)
        s.add("window", "enamel", arc(x, 0.4, 0.115, 0.115, 180, 360) + [(x + 0.115, 0.7), (x - 0.115, 0.7)])
        s.add("window", "pane", arc(x, 0.4, 0.085, 0.085, 180, 360) + [(x + 0.085, 0.67), (x - 0.085, 0.67)])
        s.add("window", "enamel", box(x - 0.012, 0.33, x + 0.012, 0.67))


# ---------------------------------------------------------------- plants and fruit

def _leaf(x: float, y: float, length: float, width: float, degrees: int) -> Contour:
    return turned(moved(blob([(0, 0), (0.35 * length, -width), (length, -0.1 * width), (0.45 * length, width)]),
                        x, y), degrees, x, y)


def _tree(s: Sketch, variant: int) -> None:
    s.add("trunk", "bark", [(-0.12, 0.98), (-0.09, 0.1), (0.09, 0.1), (0.12, 0.98)])
    s.add("trunk", "bark dark", [(0.03, 0.98), (0.03, 0.1), (0.09, 0.1), (0.12, 0.98)])
    if variant == 1:
        for top, bottom, wide in ((-0.1, 0.6, 0.66), (-0.55, 0.2, 0.54), (-0.98, -0.2, 0.4)):
            s.add("crown", "main", [(0, top), (wide, bottom), (wide * 0.5, bottom + 0.06), (0, bottom),
                                    (-wide * 0.5, bottom + 0.06), (-wide, bottom)])
            s.add("crown", "main dark", [(-wide, bottom), (0, bottom), (wide, bottom), (wide * 0.5, bottom + 0.06),
                                         (0, bottom + 0.01), (-wide * 0.5, bottom + 0.06)])
        return
    s.add("trunk", "bark dark", line(0, 0.46, 0.34, 0.06, 0.09, 0.05))
    s.add("trunk", "bark", line(-0.02, 0.56, -0.34, 0.12, 0.09, 0.05))
    if variant == 0:
        circles = ((-0.42, -0.08, 0.4), (0.42, -0.1, 0.4), (0, -0.56, 0.42), (-0.26, -0.38, 0.4), (0.28, -0.4, 0.4),
                   (0, -0.1, 0.42))
    else:
        circles = ((0, -0.3, 0.66), (-0.36, 0.02, 0.34), (0.38, 0.0, 0.34))
    for x, y, radius in circles:
        s.add("crown", "main", ellipse(x, y, radius))
    for x, y, radius in ((0.3, -0.02, 0.12), (-0.3, 0.06, 0.1), (0.1, -0.5, 0.12), (-0.34, -0.42, 0.09)):
        s.add("crown", "main dark", arc(x, y, radius, radius * 0.8, 10, 170, 8)
              + arc(x, y, radius, radius * 0.35, 170, 10, 8))


def _cactus(s: Sketch, variant: int) -> None:
    arms = (((-1, 0.1, -0.28), (1, -0.06, -0.46)), ((1, 0.14, -0.3),), ((-1, -0.04, -0.46), (1, 0.16, -0.2)))[variant]
    for side, y, top in arms:
        outer, inner = 0.58, 0.36
        s.add("arm", "main", [(0, y - 0.1), (side * inner, y - 0.1), (side * inner, top)]
              + arc(side * 0.47, top, side * 0.11, 0.11, 180, 360, 8)
              + [(side * outer, y + 0.02), (side * (outer - 0.1), y + 0.12), (0, y + 0.12)])
    s.add("stem", "main", box(-0.25, -0.84, 0.25, 0.6, 0.24))
    for x in (-0.1, 0.1):
        s.add("stem", "main dark", box(x - 0.014, -0.68, x + 0.014, 0.56))
    for i in range(5):
        y = -0.62 + i * 0.22
        for x in (-0.2, 0.0, 0.2):
            s.add("spine", "cream", line(x - 0.035, y - 0.03, x + 0.035, y + 0.03, 0.02),
                  line(x - 0.035, y + 0.06, x + 0.035, y, 0.02))
    if variant != 1:
        for degrees in (-40, 0, 40):
            s.add("petal", "accent", turned(ellipse(0, -0.9, 0.06, 0.1, 18), degrees, 0, -0.8))
    s.add("pot", "terracotta", [(-0.42, 0.5), (0.42, 0.5), (0.32, 0.96), (-0.32, 0.96)])
    s.add("pot", "terracotta dark", box(-0.47, 0.44, 0.47, 0.58, 0.03))


def _flower(s: Sketch, variant: int) -> None:
    s.add("stem", "leaf dark", line(0.0, -0.1, 0.02, 0.98, 0.09))
    s.add("leaf", "leaf", _leaf(0.02, 0.82, 0.56, 0.15, -38))
    s.add("leaf", "leaf light", _leaf(0.0, 0.94, 0.52, 0.13, 222))
    count = (5, 6, 8)[variant]
    wide = (0.32, 0.25, 0.185)[variant]
    for ring, paint in ((0, "main dark"), (1, "main")) if variant != 1 else ((1, "main"),):
        for i in range(count):
            degrees = int(360 * (i + 0.5 * (1 - ring)) / count)
            petal = ellipse(0, -0.34 - 0.36, wide * (1 - 0.1 * ring), 0.28, 24)
            s.add("petal", paint, turned(petal, degrees, 0, -0.34))
    s.add("flower centre", "accent dark", ellipse(0, -0.34, 0.21, corners=24))
    s.add("flower centre", "accent", ellipse(0, -0.355, 0.165, corners=24))


def _apple(s: Sketch, variant: int) -> None:
    s.add("stem", "bark", line(0.0, -0.5, 0.08 - 0.14 * (variant == 1), -0.92, 0.07, 0.1))
    if variant != 2:
        s.add("leaf", "leaf dark", _leaf(0.03, -0.62, 0.5, 0.15, -28))
    s.add("fruit", "main", blob([(0, -0.5), (0.34, -0.64), (0.7, -0.48), (0.84, -0.05), (0.7, 0.5), (0.36, 0.84),
                                 (0, 0.76), (-0.36, 0.84), (-0.7, 0.5), (-0.84, -0.05), (-0.7, -0.48),
                                 (-0.34, -0.64)], 6))
    s.add("fruit", "main dark", arc(0, -0.55, 0.2, 0.1, 0, 180, 8) + arc(0, -0.55, 0.2, 0.02, 180, 0, 8))
    if variant == 0:
        s.add("leaf", "leaf", _leaf(0.0, -0.64, 0.42, 0.12, 208))


def _citrus(s: Sketch, variant: int) -> None:
    s.add("stem", "bark", line(-0.02, -0.42, -0.06, -0.74, 0.08))
    s.add("leaf", "leaf dark", _leaf(-0.04, -0.62, 0.56, 0.17, -18))
    if variant == 1:
        s.add("leaf", "leaf", _leaf(-0.06, -0.6, 0.46, 0.14, 200))
    s.add("fruit", "main", blob([(-0.99, 0.1), (-0.8, 0.0), (-0.55, -0.36), (0, -0.54), (0.55, -0.36), (0.8, 0.0),
                                 (0.99, 0.1), (0.8, 0.2), (0.55, 0.56), (0, 0.74), (-0.55, 0.56), (-0.8, 0.2)], 6))
    s.add("fruit", "main dark", blob([(0.97, 0.1), (0.82, 0.03), (0.82, 0.17)], 4))
    if variant == 2:
        for x, y in ((-0.3, 0.3), (-0.05, 0.45), (0.25, 0.28), (0.05, 0.18), (0.4, 0.0), (-0.42, 0.02)):
            s.add("spot", "main dark", ellipse(x, y, 0.03, corners=12))


def _mushroom(s: Sketch, variant: int) -> None:
    s.add("stem", "cream", blob([(-0.2, 0.0), (0.2, 0.0), (0.22, 0.5), (0.34, 0.86), (0.2, 0.96), (-0.2, 0.96),
                                 (-0.34, 0.86), (-0.22, 0.5)]))
    s.add("stem", "cream shade", blob([(0.08, 0.0), (0.2, 0.0), (0.22, 0.5), (0.34, 0.86), (0.2, 0.96), (0.1, 0.9),
                                       (0.1, 0.5)]))
    s.add("gill", "cream shade", ellipse(0, 0.04, 0.66, 0.16))
    top = (-0.86, -0.72, -0.94)[variant]
    s.add("cap", "main", arc(0, 0.0, 0.92, top, 0, 180, 24) + arc(0, 0.0, 0.92, 0.12, 180, 0, 12))
    if variant != 1:
        for x, y, radius in ((-0.5, -0.26, 0.12), (0.02, -0.56, 0.15), (0.5, -0.2, 0.13), (-0.1, -0.16, 0.1),
                             (0.3, -0.5, 0.07), (-0.36, -0.52, 0.07)):
            s.add("spot", "cream", ellipse(x, y, radius, radius * 0.82, 24))
    s.add("stem", "cream shade", arc(0, 0.3, 0.24, 0.1, 0, 180, 8) + arc(0, 0.3, 0.24, 0.02, 180, 0, 8))


# ---------------------------------------------------------------- animals

def _eye(s: Sketch, x: float, y: float, size: float, iris: str = "enamel", slit: bool = False) -> None:
    s.add("eye", iris, ellipse(x, y, size, size, 24))
    s.add("pupil", "ink", ellipse(x + 0.15 * size, y, size * (0.34 if slit else 0.58), size * (0.82 if slit else 0.58),
                                  18))
    s.add("eye", "enamel", ellipse(x + 0.32 * size, y - 0.3 * size, size * 0.2, corners=12))


def _fish(s: Sketch, variant: int) -> None:
    tail = (0.42, 0.52, 0.36)[variant]
    s.add("tail", "main dark", blob([(-0.48, 0.0), (-0.78, -tail), (-1.0, -tail - 0.04), (-0.86, 0.0),
                                     (-1.0, tail + 0.04), (-0.78, tail)], 6))
    s.add("fin", "main dark", blob([(-0.34, -0.3), (-0.2, -0.66 - 0.08 * variant), (0.2, -0.62), (0.36, -0.34),
                                    (0, -0.28)]))
    s.add("fin", "main dark", blob([(-0.2, 0.3), (-0.22, 0.64), (0.02, 0.6), (0.16, 0.36)]))
    s.add("body", "main", blob([(-0.6, 0.0), (-0.34, -0.34), (0.14, -0.48), (0.6, -0.36), (0.92, -0.02), (0.6, 0.36),
                                (0.14, 0.48), (-0.34, 0.34)], 6))
    if variant == 1:
        for x in (-0.24, 0.06):
            s.add("stripe", "accent", blob([(x, -0.4), (x + 0.12, -0.41), (x + 0.17, 0), (x + 0.12, 0.41), (x, 0.4),
                                            (x + 0.05, 0)]))
    s.add("gill", "main dark", arc(0.3, 0.0, 0.13, 0.3, -70, 70, 10) + arc(0.28, 0.0, 0.09, 0.28, 70, -70, 10))
    s.add("fin", "main light", blob([(0.14, 0.06), (-0.2, 0.02), (-0.24, 0.22), (0.04, 0.2)]))
    _eye(s, 0.58, -0.1, 0.12)
    s.add("mouth", "main dark", blob([(0.93, 0.0), (0.78, 0.06), (0.74, 0.1), (0.82, 0.11)], 4))


def _bird(s: Sketch, variant: int) -> None:
    s.add("tail", "main dark", [(-0.5, 0.2), (-0.98, 0.3 - 0.1 * variant), (-0.94, 0.5 - 0.1 * variant), (-0.4, 0.46)])
    for x in (-0.06, 0.16):
        s.add("leg", "horn dark", line(x, 0.6, x + 0.02, 0.92, 0.05))
        s.add("leg", "horn dark", line(x - 0.08, 0.94, x + 0.16, 0.94, 0.05))
    s.add("beak", "horn", [(0.66, -0.5), (0.99, -0.36), (0.66, -0.28)])
    s.add("beak", "horn dark", [(0.66, -0.38), (0.99, -0.36), (0.66, -0.28)])
    if variant != 1:
        s.add("crown", "main dark", blob([(0.14, -0.66), (0.1, -0.98), (0.34, -0.84), (0.52, -0.68)], 5))
    s.add("body", "main", blob([(-0.66, 0.2), (-0.34, -0.12), (0.02, -0.3), (0.06, -0.6), (0.36, -0.8), (0.68, -0.66),
                                (0.74, -0.36), (0.62, 0.1), (0.4, 0.5), (0.04, 0.68), (-0.4, 0.5)], 6))
    s.add("body", "main light", blob([(0.62, -0.14), (0.56, 0.2), (0.34, 0.5), (0.08, 0.6), (0.22, 0.26),
                                      (0.4, -0.06)]))
    s.add("wing", "main dark", blob([(0.16, -0.06), (-0.1, -0.14), (-0.5, 0.1), (-0.82, 0.36), (-0.36, 0.42),
                                     (0.06, 0.3)], 6))
    s.add("wing", "main light", blob([(0.02, 0.06), (-0.2, 0.08), (-0.5, 0.26), (-0.22, 0.2)], 4))
    _eye(s, 0.46, -0.5, 0.1)


def _cat(s: Sketch, variant: int) -> None:
    lean = (0.0, 0.06, -0.04)[variant]
    for x0, x1, x2 in ((-0.72, -0.62 - lean, -0.16), (0.06, 0.56 + lean, 0.6)):
        s.add("ear", "main", blob([(x0, -0.24), (x0 + 0.02, -0.6), (x1, -0.97), (x1 + 0.09, -0.9), (x2, -0.5),
                                   (x2, -0.24)], 4))
        middle = (x0 + x2) / 2
        s.add("inner ear", "skin", [(middle - 0.17, -0.4), (x1 * 0.8 + middle * 0.2, -0.82), (middle + 0.16, -0.46)])
    s.add("head", "main", blob([(-0.02, -0.6), (0.42, -0.5), (0.7, -0.12), (0.78, 0.2), (0.68, 0.5), (0.36, 0.76),
                                (0.0, 0.82), (-0.46, 0.74), (-0.82, 0.42), (-0.84, 0.04), (-0.56, -0.42)], 6))
    for y, wide in ((-0.5, 0.09), (-0.38, 0.07)):
        s.add("stripe", "main dark", blob([(0.02 - wide, y - 0.04), (0.02 + wide, y - 0.04),
                                           (0.02 + wide * 0.5, y + 0.05), (0.02 - wide * 0.5, y + 0.05)], 3))
    s.add("collar", "accent", blob([(-0.52, 0.7), (0.0, 0.84), (0.42, 0.72), (0.46, 0.86), (0.0, 0.99), (-0.56, 0.85)]))
    s.add("bell", "lamp glass", ellipse(0.06, 0.94, 0.07, corners=18))
    s.add("muzzle", "main light", ellipse(0.2, 0.42, 0.22, 0.19, 24))
    s.add("muzzle", "main light", ellipse(0.52, 0.4, 0.2, 0.18, 24))
    _eye(s, -0.06, 0.02, 0.17, "leaf light", True)
    _eye(s, 0.5, -0.02, 0.15, "leaf light", True)
    s.add("nose", "skin", blob([(0.29, 0.22), (0.49, 0.22), (0.39, 0.34)], 3))
    s.add("mouth", "ink", line(0.39, 0.32, 0.39, 0.46, 0.025))
    s.add("mouth", "ink", arc(0.28, 0.44, 0.11, 0.1, 0, 140, 8) + arc(0.28, 0.44, 0.085, 0.07, 140, 0, 8))
    s.add("mouth", "ink", arc(0.5, 0.44, 0.11, 0.1, 180, 40, 8) + arc(0.5, 0.44, 0.085, 0.07, 40, 180, 8))
    for y0, y1 in ((0.36, 0.26), (0.43, 0.44), (0.5, 0.6)):
        s.add("whisker", "cream", line(0.1, y0, -0.5, y1, 0.022))
        s.add("whisker", "cream", line(0.62, y0 - 0.02, 0.99, y1 - 0.04, 0.022))


def _dog(s: Sketch, variant: int) -> None:
    s.add("ear", "main dark", blob([(0.28, -0.6), (0.52, -0.62), (0.6, -0.3), (0.44, -0.1), (0.24, -0.3)]))
    s.add("head", "main", blob([(-0.1, -0.76), (0.26, -0.7), (0.46, -0.4), (0.5, -0.14), (0.88, -0.02), (0.98, 0.2),
                                (0.86, 0.42), (0.4, 0.52), (0.12, 0.8), (-0.3, 0.84), (-0.6, 0.6), (-0.7, 0.0),
                                (-0.5, -0.56)], 6))
    s.add("muzzle", "main light", blob([(0.4, 0.02), (0.62, -0.06), (0.9, 0.0), (0.97, 0.2), (0.86, 0.41), (0.42, 0.49),
                                        (0.22, 0.36), (0.22, 0.14)], 6))
    s.add("tongue", "skin", blob([(0.46, 0.36), (0.68, 0.34), (0.68, 0.62), (0.58, 0.7), (0.48, 0.62)]))
    s.add("mouth", "ink", arc(0.6, 0.2, 0.34, 0.2, 15, 165, 12) + arc(0.6, 0.2, 0.34, 0.165, 165, 15, 12))
    s.add("nose", "ink", ellipse(0.9, 0.02, 0.11, 0.09, 24))
    s.add("nose", "enamel", ellipse(0.92, -0.02, 0.03, 0.02, 12))
    if variant == 1:
        s.add("spot", "main dark", ellipse(0.22, -0.24, 0.22, 0.24, 24))
    _eye(s, 0.22, -0.24, 0.13, "enamel")
    drop = (0.5, 0.4, 0.62)[variant]
    s.add("ear", "main dark", blob([(-0.5, -0.66), (-0.24, -0.64), (-0.16, -0.3), (-0.28, drop - 0.12), (-0.52, drop),
                                    (-0.82, drop - 0.2), (-0.86, -0.2), (-0.72, -0.52)], 6))
    s.add("collar", "accent", blob([(-0.62, 0.6), (-0.3, 0.76), (0.14, 0.74), (0.18, 0.88), (-0.3, 0.95),
                                    (-0.7, 0.76)]))
    s.add("bell", "lamp glass", ellipse(-0.1, 0.93, 0.06, corners=18))


# ---------------------------------------------------------------- things

def _umbrella(s: Sketch, variant: int) -> None:
    s.add("tip", "steel", line(0, -0.98, 0, -0.8, 0.03, 0.06))
    s.add("pole", "steel", box(-0.03, -0.1, 0.03, 0.76))
    s.add("handle", "timber dark", arc(0.15, 0.74, 0.18, 0.22, 180, 0, 12) + arc(0.15, 0.74, 0.11, 0.14, 0, 180, 12))
    s.add("handle", "timber dark", box(-0.04, 0.56, 0.04, 0.76))
    panels = (3, 4, 5)[variant]
    width = 1.92 / panels
    # The lower rim is scalloped: one arc a panel.
    rim = []
    for i in range(panels):
        x = 0.96 - (i + 0.5) * width
        rim += arc(x, 0.02, width / 2, 0.12, 0, -180, 8)
    s.add("canopy", "main", arc(0, 0.02, 0.96, 0.86, 180, 360, 28) + rim)
    for i in range(1, panels, 2):
        left, right = -0.96 + i * width, -0.96 + (i + 1) * width
        s.add("canopy", "accent", blob([(0, -0.84), (0.02, -0.82), (right * 0.72, -0.5), (right, 0.02),
                                        ((left + right) / 2, -0.1), (left, 0.02), (left * 0.72, -0.5),
                                        (-0.02, -0.82)], 5))


def _clock(s: Sketch, variant: int) -> None:
    for side in (-1, 1):
        s.add("leg", "iron", line(side * 0.4, 0.66, side * 0.56, 0.96, 0.12, 0.08))
        if variant != 1:
            dome = arc(side * 0.42, -0.66, 0.3, 0.26, 180, 360, 14)
            s.add("bell", "accent", turned(dome, side * 32, side * 0.42, -0.66))
            s.add("pole", "iron", line(side * 0.3, -0.5, side * 0.42, -0.68, 0.06))
    s.add("handle", "iron", arc(0, -0.7, 0.16, 0.2, 180, 360, 10) + arc(0, -0.7, 0.11, 0.14, 360, 180, 10))
    s.add("case", "main", box(-0.72, -0.62, 0.72, 0.82, 0.16) if variant == 2 else ellipse(0, 0.1, 0.74, corners=60))
    s.add("case", "main dark", ellipse(0, 0.1, 0.61, corners=60))
    s.add("dial", "enamel", ellipse(0, 0.1, 0.57, corners=60))
    for hour in range(12):
        inner, half = (0.44, 0.028) if hour % 3 == 0 else (0.48, 0.016)
        c, d = cosine(hour * 30), sine(hour * 30)
        s.add("tick", "ink", line(inner * c, 0.1 + inner * d, 0.53 * c, 0.1 + 0.53 * d, half * 2))
    hour_degrees, minute_degrees = ((215, 300), (320, 90), (150, 270))[variant]
    s.add("hand", "ink", line(0, 0.1, 0.27 * cosine(hour_degrees), 0.1 + 0.27 * sine(hour_degrees), 0.08, 0.05))
    s.add("hand", "ink", line(0, 0.1, 0.42 * cosine(minute_degrees), 0.1 + 0.42 * sine(minute_degrees), 0.06, 0.035))
    s.add("hand", "accent", ellipse(0, 0.1, 0.06, corners=18))


# ---------------------------------------------------------------- distractors

def _ball(s: Sketch, variant: int) -> None:
    s.add("body", "main", ellipse(0, 0, 0.98))
    s.add("stripe", "accent", arc(0, 0, 0.98, 0.98, -20, 20, 6) + arc(0, -0.05, 0.98, 0.28, 20, 160, 10)
          + arc(0, 0, 0.98, 0.98, 160, 200, 6) + arc(0, -0.5, 0.92, 0.28, 160, 20, 10))
    s.add("body", "main light", ellipse(-0.38, -0.5, 0.2, 0.14, 18))


def _stone(s: Sketch, variant: int) -> None:
    s.add("body", "stone", blob([(-0.95, 0.7), (-0.8, 0.0), (-0.3, -0.5), (0.3, -0.44), (0.8, -0.02), (0.98, 0.7),
                                 (0, 0.82)]))
    s.add("body", "stone light", [(-0.5, 0.1), (-0.26, -0.3), (0.2, -0.28), (0.0, 0.06)])
    s.add("body", "stone dark", blob([(0.96, 0.7), (0.78, 0.06), (0.5, 0.3), (0.3, 0.78)], 4))


def _bush(s: Sketch, variant: int) -> None:
    for x, y, radius in ((-0.5, 0.3, 0.46), (0.5, 0.3, 0.46), (0, 0.0, 0.6)):
        s.add("crown", "leaf dark", ellipse(x, y, radius))
    for x, y, radius in ((-0.52, 0.24, 0.34), (0.46, 0.24, 0.34), (-0.04, -0.08, 0.46)):
        s.add("crown", "leaf", ellipse(x, y, radius))
    for x, y in ((-0.4, 0.2), (0.1, -0.2), (0.5, 0.3), (0.0, 0.36)):
        s.add("fruit", "red glass", ellipse(x, y, 0.08, corners=12))


def _crate(s: Sketch, variant: int) -> None:
    s.add("frame", "timber dark", box(-0.9, -0.8, 0.9, 0.9))
    for i in range(4):
        s.add("plank", "timber", box(-0.82, -0.72 + i * 0.4, 0.82, -0.38 + i * 0.4))
    s.add("frame", "timber dark", line(-0.76, 0.78, 0.76, -0.68, 0.2))


def _balloon(s: Sketch, variant: int) -> None:
    s.add("string", "iron", line(0, 0.4, 0.06, 1.0, 0.035))
    s.add("body", "main", blob([(0, -0.98), (0.5, -0.78), (0.62, -0.3), (0.36, 0.16), (0, 0.36), (-0.36, 0.16),
                                (-0.62, -0.3), (-0.5, -0.78)]))
    s.add("body", "main dark", [(-0.09, 0.45), (0, 0.32), (0.09, 0.45)])
    s.add("body", "main light", turned(ellipse(-0.26, -0.56, 0.1, 0.2, 18), 25, -0.26, -0.56))


def _lamp_post(s: Sketch, variant: int) -> None:
    s.add("pole", "iron", box(-0.07, -0.5, 0.07, 0.96))
    s.add("pole", "iron", box(-0.2, 0.84, 0.2, 0.98, 0.04))
    s.add("lamp", "lamp glass", [(-0.16, -0.54), (0.16, -0.54), (0.24, -0.84), (-0.24, -0.84)])
    s.add("roof", "iron", [(-0.3, -0.82), (0.3, -0.82), (0, -0.99)])


def _tyre(s: Sketch, variant: int) -> None:
    s.wheel(0, 0, 0.96)


def _bucket(s: Sketch, variant: int) -> None:
    s.add("handle", "iron", arc(0, -0.5, 0.66, 0.46, 180, 360, 14) + arc(0, -0.5, 0.58, 0.38, 360, 180, 14))
    s.add("body", "main", [(-0.74, -0.5), (0.74, -0.5), (0.52, 0.94), (-0.52, 0.94)])
    s.add("body", "main dark", box(-0.8, -0.58, 0.8, -0.4, 0.06))
    s.add("stripe", "accent", [(-0.64, 0.14), (0.64, 0.14), (0.6, 0.36), (-0.6, 0.36)])


_DRAWINGS: dict[str, Callable[[Sketch, int], None]] = {
    "car": _car, "bus": _bus, "truck": _truck, "bicycle": _bicycle, "sailing boat": _sailing_boat, "rocket": _rocket,
    "house": _house, "church": _church, "tree": _tree, "cactus": _cactus, "flower": _flower, "apple": _apple,
    "citrus": _citrus, "mushroom": _mushroom, "fish": _fish, "bird": _bird, "cat": _cat, "dog": _dog,
    "umbrella": _umbrella, "clock": _clock,
    "ball": _ball, "stone": _stone, "bush": _bush, "crate": _crate, "balloon": _balloon, "lamp post": _lamp_post,
    "tyre": _tyre, "bucket": _bucket,
}


@cache
def template(name: str, variant: int = 0) -> Template:
    """The compiled drawing of a class (textured) or of a distractor (flat paint)."""
    sketch = Sketch()
    _DRAWINGS[FORM.get(name, name)](sketch, variant)
    return compile_sketch(sketch, textured=name not in DISTRACTORS)


def parts_of(class_name: str) -> tuple[str, ...]:
    """The part types of a class, over all its variants, in the order of ``PARTS``."""
    codes = {int(c) for variant in range(VARIANTS) for c in template(class_name, variant).part}
    return tuple(PARTS[c] for c in sorted(codes))


@lru_cache(maxsize=4096)
def paint_colours(colour: str, shade: int, accent: str, form: str, material: str) -> tuple[np.ndarray, np.ndarray]:
    """Colours (K, 3) and codes (K, 2: colour, material) of all ``PAINTS`` for one object."""
    main, second = rgb_of(colour, shade, form), rgb_of(accent, 4)
    rows = [main, darker(main), lighter(main), second, darker(second), lighter(second)]
    codes = [(code(colour), MATERIALS.index(material))] * 3 + [(code(accent), 0)] * 3
    for rgb, name, made_of in FIXED_PAINTS.values():
        rows.append(rgb)
        codes.append((code(name), MATERIALS.index(made_of)))
    return np.array(rows, dtype=np.uint8), np.array(codes, dtype=np.uint8)
