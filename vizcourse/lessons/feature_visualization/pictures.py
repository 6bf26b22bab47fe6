"""Pictures that the widgets of lesson 02 show at once, since making them takes minutes, and what channels answer to pictures.

`pictures.npz` beside this file holds WebP strips and a table: :func:`paths`, :func:`blends` and :func:`directions` read it.
Each is a part of the lesson's study, which makes it (`vizcourse study 02 blends --again`); of paths, only those are made that
the file does not hold yet.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor, nn

from vizcourse.hooks import capture
from vizcourse.methods import feature_visualization as fv
from vizcourse.models import WeightsError, load
from vizcourse.models.training import at_size
from vizcourse.studies import bar, cache_folder, write
from vizcourse.worlds import scenes

FILE = Path(__file__).with_name("pictures.npz")

PICTURES, SEED = 10_000, 7
UNITS = (("conv3", 3), ("inception3a", 17), ("inception4a", 6), ("inception4c", 86), ("inception5b", 303), ("", 12))
STEPS, EVERY, KEPT = 64, 2, (0, 2, 8, 24, 64)
SWITCHES = ("fourier", "colours", "transformations", "total_variation")
OPTIMIZERS = ("sgd", "adam")  # of `render`; the first is what the studio begins with
PAIRS = (
    (("conv3", 3), ("conv3", 125)),
    (("inception3a", 17), ("inception3a", 124)),
    (("inception3b", 464), ("inception3b", 57)),
    (("inception4a", 6), ("inception4a", 471)),
)
ANGLES = (0, 15, 30, 45, 60, 75, 90)
DIRECTIONS_LAYER, DIRECTIONS = "inception4a", 12


# -------------------------------------------------------------------------------------------------------------- reading


def _read() -> tuple[dict, dict[str, np.ndarray]]:
    with np.load(FILE) as stored:
        strips = {name: stored[name] for name in stored.files}
    return json.loads(strips.pop("table").tobytes()), strips


_file = functools.cache(_read)


def _strip(name: str) -> Tensor:
    return unpacked(_file()[1][name])


def unpacked(strip: np.ndarray) -> Tensor:
    """The pictures of one strip, side by side in it, ``(pictures, 3, side, side)`` in [0, 1]."""
    row = np.array(Picture.open(io.BytesIO(strip.tobytes())).convert("RGB"))
    side = len(row)
    return torch.from_numpy(row.reshape(side, -1, side, 3)).permute(1, 3, 0, 2).float() / 255


class Paths:
    """Paths of optimisation of a few units under every combination of four switches (:data:`SWITCHES`).

    With the plain gradient (``optimizer="sgd"``) or Adam (``"adam"``), at the same learning rate.
    """

    def __init__(self) -> None:
        table = _file()[0]["paths"]
        self.units = tuple((layer, channel, label) for layer, channel, label in table["units"])
        self.steps = tuple(table["steps"])
        self._values = table["values"]

    def frames(self, layer: str, channel: int, *, optimizer: str = "sgd", **switches: bool) -> Tensor:
        """``(len(steps), 3, 96, 96)``; a switch that is not given is on.

        Raises:
            ValueError: the file has no such unit, switch or optimizer.
        """
        return _strip(self._key(layer, channel, optimizer, switches))

    def value(self, layer: str, channel: int, *, optimizer: str = "sgd", **switches: bool) -> tuple[float, float, float]:
        """Of the last frame: the unit's mean, the share of 10,000 pictures below it, and the share of fine noise.

        The noise is the share of the picture's power (without its mean) above a quarter of a cycle a pixel.
        """
        return tuple(self._values[self._key(layer, channel, optimizer, switches)])

    def prior(self, layer: str, channel: int) -> Tensor | None:
        """The path in the latent space of `scenes-decoder`, or None if the file was made without it."""
        name = f"prior/{layer}/{channel}"
        return _strip(name) if name in _file()[1] else None

    def _key(self, layer: str, channel: int, optimizer: str, switches: dict[str, bool]) -> str:
        known = [unit[:2] for unit in self.units]
        if set(switches) - set(SWITCHES) or optimizer not in OPTIMIZERS or (layer, channel) not in known:
            raise ValueError(f"There are pictures of {known} with the switches {SWITCHES} and the optimizers {OPTIMIZERS}.")
        return _key(layer, channel, optimizer, tuple(switches.get(name, True) for name in SWITCHES))


def _key(layer: str, channel: int, optimizer: str, switches: tuple[bool, ...]) -> str:
    return f"paths/{layer}/{channel}/{''.join(str(int(on)) for on in switches)}/{optimizer}"


class Blends:
    """``cos(angle) · A + sin(angle) · B`` for pairs of units, each in units of its strongest natural picture."""

    def __init__(self) -> None:
        table = _file()[0]["blends"]
        self.pairs = tuple(tuple((layer, channel) for layer, channel in pair) for pair in table["pairs"])
        self.angles = tuple(table["angles"])
        self._values = table["values"]

    def images(self, pair: int) -> Tensor:
        """``(angles, 3, 96, 96)``."""
        return _strip(f"blends/{pair}")

    def values(self, pair: int) -> Tensor:
        """How strongly each picture excites both units, ``(angles, 2)``; 1 is the strongest of 10,000 natural pictures."""
        return torch.tensor(self._values[pair])


class Directions:
    """Channels and random directions of one layer in shuffled order, for rating them blind."""

    def __init__(self) -> None:
        table = _file()[0]["directions"]
        self.layer, self.kind, self.names = table["layer"], tuple(table["kind"]), tuple(table["names"])
        self._purity = table["purity"]

    def image(self, number: int) -> Tensor:
        """Its visualization, ``(3, 96, 96)``."""
        return _strip(f"directions/{number}")[0]

    def examples(self, number: int) -> Tensor:
        """Its top six of 10,000 pictures, ``(6, 3, 48, 48)``."""
        return _strip(f"examples/{number}")

    def purity(self, number: int) -> float:
        """The share of its top 50 pictures that show the most common class among them."""
        return self._purity[number]


paths, blends, directions = (functools.cache(kind) for kind in (Paths, Blends, Directions))


# ------------------------------------------------------------------------------------------- pictures, and what they excite


def pictures(count: int = PICTURES, seed: int = SEED, *, size: int = 96, keep: bool = True) -> Tensor:
    """Scenes that no network has been trained on, ``(count, 3, size, size)``, uint8; kept among the studies' files."""
    file = cache_folder() / f"scenes-{count}-{seed}.npz" if keep else None
    drawn = scenes.CachedScenes(count, seed, file=file, progress=keep).pictures
    return drawn if size == drawn.shape[-1] else at_size(drawn, size)


