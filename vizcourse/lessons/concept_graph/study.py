"""The study of lesson 06: what the concepts of `googlenet-scenes` are, and what is true of graphs drawn between them.

    python -m vizcourse.lessons.concept_graph.study [NAME ...] [--again]     # about fifty minutes on one core

makes the dictionaries (`study.npz`) where there are none, then whichever experiments (:data:`EXPERIMENTS`) have no
results in `study.json` yet, and writes both beside this file. Every interval, `[mean, low, high]`, is a 95 %
bootstrap interval; over what is said at each experiment.

The dictionaries come from :data:`PICTURES` scenes of seed :data:`SEED`; one pointwise feature vector was drawn from each
scene and layer. The vectors themselves are not shipped (they would fill megabytes), but where each stands is.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizcourse.hooks import capture
from vizcourse.methods import concepts as methods
from vizcourse.methods.concept_evaluation import ORDERS, insertion_deletion, interlayer_insertion_deletion
from vizcourse.methods.concept_graph import generalized_integrated_gradients, importance, shared_concepts
from vizcourse.methods.concepts import Concepts, Samples
from vizcourse.methods.intervals import bootstrap
from vizcourse.models import load, untrained
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


# -------------------------------------------------------------------------------------------------------------- reading


@functools.cache
def results() -> dict:
    """What the study has measured, as it is shipped."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


@functools.cache
def _stored() -> dict[str, np.ndarray]:
    with np.load(DICTIONARIES) as stored:
        return {name: stored[name] for name in stored.files}


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


# ---------------------------------------------------------------------------------------------------------- the samples


def drawn_before(model: nn.Module) -> dict[str, Samples]:
    """The samples that the shipped dictionaries come from: where each vector stood is stored, so nothing is drawn anew."""
    known = samples()
    found: dict[str, list[Tensor]] = {layer: [] for layer in LAYERS}
    for some in torch.arange(PICTURES).split(AT_ONCE):
        with torch.no_grad(), capture(model, list(LAYERS), stop=True) as acts:
            model(pictures(some))
            for layer, vectors in found.items():
                rows, columns = known[layer].positions[some].unbind(1)
                vectors.append(acts[layer][torch.arange(len(some)), :, rows, columns])
    return {layer: dataclasses.replace(known[layer], vectors=torch.cat(vectors)) for layer, vectors in found.items()}


def draw(model: nn.Module, numbers: Sequence[int], layers: Sequence[str] = LAYERS, *, steps: int = DRAW_STEPS,
         progress: bool = True) -> dict[str, Samples]:  # fmt: skip
    """One pointwise feature vector of each picture and layer, by its contribution to the logit of the picture's class."""
    found: dict[str, list[Samples]] = {layer: [] for layer in layers}
    starts = range(0, len(numbers), AT_ONCE)
    for start in tqdm(starts, "pictures by the hundred", delay=3, leave=False, disable=not progress):
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
    for start in tqdm(range(0, len(samples.images), 50), samples.layer, delay=3, leave=False, disable=not progress):
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


def make_dictionaries(drawn: dict[str, Samples], model: nn.Module) -> None:
    """Extract the concepts and write the file that is shipped."""
    stored: dict[str, np.ndarray] = {}
    for layer, these in drawn.items():
        concepts = methods.extract_concepts(these, CONCEPTS)
        seen = look(model, these)
        entry = {
            "vectors": concepts.vectors.half(),
            "scale": torch.tensor(concepts.scale),
            "positions": these.positions.to(torch.uint8),
            "nearest": concepts.nearest(these.vectors, NEAREST).to(torch.int16),
            "cluster": likeness(these.vectors, concepts).argmax(1).to(torch.uint8),
            "part": seen.part.to(torch.uint8),
            "part of raw pixels": seen.raw.to(torch.uint8),
            "part at the position": seen.position.to(torch.uint8),
            "boxes": seen.boxes.to(torch.uint8),
        }
        stored |= {f"{layer}/{name}": value.numpy() for name, value in entry.items()}
        print(layer, "done", flush=True)
    np.savez_compressed(DICTIONARIES, **stored)
    _stored.cache_clear()


# ------------------------------------------------------------------------------------- purity: is a concept one part?


@dataclass(frozen=True)
class Purity:
    """How far samples that a concept gathers have one label.

    Attributes:
        nearest: share of the concept's nearest samples that have their commonest label, ``(K,)``.
        cluster: the same among all samples that are more like it than like any other concept; NaN where there is none.
        label: that commonest label among the nearest, ``(K,)``.
    """

    nearest: Tensor
    cluster: Tensor
    label: Tensor


def purity(vectors: Tensor, concepts: Concepts, labels: Tensor, count: int = NEAREST) -> Purity:
    """Purity of concepts against one label of each sample, ``(N,)``."""
    shown = labels[concepts.nearest(vectors, count)]
    label = shown.mode(1).values
    most_like, gathered = likeness(vectors, concepts).argmax(1), torch.full((len(concepts),), torch.nan)
    for concept in most_like.unique().tolist():
        own = labels[most_like == concept]
        gathered[concept] = own.bincount().max() / len(own)
    return Purity((shown == label[:, None]).float().mean(1), gathered, label)


def channels(layer: str, count: int) -> Concepts:
    """Single channels as concepts."""
    return Concepts(layer, torch.eye(count), method="channels")


def forms(numbers: Sequence[int] | Tensor) -> Tensor:
    """Which drawing each picture shows: 20 forms for the 28 classes, because eight pairs differ by the colour alone."""
    names = list(dict.fromkeys(scenes.FORM.values()))
    return torch.tensor([names.index(scenes.FORM[scene(number).object]) for number in numbers])


