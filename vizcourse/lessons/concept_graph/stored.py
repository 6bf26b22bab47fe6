"""The samples that lesson 06's concepts come from: what its study stored of them, and what is computed from them again.

The dictionaries come from :data:`PICTURES` scenes of seed :data:`SEED`; one pointwise feature vector was drawn from each
scene and layer. The vectors themselves are not shipped (they would fill megabytes), but where each stands is.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.hooks import capture
from vizcourse.methods import concepts as methods
from vizcourse.methods.concepts import Concepts, Samples
from vizcourse.methods.intervals import bootstrap
from vizcourse.models import load, untrained
from vizcourse.studies import bar, kept, read
from vizcourse.worlds import scenes
from vizcourse.worlds.scenes.vocabulary import SCENERY_PARTS

RESULTS = Path(__file__).with_name("study.json")
DICTIONARIES = Path(__file__).with_name("study.npz")
NETWORK = "googlenet-scenes"
LAYERS = ("conv3", "inception3b", "inception4b", "inception4e", "inception5b")
#: Scenes that the dictionaries come from, and the seed of those that they are tested on.
PICTURES, SEED, HELD_OUT = 2_000, 606, 607
CONCEPTS, NEAREST = 64, 20
#: Points on the path when a vector is drawn in proportion to its contribution: few, because only the draw depends on them.
DRAW_STEPS = 2
#: Parts with a smaller code belong to what is behind the objects.
SCENERY = len(SCENERY_PARTS)
AT_ONCE = 100


# --- reading ---------------------------------------------------------------------------------------------------------


def results() -> dict:
    """What the study has measured, as it is shipped."""
    return read(RESULTS)


@functools.cache
def _stored() -> dict[str, np.ndarray]:
    with np.load(DICTIONARIES) as stored:
        return {name: stored[name] for name in stored.files}


def forget() -> None:
    """Read the dictionaries anew when they are next asked for: they have been made again."""
    _stored.cache_clear()


def _read(name: str, layer: str) -> Tensor:
    return torch.from_numpy(_stored()[f"{layer}/{name}"])


def dictionaries() -> dict[str, Concepts]:
    """The concepts of each of :data:`LAYERS`."""
    return {
        layer: Concepts(layer, functional.normalize(_read("vectors", layer).float(), dim=1), float(_read("scale", layer)))
        for layer in LAYERS
    }


def samples() -> dict[str, Samples]:
    """Where each vector stood that the dictionaries come from: numbers of the pictures, and positions.

    The vectors themselves are left empty, ``(N, 0)``; :func:`vectors_of` computes those that are asked for.
    """
    numbers = torch.arange(PICTURES)
    return {layer: Samples(layer, torch.empty(PICTURES, 0), numbers, _read("positions", layer).long()) for layer in LAYERS}


def nearest() -> dict[str, Tensor]:
    """The samples that are most like each concept, most like first, by layer: ``(concepts, 20)``."""
    return {layer: _read("nearest", layer).long() for layer in LAYERS}


def clusters() -> dict[str, Tensor]:
    """The concept that each sample is most like, by layer: ``(samples,)``."""
    return {layer: _read("cluster", layer).long() for layer in LAYERS}


def parts(by: str = "part") -> dict[str, Tensor]:
    """The part that fills most of each sample's receptive field, a code into ``scenes.PARTS``, by layer: ``(samples,)``.

    Args:
        by: ``"part"``, or what it is compared with: ``"part of raw pixels"`` (see :func:`receptive_fields`) and
            ``"part at the position"``, in the middle of the sample's place.
    """
    return {layer: _read(by, layer).long() for layer in LAYERS}


def boxes() -> dict[str, Tensor]:
    """A box around most of each sample's receptive field: top, left, bottom, right, by layer: ``(samples, 4)``."""
    return {layer: _read("boxes", layer).long() for layer in LAYERS}


def pictures(numbers: Iterable[int] | Tensor) -> Tensor:
    """Some of the pictures that the dictionaries come from, ``(n, 3, 96, 96)``; only these are drawn."""
    return scenes.render([scene(number) for number in numbers])