@torch.no_grad()
def answers(model: nn.Module, layers: Sequence[str], images: Tensor, *, progress: bool = True) -> dict[str, Tensor]:
    """The mean of each channel over each picture, ``{layer: (pictures, channels)}``; ``images`` as uint8 or float."""
    found: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    with capture(model, layers, stop=True) as acts:
        for batch in bar(images.split(50), "pictures", show=progress):
            model(batch.float() / 255 if batch.dtype == torch.uint8 else batch)
            for layer in layers:
                activation = acts[layer]  # of a transformer (pictures, tokens, channels), of class scores (pictures, classes)
                if activation.ndim > 2:
                    activation = activation.mean(1) if activation.ndim == 3 else activation.flatten(2).mean(2)
                found[layer].append(activation)
    return {layer: torch.cat(values) for layer, values in found.items()}


def noise_share(images: Tensor) -> Tensor:
    """The share of a picture's power, without its mean, in waves above a quarter of a cycle a pixel, ``(N,)``."""
    height, width = images.shape[2:]
    power = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square()
    high = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]) > 0.25
    return (power * high).sum((1, 2, 3)) / power.sum((1, 2, 3)).clamp_min(1e-12)


# --------------------------------------------------------------------------------------------------------------- making


def packed(images: Tensor, quality: int = 50) -> np.ndarray:
    """The bytes of a WebP file with pictures ``(N, 3, side, side)`` side by side; :func:`unpacked` reads it."""
    row = torch.cat(list(images), 2).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Picture.fromarray(row).save(buffer, "WEBP", quality=quality, method=6)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