def purity_row(vectors: Tensor, concepts: Concepts, parts: Tensor, forms: Tensor) -> dict:
    """Purity by part and by form, with intervals over concepts, and how many concepts show scenery alone."""
    by_part, by_form = purity(vectors, concepts, parts), purity(vectors, concepts, forms)
    return {
        "nearest": _interval(by_part.nearest),
        "cluster": _interval(by_part.cluster[by_part.cluster.isfinite()]),
        "nearest, form": _interval(by_form.nearest),
        "scenery": round(float((by_part.label < SCENERY).float().mean()), 3),
        "parts": len(by_part.label.unique()),
    }


def study_purity(folder: Path | None) -> dict:
    """Do concepts gather one part? By layer and dictionary, against chance, single channels and an untrained network.

    The part of a sample is that on which most of its receptive field lies. Intervals are over concepts.
    """
    found: dict = {}
    model, drawn = _bank(folder)
    _, noise = _bank(folder, untrained=True)
    for layer in LAYERS:
        vectors, labels, shapes = drawn[layer].vectors, _parts(folder)[layer], forms(drawn[layer].images)
        rows = found[layer] = {}
        for method in methods.DICTIONARIES:
            rows[method] = purity_row(vectors, methods.extract_concepts(vectors, CONCEPTS, method=method), labels, shapes)
        rows["channels"] = purity_row(vectors, channels(layer, vectors.shape[1]), labels, shapes)
        concepts = methods.extract_concepts(vectors, CONCEPTS)
        mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        rows["shuffled labels"] = purity_row(vectors, concepts, labels[mixed], shapes[mixed])
        few = len(noise[layer].images)
        some = vectors[:few]
        rows[f"{few} pictures"] = purity_row(some, methods.extract_concepts(some, CONCEPTS), labels[:few], shapes[:few])
        there = noise[layer].vectors
        rows[f"untrained network, {few} pictures"] = purity_row(
            there, methods.extract_concepts(there, CONCEPTS), _parts(folder, untrained=True)[layer], shapes[:few]
        )
        rows["samples on scenery"] = round(float((labels < SCENERY).float().mean()), 3)
        print(layer, flush=True)
    return found


#: Ways to say what a sample sees; arguments of :func:`parts`.
LABELS = ("part", "part of raw pixels", "part at the position")


def study_labels(folder: Path | None) -> dict:
    """Does it matter how a sample's part is found? By most of its field, the field of raw pixels, or its position.

    "same": share of the samples with the same part by the field; purity of the shipped concepts, with intervals over concepts;
    and how many samples are labelled with parts that are black or dark.
    """
    _, drawn = _bank(folder)
    found: dict = {}
    for layer, concepts in dictionaries().items():
        field = parts()[layer]
        for name in LABELS:
            labels = parts(name)[layer]
            found.setdefault(layer, {})[name] = {
                "same": round(float((labels == field).float().mean()), 3),
                "scenery": round(float((labels < SCENERY).float().mean()), 3),
                "nearest": _interval(purity(drawn[layer].vectors, concepts, labels).nearest),
                "samples": {
                    part: int((labels == scenes.PARTS.index(part)).sum()) for part in ("wheel", "hub", "road", "window")
                },
            }
    return found


def study_names(folder: Path | None) -> dict:
    """What each shipped concept would be called, and whether the name holds beyond its nearest samples.

    By layer: a row for each concept, ``[part, share of the nearest, share of its cluster, form, share of the nearest]``; and
    for each part, the greatest share of any concept's nearest samples.
    """
    _, drawn = _bank(folder)
    found: dict = {"concepts": {}, "best": {}, "samples": {}}
    names = list(dict.fromkeys(scenes.FORM.values()))
    for layer, concepts in dictionaries().items():
        vectors, labels = drawn[layer].vectors, parts()[layer]
        by_part, by_form = purity(vectors, concepts, labels), purity(vectors, concepts, forms(drawn[layer].images))
        found["concepts"][layer] = [
            [scenes.PARTS[part], round(near, 2), round(gathered, 2), names[form], round(same, 2)]
            for part, near, gathered, form, same in zip(
                by_part.label.tolist(), by_part.nearest.tolist(), by_part.cluster.nan_to_num().tolist(),
                by_form.label.tolist(), by_form.nearest.tolist(), strict=True)
        ]  # fmt: skip
        shown = labels[concepts.nearest(vectors, NEAREST)]
        best = {part: float((shown == part).float().mean(1).max()) for part in labels.unique().tolist()}
        order = sorted(best, key=lambda part, best=best: -best[part])
        found["best"][layer] = {scenes.PARTS[part]: round(best[part], 2) for part in order}
        found["samples"][layer] = {scenes.PARTS[part]: int((labels == part).sum()) for part in order}
    return found


