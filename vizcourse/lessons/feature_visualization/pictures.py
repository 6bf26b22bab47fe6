"""Pictures that the widgets of lesson 02 show at once, since making them takes minutes.

    python -m vizcourse.lessons.feature_visualization.pictures [--cache FOLDER]

makes them (some fifteen minutes on two cores) and writes `pictures.npz` beside this file: WebP strips and a
table. Only paths that the file does not hold yet are made; `directions` and `blends` are made anew where they are named.
:func:`paths`, :func:`blends` and :func:`directions` read it.
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture
from torch import Tensor

FILE = Path(__file__).with_name("pictures.npz")

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


@functools.cache
def _file() -> tuple[dict, dict[str, np.ndarray]]:
    with np.load(FILE) as stored:
        strips = {name: stored[name] for name in stored.files}
    return json.loads(strips.pop("table").tobytes()), strips


def _strip(name: str) -> Tensor:
    """The pictures of one strip, side by side in it, ``(pictures, 3, side, side)`` in [0, 1]."""
    row = np.array(Picture.open(io.BytesIO(_file()[1][name].tobytes())).convert("RGB"))
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


# --------------------------------------------------------------------------------------------------------------- making


def _packed(images: Tensor, quality: int = 50) -> np.ndarray:
    row = torch.cat(list(images), 2).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Picture.fromarray(row).save(buffer, "WEBP", quality=quality, method=6)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def noise_share(images: Tensor) -> Tensor:
    """The share of a picture's power, without its mean, in waves above a quarter of a cycle a pixel, ``(N,)``."""
    height, width = images.shape[2:]
    power = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square()
    high = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]) > 0.25
    return (power * high).sum((1, 2, 3)) / power.sum((1, 2, 3)).clamp_min(1e-12)


@dataclass(frozen=True)
class _World:
    """All that the three parts need."""

    model: torch.nn.Module
    pictures: Tensor
    classes: Tensor
    colours: Tensor
    seen: dict[str, Tensor]


def _goal(layer: str, number: int):
    from vizcourse.methods.feature_visualization import channel, logit

    return channel(layer, number) if layer else logit(number)