def scene(number: int) -> scenes.Scene:
    """One of the scenes that the dictionaries come from."""
    return _sampler()[int(number)]


def classes(numbers: Iterable[int] | Tensor) -> Tensor:
    """Classes of some of those scenes."""
    return torch.tensor([scenes.label(scene(number)) for number in numbers])


@functools.cache
def _sampler() -> scenes.Sampler:
    return scenes.Sampler(SEED)


def vectors_of(model: nn.Module, layer: str, numbers: Sequence[int] | Tensor) -> Tensor:
    """The pointwise feature vectors of some samples, ``(n, channels)``."""
    numbers = torch.as_tensor(numbers)
    rows, columns = samples()[layer].positions[numbers].unbind(1)
    maps = methods.pointwise_feature_vectors(model, pictures(numbers), layer)
    return maps[torch.arange(len(numbers)), :, rows, columns]


def named(layer: str, concept: int) -> tuple[str, float]:
    """The part that most of a concept's nearest samples show, and how many of them do."""
    shown = parts()[layer][nearest()[layer][concept]]
    most = int(shown.mode().values)
    return scenes.PARTS[most], float((shown == most).float().mean())


# --- the samples -----------------------------------------------------------------------------------------------------


def drawn_before(model: nn.Module, count: int = PICTURES) -> dict[str, Samples]:
    """The samples that the shipped dictionaries come from: where each vector stood is stored, so nothing is drawn anew."""
    numbers, known = torch.arange(count), samples()
    found: dict[str, list[Tensor]] = {layer: [] for layer in LAYERS}
    for some in bar(numbers.split(AT_ONCE), "pictures by the hundred"):
        with torch.no_grad(), capture(model, list(LAYERS), stop=True) as acts:
            model(pictures(some))
            for layer, vectors in found.items():
                rows, columns = known[layer].positions[some].unbind(1)
                vectors.append(acts[layer][torch.arange(len(some)), :, rows, columns])
    return {
        layer: Samples(layer, torch.cat(vectors), numbers, known[layer].positions[:count]) for layer, vectors in found.items()
    }