@dataclass(frozen=True)
class _World:
    """All that the three parts need."""

    model: nn.Module
    pictures: Tensor
    classes: Tensor
    colours: Tensor
    seen: dict[str, Tensor]


@functools.cache
def _world(count: int) -> _World:
    model, every = load("googlenet-scenes"), pictures(count)
    layers = list(dict.fromkeys(layer for layer, _ in (*UNITS, *itertools.chain(*PAIRS), (DIRECTIONS_LAYER, 0))))
    seen = answers(model, [layer or "fc" for layer in layers], every)
    seen[""] = seen.pop("fc")
    classes = torch.tensor([scenes.label(scene) for scene in scenes.sample(count, SEED)])
    return _World(model, every, classes, fv.colour_matrix(every[:500].float() / 255), seen)


def make(part: str, *, count: int = PICTURES, only: int | None = None) -> dict | None:
    """Make ``"paths"``, ``"blends"`` or ``"directions"`` from ``count`` pictures and store them.

    With ``only``, so many of its pieces are made, and their table is given instead of stored.
    """
    world = _world(count)
    table, strips = ({}, {}) if only or not FILE.is_file() else _read()
    maker = {"paths": _make_paths, "blends": _make_blends, "directions": _make_directions}[part]
    table[part] = maker(world, strips, table.get(part, {}), only)
    if only:
        return table[part]
    buffer = io.BytesIO()
    np.savez(buffer, table=np.frombuffer(json.dumps(table).encode(), dtype=np.uint8), **strips)
    write(FILE, buffer.getvalue())
    for read in (_file, paths, blends, directions):
        read.cache_clear()
    return None


def _goal(layer: str, number: int) -> fv.Objective:
    return fv.channel(layer, number) if layer else fv.logit(number)


def climbed(
    model: nn.Module, goal: fv.Objective, switches: Sequence[bool], optimizer: str, colours: Tensor | None
) -> fv.Rendering:
    """A path with some of the four :data:`SWITCHES` on."""
    waves, coloured, moved, smooth = switches
    return fv.render(
        model,
        goal - 2 * smooth * fv.total_variation(),
        image=(fv.fourier if waves else fv.pixels)(96, colours=colours if coloured else None),
        steps=STEPS,
        optimizer=optimizer,
        transformations=fv.DEFAULT if moved else (),
        frames=STEPS // EVERY + 1,
        progress=False,
    )


