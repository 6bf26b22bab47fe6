"""From a scene to its picture and its label maps.

One pass: all outlines of a scene are scan-converted together on a grid three times finer than the picture, into a map
of entry numbers. Colours and labels are both looked up from that map by entry: the picture is the average of 3 x 3
fine points, a label is that of the middle one. So picture and labels agree by construction. Only whole numbers and
single floating-point operations in a fixed order are used: the same scene gives the same bytes on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from .factors import Distractor, Scene
from .geometry import box, cosine, moved, sine
from .lettering import words_contours, words_width
from .objects import SURFACE_STEPS, Sketch, Template, compile_sketch, paint_colours, template
from .scenery import scenery
from .surfaces import (
    CARD,
    GLASS_SHARE,
    TILE,
    material_card,
    material_grain,
    surface_colours,
    texture_tile,
)
from .vocabulary import FORM, OBJECTS, SCENES, TEXTURES

FINE = 3
SMALLEST, LARGEST = 16, 340

_MAPS = ("object", "part", "texture", "colour", "material", "instance")


@dataclass(frozen=True, eq=False)
class Labels:
    """What is where in a picture. Maps are int16 tensors (H, W), or (N, H, W) for a batch.

    object, part, texture, colour, material, scene: codes into OBJECTS (0 is background), PARTS, TEXTURES, COLOURS,
    MATERIALS, SCENES. instance: 0 for the background, 1 for the main object, 2 and up for distractors and the board
    with words, in the order of ``names``. boxes: (K, 4) left, top, right, bottom of the visible pixels of each
    instance, right and bottom exclusive (all 0 when nothing is visible). visible: (K,) visible share of the area that
    the instance has inside the frame. names: the object name of each instance. For a batch, boxes, visible and names
    are tuples with one item a picture.
    """

    object: torch.Tensor
    part: torch.Tensor
    texture: torch.Tensor
    colour: torch.Tensor
    material: torch.Tensor
    scene: torch.Tensor
    instance: torch.Tensor
    boxes: torch.Tensor | tuple[torch.Tensor, ...]
    visible: torch.Tensor | tuple[torch.Tensor, ...]
    names: tuple

    @property
    def mask(self) -> torch.Tensor:
        """Where the main object is visible: boolean, shaped like the maps."""
        return self.instance == 1


@dataclass(eq=False)
class _Item:
    """Something to draw: its outlines on the picture, its entries, and what it is."""

    points: np.ndarray
    owner: np.ndarray
    first: np.ndarray
    rgb: np.ndarray
    codes: np.ndarray
    name: str
    shadow: tuple[float, float, float, float] | None


def _place(points: np.ndarray, x: float, y: float, half: float, rotation: int, flip: bool, stretch: float
           ) -> np.ndarray:
    """Edges (4, E) of a drawing put on the picture."""
    across = half * stretch * (-1 if flip else 1)
    c, s = cosine(rotation), sine(rotation)
    px, py = points[0::2] * across, points[1::2] * half
    placed = np.empty_like(points)
    placed[0::2] = px * c - py * s + x
    placed[1::2] = px * s + py * c + y
    return placed


def _entry_codes(drawing: Template, name: str, paint_codes: np.ndarray, texture: int) -> np.ndarray:
    """Codes (6, entries): object, part, texture, colour, material, and room for the instance."""
    codes = np.zeros((len(_MAPS), len(drawing.part)), dtype=np.uint8)
    codes[0] = OBJECTS.index(name)
    codes[1] = drawing.part
    codes[2, :drawing.surfaces * SURFACE_STEPS] = texture
    codes[3] = paint_codes[drawing.paint, 0]
    codes[4] = paint_codes[drawing.paint, 1]
    return codes


@lru_cache(maxsize=8192)
def _object_colours(name: str, variant: int, colour: str, shade: int, accent: str, material: str, texture: str
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Entry colours and codes of a main object."""
    drawing = template(name, variant)
    rgb, paint_codes = paint_colours(colour, shade, accent, FORM[name], material)
    colours = rgb[drawing.paint]
    if drawing.surfaces:
        colours[:drawing.surfaces * SURFACE_STEPS] = np.tile(surface_colours(rgb[0]).reshape(-1, 3),
                                                             (drawing.surfaces, 1))
    return colours, _entry_codes(drawing, name, paint_codes, TEXTURES.index(texture))


