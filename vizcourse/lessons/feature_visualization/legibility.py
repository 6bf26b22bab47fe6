"""How legible are a network's visualizations? Networks that had no part in making them are asked what they show.

`legible.npz` beside this file holds the pictures as WebP strips: the 28 classes of three networks of the scenes world, made in
several ways, channels drawn by lot, and a page of the ImageNet network. What is graded is what is shipped.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from vizcourse.lessons.feature_visualization.pictures import SEED, answers, packed, pictures, unpacked
from vizcourse.methods import feature_visualization as fv
from vizcourse.methods.intervals import Interval, bootstrap
from vizcourse.models import card, evaluation, load, untrained
from vizcourse.studies import bar, cache_folder, write
from vizcourse.worlds import scenes

FILE = Path(__file__).with_name("legible.npz")
CONTROL = "random weights"
NETWORKS = ("googlenet-scenes-robust", "googlenet-scenes", CONTROL)
#: None of them was optimised for: a transformer, and a small residual network. (`scenes-small-0` was used to choose the ways.)
OBSERVERS = ("vit-scenes", "scenes-small-1")
IMAGENET = "imagenet/efficientnet-lite0"
LAYERS, EACH = ("inception3b", "inception4c", "inception5a"), 8


@dataclass(frozen=True)
class Way:
    """How pictures are made: their side in pixels, how many starts each is made from, and the settings of `render`."""

    size: int
    smoothness: float = 2.0
    steps: int = 64
    variants: int = 1
    options: dict = field(default_factory=dict)


_PLAIN = {"optimizer": "sgd", "learning_rate": 0.02, "transformations": ()}
#: The recipe of the lesson; few plain steps in waves and nothing else; and those on a larger picture.
WAYS = {"96 px, Adam": Way(96), "96 px, plain": Way(96, 0, 32, 4, _PLAIN), "160 px, plain": Way(160, 0, 32, 1, _PLAIN)}
SHOWN, PLAIN = "96 px, Adam", "96 px, plain"


# -------------------------------------------------------------------------------------------------------------- reading


def _read() -> dict[str, np.ndarray]:
    if not FILE.is_file():
        return {}
    with np.load(FILE) as stored:
        return {name: stored[name] for name in stored.files}


_file = functools.cache(_read)


def classes(network: str, way: str = SHOWN) -> Tensor:
    """The visualizations of all class logits, ``(28, variants, 3, side, side)``, in the order of ``scenes.CLASSES``."""
    return unpacked(_file()[f"classes/{network}/{way}"]).unflatten(0, (-1, WAYS[way].variants))


def channels(network: str) -> Tensor:
    """The visualizations of :func:`lot`, ``(len(LAYERS) · EACH, 3, side, side)``."""
    return unpacked(_file()[f"channels/{network}"])


def page() -> Tensor:
    """The visualizations of :data:`PAGE` in the ImageNet network, ``(len(PAGE), 3, 160, 160)``."""
    return unpacked(_file()["page"])


# --------------------------------------------------------------------------------------------------------------- making


@functools.cache
def network(name: str) -> nn.Module:
    """One of :data:`NETWORKS`; the control has the architecture of the others."""
    return untrained(NETWORKS[1], pictures(512, keep=False)) if name == CONTROL else load(name)


@functools.cache
def _colours() -> Tensor:
    return fv.colour_matrix(pictures(500, keep=False).float() / 255)


def made(model: nn.Module, goals: Sequence[fv.Objective], way: Way, colours: Tensor) -> Tensor:
    """The pictures of each goal, goal by goal, ``(goals · variants, 3, size, size)``."""
    found, image, at_once = [], fv.fourier(way.size, colours=colours), max(1, 8 // way.variants)
    for start in bar(range(0, len(goals), at_once), "pictures"):
        some = [goal - way.smoothness * fv.total_variation() if way.smoothness else goal for goal in goals[start:][:at_once]]
        settings = {"steps": way.steps, "variants": way.variants, "progress": False} | way.options
        found.append(fv.render(model, some, image=image, **settings).images)
    return torch.cat(found)


def class_pictures(name: str, way: str, only: int | None = None) -> Tensor:
    """The class logits' pictures of one network in one way, or the first so many."""
    return made(network(name), [fv.logit(number) for number in range(len(scenes.CLASSES))][:only], WAYS[way], _colours())


def lot(seed: int = 1) -> list[tuple[str, int]]:
    """Channels of three layers, the same in all networks: ``EACH`` of each by lot."""
    widths = {"inception3b": 480, "inception4c": 512, "inception5a": 832}
    chance = torch.Generator().manual_seed(seed)
    return [(layer, number) for layer in LAYERS for number in torch.randperm(widths[layer], generator=chance)[:EACH].tolist()]


def channel_pictures(name: str, only: int | None = None) -> Tensor:
    """Those of the channels that the lot has chosen, from one start each."""
    goals, way = [fv.channel(*unit) for unit in lot()][:only], replace(WAYS[PLAIN], variants=1)
    parts = [goals[start:][:EACH] for start in range(0, len(goals), EACH)]
    return torch.cat([made(network(name), part, way, _colours()) for part in parts])


