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

from vizcourse.worlds.checking import whole

from .factors import Distractor, Scene
from .geometry import box, cosine, moved, sine
from .lettering import words_contours, words_width
from .objects import LIGHT_STEPS, SURFACE_STEPS, Sketch, Template, compile_sketch, paint_colours, template
from .scenery import Scenery, scenery
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
    """Something to draw: its outlines on the picture (``points``, ``owner``), its entries (``first`` of each polygon,
    their ``rgb`` and ``codes``), the ellipse of its shadow, and how many entries show texture and material."""

    name: str
    instance: int
    points: np.ndarray
    owner: np.ndarray
    first: np.ndarray
    rgb: np.ndarray
    codes: np.ndarray
    shadow: tuple[float, float, float, float] | None
    surface: int = 0


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
    codes = np.zeros((len(_MAPS), len(drawing.part)), dtype=np.int16)
    codes[0] = OBJECTS.index(name)
    codes[1] = drawing.part
    codes[2, :drawing.surfaces * SURFACE_STEPS] = texture
    codes[3] = paint_codes[drawing.paint, 0]
    codes[4] = paint_codes[drawing.paint, 1]
    return codes


@lru_cache(maxsize=256)
def _object_colours(name: str, variant: int, colour: str, shade: int, accent: str, material: str, texture: str
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Entry colours and codes of a main object."""
    drawing = template(name, variant)
    rgb, paint_codes = paint_colours(colour, shade, accent, FORM[name], material)
    colours = rgb[drawing.paint]
    colours[:drawing.surfaces * SURFACE_STEPS] = np.tile(surface_colours(rgb[0]), (drawing.surfaces, 1))
    return colours, _entry_codes(drawing, name, paint_codes, TEXTURES.index(texture))


@lru_cache(maxsize=256)
def _distractor_colours(kind: str, colour: str) -> tuple[np.ndarray, np.ndarray]:
    drawing = template(kind)
    rgb, paint_codes = paint_colours(colour, 4, "white" if colour != "white" else "red", "", "matte")
    return rgb[drawing.paint], _entry_codes(drawing, kind, paint_codes, 0)


def _shadow(scene: Scene, x: float, y: float, size: float, base: float, width: float
            ) -> tuple[float, float, float, float] | None:
    """Centre and radii of the shadow at the foot of an object, away from the light."""
    if not scene.shadow:
        return None
    lean = {"left": 0.1, "above": 0.0, "right": -0.1}[scene.light]
    return x + lean * size, y + size / 2 * base * 0.97, width * size, 0.1 * size


def _main_item(scene: Scene) -> _Item:
    drawing = template(scene.object, scene.variant)
    colours, codes = _object_colours(scene.object, scene.variant, scene.colour, scene.shade, scene.accent,
                                     scene.material, scene.texture)
    points = _place(drawing.edges.points, scene.x, scene.y, scene.size / 2, scene.rotation, scene.facing == "left",
                    scene.stretch)
    shadow = _shadow(scene, scene.x, scene.y, scene.size, drawing.base, 0.56 * scene.stretch)
    return _Item(scene.object, 1, points, drawing.edges.owner, drawing.first, colours, codes, shadow,
                 drawing.surfaces * SURFACE_STEPS)


def _distractor_item(scene: Scene, distractor: Distractor, instance: int) -> _Item:
    drawing = template(distractor.kind)
    colours, codes = _distractor_colours(distractor.kind, distractor.colour)
    points = _place(drawing.edges.points, distractor.x, distractor.y, distractor.size / 2, 0, False, 1.0)
    shadow = None if distractor.kind == "balloon" else _shadow(
        scene, distractor.x, distractor.y, distractor.size, drawing.base,
        0.26 if distractor.kind == "lamp post" else 0.56)
    return _Item(distractor.kind, instance, points, drawing.edges.owner, drawing.first, colours, codes, shadow)


@lru_cache(maxsize=1024)
def _words_item(words: str, words_at: str, instance: int) -> _Item:
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
    return _Item("words", instance, drawing.edges.points, drawing.edges.owner, drawing.first, rgb[drawing.paint],
                 _entry_codes(drawing, "words", paint_codes, 0), None)


def _items(scene: Scene) -> list[_Item]:
    """What stands before the scenery, in drawing order: balloons are far away, lower feet are nearer, words on top."""
    ranked = [(scene.y + scene.size / 2, _main_item(scene))]
    for index, distractor in enumerate(scene.distractors):
        depth = -1.0 if distractor.kind == "balloon" else distractor.y + distractor.size / 2
        ranked.append((depth, _distractor_item(scene, distractor, index + 2)))
    items = [item for _, item in sorted(ranked, key=lambda pair: (pair[0], pair[1].instance))]
    if scene.words.strip():
        items.append(_words_item(scene.words, scene.words_at, len(items) + 1))
    return items


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


@dataclass(eq=False)
class _Spans:
    """Everything of a scene, scan-converted and sorted for painting. ``value``: the entry that a span paints.
    ``cuts[0]``: where the spans of the scenery end; ``cuts[k + 1]``: where those of item ``k`` end. ``starts``: the
    first entry of each item."""

    row: np.ndarray
    column: np.ndarray
    length: np.ndarray
    value: np.ndarray
    cuts: np.ndarray
    starts: list[int]


def _spans(behind: Scenery, items: Sequence[_Item], grid: int) -> _Spans:
    """Number all polygons and entries of a scene one after the other, and scan-convert them together."""
    points, owners, firsts = [behind.edges.points], [behind.edges.owner], [behind.first]
    polygons, entries = [len(behind.first)], [len(behind.rgb)]
    for item in items:
        points.append(item.points)
        owners.append(item.owner + np.int32(polygons[-1]))
        firsts.append(item.first + np.int32(entries[-1]))
        polygons.append(polygons[-1] + len(item.first))
        entries.append(entries[-1] + len(item.rgb))
    owner, row, column, length = _scan(np.concatenate(points, axis=1), np.concatenate(owners), grid)
    value = np.concatenate(firsts)[owner]
    cuts = np.searchsorted(owner, polygons)
    # The colour of scenery runs from the top of a layer to its bottom.
    which = owner[:cuts[0]]
    steps = behind.steps[which]
    share = ((row[:cuts[0]] + 0.5) / grid - behind.top[which]) / behind.height[which]
    value[:cuts[0]] += np.clip((share * steps).astype(np.int32), 0, steps - 1)
    return _Spans(row, column, length, value, cuts, entries[:-1])


def _paint(scene: Scene, items: Sequence[_Item], spans: _Spans, behind: Scenery, grid: int
           ) -> tuple[np.ndarray, np.ndarray | None, list[int]]:
    """Paint the spans, later ones over earlier ones.

    Returns the map of entries (grid, grid), the same just before a glass object was painted (else None), and for each
    item how many label points it has when nothing is in front of it.
    """
    row, column, length, value, cuts = spans.row, spans.column, spans.length, spans.value, spans.cuts
    # The first layer of a scenery spans the whole width: fill its rows at once.
    rows = behind.full_rows(grid)
    fine = np.zeros((grid, grid), dtype=np.uint16)
    fine[row[:rows]] = value[:rows, None]
    row, column, length, value, cuts = row[rows:], column[rows:], length[rows:], value[rows:], cuts - rows

    # The fine points of all other spans, one after the other, and what to paint there.
    flat = fine.ravel()
    ends = np.cumsum(length)
    place = np.arange(ends[-1]) + np.repeat(row * grid + column - (ends - length), length)
    paint = np.repeat(value.astype(np.uint16), length)
    borders = [int(ends[cut - 1]) if cut else 0 for cut in cuts]
    flat[place[:borders[0]]] = paint[:borders[0]]
    middle = fine[FINE // 2::FINE, FINE // 2::FINE]
    under, areas = None, []
    for k, item in enumerate(items):
        if item.surface and scene.material == "glass":
            under = fine.copy()
        flat[place[borders[k]:borders[k + 1]]] = paint[borders[k]:borders[k + 1]]
        if item.surface:
            _draw_surface(fine, spans.starts[k], item, scene)
        areas.append(int(np.count_nonzero(_within(middle, spans.starts[k], len(item.rgb)))))
    return fine, under, areas


def _within(entries: np.ndarray, start: int, count: int) -> np.ndarray:
    """Where an entry is one of ``count`` from ``start`` on (smaller ones wrap around to large numbers)."""
    return (entries - np.uint16(start)) < np.uint16(count)


def _draw_surface(fine: np.ndarray, start: int, item: _Item, scene: Scene) -> None:
    """Add texture and light steps to the entries of the textured polygons of the main object, in place."""
    grid = len(fine)
    points = item.points * grid
    left, right = max(0, int(points[0].min())), min(grid, int(points[0].max()) + 2)
    top, bottom = max(0, int(points[1].min())), min(grid, int(points[1].max()) + 2)
    if left >= right or top >= bottom:
        return
    region = fine[top:bottom, left:right]
    x = (np.arange(left, right) + 0.5) / grid - scene.x
    y = (np.arange(top, bottom) + 0.5) / grid - scene.y
    flip = -1 if scene.facing == "left" else 1

    def tile_points(degrees: int, scale: float, shift: int = 0) -> np.ndarray:
        """Which point of a flattened tile lies where, in a frame that turns and flips with the object."""
        degrees += scene.rotation * flip
        c, s = cosine(degrees) * scale * 64, sine(degrees) * scale * 64
        u = (np.floor(x * c * flip).astype(np.int32)[None, :] + np.floor(y * s).astype(np.int32)[:, None]) >> 6
        v = (np.floor(-x * s * flip).astype(np.int32)[None, :] + np.floor(y * c).astype(np.int32)[:, None]) >> 6
        return (v & (TILE - 1)) * TILE + ((u + shift) & (TILE - 1))

    across = np.clip(((x / (scene.size / 2 * scene.stretch) + 1) / 2 * CARD).astype(np.int64), 0, CARD - 1)
    down = np.clip(((y / (scene.size / 2) + 1) / 2 * CARD).astype(np.int64), 0, CARD - 1)
    level = material_card(scene.material, scene.light)[down[:, None], across[None, :]]
    grain = material_grain(scene.material)
    if grain is not None:
        level = np.clip(level + grain[tile_points(20, 200 / scene.size)], 0, LIGHT_STEPS - 1)
    if scene.texture == "gradient":
        # Once from one side of the object to the other.
        level = level + texture_tile("gradient")[tile_points(scene.texture_angle, TILE / 2 / scene.size, TILE // 4)]
    elif scene.texture != "plain":
        # About five stripes over an object.
        scale = 176 / scene.size / scene.texture_scale
        level = level + texture_tile(scene.texture)[tile_points(scene.texture_angle, scale)]
    np.add(region, level.astype(np.uint16), out=region, where=_within(region, start, item.surface))


def _colour(scene: Scene, fine: np.ndarray, under: np.ndarray | None, behind: Scenery, items: Sequence[_Item],
            starts: Sequence[int]) -> np.ndarray:
    """The picture (size, size, 3), uint8, from the map of entries."""
    # Three 16-bit fields of one number hold red, green and blue; a fourth counts the fine points of background.
    table = np.concatenate([behind.rgb, *(item.rgb for item in items)]).astype(np.uint64)
    packed = table[:, 0] | table[:, 1] << np.uint64(16) | table[:, 2] << np.uint64(32)
    packed[:len(behind.rgb)] |= np.uint64(1 << 48)
    colour = packed.take(fine)
    if under is not None:
        item, start = next((item, start) for item, start in zip(items, starts, strict=True) if item.surface)
        where = np.flatnonzero(_within(fine, start, item.surface))
        low = np.uint64(0x00FF00FF00FF)
        seen, own = packed[under.ravel()[where]] & low, colour.ravel()[where] & low
        colour.ravel()[where] = (seen * np.uint64(GLASS_SHARE) + own * np.uint64(16 - GLASS_SHARE)
                                 >> np.uint64(4)) & low
    total = colour[0::3] + colour[1::3] + colour[2::3]
    total = total[:, 0::3] + total[:, 1::3] + total[:, 2::3]
    size = len(total)
    fields = total.view(np.uint16).reshape(size, size, 4)
    picture = fields * (_light_gain(scene.light, size) * np.float32(scene.brightness))
    for item in items:
        if item.shadow is not None:
            _draw_shadow(picture, fields[:, :, 3], item.shadow)
    return (picture + np.float32(0.5)).astype(np.uint8)[:, :, :3]


def _draw(scene: Scene, size: int, labels: bool) -> tuple[np.ndarray, dict | None]:
    """Picture (size, size, 3), uint8, and when wanted the label maps, boxes and visible shares."""
    behind = scenery(scene.scene, scene.layout)
    items = _items(scene)
    spans = _spans(behind, items, size * FINE)
    fine, under, areas = _paint(scene, items, spans, behind, size * FINE)
    picture = _colour(scene, fine, under, behind, items, spans.starts)
    middle = fine[FINE // 2::FINE, FINE // 2::FINE]
    if scene.mirrored:
        picture, middle = picture[:, ::-1], middle[:, ::-1]
    return picture, _read_labels(scene, middle, behind, items, areas) if labels else None


def _draw_shadow(picture: np.ndarray, background: np.ndarray, shadow: tuple[float, float, float, float]) -> None:
    """Darken the background under an object, softly, in place. ``background`` counts its fine points in a pixel."""
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


def _read_labels(scene: Scene, middle: np.ndarray, behind: Scenery, items: Sequence[_Item], areas: Sequence[int]
                 ) -> dict:
    """Label maps, boxes and visible shares from the entry at the middle of every pixel."""
    background = np.zeros((len(_MAPS), len(behind.rgb)), dtype=np.int16)
    background[1:5] = behind.codes.T
    table = np.concatenate([background, *(item.codes for item in items)], axis=1)
    table[5] = np.repeat([0, *(item.instance for item in items)], [len(behind.rgb), *(len(item.rgb) for item in items)])
    found = dict(zip(_MAPS, table.take(middle, axis=1), strict=True))
    found["scene"] = np.full(middle.shape, SCENES.index(scene.scene), dtype=np.int16)
    boxes, visible = np.zeros((len(items), 4), dtype=np.int64), np.zeros(len(items), dtype=np.float32)
    names = [""] * len(items)
    for item, area in zip(items, areas, strict=True):
        own = found["instance"] == item.instance
        rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        names[item.instance - 1] = item.name
        if len(rows):
            boxes[item.instance - 1] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            visible[item.instance - 1] = np.count_nonzero(own) / area
    found.update(boxes=boxes, visible=visible, names=tuple(names))
    return found


def check_size(size: int) -> None:
    """Raise a ValueError unless ``size`` is a picture size that can be drawn."""
    whole("size", size, SMALLEST, LARGEST, of="pixels")


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