@lru_cache(maxsize=256)
def _distractor_colours(kind: str, colour: str) -> tuple[np.ndarray, np.ndarray]:
    drawing = template(kind)
    rgb, paint_codes = paint_colours(colour, 4, "white" if colour != "white" else "red", "", "matte")
    return rgb[drawing.paint], _entry_codes(drawing, kind, paint_codes, 0)


def _main_item(scene: Scene) -> _Item:
    drawing = template(scene.object, scene.variant)
    colours, codes = _object_colours(scene.object, scene.variant, scene.colour, scene.shade, scene.accent,
                                     scene.material, scene.texture)
    half = scene.size / 2
    points = _place(drawing.edges.points, scene.x, scene.y, half, scene.rotation, scene.facing == "left",
                    scene.stretch)
    shadow = None
    if scene.shadow:
        lean = {"left": 0.1, "above": 0.0, "right": -0.1}[scene.light]
        shadow = (scene.x + lean * scene.size, scene.y + half * drawing.base * 0.97, 0.56 * scene.size * scene.stretch,
                  0.1 * scene.size)
    return _Item(points, drawing.edges.owner, drawing.first, colours, codes, scene.object, shadow)


def _distractor_item(scene: Scene, distractor: Distractor) -> _Item:
    drawing = template(distractor.kind)
    colours, codes = _distractor_colours(distractor.kind, distractor.colour)
    half = distractor.size / 2
    points = _place(drawing.edges.points, distractor.x, distractor.y, half, 0, False, 1.0)
    shadow = None
    if scene.shadow and distractor.kind != "balloon":
        lean = {"left": 0.1, "above": 0.0, "right": -0.1}[scene.light]
        wide = 0.26 if distractor.kind == "lamp post" else 0.56
        shadow = (distractor.x + lean * distractor.size, distractor.y + half * drawing.base * 0.97,
                  wide * distractor.size, 0.1 * distractor.size)
    return _Item(points, drawing.edges.owner, drawing.first, colours, codes, distractor.kind, shadow)


@lru_cache(maxsize=1024)
def _words_item(words: str, words_at: str) -> _Item:
    """A board with letters."""
    width = words_width(words) + 6
    dot = min(0.017, 0.96 / width)
    left, top = 0.5 - width * dot / 2, 0.045 if words_at == "top" else 0.955 - 13 * dot
    sketch = Sketch()
    sketch.add("sign", "timber dark", box(left, top, left + width * dot, top + 13 * dot, dot))
    sketch.add("sign", "board", box(left + dot, top + dot, left + (width - 1) * dot, top + 12 * dot, 0))
    sketch.add("letter", "ink", *[moved(contour, left + 3 * dot, top + 3 * dot, dot)
                                  for contour in words_contours(words)])
    drawing = compile_sketch(sketch, textured=False)
    rgb, paint_codes = paint_colours("red", 4, "white", "", "matte")
    return _Item(drawing.edges.points, drawing.edges.owner, drawing.first, rgb[drawing.paint],
                 _entry_codes(drawing, "words", paint_codes, 0), "words", None)