def study_background(folder: Path | None, each: int = 2) -> dict:
    """Which concepts are scenery alone (18 of the 20 nearest samples), and how much of the evidence is theirs.

    Evidence: a concept's share of what speaks for the picture's class, over pictures of every class that no concept comes
    from; intervals are over pictures. "one object": those of them whose nearest samples, half of them or more, are pictures of
    one form. They are not about scenery: the field of a thing made of thin lines lies on what is seen through it.
    """
    model = _network(False)
    images, targets = held_out(each)
    found: dict = {"pictures": len(images)}
    for layer, concepts in dictionaries().items():
        scenery = (parts()[layer][nearest()[layer]] < SCENERY).float().mean(1)
        only = (scenery >= 0.9).nonzero().flatten()
        shown = forms(nearest()[layer][only].flatten()).view(len(only), -1)
        same = (shown == shown.mode(1).values[:, None]).float().mean(1)
        matters = importance(model, images, targets, concepts, steps=16)
        shares = matters.clamp_min(0) / matters.clamp_min(0).sum(1, keepdim=True)
        found[layer] = {
            "concepts": only.tolist(),
            "one object": only[same >= 0.5].tolist(),
            "evidence": _interval(shares[:, only].sum(1)),
            "evidence, without one object": _interval(shares[:, only[same < 0.5]].sum(1)),
        }
    return found


# --------------------------------------------------------------------------------------- shared: do classes share parts?


def held_out(each: int = 1, names: Sequence[str] = scenes.CLASSES, seed: int = HELD_OUT) -> tuple[Tensor, Tensor]:
    """Pictures ``(each · names, 3, 96, 96)`` of classes, in turn, that no concept comes from, and their classes."""
    # Each class has a seed of its own: with the same one, all would have the same surroundings.
    drawn = [scenes.sample(each, seed + 1000 * scenes.CLASSES.index(name), object=name) for name in names]
    return scenes.render([one for some in drawn for one in some]), torch.tensor(
        [scenes.CLASSES.index(name) for name in names for _ in range(each)]
    )


#: One class of each form: of a colour pair, the first.
ONE_OF_EACH = tuple({form: name for name, form in reversed(scenes.FORM.items())}.values())[::-1]


def share_found(first: Tensor, second: Tensor, label: Tensor, planted: Iterable[str], top: int = 3) -> float:
    """Of the concepts shared most by two classes, how many are named after a part that both are drawn with.

    Args:
        first, second: importance in pictures of the classes, ``(N, K)``.
        label: code of the part that each concept is named after, ``(K,)``.
        planted: names of the parts that both classes have.
    """
    codes = {scenes.PARTS.index(part) for part in planted}
    chosen = shared_concepts(first, second, top)
    return sum(int(label[concept]) in codes for concept in chosen) / max(1, len(chosen))


def in_common(first: Tensor, second: Tensor) -> float:
    """How far two classes rest on the same concepts: the sum of the lesser shares, 0 to 1."""
    shares = [part.mean(0).clamp_min(0) for part in (first, second)]
    return float(torch.minimum(*(share / share.sum().clamp_min(1e-12) for share in shares)).sum())


def pairs_of(names: Sequence[str] = ONE_OF_EACH) -> dict[tuple[str, str], tuple[str, ...]]:
    """Pairs of classes, and the parts that both are drawn with."""
    return {
        pair: tuple(part for part in scenes.parts_of(pair[0]) if part in scenes.parts_of(pair[1]))
        for pair in itertools.combinations(names, 2)
    }


def shared_table(matters: dict[str, Tensor], label: Tensor) -> dict:
    """Over pairs of classes, the share found and what they have in common; with controls.

    Args:
        matters: importance of a layer's concepts in pictures of each class, ``(N, K)`` each.
        label: as in :func:`share_found`.

    Intervals are over classes: a pair counts as often as both of its classes are drawn. "nameable": pairs for which any concept
    of the layer is named after a part that both have, so that something could be found.

    Two nulls. "shuffled concepts" gives the names to other concepts, the same ones for both classes: a weak null, because
    either class alone already rests on concepts of its own parts, and some of those are parts of the other class too.
    "shuffled in one class" keeps one class's evidence and exchanges only which of its concepts the other class uses, once for
    either class: what is left over under it needs no sharing. "one class alone": the top concepts of either class by itself.
    """
    chance = torch.Generator().manual_seed(0)
    rows = []
    words = {scenes.PARTS[code] for code in label.tolist()}
    for (one, other), planted in pairs_of(list(matters)).items():
        first, second = matters[one], matters[other]
        orders = [torch.randperm(len(label), generator=chance) for _ in range(SHUFFLES if planted else 0)]
        nulls = {
            "shuffled concepts": [share_found(first[:, order], second[:, order], label, planted) for order in orders],
            "shuffled in one class": [
                (share_found(first, second[:, order], label, planted) + share_found(first[:, order], second, label, planted))
                / 2
                for order in orders
            ],
            "one class alone": [share_found(each, each, label, planted) for each in (first, second)],
        }
        rows.append({
            "pair": (one, other), "planted": len(planted), "in common": in_common(first, second),
            "found": share_found(first, second, label, planted),
            "any": float(len(shared_concepts(first, second, 3)) > 0),
            **{name: float(np.mean(values)) if values else 0.0 for name, values in nulls.items()},
            "nameable": bool(words & set(planted)),
        })  # fmt: skip
    sharing, apart = [row for row in rows if row["planted"]], [row for row in rows if not row["planted"]]
    nameable = [row for row in sharing if row["nameable"]]
    first, second = (np.array([row["in common"] for row in some]) for some in (sharing, apart))
    found: dict = {"pairs that share parts": len(sharing), "nameable pairs": len(nameable)}
    for some, suffix in ((sharing, ""), (nameable, ", nameable")):
        if not some:
            continue
        found[f"found{suffix}"] = over_classes(some, lambda row: row["found"])
        for null in NULLS:
            found[f"found{suffix}, {null}"] = over_classes(some, lambda row, null=null: row[null])
            for level, note in ((0.95, ""), (1 - 0.05 / len(LAYERS), ", all layers at once")):
                found[f"found{suffix}, ahead of {null}{note}"] = over_classes(
                    some, lambda row, null=null: row["found"] - row[null], level
                )
    return found | {
        "pairs with a shared concept": round(float(np.mean([row["any"] for row in sharing])), 3),
        "in common, sharing": over_classes(sharing, lambda row: row["in common"]),
        "in common, no part shared": over_classes(apart, lambda row: row["in common"]),
        # The chance that a pair which shares parts has more in common than one which does not.
        "told apart": round(float((first[:, None] > second[None]).mean() + (first[:, None] == second[None]).mean() / 2), 3),
        "rows": [[*row["pair"], *(round(row[key], 4) for key in ("found", *NULLS))] for row in sharing],
    }


