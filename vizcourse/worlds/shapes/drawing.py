"""From a description to pixels."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch

from vizcourse.worlds.checking import picture_type, whole
from vizcourse.worlds.shapes.pictures import CANVAS, Item, Picture, as_list

_TEXTURE_PERIOD = 12.0  # canvas units; still three pixels at 64 by 64
_TEXTURE_DEPTH = 0.4  # the dark phase of a texture is this much darker than the colour


def _pattern(texture: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How dark a texture is, 0 to 1, at canvas offsets x (1, w) and y (h, 1): soft-edged, hence no moire."""
    turn = 2 * np.pi / _TEXTURE_PERIOD
    if texture == "stripes":
        wave = np.sin((x + y) * turn / np.sqrt(2))
    elif texture == "checks":
        wave = np.sin(x * turn) * np.sin(y * turn) * 2
    else:  # dots
        wave = np.cos(x * turn) + np.cos(y * turn) - 0.9
    return np.clip(0.5 + 2 * wave, 0, 1)


def _shade(texture: str, x: np.ndarray, y: np.ndarray) -> np.ndarray | float:
    """What a texture multiplies a colour with: exactly 1 when plain and where the texture is bright."""
    if texture == "plain":
        return 1.0
    return (1 - _TEXTURE_DEPTH * _pattern(texture, x, y)).astype(np.float32)


@lru_cache(maxsize=16)
def _background_shade(texture: str, size: int) -> np.ndarray | float:
    pixels = (np.arange(size) + 0.5) * CANVAS / size
    return _shade(texture, pixels[None, :], pixels[:, None])


def _window(item: Item, size: int) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """The pixels that an item may touch: slices of rows and columns, and the offsets of their middles from
    the item's centre, in pixels: y (h, 1) and x (1, w)."""
    scale = size / CANVAS
    middle_x, middle_y, half = item.centre[0] * scale, item.centre[1] * scale, item.reach * scale
    left, top = max(int(middle_x - half), 0), max(int(middle_y - half), 0)
    right = min(int(np.ceil(middle_x + half)), size)
    bottom = min(int(np.ceil(middle_y + half)), size)
    x = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - middle_x)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - middle_y)
    return slice(top, bottom), slice(left, right), y, x


def _coverage(item: Item, size: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The share of each pixel that the item covers, (h, w), 0 to 1.

    From the distance to the edge: half-way in where the edge runs through the pixel's middle. Exact for
    edges along rows and columns, within a few hundredths for others.
    """
    half = np.float32(item.size * size / CANVAS)
    if item.angle:
        turn = np.deg2rad(item.angle)
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        x, y = cosine * x + sine * y, cosine * y - sine * x
    if item.shape == "circle":
        return np.clip(half + np.float32(0.5) - np.sqrt(x * x + y * y), 0, 1)
    if item.shape == "square":
        return np.clip(half + np.float32(0.5) - abs(x), 0, 1) * np.clip(half + np.float32(0.5) - abs(y), 0, 1)
    # The slanted sides run from (0, -half) to (+-half, +half): distance (half + y - 2 |x|) / sqrt(5).
    side = np.clip((half + y - 2 * abs(x)) / np.float32(np.sqrt(5)) + np.float32(0.5), 0, 1)
    return side * np.clip(half + np.float32(0.5) - y, 0, 1)


def render(
    pictures: Picture | Iterable[Picture],
    size: int = CANVAS,
    *,
    antialias: bool = True,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Draw pictures: (N, 3, size, size).

    Args:
        pictures: one or more.
        size: height and width in pixels.
        antialias: blend a pixel on an edge by how much of it is covered; without, the edges are hard, as
            in the paper. Away from edges and textures a colour is exact either way.
        dtype: torch.float32 for values in [0, 1], torch.uint8 for 0 to 255 (a quarter of the memory).
    """
    pictures, size = as_list(pictures), whole("size", size, 8, 2048, of="pixels")
    in_bytes = picture_type(dtype) == torch.uint8
    images = np.empty((len(pictures), 3, size, size), dtype=np.uint8 if in_bytes else np.float32)

    def ink(colour):
        values = np.array(colour, dtype=np.float32)[:, None, None]
        return values if in_bytes else values / np.float32(255)

    for image, picture in zip(images, pictures, strict=True):
        shade = _background_shade(picture.background_texture, size)
        image[:] = _stored(ink(picture.background) * shade, in_bytes)
        for item in picture.items:
            rows, columns, y, x = _window(item, size)
            covered = _coverage(item, size, y, x)
            if not antialias:
                covered = (covered >= 0.5).astype(np.float32)
            paint = ink(item.colour) * _shade(item.texture, x * (CANVAS / size), y * (CANVAS / size))
            patch = image[:, rows, columns]
            # Written so that full coverage gives the colour itself, without rounding.
            patch[:] = _stored(covered * paint + (1 - covered) * patch, in_bytes)
    return torch.from_numpy(images)


def _stored(values: np.ndarray, in_bytes: bool) -> np.ndarray:
    return np.rint(values) if in_bytes else values


def masks(pictures: Picture | Iterable[Picture], size: int = CANVAS) -> torch.Tensor:
    """Which item each pixel belongs to: (N, size, size), int64; 0 is the background, k is ``items[k - 1]``.

    A pixel belongs to an item that covers at least half of it.
    """
    pictures, size = as_list(pictures), whole("size", size, 8, 2048, of="pixels")
    maps = np.zeros((len(pictures), size, size), dtype=np.int64)
    for numbers, picture in zip(maps, pictures, strict=True):
        for position, item in enumerate(picture.items, start=1):
            rows, columns, y, x = _window(item, size)
            numbers[rows, columns][_coverage(item, size, y, x) >= 0.5] = position
    return torch.from_numpy(maps)