def _make_paths(world: _World, strips: dict, known: dict) -> dict:
    from vizcourse.methods.feature_visualization import DEFAULT, evaluate, fourier, pixels, prior, render, total_variation
    from vizcourse.models import load
    from vizcourse.models.zoo import WeightsError

    names = [f"{layer}, channel {number}" if layer else world.model.classes[number] for layer, number in UNITS]
    values = dict(known.get("values", {}))
    every = itertools.product(OPTIMIZERS, UNITS, itertools.product((False, True), repeat=len(SWITCHES)))
    for optimizer, (layer, number), switches in every:
        key = _key(layer, number, optimizer, switches)
        if key in strips and key in values:
            continue
        waves, coloured, moved, smooth = switches
        result = render(
            world.model,
            _goal(layer, number) - 2 * smooth * total_variation(),
            image=(fourier if waves else pixels)(96, colours=world.colours if coloured else None),
            steps=STEPS,
            optimizer=optimizer,
            transformations=DEFAULT if moved else (),
            frames=STEPS // EVERY + 1,
            progress=False,
        )
        strips[key] = _packed(result.frames[[step // EVERY for step in KEPT], 0])
        value = float(evaluate(world.model, _goal(layer, number), result.images))
        below = float((world.seen[layer][:, number] < value).float().mean())
        values[key] = [round(value, 3), round(below, 4), round(float(noise_share(result.images)), 4)]
    try:
        decoder = load("scenes-decoder")
    except WeightsError:
        print("without the learned prior: scenes-decoder has no weights yet")
    else:
        for layer, number in UNITS:
            if f"prior/{layer}/{number}" in strips:
                continue
            image = prior(decoder.decode, decoder.latent, 96)
            result = render(
                world.model, _goal(layer, number), image=image, steps=STEPS, frames=STEPS // EVERY + 1, progress=False
            )
            strips[f"prior/{layer}/{number}"] = _packed(result.frames[[step // EVERY for step in KEPT], 0])
    return {"units": [[*unit, name] for unit, name in zip(UNITS, names, strict=True)], "steps": KEPT, "values": values}


def _make_blends(world: _World, strips: dict, _known: dict) -> dict:
    from vizcourse.methods.feature_visualization import channel, evaluate, fourier, render, total_variation

    values = []
    for place, pair in enumerate(PAIRS):
        most = [float(world.seen[layer][:, number].max()) for layer, number in pair]
        first, second = (channel(layer, number) / high for (layer, number), high in zip(pair, most, strict=True))
        scale = sum(most) / 2  # so that total variation weighs as much as elsewhere
        goals = [
            scale * (math.cos(math.radians(angle)) * first + math.sin(math.radians(angle)) * second) - 2 * total_variation()
            for angle in ANGLES
        ]
        made = render(world.model, goals, image=fourier(96, colours=world.colours), steps=STEPS, progress=False).images
        strips[f"blends/{place}"] = _packed(made)
        values.append([[round(float(value), 3) for value in both] for both in evaluate(world.model, [first, second], made).T])
    return {"pairs": PAIRS, "angles": ANGLES, "values": values}


def _make_directions(world: _World, strips: dict, _known: dict) -> dict:
    from vizcourse.methods.feature_visualization import direction, fourier, render, total_variation

    seen = world.seen[DIRECTIONS_LAYER]
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randperm(seen.shape[1], generator=generator)[:DIRECTIONS].tolist()
    vectors = torch.eye(seen.shape[1])[numbers]
    vectors = torch.cat([vectors, torch.nn.functional.normalize(torch.randn(vectors.shape, generator=generator))])
    kinds = ["basis"] * DIRECTIONS + ["random"] * DIRECTIONS
    names = [f"channel {number}" for number in numbers] + [f"random {number + 1}" for number in range(DIRECTIONS)]
    order = torch.randperm(len(kinds), generator=generator).tolist()
    image, purity = fourier(96, colours=world.colours), []
    for start in range(0, len(order), 8):
        batch = order[start : start + 8]
        goals = [direction(DIRECTIONS_LAYER, vectors[number]) - 2 * total_variation() for number in batch]
        made = render(world.model, goals, image=image, steps=STEPS, progress=False).images
        for offset, number in enumerate(batch):
            top = (seen @ vectors[number]).topk(50).indices
            small = torch.nn.functional.interpolate(world.pictures[top[:6]].float() / 255, size=48, mode="area")
            strips[f"directions/{start + offset}"] = _packed(made[offset : offset + 1])
            strips[f"examples/{start + offset}"] = _packed(small)
            purity.append(round(float(world.classes[top].bincount().max() / len(top)), 2))
    shuffled = {"kind": [kinds[number] for number in order], "names": [names[number] for number in order]}
    return {"layer": DIRECTIONS_LAYER, **shuffled, "purity": purity}


def main() -> None:
    from vizcourse.lessons.feature_visualization.study import PICTURES, SEED, answers, pictures
    from vizcourse.methods.feature_visualization import colour_matrix
    from vizcourse.models import load
    from vizcourse.worlds import scenes

    makers = {"directions": _make_directions, "blends": _make_blends, "paths": _make_paths}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help=f"make some parts only, of: {', '.join(makers)}")
    parser.add_argument("--cache", type=Path, help="a folder in which the drawn pictures are kept")
    options = parser.parse_args()

    model, every = load("googlenet-scenes"), pictures(folder=options.cache)
    layers = list(dict.fromkeys(layer for layer, _ in (*UNITS, *itertools.chain(*PAIRS), (DIRECTIONS_LAYER, 0))))
    seen = answers(model, [layer or "fc" for layer in layers], every)
    seen[""] = seen.pop("fc")
    classes = torch.tensor([scenes.label(scene) for scene in scenes.sample(PICTURES, SEED)])
    world = _World(model, every, classes, colour_matrix(every[:500].float() / 255), seen)
    table, strips = (dict(part) for part in _file()) if FILE.is_file() else ({}, {})
    for name in options.only or makers:
        table[name] = makers[name](world, strips, table.get(name, {}))
        np.savez(FILE, table=np.frombuffer(json.dumps(table).encode(), dtype=np.uint8), **strips)
        print(f"{name}: done", flush=True)
    print(f"{FILE.name}: {FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