#: How often each null is drawn for a pair, and the nulls of :func:`shared_table`.
SHUFFLES = 100
NULLS = ("shuffled concepts", "shuffled in one class", "one class alone")


def over_classes(rows: Sequence[dict], value: Callable[[dict], float], level: float = 0.95, repeats: int = 4000) -> list[float]:
    """Mean over pairs, and its bootstrap interval over *classes*: pairs with a class in common are not independent."""
    pairs = [row["pair"] for row in rows]
    return bootstrap([value(row) for row in rows], clusters=pairs, level=level, draws=repeats).rounded()


#: Pairs that the lesson speaks of, chosen before the study ran: what is drawn alike, and two that share nothing.
EXAMPLES = (
    ("car", "school bus"), ("car", "fire engine"), ("car", "bicycle"), ("house", "church"), ("car", "house"), ("cat", "dog"),
    ("ripe apple", "lemon"), ("cat", "goldfish"), ("tree", "umbrella"), ("clock", "goldfish"),
)  # fmt: skip


def examples(matters: dict[str, Tensor], label: Tensor, pairs: Sequence[tuple[str, str]] = EXAMPLES) -> dict:
    """The top shared concepts of some pairs: number, and the part after which it is named, a star where it is planted."""
    found = {}
    for one, other in pairs:
        planted = pairs_of()[one, other] if (one, other) in pairs_of() else pairs_of()[other, one]
        chosen = shared_concepts(matters[one], matters[other], 3).tolist()
        words = [scenes.PARTS[int(label[concept])] for concept in chosen]
        found[f"{one}, {other}"] = [
            [concept, word + ("*" if word in planted else "")] for concept, word in zip(chosen, words, strict=True)
        ]
    return found


def importances(model: nn.Module, concepts: Concepts, each: int, names: Sequence[str] = ONE_OF_EACH, *, steps: int = 16
                ) -> dict[str, Tensor]:  # fmt: skip
    """Importance of a layer's concepts in held-out pictures of each class, ``(each, K)``."""
    images, targets = held_out(each, names)
    return dict(zip(names, importance(model, images, targets, concepts, steps=steps).split(each), strict=True))


def table(first: Tensor, second: Tensor) -> dict:
    """Which concepts speak for either of two classes, as a share of all that speaks for it: rows for an exercise.

    Rows: the five best of either class, the three that they share most, and those that speak most against either.
    """
    shares = [matters.mean(0) / matters.mean(0).clamp_min(0).sum() for matters in (first, second)]
    chosen = {int(concept) for share in shares for concept in [*share.topk(5).indices, share.argmin()]}
    chosen = sorted(chosen | set(shared_concepts(first, second, 3).tolist()))
    return {"concepts": chosen, "shares": [[round(float(share[concept]), 4) for concept in chosen] for share in shares]}


#: The table of exercise 6.7: a layer, and two classes.
TABLE = ("inception4b", ("car", "house"))


def study_shared(folder: Path | None, each: int = 16) -> dict:
    """One layer's concepts and two classes: the table of exercise 6.7."""
    layer, pair = TABLE
    model = _network(False)
    matters = importances(model, dictionaries()[layer], each, pair)
    found = table(*matters.values())
    return {
        "layer": layer, "classes": list(pair), "pictures": each, **found,
        "parts": [named(layer, concept)[0] for concept in found["concepts"]],
    }  # fmt: skip


def study_planted(folder: Path | None, each: int = 8) -> dict:
    """Are the concepts that two classes share parts that both are drawn with?

    One class of each of the 20 forms, `each` held-out pictures of each. Controls: the nulls of :func:`shared_table`; pairs that
    share no part. "over layers": of each pair, the mean over the layers; one test in the place of five.
    """
    found: dict = {"pictures": each, "classes": list(ONE_OF_EACH), "examples": {}}
    rows: dict[tuple[str, str], list] = {}
    for layer, concepts in dictionaries().items():
        label = parts()[layer][nearest()[layer]].mode(1).values
        file = folder / f"concept-importances-{layer}-{each}.pt" if folder else None
        matters = torch.load(file) if file and file.is_file() else importances(_network(False), concepts, each)
        if file:
            torch.save(matters, file)
        found[layer] = shared_table(matters, label)
        for one, other, *values in found[layer].pop("rows"):
            rows.setdefault((one, other), []).append(values)
        found["examples"][layer] = examples(matters, label)
        print(layer, json.dumps(found[layer]), flush=True)
    means = [dict(zip(("found", *NULLS), np.mean(values, 0), strict=True)) | {"pair": pair} for pair, values in rows.items()]
    found["over layers"] = {
        "found": over_classes(means, lambda row: row["found"]),
        **{null: over_classes(means, lambda row, null=null: row[null]) for null in NULLS},
        **{f"ahead of {null}": over_classes(means, lambda row, null=null: row["found"] - row[null]) for null in NULLS},
    }
    return found