def _kept(made: fv.Rendering) -> np.ndarray:
    return packed(made.frames[[step // EVERY for step in KEPT], 0])


def _make_paths(world: _World, strips: dict, known: dict, only: int | None) -> dict:
    units = UNITS[:only]
    names = [f"{layer}, channel {number}" if layer else world.model.classes[number] for layer, number in units]
    values = dict(known.get("values", {}))
    every = itertools.product(OPTIMIZERS, units, itertools.product((False, True), repeat=len(SWITCHES)))
    for optimizer, (layer, number), switches in bar(list(every), "paths"):
        key = _key(layer, number, optimizer, switches)
        if key in strips and key in values:
            continue
        made = climbed(world.model, _goal(layer, number), switches, optimizer, world.colours)
        strips[key] = _kept(made)
        value = float(fv.evaluate(world.model, made.images, _goal(layer, number)))
        below = float((world.seen[layer][:, number] < value).float().mean())
        values[key] = [round(value, 3), round(below, 4), round(float(noise_share(made.images)), 4)]
    try:
        decoder = load("scenes-decoder")
    except WeightsError:
        print("without the learned prior: scenes-decoder has no weights yet")
    else:
        for layer, number in units:
            if f"prior/{layer}/{number}" not in strips:
                image, frames = fv.prior(decoder.decode, decoder.latent, 96), STEPS // EVERY + 1
                made = fv.render(world.model, _goal(layer, number), image=image, steps=STEPS, frames=frames, progress=False)
                strips[f"prior/{layer}/{number}"] = _kept(made)
    return {"units": [[*unit, name] for unit, name in zip(units, names, strict=True)], "steps": KEPT, "values": values}


def blended(model: nn.Module, pair: Sequence[tuple[str, int]], most: Sequence[float], angles: Sequence[int],
            colours: Tensor) -> tuple[Tensor, list[list[float]]]:  # fmt: skip
    """Pictures climbed for two units at some angles, and what both answer to each, in multiples of ``most``."""
    first, second = (fv.channel(layer, number) / high for (layer, number), high in zip(pair, most, strict=True))
    scale = sum(most) / 2  # so that total variation weighs as much as elsewhere
    goals = [
        scale * (math.cos(math.radians(angle)) * first + math.sin(math.radians(angle)) * second) - 2 * fv.total_variation()
        for angle in angles
    ]
    made = fv.render(model, goals, image=fv.fourier(96, colours=colours), steps=STEPS, progress=False).images
    return made, [[round(float(value), 3) for value in both] for both in fv.evaluate(model, made, [first, second]).T]


def _make_blends(world: _World, strips: dict, _known: dict, only: int | None) -> dict:
    pairs, values = PAIRS[:only], []
    for place, pair in enumerate(bar(pairs, "pairs")):
        most = [float(world.seen[layer][:, number].max()) for layer, number in pair]
        made, both = blended(world.model, pair, most, ANGLES, world.colours)
        strips[f"blends/{place}"] = packed(made)
        values.append(both)
    return {"pairs": pairs, "angles": ANGLES, "values": values}


def _make_directions(world: _World, strips: dict, _known: dict, only: int | None) -> dict:
    seen, count = world.seen[DIRECTIONS_LAYER], only or DIRECTIONS
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randperm(seen.shape[1], generator=generator)[:count].tolist()
    vectors = torch.eye(seen.shape[1])[numbers]
    vectors = torch.cat([vectors, nn.functional.normalize(torch.randn(vectors.shape, generator=generator))])
    kinds = ["basis"] * count + ["random"] * count
    names = [f"channel {number}" for number in numbers] + [f"random {number + 1}" for number in range(count)]
    order = torch.randperm(len(kinds), generator=generator).tolist()
    purity = []
    for start in bar(range(0, len(order), 8), "directions"):
        batch = order[start : start + 8]
        made = pointed(world.model, vectors[batch], world.colours)
        for offset, number in enumerate(batch):
            top = (seen @ vectors[number]).topk(50).indices
            small = nn.functional.interpolate(world.pictures[top[:6]].float() / 255, size=48, mode="area")
            strips[f"directions/{start + offset}"] = packed(made[offset : offset + 1])
            strips[f"examples/{start + offset}"] = packed(small)
            purity.append(round(float(world.classes[top].bincount().max() / len(top)), 2))
    shuffled = {"kind": [kinds[number] for number in order], "names": [names[number] for number in order]}
    return {"layer": DIRECTIONS_LAYER, **shuffled, "purity": purity}


def pointed(model: nn.Module, vectors: Tensor, colours: Tensor) -> Tensor:
    """Visualizations of directions ``(N, channels)`` of the layer in question, ``(N, 3, 96, 96)``."""
    goals = [fv.direction(DIRECTIONS_LAYER, vector) - 2 * fv.total_variation() for vector in vectors]
    return fv.render(model, goals, image=fv.fourier(96, colours=colours), steps=STEPS, progress=False).images
