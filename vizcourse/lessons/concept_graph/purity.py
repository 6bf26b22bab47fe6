"""Lesson 06's study, what single concepts are: does a concept gather one part of the world, and what would it be called?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcourse.lessons.concept_graph import stored
from vizcourse.lessons.concept_graph.stored import CONCEPTS, LAYERS, NEAREST, PICTURES, bank, interval_of, network, results
from vizcourse.methods import concepts as methods
from vizcourse.methods.concept_graph import importance
from vizcourse.methods.concepts import Concepts
from vizcourse.studies import Cell, Part, bar, kept
from vizcourse.worlds import scenes


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
    most_like, gathered = stored.likeness(vectors, concepts).argmax(1), torch.full((len(concepts),), torch.nan)
    for concept in most_like.unique().tolist():
        own = labels[most_like == concept]
        gathered[concept] = own.bincount().max() / len(own)
    return Purity((shown == label[:, None]).float().mean(1), gathered, label)


def channels(layer: str, count: int) -> Concepts:
    """Single channels as concepts."""
    return Concepts(layer, torch.eye(count), method="channels")


def purity_row(vectors: Tensor, concepts: Concepts, parts: Tensor, forms: Tensor) -> dict:
    """Purity by part and by form, with intervals over concepts, and how many concepts show scenery alone."""
    by_part, by_form = purity(vectors, concepts, parts), purity(vectors, concepts, forms)
    return {
        "nearest": interval_of(by_part.nearest),
        "cluster": interval_of(by_part.cluster[by_part.cluster.isfinite()]),
        "nearest, form": interval_of(by_form.nearest),
        "scenery": round(float((by_part.label < stored.SCENERY).float().mean()), 3),
        "parts": len(by_part.label.unique()),
    }


def study_purity(count: int = PICTURES, layers: Sequence[str] = LAYERS) -> dict:
    """Do concepts gather one part? By layer and dictionary, against chance, single channels and an untrained network.

    The part of a sample is that on which most of its receptive field lies. Intervals are over concepts.
    """
    found: dict = {}
    drawn, noise = bank(count), bank(count, hidden=True)
    for layer in bar(layers, "layers"):
        vectors, labels, shapes = drawn[layer].vectors, stored.parts()[layer][:count], stored.forms(drawn[layer].images)
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
        seen = kept(["06", "parts", layer, few], lambda layer=layer: stored.look(network(True), noise[layer]).part)
        rows[f"untrained network, {few} pictures"] = purity_row(
            there, methods.extract_concepts(there, CONCEPTS), seen, shapes[:few]
        )
        rows["samples on scenery"] = round(float((labels < stored.SCENERY).float().mean()), 3)
    return found


def purity_cell() -> Iterator[Cell]:
    """Of the stored samples: those of the shipped concepts, since finding others afresh takes all pictures."""
    for layer, near in stored.nearest().items():
        shown = stored.parts()[layer][near]
        pure = (shown == shown.mode(1).values[:, None]).float().mean()
        known = results()["purity"][layer]["bisecting k-means"]["nearest"][0]
        yield Cell.near(f"share of one part at {layer}", pure, known, 0.01)


#: Ways to say what a sample sees; arguments of :func:`parts`.
LABELS = ("part", "part of raw pixels", "part at the position")


def study_labels(count: int = PICTURES) -> dict:
    """Does it matter how a sample's part is found? By most of its field, the field of raw pixels, or its position.

    "same": share of the samples with the same part by the field; purity of the shipped concepts, with intervals over concepts;
    and how many samples are labelled with parts that are black or dark.
    """
    drawn, found = bank(count), {}
    for layer, concepts in stored.dictionaries().items():
        field = stored.parts()[layer][:count]
        for name in LABELS:
            labels = stored.parts(name)[layer][:count]
            found.setdefault(layer, {})[name] = {
                "same": round(float((labels == field).float().mean()), 3),
                "scenery": round(float((labels < stored.SCENERY).float().mean()), 3),
                "nearest": interval_of(purity(drawn[layer].vectors, concepts, labels).nearest),
                "samples": {
                    part: int((labels == scenes.PARTS.index(part)).sum()) for part in ("wheel", "hub", "road", "window")
                },
            }
    return found


def labels_cell() -> Iterator[Cell]:
    """How many of the stored samples have the same part by another label; see `concepts_cell` for the labels themselves."""
    for layer, known in results()["labels"].items():
        for name in LABELS[1:]:
            same = (stored.parts(name)[layer] == stored.parts()[layer]).float().mean()
            yield Cell.near(f"share with the same {name}, {layer}", same, known[name]["same"], 0.001)


def study_names(count: int = PICTURES) -> dict:
    """What each shipped concept would be called, and whether the name holds beyond its nearest samples.

    By layer: a row for each concept, ``[part, share of the nearest, share of its cluster, form, share of the nearest]``; and
    for each part, the greatest share of any concept's nearest samples.
    """
    drawn = bank(count)
    found: dict = {"concepts": {}, "best": {}, "samples": {}}
    names = list(dict.fromkeys(scenes.FORM.values()))
    for layer, concepts in stored.dictionaries().items():
        vectors, labels = drawn[layer].vectors, stored.parts()[layer][:count]
        by_part, by_form = purity(vectors, concepts, labels), purity(vectors, concepts, stored.forms(drawn[layer].images))
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


def names_cell() -> Iterator[Cell]:
    """How many of the last concept's nearest samples show the part that it is named after."""
    for layer, rows in results()["names"]["concepts"].items():
        yield Cell.near(f"share of {rows[-1][0]}, {layer}", stored.named(layer, CONCEPTS - 1)[1], rows[-1][1], 0.01)