# ------------------------------------------------------------------------------------------------- do concepts matter?


def evaluation(model: nn.Module, images: Tensor, targets: Tensor, concepts: Concepts, *, orders: Sequence[str] = ("gig",),
               steps: int = 16) -> dict:  # fmt: skip
    """C-insertion and C-deletion of one dictionary; intervals over pictures."""
    parts = methods.decompose(methods.pointwise_feature_vectors(model, images, concepts.layer), concepts)
    row: dict = {"error": round(float(parts.error.mean()), 4), "density": round(parts.density, 4)}
    for order in orders:
        curves = insertion_deletion(model, images, targets, parts, order=order, steps=steps)
        row[order] = _interval(curves.auc_difference)
        if order == "gig":
            row |= {
                "insertion": _interval(curves.insertion_auc), "deletion": _interval(curves.deletion_auc),
                "whole": _interval(curves.insertion[:, -1]),
                "each": [round(value, 4) for value in curves.auc_difference.tolist()],
            }  # fmt: skip
    return row


def study_dictionaries(folder: Path | None) -> dict:
    """C-insertion less C-deletion of six dictionaries of the same size at each layer, in GIG's order and in a random one.

    28 held-out pictures, one of each class; intervals over pictures. "ahead of": the difference to bisecting k-means, picture
    by picture.
    """
    model, drawn = _bank(folder)
    images, targets = held_out(1)
    found: dict = {"pictures": len(images), "steps": 16}
    for layer in LAYERS:
        rows = found[layer] = {}
        for method in methods.DICTIONARIES:
            concepts = methods.extract_concepts(drawn[layer], CONCEPTS, method=method)
            rows[method] = evaluation(model, images, targets, concepts, orders=("gig", "random"))
            print(layer, method, rows[method]["gig"], rows[method]["random"], flush=True)
        ours = torch.tensor(rows["bisecting k-means"]["each"])
        for row in rows.values():
            row["ahead of bisecting k-means"] = _interval(torch.tensor(row.pop("each")) - ours)
    return found


def matched_penalty(acts: Tensor, concepts: Concepts, density: float, rounds: int = 8) -> float:
    """The penalty at which a dictionary uses as many concepts at a position as another one does: by halving, on a log scale."""
    low, high = 0.01, 2.0
    for _ in range(rounds):
        middle = (low * high) ** 0.5
        if methods.decompose(acts, concepts, penalty=middle, iterations=200).density > density:
            low = middle
        else:
            high = middle
    return (low * high) ** 0.5


def study_matched(folder: Path | None) -> dict:
    """The dictionaries of :func:`study_dictionaries` at equal sparsity, in GIG's order.

    At one penalty some of them use four times as many concepts at a position as others, so they rebuild the layer better. Here
    each has the penalty at which it uses as many as bisecting k-means does at 0.05. "present": concepts in a picture.
    "ahead of", over the 28 pictures: of bisecting k-means, and the same for all layers at once.
    """
    model, drawn = _bank(folder)
    images, targets = held_out(1)
    found: dict = {"pictures": len(images), "steps": 16}
    for layer in LAYERS:
        acts = methods.pointwise_feature_vectors(model, images, layer)
        rows, areas = found.setdefault(layer, {}), {}
        for method in methods.DICTIONARIES:
            file = folder / f"concept-matched-{layer}-{method}.pt" if folder else None
            if file and file.is_file():
                rows[method], areas[method] = torch.load(file)
                continue
            concepts = methods.extract_concepts(drawn[layer], CONCEPTS, method=method)
            some = acts[::3]  # a third of the pictures is enough to find the penalty
            penalty = 0.05
            if rows:
                penalty = matched_penalty(some, concepts, methods.decompose(some, dictionaries()[layer]).density)
            split = methods.decompose(acts, concepts, penalty=penalty)
            curves = insertion_deletion(model, images, targets, split, steps=16)
            areas[method] = curves.auc_difference
            rows[method] = {
                "penalty": round(penalty, 4), "density": round(split.density, 4),
                "present": round(float(split.present.float().sum(1).mean()), 1), "error": _interval(split.error),
                "gig": _interval(curves.auc_difference), "whole": _interval(curves.insertion[:, -1]),
            }  # fmt: skip
            if file:
                torch.save((rows[method], areas[method]), file)
            print(layer, method, json.dumps(rows[method]), flush=True)
        for method, row in rows.items():
            gap = areas[method] - areas["bisecting k-means"]
            row["ahead of bisecting k-means"] = _interval(gap)
            row["ahead of bisecting k-means, all layers at once"] = _interval(gap, 1 - 0.05 / len(LAYERS))
    return found


