"""Outlines: circles, rounded rectangles, smooth blobs and lines as polygons, and pieces compiled into edge arrays.

Only additions, multiplications, divisions and a rounded sine table are used, so the same outline has the same
coordinates on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Point = tuple[float, float]
Contour = list[Point]

# Rounding to 15 binary places hides the last-bit differences between mathematics libraries.
_SINE = tuple(round(math.sin(math.radians(degree)) * 32768) / 32768 for degree in range(360))


def sine(degrees: int) -> float:
    """Sine of a whole number of degrees."""
    return _SINE[degrees % 360]


def cosine(degrees: int) -> float:
    """Cosine of a whole number of degrees."""
    return _SINE[(degrees + 90) % 360]


def ellipse(x: float, y: float, rx: float, ry: float | None = None, corners: int = 36) -> Contour:
    """An ellipse around (x, y). ``corners`` must divide 360."""
    ry = rx if ry is None else ry
    step = 360 // corners
    return [(x + rx * cosine(i * step), y + ry * sine(i * step)) for i in range(corners)]


def arc(x: float, y: float, rx: float, ry: float, start: int, stop: int, steps: int = 12) -> Contour:
    """Points on an ellipse from ``start`` to ``stop`` degrees (0 is right, 90 is down)."""
    angles = [start + (stop - start) * i // steps for i in range(steps + 1)]
    return [(x + rx * cosine(angle), y + ry * sine(angle)) for angle in angles]


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Contour:
    """A rectangle, its corners rounded by ``radius``."""
    if radius <= 0:
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    corners = ((right - radius, bottom - radius, 0), (left + radius, bottom - radius, 90),
               (left + radius, top + radius, 180), (right - radius, top + radius, 270))
    return [point for x, y, start in corners for point in arc(x, y, radius, radius, start, start + 90, 5)]


def line(x0: float, y0: float, x1: float, y1: float, width: float, end_width: float | None = None) -> Contour:
    """A straight stroke, ``width`` wide at its start and ``end_width`` wide at its end."""
    end_width = width if end_width is None else end_width
    dx, dy = x1 - x0, y1 - y0
    length = math.sqrt(dx * dx + dy * dy)
    nx, ny = -dy / length / 2, dx / length / 2
    return [(x0 + nx * width, y0 + ny * width), (x1 + nx * end_width, y1 + ny * end_width),
            (x1 - nx * end_width, y1 - ny * end_width), (x0 - nx * width, y0 - ny * width)]


def blob(points: Sequence[Point], steps: int = 5) -> Contour:
    """A smooth closed curve through ``points`` (Catmull-Rom)."""
    contour = []
    count = len(points)
    for i in range(count):
        p, q, r, s = (points[(i + j) % count] for j in (-1, 0, 1, 2))
        for k in range(steps):
            t = k / steps
            contour.append(tuple(
                0.5 * (2 * q[a] + (r[a] - p[a]) * t + (2 * p[a] - 5 * q[a] + 4 * r[a] - s[a]) * t * t
                       + (3 * q[a] - p[a] - 3 * r[a] + s[a]) * t * t * t) for a in (0, 1)))
    return contour


def turned(contour: Contour, degrees: int, x: float = 0.0, y: float = 0.0) -> Contour:
    """``contour`` turned clockwise by ``degrees`` around (x, y)."""
    c, s = cosine(degrees), sine(degrees)
    return [(x + (px - x) * c - (py - y) * s, y + (px - x) * s + (py - y) * c) for px, py in contour]


def moved(contour: Contour, dx: float, dy: float, scale: float = 1.0) -> Contour:
    """``contour`` scaled about the origin, then shifted."""
    return [(px * scale + dx, py * scale + dy) for px, py in contour]


@dataclass(frozen=True)
class Edges:
    """The outlines of several polygons: ``points`` is (4, E): x and y of start and end; ``owner`` (E,) is the polygon
    of each edge. A polygon may have several contours: the inside is where a ray crosses an odd number of edges."""

    points: np.ndarray
    owner: np.ndarray
    count: int


def compile_edges(polygons: Sequence[Sequence[Contour]]) -> Edges:
    """Edges of ``polygons``, each a sequence of contours, in drawing order."""
    starts: list[Point] = []
    ends: list[Point] = []
    owner: list[int] = []
    for index, contours in enumerate(polygons):
        for contour in contours:
            starts += contour
            ends += contour[1:] + contour[:1]
            owner += [index] * len(contour)
    points = np.concatenate([np.array(starts, dtype=np.float64).T, np.array(ends, dtype=np.float64).T])
    return Edges(np.ascontiguousarray(points), np.array(owner, dtype=np.int32), len(polygons))