def _scan(points: np.ndarray, owner: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scan-convert polygons on a ``grid`` x ``grid`` raster: spans as polygon, row, first column, length.

    A point is inside a polygon when its row crosses the outline an odd number of times to the left of it. Spans are
    sorted by polygon.
    """
    x0, y0, x1, y1 = points * grid - 0.5
    start, stop = np.ceil(y0), np.ceil(y1)
    low = np.clip(np.minimum(start, stop), 0, grid).astype(np.int32)
    high = np.clip(np.maximum(start, stop), 0, grid).astype(np.int32)
    kept = np.flatnonzero(high > low)
    low, x0, y0 = low[kept], x0[kept], y0[kept]
    count = high[kept] - low
    slope = (x1[kept] - x0) / (y1[kept] - y0)
    edge = np.repeat(np.arange(len(kept), dtype=np.int32), count)
    row = np.arange(len(edge), dtype=np.int32) + (low - (np.cumsum(count, dtype=np.int32) - count))[edge]
    across = (x0 - y0 * slope)[edge] + row * slope[edge]
    column = np.clip(np.ceil(across), 0, grid).astype(np.int32)
    # One sort brings the crossings of each polygon and row together, from left to right.
    key = ((owner[kept] << 10)[edge] + row << 10) + column
    key.sort()
    first, last = key[0::2], key[1::2]
    length = last - first
    filled = np.flatnonzero(length)
    first, length = first[filled], length[filled]
    return first >> 20, (first >> 10) & 1023, first & 1023, length


@lru_cache(maxsize=64)
def _light_gain(light: str, size: int) -> np.ndarray:
    """Brightness over the picture (size, size, 1), at most 1: a little darker away from the light."""
    fall = 1.0 - 0.08 * (np.arange(size) + 0.5) / size
    rows = (1.0 - 0.04 * (np.arange(size) + 0.5) / size)[:, None]
    if light == "above":
        gain = np.repeat(fall[:, None], size, axis=1)
    else:
        gain = rows * (fall if light == "left" else fall[::-1])[None, :]
    return (gain / (FINE * FINE)).astype(np.float32)[:, :, None]


def _draw_surface(fine: np.ndarray, start: int, surfaces: int, item: _Item, scene: Scene) -> None:
    """Add texture and light steps to the entries of the textured polygons of the main object, in place."""
    grid = len(fine)
    points = item.points * grid
    left, right = max(0, int(points[0].min())), min(grid, int(points[0].max()) + 2)
    top, bottom = max(0, int(points[1].min())), min(grid, int(points[1].max()) + 2)
    if left >= right or top >= bottom or not surfaces:
        return
    region = fine[top:bottom, left:right]
    textured = (region - np.uint16(start)) < np.uint16(surfaces * SURFACE_STEPS)
    x = (np.arange(left, right) + 0.5) / grid - scene.x
    y = (np.arange(top, bottom) + 0.5) / grid - scene.y
    level = np.full(region.shape, 0, dtype=np.int32)

    def frame(degrees: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Steps along both axes of a frame that is fixed to the object, in 1/64 steps."""
        c, s = cosine(degrees) * scale * 64, sine(degrees) * scale * 64
        flip = -1 if scene.facing == "left" else 1
        return ((np.floor(x * c * flip).astype(np.int32)[None, :] + np.floor(y * s).astype(np.int32)[:, None]) >> 6,
                (np.floor(-x * s * flip).astype(np.int32)[None, :] + np.floor(y * c).astype(np.int32)[:, None]) >> 6)

    flip = -1 if scene.facing == "left" else 1
    if scene.texture != "plain":
        # About five stripes over an object; the gradient goes once from one side to the other.
        scale = TILE / 2 / scene.size if scene.texture == "gradient" else 176 / scene.size / scene.texture_scale
        u, v = frame(scene.texture_angle + scene.rotation * flip, scale)
        if scene.texture == "gradient":
            u = u + TILE // 4
        level += texture_tile(scene.texture)[((v & (TILE - 1)) << 7) | (u & (TILE - 1))]
    half = scene.size / 2
    across = np.clip(((x / (half * scene.stretch) + 1) / 2 * CARD).astype(np.int64), 0, CARD - 1)
    down = np.clip(((y / half + 1) / 2 * CARD).astype(np.int64), 0, CARD - 1)
    light = material_card(scene.material, scene.light)[down[:, None], across[None, :]]
    grain = material_grain(scene.material)
    if grain is not None:
        u, v = frame(scene.rotation * flip + 20, 200 / scene.size)
        light = np.clip(light + grain[((v & (TILE - 1)) << 7) | (u & (TILE - 1))], 0, 15)
    level += light
    np.add(region, level.astype(np.uint16), out=region, where=textured)


def _draw(scene: Scene, size: int, labels: bool) -> tuple[np.ndarray, dict | None]:
    """Picture (size, size, 3) uint8, and when wanted the label maps, boxes and visible shares."""
    grid = size * FINE
    behind = scenery(scene.scene, scene.layout)
    main = _main_item(scene)
    foot = scene.y + scene.size / 2
    items = [(distractor.y + distractor.size / 2 if distractor.kind != "balloon" else -1.0, index + 2,
              _distractor_item(scene, distractor)) for index, distractor in enumerate(scene.distractors)]
    items.append((foot, 1, main))
    items.sort(key=lambda entry: entry[:2])
    if scene.words:
        items.append((9.0, len(scene.distractors) + 2, _words_item(scene.words, scene.words_at)))

    # One list of polygons and one table of entries for the whole scene.
    points, owners, firsts = [behind.edges.points], [behind.edges.owner], [behind.first]
    colours, codes = [behind.rgb], []
    polygon, entry = behind.edges.count, len(behind.rgb)
    polygon_ends, entry_starts = [polygon], [entry]
    for _, instance, item in items:
        points.append(item.points)
        owners.append(item.owner + np.int32(polygon))
        firsts.append(item.first + np.int32(entry))
        colours.append(item.rgb)
        codes.append((instance, item.codes))
        polygon += len(item.first)
        entry += len(item.rgb)
        polygon_ends.append(polygon)
        entry_starts.append(entry)
    owner, row, column, length = _scan(np.concatenate(points, axis=1), np.concatenate(owners), grid)
    value = np.concatenate(firsts)[owner]
    cuts = np.searchsorted(owner, polygon_ends)
    spans = slice(0, cuts[0])
    if cuts[0]:
        # The colour of scenery runs from the top of a layer to its bottom.
        which = owner[spans]
        steps = behind.steps[which]
        share = ((row[spans] + 0.5) / grid - behind.top[which]) / behind.height[which]
        value[spans] += np.clip((share * steps).astype(np.int32), 0, steps - 1)

    fine = np.zeros((grid, grid), dtype=np.uint16)
    flat = fine.ravel()
    ends = np.cumsum(length)
    place = np.arange(ends[-1]) + np.repeat(row * grid + column - (ends - length), length)
    paint = np.repeat(value.astype(np.uint16), length)
    borders = [0, *(int(ends[cut - 1]) if cut else 0 for cut in cuts)]
    middle = fine[FINE // 2::FINE, FINE // 2::FINE]
    whole_areas: dict[int, int] = {}
    under = None
    flat[place[:borders[1]]] = paint[:borders[1]]
    for k, (_, instance, item) in enumerate(items):
        if item is main and scene.material == "glass":
            under = fine.copy()
        flat[place[borders[k + 1]:borders[k + 2]]] = paint[borders[k + 1]:borders[k + 2]]
        if item is main:
            _draw_surface(fine, entry_starts[k], template(scene.object, scene.variant).surfaces, item, scene)
        if labels:
            own = (middle - np.uint16(entry_starts[k])) < np.uint16(len(item.rgb))
            whole_areas[instance] = int(np.count_nonzero(own))

    # Three 16-bit fields of one number hold red, green and blue, a fourth counts the fine points of background.
    table = np.floor(np.concatenate(colours) + 0.5).astype(np.uint64)
    packed = table[:, 0] | table[:, 1] << np.uint64(16) | table[:, 2] << np.uint64(32)
    packed[:len(behind.rgb)] |= np.uint64(1 << 48)
    colour = packed[fine]
    if under is not None:
        start = entry_starts[[item is main for _, _, item in items].index(True)]
        glass = (fine - np.uint16(start)) < np.uint16(template(scene.object, scene.variant).surfaces * SURFACE_STEPS)
        where = np.flatnonzero(glass.ravel())
        low = np.uint64(0x00FF00FF00FF)
        seen, own = packed[under.ravel()[where]] & low, colour.ravel()[where] & low
        colour.ravel()[where] = (seen * np.uint64(GLASS_SHARE) + own * np.uint64(16 - GLASS_SHARE)
                                 >> np.uint64(4)) & low
    total = colour[0::3] + colour[1::3] + colour[2::3]
    total = total[:, 0::3] + total[:, 1::3] + total[:, 2::3]
    fields = total.view(np.uint16).reshape(size, size, 4)
    picture = fields[:, :, :3] * (_light_gain(scene.light, size) * np.float32(scene.brightness))
    for _, _, item in items:
        if item.shadow is not None:
            _draw_shadow(picture, fields[:, :, 3], item.shadow)
    picture = (picture + np.float32(0.5)).astype(np.uint8)
    if scene.mirrored:
        picture = picture[:, ::-1]
    if not labels:
        return picture, None
    return picture, _read_labels(scene, middle, behind.codes, codes, [item.name for _, _, item in items], whole_areas)


def _draw_shadow(picture: np.ndarray, background: np.ndarray, shadow: tuple[float, float, float, float]) -> None:
    """Darken the background under an object, softly, in place."""
    size = len(picture)
    x, y, rx, ry = (value * size for value in shadow)
    left, right = max(0, int(x - rx)), min(size, int(x + rx) + 2)
    top, bottom = max(0, int(y - ry)), min(size, int(y + ry) + 2)
    if left >= right or top >= bottom:
        return
    across = (np.arange(left, right) + 0.5 - x) / rx
    down = (np.arange(top, bottom) + 0.5 - y) / ry
    depth = np.maximum(0.0, 1.0 - (across * across)[None, :] - (down * down)[:, None])
    dark = depth * (0.72 - 0.24 * depth) / (FINE * FINE)
    keep = 1.0 - dark * background[top:bottom, left:right]
    picture[top:bottom, left:right] *= keep.astype(np.float32)[:, :, None]


def _read_labels(scene: Scene, middle: np.ndarray, behind: np.ndarray, codes: Sequence[tuple[int, np.ndarray]],
                 names: Sequence[str], whole_areas: dict[int, int]) -> dict:
    """Label maps, boxes and visible shares from the entry at the middle of every pixel."""
    table = np.zeros((len(_MAPS), len(behind) + sum(c.shape[1] for _, c in codes)), dtype=np.int16)
    table[1:5, :len(behind)] = behind.T
    start = len(behind)
    for instance, entries in codes:
        stop = start + entries.shape[1]
        table[:, start:stop] = entries
        table[5, start:stop] = instance
        start = stop
    if scene.mirrored:
        middle = middle[:, ::-1]
    maps = table[:, middle]
    result = dict(zip(_MAPS, maps, strict=True))
    result["scene"] = np.full(middle.shape, SCENES.index(scene.scene), dtype=np.int16)
    count = len(codes)
    boxes, visible = np.zeros((count, 4), dtype=np.int64), np.zeros(count, dtype=np.float32)
    ordered = [""] * count
    for (instance, _), name in zip(codes, names, strict=True):
        own = result["instance"] == instance
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        ordered[instance - 1] = name
        if len(rows):
            boxes[instance - 1] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            visible[instance - 1] = np.count_nonzero(own) / whole_areas[instance]
    result.update(boxes=boxes, visible=visible, names=tuple(ordered))
    return result


def check_size(size: int) -> None:
    """Raise a ValueError unless ``size`` is a picture size that can be drawn."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size must be a whole number of pixels from {SMALLEST} to {LARGEST}, not {size!r}")


def render_bytes(scene: Scene, size: int = 96) -> torch.Tensor:
    """The picture of one scene as whole numbers: uint8 tensor (3, size, size), 0 to 255."""
    check_size(size)
    picture, _ = _draw(scene, int(size), False)
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def render(scene: Scene | Sequence[Scene], size: int = 96, labels: bool = False
           ) -> torch.Tensor | tuple[torch.Tensor, Labels]:
    """The picture of a scene: float tensor (3, size, size) in [0, 1]; (N, 3, size, size) for a sequence of scenes.

    labels: also give the dense labels, ``(pictures, Labels)``. The same scene looks the same at every size from 16 to
    340 pixels.

    Raises ValueError for a size out of range, an empty sequence, or something that is not a scene.
    """
    check_size(size)
    single = isinstance(scene, Scene)
    many = [scene] if single else list(scene)
    if not many or not all(isinstance(one, Scene) for one in many):
        raise ValueError("render needs a Scene, or a sequence of at least one: make some with scenes.sample(n, seed)")
    pictures = np.empty((len(many), 3, size, size), dtype=np.float32)
    found = []
    for i, one in enumerate(many):
        picture, labelled = _draw(one, int(size), labels)
        np.multiply(picture.transpose(2, 0, 1), np.float32(1 / 255), out=pictures[i])
        found.append(labelled)
    tensor = torch.from_numpy(pictures[0] if single else pictures)
    if not labels:
        return tensor
    names = (*_MAPS, "scene")
    if single:
        only = found[0]
        return tensor, Labels(**{name: torch.from_numpy(only[name]) for name in (*names, "boxes", "visible")},
                              names=only["names"])
    maps = {name: torch.from_numpy(np.stack([one[name] for one in found])) for name in names}
    return tensor, Labels(**maps, boxes=tuple(torch.from_numpy(one["boxes"]) for one in found),
                          visible=tuple(torch.from_numpy(one["visible"]) for one in found),
                          names=tuple(one["names"] for one in found))