def study_orders(folder: Path | None, count: int = 20) -> dict:
    """Inter-layer insertion and deletion between consecutive layers: does GIG's order hold, and against what?

    As in the paper 20 pictures and the five most important concepts of the later layer; the score is the projection, summed
    over positions or, as in the paper, its greatest. Intervals over pictures; "gig, ahead": of each other order.
    """
    model, _ = _bank(folder)
    images, targets = (each[:count] for each in held_out(1, ONE_OF_EACH))
    concepts = dictionaries()
    found: dict = {"pictures": len(images)}
    for source, target in itertools.pairwise(LAYERS):
        rows = found[f"{source} to {target}"] = {}
        for score in ("sum", "max"):
            curves = interlayer_insertion_deletion(
                model, images, targets, concepts[source], concepts[target], score=score, steps=32
            )
            rows[score] = {order: _interval(curves[order].auc_difference) for order in ORDERS}
            rows[score]["gig, ahead"] = {
                order: _interval(curves["gig"].auc_difference - curves[order].auc_difference) for order in ORDERS[1:]
            }
        print(source, target, json.dumps(rows), flush=True)
    rows = found["to the class"] = {}
    for layer in LAYERS:
        parts = methods.decompose(methods.pointwise_feature_vectors(model, images, layer), concepts[layer])
        curves = {order: insertion_deletion(model, images, targets, parts, order=order, measure="logit") for order in ORDERS}
        rows[layer] = {order: _interval(each.auc_difference) for order, each in curves.items()}
        print(layer, json.dumps(rows[layer]), flush=True)
    return found


# --------------------------------------------------------------------------------------------- is a dictionary the truth?


#: The cosine from which on two concepts count as the same.
SAME = 0.95


def matches(first: Concepts, second: Concepts) -> Tensor:
    """For each concept of the first dictionary, the cosine to the nearest of the second, ``(K,)``."""
    return (first.vectors @ second.vectors.T).amax(1)


def study_stability(folder: Path | None) -> dict:
    """Would another seed, or other pictures, have given the same concepts? And eight concepts for each channel at conv3.

    "best match": the greatest cosine of each concept with those of the other dictionary; "the same" from 0.95 on. Its chance
    level are random directions, and a concept's nearest neighbour in its own dictionary. Intervals over concepts.
    """
    model, drawn = _bank(folder)
    found: dict = {}
    for layer in LAYERS:
        vectors = drawn[layer].vectors
        half = len(vectors) // 2

        def extract(some: Tensor, seed: int = 0, method: str = "bisecting k-means", layer: str = layer) -> Concepts:
            return methods.extract_concepts(some, CONCEPTS, layer=layer, seed=seed, method=method)

        own = extract(vectors)
        within = own.vectors @ own.vectors.T - 2 * torch.eye(len(own))
        compared = {
            "another seed": matches(own, extract(vectors, 1)),
            "another seed, k-means": matches(extract(vectors, 0, "k-means"), extract(vectors, 1, "k-means")),
            "other pictures": matches(extract(vectors[:half]), extract(vectors[half:])),
            "random directions": matches(own, extract(vectors, 0, "random directions")),
            "samples by lot": matches(own, Concepts(layer, functional.normalize(vectors[:CONCEPTS], dim=1))),
            "its own neighbour": within.amax(1),
        }
        found[layer] = {
            name: {"best match": _interval(values), "the same": round(float((values >= SAME).float().mean()), 3)}
            for name, values in compared.items()
        }
    return found


def study_many(folder: Path | None, count: int = 4_000) -> dict:
    """Eight concepts for each channel, as in the paper, at conv3: 1,536 from 4,000 vectors; beside 64 and 192 of these."""
    model, drawn = _bank(folder)
    layer = "conv3"
    more = draw(model, range(PICTURES, count), (layer,))[layer]
    vectors = torch.cat([drawn[layer].vectors, more.vectors])
    labels = torch.cat([_parts(folder)[layer], look(model, more).part])
    acts = methods.pointwise_feature_vectors(model, held_out(1)[0][:8], layer)
    found: dict = {"vectors": count}
    for number in (CONCEPTS, 192, 1536):
        concepts = methods.extract_concepts(vectors, number, layer=layer)
        parts, pure = methods.decompose(acts, concepts), purity(vectors, concepts, labels)
        sizes = likeness(vectors, concepts).argmax(1).bincount(minlength=number)
        found[str(number)] = {
            "error": _interval(parts.error),
            "present": round(parts.density * number, 1),
            "nearest": _interval(pure.nearest),
            "nearest of three": _interval(purity(vectors, concepts, labels, 3).nearest),
            "with fewer than three samples": round(float((sizes < 3).float().mean()), 3),
        }
        print(number, json.dumps(found[str(number)]), flush=True)
    return found


def study_precision(folder: Path | None) -> dict:
    """Completeness gap by steps; error and density of the reconstruction by the number of concepts and by the penalty."""
    model, drawn = _bank(folder)
    images, targets = held_out(1)
    concepts = dictionaries()
    few = images[:8]
    found: dict = {"gap": {}, "concepts": {}, "penalty": {}, "either sign": {}}
    for source, target in [*itertools.pairwise(LAYERS), (LAYERS[-1], None), (LAYERS[0], None)]:
        parts = methods.decompose(methods.pointwise_feature_vectors(model, few, source), concepts[source])
        wanted = targets[: len(few), None] if target is None else range(8)
        row = found["gap"][f"{source} to {target or 'class'}"] = {}
        for steps in (4, 8, 16, 32, 64):
            gaps = generalized_integrated_gradients(
                model, few, wanted, parts, concepts[target] if target else None, steps=steps
            ).gap
            row[str(steps)] = [round(float(gaps.mean()), 5), round(float(gaps.max()), 5)]
        print(source, target, json.dumps(row), flush=True)
    for layer in LAYERS:
        acts = methods.pointwise_feature_vectors(model, images, layer)
        for number in (8, 16, 32, 64, 128, 256):
            parts = methods.decompose(acts, methods.extract_concepts(drawn[layer], number))
            found["concepts"].setdefault(layer, {})[str(number)] = [*_interval(parts.error), round(parts.density * number, 1)]
        for penalty in (0, 0.005, 0.02, 0.05, 0.1, 0.2):
            parts = methods.decompose(acts, concepts[layer], penalty=penalty)
            found["penalty"].setdefault(layer, {})[str(penalty)] = [*_interval(parts.error), round(parts.density * CONCEPTS, 1)]
        parts = methods.decompose(acts, concepts[layer], positive=False)
        found["either sign"][layer] = [*_interval(parts.error), round(parts.density * CONCEPTS, 1)]
        print(layer, "done", flush=True)
    return found