def draw(model: nn.Module, numbers: Sequence[int], layers: Sequence[str] = LAYERS, *, steps: int = DRAW_STEPS,
         progress: bool = True) -> dict[str, Samples]:  # fmt: skip
    """One pointwise feature vector of each picture and layer, by its contribution to the logit of the picture's class."""
    found: dict[str, list[Samples]] = {layer: [] for layer in layers}
    starts = range(0, len(numbers), AT_ONCE)
    for start in bar(starts, "pictures by the hundred", show=progress):
        some = numbers[start : start + AT_ONCE]
        images, targets = pictures(some), classes(some)
        for layer in layers:
            found[layer].append(methods.sample_vectors(model, images, targets, layer, steps=steps, seed=some[0] // AT_ONCE))
    return {
        layer: Samples(layer, torch.cat([each.vectors for each in these]), torch.tensor(list(numbers)),
                       torch.cat([each.positions for each in these]))
        for layer, these in found.items()
    }  # fmt: skip


@functools.lru_cache(maxsize=4)
def _without_normalize(model: nn.Module) -> nn.Module:
    inner = copy.deepcopy(model)
    inner.normalize = nn.Identity()
    return inner


def receptive_fields(model: nn.Module, images: Tensor, layer: str, positions: Tensor, *, normalized: bool = True) -> Tensor:
    """Effective receptive fields ``(N, H, W)``, down the chain of :data:`LAYERS`.

    A share is a gradient times an input, so a pixel whose values are zero never has any: of pixels from 0 to 1 that is every
    black one, a tyre for one. So the field is taken at what the network's first layer makes of the pixels (zero is mid-grey),
    as it would be with a network that is given normalised pictures. ``normalized=False``: at the pixels themselves.
    """
    chain = LAYERS[: LAYERS.index(layer) + 1]
    if not normalized:
        return methods.effective_receptive_field(model, images, chain, positions)
    return methods.effective_receptive_field(_without_normalize(model), model.normalize(images), chain, positions)


@dataclass(frozen=True)
class Seen:
    """What samples of one layer see.

    Attributes:
        part: the part, a code into ``scenes.PARTS``, on which most of each receptive field lies (by size: what pulls a
            vector's value down matters to it as well), ``(N,)``.
        raw: the same by the field of raw pixels.
        position: the part at the middle of the sample's place in the layer's map.
        boxes: around most of the field, without a margin: top, left, bottom, right ``(N, 4)``.
    """

    part: Tensor
    raw: Tensor
    position: Tensor
    boxes: Tensor


def look(model: nn.Module, samples: Samples, *, progress: bool = True) -> Seen:
    """What each of the samples sees, from the world's part labels."""
    found = []
    for start in bar(range(0, len(samples.images), 50), samples.layer, show=progress):
        some = slice(start, start + 50)
        images, labels = scenes.render([scene(number) for number in samples.images[some]], labels=True)
        at, rows = samples.positions[some], torch.arange(len(images))
        fields = [receptive_fields(model, images, samples.layer, at, normalized=normalized) for normalized in (True, False)]
        height = methods.pointwise_feature_vectors(model, images[:1], samples.layer).shape[2]
        middle = ((at + 0.5) * images.shape[2] / height).long()
        code = labels.part.long()
        found.append((
            *(_most(field, code) for field in fields), code[rows, middle[:, 0], middle[:, 1]],
            methods.boxes(fields[0], share=0.7, margin=0),
        ))  # fmt: skip
    return Seen(*(torch.cat(each) for each in zip(*found, strict=True)))


def _most(fields: Tensor, codes: Tensor) -> Tensor:
    """The code on which most of each field lies, ``(N,)``."""
    mass = torch.zeros(len(fields), len(scenes.PARTS))
    return mass.scatter_add_(1, codes.flatten(1), fields.abs().flatten(1)).argmax(1)


def likeness(vectors: Tensor, concepts: Concepts) -> Tensor:
    """Cosine similarity, ``(N, K)``."""
    return functional.normalize(vectors, dim=1) @ concepts.vectors.T


# --- pictures that no concept comes from -----------------------------------------------------------------------------


def held_out(each: int = 1, names: Sequence[str] = scenes.CLASSES, seed: int = HELD_OUT) -> tuple[Tensor, Tensor]:
    """Pictures ``(each · names, 3, 96, 96)`` of classes, in turn, that no concept comes from, and their classes."""
    # Each class has a seed of its own: with the same one, all would have the same surroundings.
    drawn = [scenes.sample(each, seed + 1000 * scenes.CLASSES.index(name), object=name) for name in names]
    return scenes.render([one for some in drawn for one in some]), torch.tensor(
        [scenes.CLASSES.index(name) for name in names for _ in range(each)]
    )


def forms(numbers: Sequence[int] | Tensor) -> Tensor:
    """Which drawing each picture shows: 20 forms for the 28 classes, because eight pairs differ by the colour alone."""
    names = list(dict.fromkeys(scenes.FORM.values()))
    return torch.tensor([names.index(scenes.FORM[scene(number).object]) for number in numbers])


# --- what several measurements share ---------------------------------------------------------------------------------


@functools.cache
def network(hidden: bool = False) -> nn.Module:
    """The network, or an untrained one of the same make."""
    return untrained(NETWORK, (pictures(range(512)) * 255).round().to(torch.uint8)) if hidden else load(NETWORK)


@functools.cache
def bank(count: int = PICTURES, *, hidden: bool = False) -> dict[str, Samples]:
    """The samples of all layers of so many pictures; of the untrained network, of half as many."""

    def drawn() -> dict[str, tuple[Tensor, Tensor]]:
        found = draw(network(True), range(count // 2)) if hidden else drawn_before(network(), count)
        return {layer: (each.vectors, each.positions) for layer, each in found.items()}

    stored = kept(["06", "samples", count, hidden], drawn)
    return {layer: Samples(layer, vectors, torch.arange(len(vectors)), at) for layer, (vectors, at) in stored.items()}


def interval_of(values: Tensor, level: float = 0.95) -> list[float]:
    """Mean and bootstrap interval as they are stored, ``[mean, low, high]``."""
    return bootstrap(values, level=level).rounded()