#: The ImageNet network from its first layer to its classes: three channels a layer, by lot, and three classes.
PAGE_LAYERS = {"bn1": 32, "blocks.1": 24, "blocks.2": 40, "blocks.3": 80, "blocks.4": 112, "blocks.5": 192, "blocks.6": 320}
PAGE_CLASSES = ("tiger", "strawberry", "monarch")
#: Of the first layer, the channels that see nothing: training has made their weights zero. The lot leaves them out.
DEAD = (11, 16, 28, 31)


def page_units(seed: int = 0) -> list[tuple[str, int]]:
    """``(layer, channel)``, and ``("", class)``. The network itself is not needed to know them."""
    chance, units = torch.Generator().manual_seed(seed), []
    for layer, width in PAGE_LAYERS.items():
        numbers = torch.randperm(width, generator=chance).tolist()
        units += [(layer, number) for number in numbers if layer != "bn1" or number not in DEAD][:3]
    return units + [("", card(IMAGENET)["classes"].index(name)) for name in PAGE_CLASSES]


def page_pictures(only: int | None = None) -> Tensor:
    """The page of the ImageNet network, layer by layer."""
    model = load(IMAGENET)
    goals = [fv.channel(layer, number) if layer else fv.logit(number) for layer, number in page_units()[:only]]
    way = Way(160, smoothness=1.0, steps=96)
    return torch.cat([made(model, goals[start:][:3], way, fv.IMAGENET_COLOURS) for start in range(0, len(goals), 3)])


STRIPS = {
    **{f"classes/{name}/{way}": functools.partial(class_pictures, name, way) for name in NETWORKS for way in WAYS},
    **{f"channels/{name}": functools.partial(channel_pictures, name) for name in NETWORKS},
    "page": page_pictures,
}


def make(*, only: int | None = None) -> dict | None:
    """Make the pictures that the file does not hold yet, and store them strip by strip.

    With ``only``, so many of the first strip are made, and their brightness is given instead.
    """
    for name, pictures_of in STRIPS.items():
        if only:
            return {name: pictures_of(only).mean((1, 2, 3)).tolist()}
        if name not in _read():
            strip = packed(pictures_of(), quality=70)
            with FileLock(cache_folder() / "legible.lock"):  # another process may have stored its strips meanwhile
                buffer = io.BytesIO()
                np.savez(buffer, **_read(), **{name: strip})
                write(FILE, buffer.getvalue())
            _file.cache_clear()
    return None


# -------------------------------------------------------------------------------------------------------------- grading


def named(images: Tensor, observers: Sequence[str] = OBSERVERS) -> dict[str, list[int]]:
    """Which class each observer sees in each picture, ``(N, 3, side, side)``; scaled to the size that it knows."""
    as_bytes = (255 * images).round().to(torch.uint8)
    return {name: evaluation.logits(load(name), as_bytes).argmax(1).tolist() for name in observers}


def measure_classes(only: Sequence[tuple[str, str]] | None = None) -> dict[str, dict[str, list[list[int]]]]:
    """What the observers see in the class logits' pictures, by network and way, and what the networks themselves see.

    Each is ``(28, variants)`` numbers of classes.
    """
    found = {}
    for network, way in only or [(name, way) for name in NETWORKS for way in WAYS]:
        seen = named(classes(network, way).flatten(0, 1), (*OBSERVERS, *NETWORKS[:2]))
        count = WAYS[way].variants
        found[f"{network}, {way}"] = {
            name: [each[start:][:count] for start in range(0, len(each), count)] for name, each in seen.items()
        }
    return found


def measure_channels(count: int = 2_000, networks: Sequence[str] = NETWORKS) -> dict[str, dict[str, list[int]]]:
    """What the observers see in the channels' pictures, and which class excites each channel most in pictures."""
    units, every = lot(), pictures(count, keep=False)
    truth = torch.tensor([scenes.label(scene) for scene in scenes.sample(count, SEED)])
    found = {}
    for name in networks:
        seen = answers(network(name), LAYERS, every)
        strongest = {
            layer: torch.stack([values[truth == c].mean(0) for c in range(len(scenes.CLASSES))]).argmax(0)
            for layer, values in seen.items()
        }
        found[name] = {"exciting": [int(strongest[layer][number]) for layer, number in units]} | named(channels(name))
    return found


def shares(seen: Sequence[Sequence[int]]) -> Tensor:
    """Of each class, the share of its pictures that are named after it, ``(classes,)``."""
    return torch.tensor([sum(name == number for name in row) / len(row) for number, row in enumerate(seen)])


def right(seen: Sequence[Sequence[int]]) -> Interval:
    """The mean of :func:`shares`, with an interval over classes."""
    return bootstrap(shares(seen))


def above_others(seen: Sequence[int], truth: Sequence[int]) -> Interval:
    """By how much oftener a picture is named after its own channel's class than after another channel's of the layer."""
    seen, truth = torch.tensor(seen).view(len(LAYERS), EACH), torch.tensor(truth).view(len(LAYERS), EACH)
    alike = (seen[:, :, None] == truth[:, None, :]).float()  # (layers, pictures, channels)
    own = alike.diagonal(dim1=1, dim2=2)
    others = (alike.sum(2) - own) / (EACH - 1)
    return bootstrap((own - others).flatten())


def correlation(images: Tensor, stored: Tensor) -> float:
    """Between pictures made again and the shipped ones, which are compressed."""
    return float(torch.corrcoef(torch.stack([images.flatten(), stored[: len(images)].flatten()]))[0, 1])