def concentration(values: Tensor, top: int = 5) -> Tensor:
    """Share that the five greatest positive values have of all positive ones, along the last dimension."""
    positive = values.clamp_min(0)
    return positive.topk(min(top, positive.shape[-1]), dim=-1).values.sum(-1) / positive.sum(-1).clamp_min(1e-12)


def graph_figures(model: nn.Module, images: Tensor, targets: Tensor, concepts: Sequence[Concepts], *, steps: int = 16) -> dict:
    """What makes a graph look convincing: few strong nodes and edges, and completeness. Intervals over pictures."""
    found: dict = {}
    parts = [methods.decompose(methods.pointwise_feature_vectors(model, images, each.layer), each) for each in concepts]
    for part, later in itertools.zip_longest(parts, parts[1:]):
        matters = generalized_integrated_gradients(model, images, targets[:, None], part, steps=steps)
        row = found[part.concepts.layer] = {
            "error": _interval(part.error),
            "top five concepts": _interval(concentration(matters.edges[:, 0])),
            "gap": _interval(matters.gap),
        }
        if later is not None:
            effects = importance(model, images, targets, later, steps=steps).topk(5, dim=1).indices
            edges = generalized_integrated_gradients(model, images, effects, part, later.concepts, steps=steps)
            row |= {"top five causes": _interval(concentration(edges.edges).mean(1)), "gap of edges": _interval(edges.gap)}
    return found


def study_noise(folder: Path | None, count: int = 8) -> dict:
    """Does an untrained network give a graph that looks as convincing?"""
    found: dict = {"pictures": count}
    images, targets = (each[:count] for each in held_out(1, ONE_OF_EACH))
    for name, hidden in (("trained", False), ("untrained network", True)):
        model, drawn = _bank(folder, untrained=hidden)
        concepts = [methods.extract_concepts(each, CONCEPTS) for each in drawn.values()] if hidden else dictionaries().values()
        found[name] = graph_figures(model, images, targets, list(concepts))
        print(name, json.dumps(found[name]), flush=True)
    return found


def study_completeness(folder: Path | None, count: int = 8) -> dict:
    """Why do contributions to the class miss completeness by so much in an untrained network? By steps on the path.

    "gap": how far the contributions miss the change of the class's logit, relative to that change. "of the sizes": the same
    distance relative to the sum of the sizes of the contributions. "change": the change itself, relative to that sum: how
    little is left when all is added up.
    """
    found: dict = {"pictures": count}
    images, targets = (each[:count] for each in held_out(1, ONE_OF_EACH))
    for name, hidden in (("trained", False), ("untrained network", True)):
        model = _network(hidden)
        for layer in LAYERS:
            concepts = methods.extract_concepts(_bank(folder, True)[1][layer], CONCEPTS) if hidden else dictionaries()[layer]
            split = methods.decompose(methods.pointwise_feature_vectors(model, images, layer), concepts)
            for steps in (16, 64):
                given = generalized_integrated_gradients(model, images, targets[:, None], split, steps=steps)
                sizes = given.edges.abs().sum(2)[:, 0].clamp_min(1e-12)
                missed = (given.edges.sum(2) - given.change)[:, 0].abs()
                found.setdefault(name, {}).setdefault(layer, {})[str(steps)] = {
                    "gap": _interval(given.gap), "of the sizes": _interval(missed / sizes),
                    "change": _interval(given.change[:, 0].abs() / sizes),
                }  # fmt: skip
            print(name, layer, json.dumps(found[name][layer]), flush=True)
    return found


