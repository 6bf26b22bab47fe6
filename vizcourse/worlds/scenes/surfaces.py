"""Textures and materials as small look-up tiles.

A texture says how far each point is mixed from the first tone of a colour to its second tone (8 steps); a material
and the direction of the light say how much darker or brighter it is (16 steps, ``NEUTRAL`` changes nothing).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .geometry import sine
from .objects import LIGHT_STEPS, TEXTURE_STEPS

# Textures repeat after TILE steps in both directions.
TILE = 128
# Materials are drawn over the box around the object, CARD steps wide and high.
CARD = 256
NEUTRAL = 8
# How much of what lies behind shows through glass, of 16.
GLASS_SHARE = 5

_SINE = np.array([sine(degree) for degree in range(360)])


def _smooth_noise(seed: int, cells: int) -> np.ndarray:
    """Value noise of ``cells`` x ``cells`` random heights, periodic, linearly interpolated to TILE x TILE."""
    heights = np.random.Generator(np.random.PCG64(seed)).random((cells, cells))
    at = np.arange(TILE) * cells / TILE
    low = at.astype(np.int64)
    share = at - low
    high = (low + 1) % cells
    rows = heights[low] * (1 - share)[:, None] + heights[high] * share[:, None]
    return rows[:, low] * (1 - share) + rows[:, high] * share


def _texture(name: str) -> np.ndarray:
    """One tile (TILE, TILE), 0 for the first tone to 1 for the second."""
    v, u = np.mgrid[0:TILE, 0:TILE]
    if name == "plain":
        tile = np.zeros((TILE, TILE))
    elif name == "stripes":
        tile = (u // 16) % 2
    elif name == "dots":
        x, y = (u + 16 * ((v // 32) % 2)) % 32 - 15.5, v % 32 - 15.5
        tile = x * x + y * y < 90
    elif name == "checks":
        tile = (u // 16 + v // 16) % 2
    elif name == "bricks":
        tile = (v % 16 < 3) | ((u + 16 * ((v // 16) % 2)) % 32 < 3)
    elif name == "waves":
        shift = 7 * _SINE[(u * 360 // 32) % 360]
        tile = np.floor((v + shift) / 10.6666667).astype(np.int64) % 2
    elif name == "noise":
        noise = 0.5 * _smooth_noise(1, 32) + 0.5 * _smooth_noise(2, 64)
        tile = np.clip((noise - 0.3) / 0.4, 0, 1)
    elif name == "wood":
        bend = 10 * _smooth_noise(3, 4) + 2.5 * _smooth_noise(4, 16)
        rings = ((v + bend) * 6 / TILE * 2) % 1.0
        tile = np.clip(np.abs(2 * rings - 1) * 1.3 - 0.15, 0, 1) * 0.9
    else:  # gradient: there and back once a tile
        tile = np.abs(u - TILE / 2) / (TILE / 2)
    return np.floor(tile * (TEXTURE_STEPS - 1) + 0.5).astype(np.uint16)


@cache
def texture_tile(name: str) -> np.ndarray:
    """Texture steps of one tile, flattened (TILE * TILE,), already multiplied by the number of light steps."""
    return (_texture(name) * LIGHT_STEPS).ravel()


@cache
def material_card(name: str, light: str) -> np.ndarray:
    """Light steps (CARD, CARD) of a material over the box around the object."""
    y, x = (np.mgrid[0:CARD, 0:CARD] + 0.5) / CARD
    lean = {"left": -1, "above": 0, "right": 1}[light]
    # 1 at the side the light comes from, -1 at the far side.
    facing = (1 - 2 * y) * (0.7 if lean else 1.0) + lean * 0.7 * (2 * x - 1)
    spot_x, spot_y = 0.5 + 0.2 * lean, 0.24
    spot = ((x - spot_x) / 0.2) * ((x - spot_x) / 0.2) + ((y - spot_y) / 0.11) * ((y - spot_y) / 0.11)
    card = NEUTRAL + 1.2 * facing
    if name == "glossy":
        card = NEUTRAL + 2.2 * facing
        card = np.where(spot < 1, np.maximum(card, 15 - 4 * spot), card)
        rim = (y > 0.86) & (y < 0.93)
        card = np.where(rim, card + 2.5, card)
    elif name == "metal":
        t = y * 0.8 + x * 0.2 * (lean if lean else 0.6) + 0.1
        band = _SINE[(t * 720).astype(np.int64) % 360]
        card = NEUTRAL + 4.2 * band + 1.0 * facing
        card = np.where((t % 0.5) > 0.44, 15, card)
    elif name == "glass":
        slant = x + 0.5 * y if lean >= 0 else x - 0.5 * y + 0.5
        card = np.where((np.abs(slant - 0.5) < 0.09) | (np.abs(slant - 0.72) < 0.03), 14, NEUTRAL + 1.5 * facing + 1)
    elif name == "paper":
        fold = (x - 0.5) * 0.9 + (y - 0.5) * 0.5
        card = np.where(fold < 0, NEUTRAL + 2.0, NEUTRAL - 2.4)
        card = np.where(np.abs(fold) < 0.012, NEUTRAL + 5, card)
    return np.clip(np.floor(card + 0.5), 0, LIGHT_STEPS - 1).astype(np.int16)


@cache
def material_grain(name: str) -> np.ndarray | None:
    """Light steps to add, as a tile (TILE * TILE,), or None for a smooth material."""
    v, u = np.mgrid[0:TILE, 0:TILE]
    if name == "fur":
        # Short strokes: noise that is stretched along one direction, with hard contrast.
        fine = np.random.Generator(np.random.PCG64(5)).random((TILE // 16, TILE // 2))
        strokes = fine[((v + (u // 2 % 8) * 5) // 16) % (TILE // 16), u // 2]
        soft = _smooth_noise(6, 32)
        grain = (strokes - 0.5) * 8 + (soft - 0.5) * 3
    elif name == "cloth":
        grain = np.where(((u // 4) % 2) == ((v // 4) % 2), 1.6, -1.6) + np.where(u % 4 == 0, -1, 0)
    elif name == "paper":
        grain = (_smooth_noise(7, 64) - 0.5) * 3
    elif name == "metal":
        grain = (np.random.Generator(np.random.PCG64(8)).random((TILE // 2, 1))[v // 2, 0] - 0.5) * 2.4
    else:
        return None
    return np.floor(grain + 0.5).astype(np.int16).ravel()


def surface_colours(rgb: np.ndarray) -> np.ndarray:
    """All mixtures of a colour (3,): (TEXTURE_STEPS * LIGHT_STEPS, 3), 0 to 255, the light steps running faster.

    The second tone is paler for a dark colour and darker for a light one; both depend on the luma alone, so colours
    of one luma keep one luma through every step.
    """
    red, green, blue = rgb = rgb.astype(np.float64)
    dark = (299 * red + 587 * green + 114 * blue) / 1000 < 136
    second = rgb + (255 - rgb) * 0.5 if dark else rgb * 0.66
    share = (np.arange(TEXTURE_STEPS) / (TEXTURE_STEPS - 1))[:, None, None]
    tones = rgb * (1 - share) + second * share
    step = np.arange(LIGHT_STEPS)[None, :, None]
    shaded = tones * (1 - 0.055 * np.maximum(NEUTRAL - step, 0))
    white = 0.105 * np.maximum(step - NEUTRAL, 0)
    return np.floor(shaded + (255 - shaded) * white + 0.5).astype(np.uint8).reshape(-1, 3)