def study_background(each: int = 2, layers: Sequence[str] = LAYERS) -> dict:
    """Which concepts are scenery alone (18 of the 20 nearest samples), and how much of the evidence is theirs.

    Evidence: a concept's share of what speaks for the picture's class, over pictures of every class that no concept comes
    from; intervals are over pictures. "one object": those of them whose nearest samples, half of them or more, are pictures of
    one form. They are not about scenery: the field of a thing made of thin lines lies on what is seen through it.
    """
    images, targets = stored.held_out(each)
    found: dict = {"pictures": len(images)}
    for layer in bar(layers, "layers"):
        scenery = (stored.parts()[layer][stored.nearest()[layer]] < stored.SCENERY).float().mean(1)
        only = (scenery >= 0.9).nonzero().flatten()
        shown = stored.forms(stored.nearest()[layer][only].flatten()).view(len(only), -1)
        same = (shown == shown.mode(1).values[:, None]).float().mean(1)
        matters = importance(network(), images, targets, stored.dictionaries()[layer], steps=16)
        shares = matters.clamp_min(0) / matters.clamp_min(0).sum(1, keepdim=True)
        found[layer] = {
            "concepts": only.tolist(),
            "one object": only[same >= 0.5].tolist(),
            "evidence": interval_of(shares[:, only].sum(1)),
            "evidence, without one object": interval_of(shares[:, only[same < 0.5]].sum(1)),
        }
    return found


def background_cell() -> Cell:
    """The last layer, with half of the pictures."""
    known = results()["background"][LAYERS[-1]]["evidence"]
    return Cell.within("evidence of scenery alone", study_background(1, LAYERS[-1:])[LAYERS[-1]]["evidence"][0], known)


PARTS = {
    "labels": Part(study_labels, quick={"count": 100}, cell=labels_cell),
    "purity": Part(study_purity, quick={"count": 140, "layers": LAYERS[-1:]}, cell=purity_cell),
    "names": Part(study_names, quick={"count": 100}, cell=names_cell),
    "background": Part(study_background, quick={"each": 1, "layers": LAYERS[-1:]}, cell=background_cell),
}