def apart(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Difference of two independent means, with its interval, from theirs: ``[mean, low, high]`` each (Zou and Donner 2008)."""
    gap = first[0] - second[0]
    low = ((first[0] - first[1]) ** 2 + (second[2] - second[0]) ** 2) ** 0.5
    high = ((first[2] - first[0]) ** 2 + (second[0] - second[1]) ** 2) ** 0.5
    return [gap, gap - low, gap + high]


def study_referee(folder: Path | None) -> dict:
    """The article's claims, each with what was measured, its weak null, its right null, and the lead over the right null.

    A claim has a row for each place where it is made: it stands when it stands in all of them, so that no correction for
    several tests is needed. All rows but those of "other pictures" are results of the other experiments.
    """
    known = json.loads(RESULTS.read_text(encoding="utf-8"))
    few = f"{PICTURES // 2} pictures"
    pure = {layer: known["purity"][layer] for layer in LAYERS}
    rows: dict[str, dict[str, dict]] = {
        name: {
            layer: _row(
                pure[layer][few]["nearest"], pure[layer]["shuffled labels"]["nearest"],
                pure[layer][f"untrained network, {few}"]["nearest"],
                apart(pure[layer][few]["nearest"], pure[layer][f"untrained network, {few}"]["nearest"]),
            )
            for layer in layers
        }
        for name, layers in (("early", LAYERS[:2]), ("late", LAYERS[-2:]))
    }  # fmt: skip
    matched = known["matched"]
    rows["bisecting"] = {
        layer: _row(
            *(matched[layer][method]["gig"] for method in ("bisecting k-means", "random directions", "k-means")),
            [-matched[layer]["k-means"]["ahead of bisecting k-means"][place] for place in (0, 2, 1)],
        )
        for layer in LAYERS
    }
    again = rows["stable"] = {}
    _, drawn = _bank(folder)
    for layer in LAYERS:
        vectors = drawn[layer].vectors
        half = len(vectors) // 2
        own, other, chance = (
            methods.extract_concepts(some, CONCEPTS, layer=layer, method=method)
            for some, method in ((vectors[:half], "bisecting k-means"), (vectors[half:], "bisecting k-means"),
                                 (vectors[half:], "random directions"))
        )  # fmt: skip
        lots = torch.randperm(half, generator=torch.Generator().manual_seed(0))[:CONCEPTS]
        by_lot = Concepts(layer, functional.normalize(vectors[half:][lots], dim=1))
        same = [(matches(own, each) >= SAME).float() for each in (other, chance, by_lot)]
        again[layer] = _row(*(_interval(each) for each in same), _interval(same[0] - same[2]))
    planted = known["planted"]["over layers"]
    rows["shared"] = {
        "all layers": _row(
            *(planted[key] for key in ("found", "shuffled concepts", "shuffled in one class")),
            planted["ahead of shuffled in one class"],
        )
    }
    orders, pairs = known["orders"], [f"{source} to {target}" for source, target in itertools.pairwise(LAYERS)]
    rows["order"] = {
        pair: _row(
            *(orders[pair]["sum"][order] for order in ("gig", "random", "gradient")),
            orders[pair]["sum"]["gig, ahead"]["gradient"],
        )
        for pair in pairs
    }
    trained, noise = (known["noise"][name] for name in ("trained", "untrained network"))
    even = [5 / CONCEPTS]  # all causes alike
    rows["few causes"] = {
        pair: _row(
            trained[layer]["top five causes"], even, noise[layer]["top five causes"],
            apart(trained[layer]["top five causes"], noise[layer]["top five causes"]),
        )
        for layer, pair in zip(LAYERS, pairs, strict=False)
    }  # fmt: skip
    return rows


def _row(measured: Sequence[float], weak: Sequence[float], right: Sequence[float], ahead: Sequence[float]) -> dict:
    return {
        "measured": measured[0], "weak null": round(weak[0], 4), "right null": right[0],
        "ahead": [round(value, 4) for value in ahead],
    }  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- the study


def _interval(values: Tensor, level: float = 0.95) -> list[float]:
    return bootstrap(values, level=level).rounded()


@functools.cache
def _network(untrained_: bool) -> nn.Module:
    if not untrained_:
        return load(NETWORK)
    return untrained(NETWORK, (pictures(range(512)) * 255).round().to(torch.uint8))


@functools.cache
def _bank(folder: Path | None, untrained: bool = False) -> tuple[nn.Module, dict[str, Samples]]:
    """The network, and the samples of its layers; of the untrained one from half as many pictures."""
    model = _network(untrained)
    numbers = range(PICTURES // 2 if untrained else PICTURES)
    file = folder / f"concept-samples-{'untrained' if untrained else 'trained'}.pt" if folder else None
    if file and file.is_file():
        stored = torch.load(file)
        return model, {layer: Samples(layer, vectors, torch.tensor(numbers), at) for layer, (vectors, at) in stored.items()}
    if untrained or not DICTIONARIES.is_file():
        drawn = draw(model, numbers)
    else:
        drawn = drawn_before(model)
    if file:
        torch.save({layer: (each.vectors, each.positions) for layer, each in drawn.items()}, file)
    return model, drawn


@functools.cache
def _parts(folder: Path | None, untrained: bool = False) -> dict[str, Tensor]:
    if not untrained and DICTIONARIES.is_file():
        return parts()
    file = folder / f"concept-parts-{'untrained' if untrained else 'trained'}.pt" if folder else None
    if file and file.is_file():
        return torch.load(file)
    model, drawn = _bank(folder, untrained)
    found = {layer: look(model, each).part for layer, each in drawn.items()}
    if file:
        torch.save(found, file)
    return found


EXPERIMENTS: dict[str, Callable[[Path | None], dict]] = {
    "labels": study_labels,
    "purity": study_purity,
    "names": study_names,
    "background": study_background,
    "shared": study_shared,
    "planted": study_planted,
    "dictionaries": study_dictionaries,
    "matched": study_matched,
    "orders": study_orders,
    "stability": study_stability,
    "many": study_many,
    "precision": study_precision,
    "noise": study_noise,
    "completeness": study_completeness,
    "referee": study_referee,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help=f"run some experiments only, of: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--again", action="store_true", help="also those that have results")
    parser.add_argument("--cache", type=Path, help="a folder in which the drawn vectors are kept")
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", module="sklearn")  # dictionary learning says a thousand times that it would go on
    if not DICTIONARIES.is_file():
        model, drawn = _bank(options.cache)
        make_dictionaries(drawn, model)
    for name in options.only or EXPERIMENTS:
        known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        if name in known and not options.again:
            continue
        found = EXPERIMENTS[name](options.cache)
        # Read again, because another process may have added its part meanwhile.
        known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        known |= {"pictures": PICTURES, "concepts": CONCEPTS, "nearest": NEAREST, name: found}
        RESULTS.write_text(json.dumps(known, separators=(",", ":")) + "\n", encoding="utf-8")
        print(f"{name}: done", flush=True)


if __name__ == "__main__":
    main()
