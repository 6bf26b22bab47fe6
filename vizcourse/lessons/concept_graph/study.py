"""The study of lesson 06: what the concepts of `googlenet-scenes` are, and what is true of graphs drawn between them.

About fifty minutes on one core. Every interval, `[mean, low, high]`, is a 95 % bootstrap interval; over what is said at each
part.
"""

from __future__ import annotations

import functools
import io
import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.lessons.concept_graph import purity, sharing, stored
from vizcourse.lessons.concept_graph.sharing import ONE_OF_EACH
from vizcourse.lessons.concept_graph.stored import CONCEPTS, LAYERS, NEAREST, PICTURES, bank, interval_of, network, results
from vizcourse.methods import concepts as methods
from vizcourse.methods.concept_evaluation import ORDERS, insertion_deletion, interlayer_insertion_deletion
from vizcourse.methods.concept_graph import generalized_integrated_gradients, importance
from vizcourse.methods.concepts import Concepts
from vizcourse.studies import Cell, Part, Study, bar, kept, write

# One layer is enough to try a part out, or to measure a number of it afresh.
LAST = LAYERS[-1:]


def _acts(images: Tensor, layer: str) -> Tensor:
    return methods.pointwise_feature_vectors(network(), images, layer)


def _split(images: Tensor, layer: str) -> methods.Decomposition:
    """Pictures' activations taken apart into the shipped concepts of a layer."""
    return methods.decompose(_acts(images, layer), stored.dictionaries()[layer])


# --- the dictionaries ------------------------------------------------------------------------------------------------


def study_concepts(count: int = PICTURES, file: Path | None = stored.DICTIONARIES) -> None:
    """Draw the samples, extract the concepts, see what the samples see, and write the file that is shipped."""
    found: dict[str, np.ndarray] = {}
    for layer, these in stored.draw(network(), range(count)).items():
        concepts = methods.extract_concepts(these, CONCEPTS)
        seen = stored.look(network(), these)
        entry = {
            "vectors": concepts.vectors.half(),
            "scale": torch.tensor(concepts.scale),
            "positions": these.positions.to(torch.uint8),
            "nearest": concepts.nearest(these.vectors, NEAREST).to(torch.int16),
            "cluster": stored.likeness(these.vectors, concepts).argmax(1).to(torch.uint8),
            "part": seen.part.to(torch.uint8),
            "part of raw pixels": seen.raw.to(torch.uint8),
            "part at the position": seen.position.to(torch.uint8),
            "boxes": seen.boxes.to(torch.uint8),
        }
        found |= {f"{layer}/{name}": value.numpy() for name, value in entry.items()}
    if file is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **found)
        write(file, buffer.getvalue())
        stored.forget()


def concepts_cell() -> Iterator[Cell]:
    """Six samples of the last layer drawn anew, and what they see. Another processor may round one across a border."""
    drawn = stored.draw(network(), range(6), LAST, progress=False)[LAST[0]]
    same = (drawn.positions == stored.samples()[LAST[0]].positions[:6]).all(1).float().mean()
    yield Cell.near("share of positions drawn again", same, 1, 0.2)
    seen = stored.look(network(), drawn, progress=False).part == stored.parts()[LAST[0]][:6]
    yield Cell.near("share of parts seen again", seen.float().mean(), 1, 0.2)


# --- do concepts matter? ---------------------------------------------------------------------------------------------


def evaluation(images: Tensor, targets: Tensor, concepts: Concepts, *, orders: Sequence[str] = ("gig",),
               steps: int = 16) -> dict:  # fmt: skip
    """C-insertion and C-deletion of one dictionary; intervals over pictures."""
    split = methods.decompose(_acts(images, concepts.layer), concepts)
    row: dict = {"error": round(float(split.error.mean()), 4), "density": round(split.density, 4)}
    for order in orders:
        curves = insertion_deletion(network(), images, targets, split, order=order, steps=steps)
        row[order] = interval_of(curves.auc_difference)
        if order == "gig":
            row |= {
                "insertion": interval_of(curves.insertion_auc), "deletion": interval_of(curves.deletion_auc),
                "whole": interval_of(curves.insertion[:, -1]),
                "each": [round(value, 4) for value in curves.auc_difference.tolist()],
            }  # fmt: skip
    return row


def study_dictionaries(count: int = PICTURES, layers: Sequence[str] = LAYERS) -> dict:
    """C-insertion less C-deletion of six dictionaries of the same size at each layer, in GIG's order and in a random one.

    28 held-out pictures, one of each class; intervals over pictures. "ahead of": the difference to bisecting k-means, picture
    by picture.
    """
    drawn, (images, targets) = bank(count), stored.held_out(1)
    found: dict = {"pictures": len(images), "steps": 16}
    for layer in bar(layers, "layers"):
        rows = found[layer] = {}
        for method in methods.DICTIONARIES:
            concepts = methods.extract_concepts(drawn[layer], CONCEPTS, method=method)
            rows[method] = evaluation(images, targets, concepts, orders=("gig", "random"))
        ours = torch.tensor(rows["bisecting k-means"]["each"])
        for row in rows.values():
            row["ahead of bisecting k-means"] = interval_of(torch.tensor(row.pop("each")) - ours)
    return found


def dictionaries_cell() -> Cell:
    """The shipped dictionary of the last layer on all held-out pictures."""
    known = results()["dictionaries"][LAST[0]]["bisecting k-means"]["error"]
    return Cell.near("reconstruction error", _split(stored.held_out(1)[0], LAST[0]).error.mean(), known, 0.002)


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


def study_matched(count: int = PICTURES, layers: Sequence[str] = LAYERS) -> dict:
    """The dictionaries of :func:`study_dictionaries` at equal sparsity, in GIG's order.

    At one penalty some of them use four times as many concepts at a position as others, so they rebuild the layer better. Here
    each has the penalty at which it uses as many as bisecting k-means does at 0.05. "present": concepts in a picture.
    "ahead of", over the 28 pictures: of bisecting k-means, and the same for all layers at once.
    """
    drawn, (images, targets) = bank(count), stored.held_out(1)
    found: dict = {"pictures": len(images), "steps": 16}

    def measured(layer: str, method: str) -> tuple[dict, Tensor]:
        acts, concepts = _acts(images, layer), methods.extract_concepts(drawn[layer], CONCEPTS, method=method)
        some, penalty = acts[::3], 0.05  # a third of the pictures is enough to find the penalty
        if method != "bisecting k-means":
            penalty = matched_penalty(some, concepts, methods.decompose(some, stored.dictionaries()[layer]).density)
        split = methods.decompose(acts, concepts, penalty=penalty)
        curves = insertion_deletion(network(), images, targets, split, steps=16)
        return {
            "penalty": round(penalty, 4), "density": round(split.density, 4),
            "present": round(float(split.present.float().sum(1).mean()), 1), "error": interval_of(split.error),
            "gig": interval_of(curves.auc_difference), "whole": interval_of(curves.insertion[:, -1]),
        }, curves.auc_difference  # fmt: skip

    for layer in bar(layers, "layers"):
        rows, areas = found.setdefault(layer, {}), {}
        for method in methods.DICTIONARIES:
            rows[method], areas[method] = kept(
                ["06", "matched", count, layer, method], functools.partial(measured, layer, method)
            )
        for method, row in rows.items():
            gap = areas[method] - areas["bisecting k-means"]
            row["ahead of bisecting k-means"] = interval_of(gap)
            row["ahead of bisecting k-means, all layers at once"] = interval_of(gap, 1 - 0.05 / len(LAYERS))
    return found


def matched_cell() -> Cell:
    """How many concepts are used at a position of the layer before the last, on all held-out pictures."""
    layer = LAYERS[-2]
    known = results()["matched"][layer]["bisecting k-means"]["density"]
    return Cell.near("density", _split(stored.held_out(1)[0], layer).density, known, 0.001)


def study_orders(count: int = 20, layers: Sequence[str] = LAYERS) -> dict:
    """Inter-layer insertion and deletion between consecutive layers: does GIG's order hold, and against what?

    As in the paper 20 pictures and the five most important concepts of the later layer; the score is the projection, summed
    over positions or, as in the paper, its greatest. Intervals over pictures; "gig, ahead": of each other order.
    """
    images, targets = (each[:count] for each in stored.held_out(1, ONE_OF_EACH))
    concepts = stored.dictionaries()
    found: dict = {"pictures": len(images)}
    for source, target in bar(list(itertools.pairwise(layers)), "pairs of layers"):
        rows = found[f"{source} to {target}"] = {}
        for score in ("sum", "max"):
            curves = interlayer_insertion_deletion(
                network(), images, targets, concepts[source], concepts[target], score=score, steps=32
            )
            rows[score] = {order: interval_of(curves[order].auc_difference) for order in ORDERS}
            rows[score]["gig, ahead"] = {
                order: interval_of(curves["gig"].auc_difference - curves[order].auc_difference) for order in ORDERS[1:]
            }
    rows = found["to the class"] = {}
    for layer in layers:
        split = _split(images, layer)
        curves = {
            order: insertion_deletion(network(), images, targets, split, order=order, measure="logit") for order in ORDERS
        }
        rows[layer] = {order: interval_of(each.auc_difference) for order, each in curves.items()}
    return found


def orders_cell() -> Cell:
    """The area between insertion and deletion at the last layer, in GIG's order, for all 20 pictures."""
    images, targets = stored.held_out(1, ONE_OF_EACH)
    split = _split(images, LAST[0])
    area = insertion_deletion(network(), images, targets, split, measure="logit").auc_difference.mean()
    return Cell.near("insertion less deletion", area, results()["orders"]["to the class"][LAST[0]]["gig"][0], 0.02)


# --- is a dictionary the truth? --------------------------------------------------------------------------------------


#: The cosine from which on two concepts count as the same.
SAME = 0.95


def matches(first: Concepts, second: Concepts) -> Tensor:
    """For each concept of the first dictionary, the cosine to the nearest of the second, ``(K,)``."""
    return (first.vectors @ second.vectors.T).amax(1)


def neighbours(concepts: Concepts) -> Tensor:
    """For each concept, the cosine to the nearest other one of the same dictionary, ``(K,)``."""
    return (concepts.vectors @ concepts.vectors.T - 2 * torch.eye(len(concepts))).amax(1)


def study_stability(count: int = PICTURES, layers: Sequence[str] = LAYERS) -> dict:
    """Would another seed, or other pictures, have given the same concepts? And eight concepts for each channel at conv3.

    "best match": the greatest cosine of each concept with those of the other dictionary; "the same" from 0.95 on. Its chance
    level are random directions, and a concept's nearest neighbour in its own dictionary. Intervals over concepts.
    """
    drawn, found = bank(count), {}
    for layer in bar(layers, "layers"):
        vectors = drawn[layer].vectors
        half = len(vectors) // 2

        def extract(some: Tensor, seed: int = 0, method: str = "bisecting k-means", layer: str = layer) -> Concepts:
            return methods.extract_concepts(some, CONCEPTS, layer=layer, seed=seed, method=method)

        own = extract(vectors)
        compared = {
            "another seed": matches(own, extract(vectors, 1)),
            "another seed, k-means": matches(extract(vectors, 0, "k-means"), extract(vectors, 1, "k-means")),
            "other pictures": matches(extract(vectors[:half]), extract(vectors[half:])),
            "random directions": matches(own, extract(vectors, 0, "random directions")),
            "samples by lot": matches(own, Concepts(layer, functional.normalize(vectors[:CONCEPTS], dim=1))),
            "its own neighbour": neighbours(own),
        }
        found[layer] = {
            name: {"best match": interval_of(values), "the same": round(float((values >= SAME).float().mean()), 3)}
            for name, values in compared.items()
        }
    return found


def stability_cell() -> Iterator[Cell]:
    """The chance level that needs the shipped dictionaries only: other seeds and pictures take all vectors."""
    for layer, concepts in stored.dictionaries().items():
        known = results()["stability"][layer]["its own neighbour"]["best match"][0]
        yield Cell.near(f"cosine to the own neighbour, {layer}", neighbours(concepts).mean(), known, 0.002)


def study_many(count: int = 4_000, known: int = PICTURES, numbers: Sequence[int] = (CONCEPTS, 192, 1536)) -> dict:
    """Eight concepts for each channel, as in the paper, at conv3: 1,536 from 4,000 vectors; beside 64 and 192 of these."""
    layer = "conv3"
    more = stored.draw(network(), range(known, count), (layer,))[layer]
    vectors = torch.cat([bank(known)[layer].vectors, more.vectors])
    labels = torch.cat([stored.parts()[layer][:known], stored.look(network(), more).part])
    acts = _acts(stored.held_out(1)[0][:8], layer)
    found: dict = {"vectors": count}
    for number in bar(numbers, "sizes"):
        concepts = methods.extract_concepts(vectors, number, layer=layer)
        split, pure = methods.decompose(acts, concepts), purity.purity(vectors, concepts, labels)
        sizes = stored.likeness(vectors, concepts).argmax(1).bincount(minlength=number)
        found[str(number)] = {
            "error": interval_of(split.error),
            "present": round(split.density * number, 1),
            "nearest": interval_of(pure.nearest),
            "nearest of three": interval_of(purity.purity(vectors, concepts, labels, 3).nearest),
            "with fewer than three samples": round(float((sizes < 3).float().mean()), 3),
        }
    return found


def many_cell() -> Cell:
    """The shipped 64 concepts of conv3, from half as many vectors, leave out about as much."""
    left_out = _split(stored.held_out(1)[0][:8], "conv3").error.mean()
    return Cell.within("reconstruction error", left_out, results()["many"][str(CONCEPTS)]["error"])


def completeness_gap(images: Tensor, targets: Tensor, source: str, target: str | None, steps: int) -> list[float]:
    """Mean and greatest gap of contributions to the class, or to the first eight concepts of a later layer."""
    wanted = targets[:, None] if target is None else range(8)
    later = stored.dictionaries()[target] if target else None
    gaps = generalized_integrated_gradients(network(), images, wanted, _split(images, source), later, steps=steps).gap
    return [round(float(gaps.mean()), 5), round(float(gaps.max()), 5)]


def study_precision(count: int = PICTURES, layers: Sequence[str] = LAYERS) -> dict:
    """Completeness gap by steps; error and density of the reconstruction by the number of concepts and by the penalty."""
    drawn, (images, targets), concepts = bank(count), stored.held_out(1), stored.dictionaries()
    found: dict = {"gap": {}, "concepts": {}, "penalty": {}, "either sign": {}}
    for source, target in bar([*itertools.pairwise(layers), (layers[-1], None), (layers[0], None)], "pairs of layers"):
        found["gap"][f"{source} to {target or 'class'}"] = {
            str(steps): completeness_gap(images[:8], targets[:8], source, target, steps) for steps in (4, 8, 16, 32, 64)
        }

    def row(acts: Tensor, concepts: Concepts, **options: float) -> list[float]:
        split = methods.decompose(acts, concepts, **options)
        return [*interval_of(split.error), round(split.density * len(concepts), 1)]

    for layer in bar(layers, "layers"):
        acts = _acts(images, layer)
        found["concepts"][layer] = {
            str(number): row(acts, methods.extract_concepts(drawn[layer], number)) for number in (8, 16, 32, 64, 128, 256)
        }
        found["penalty"][layer] = {
            str(penalty): row(acts, concepts[layer], penalty=penalty) for penalty in (0, 0.005, 0.02, 0.05, 0.1, 0.2)
        }
        found["either sign"][layer] = row(acts, concepts[layer], positive=False)
    return found


def precision_cell() -> Cell:
    """The gap between the last two layers with the fewest steps."""
    source, target = LAYERS[-2:]
    images, targets = (each[:8] for each in stored.held_out(1))
    known = results()["precision"]["gap"][f"{source} to {target}"]["4"][0]
    return Cell.near("completeness gap", completeness_gap(images, targets, source, target, 4)[0], known, 0.002)


def concentration(values: Tensor, top: int = 5) -> Tensor:
    """Share that the five greatest positive values have of all positive ones, along the last dimension."""
    positive = values.clamp_min(0)
    return positive.topk(min(top, positive.shape[-1]), dim=-1).values.sum(-1) / positive.sum(-1).clamp_min(1e-12)


def graph_figures(model: nn.Module, images: Tensor, targets: Tensor, concepts: Sequence[Concepts], *, steps: int = 16) -> dict:
    """What makes a graph look convincing: few strong nodes and edges, and completeness. Intervals over pictures."""
    found: dict = {}
    splits = [methods.decompose(methods.pointwise_feature_vectors(model, images, each.layer), each) for each in concepts]
    for part, later in itertools.zip_longest(splits, splits[1:]):
        matters = generalized_integrated_gradients(model, images, targets[:, None], part, steps=steps)
        row = found[part.concepts.layer] = {
            "error": interval_of(part.error),
            "top five concepts": interval_of(concentration(matters.edges[:, 0])),
            "gap": interval_of(matters.gap),
        }
        if later is not None:
            effects = importance(model, images, targets, later, steps=steps).topk(5, dim=1).indices
            edges = generalized_integrated_gradients(model, images, effects, part, later.concepts, steps=steps)
            row |= {"top five causes": interval_of(concentration(edges.edges).mean(1)), "gap of edges": interval_of(edges.gap)}
    return found


#: The two networks by name, and whether it is the untrained one.
NETWORKS = {"trained": False, "untrained network": True}


def dictionaries_of(hidden: bool, layers: Sequence[str] = LAYERS, samples: int = PICTURES) -> dict[str, Concepts]:
    """The shipped dictionaries, or the untrained network's, extracted."""
    found = stored.dictionaries()
    return {
        layer: methods.extract_concepts(bank(samples, hidden=True)[layer], CONCEPTS) if hidden else found[layer]
        for layer in layers
    }


def study_noise(count: int = 8, layers: Sequence[str] = LAYERS, samples: int = PICTURES) -> dict:
    """Does an untrained network give a graph that looks as convincing?"""
    found: dict = {"pictures": count}
    images, targets = (each[:count] for each in stored.held_out(1, ONE_OF_EACH))
    for name, hidden in NETWORKS.items():
        concepts = dictionaries_of(hidden, layers, samples).values()
        found[name] = graph_figures(network(hidden), images, targets, list(concepts))
    return found


def noise_cell() -> Iterator[Cell]:
    """The last layer of the trained network."""
    images, targets = (each[:8] for each in stored.held_out(1, ONE_OF_EACH))
    known = results()["noise"]["trained"][LAST[0]]
    found = graph_figures(network(), images, targets, [stored.dictionaries()[LAST[0]]], steps=4)[LAST[0]]
    for name in ("error", "top five concepts"):
        yield Cell.near(name, found[name][0], known[name][0], 0.002)


def study_completeness(count: int = 8, layers: Sequence[str] = LAYERS, samples: int = PICTURES) -> dict:
    """Why do contributions to the class miss completeness by so much in an untrained network? By steps on the path.

    "gap": how far the contributions miss the change of the class's logit, relative to that change. "of the sizes": the same
    distance relative to the sum of the sizes of the contributions. "change": the change itself, relative to that sum: how
    little is left when all is added up.
    """
    found: dict = {"pictures": count}
    images, targets = (each[:count] for each in stored.held_out(1, ONE_OF_EACH))
    for name, hidden in NETWORKS.items():
        model = network(hidden)
        for layer, concepts in dictionaries_of(hidden, layers, samples).items():
            split = methods.decompose(methods.pointwise_feature_vectors(model, images, layer), concepts)
            for steps in (16, 64):
                given = generalized_integrated_gradients(model, images, targets[:, None], split, steps=steps)
                sizes = given.edges.abs().sum(2)[:, 0].clamp_min(1e-12)
                missed = (given.edges.sum(2) - given.change)[:, 0].abs()
                found.setdefault(name, {}).setdefault(layer, {})[str(steps)] = {
                    "gap": interval_of(given.gap), "of the sizes": interval_of(missed / sizes),
                    "change": interval_of(given.change[:, 0].abs() / sizes),
                }  # fmt: skip
    return found


def completeness_cell() -> Cell:
    """How little is left at the last layer when all contributions are added up."""
    images, targets = (each[:8] for each in stored.held_out(1, ONE_OF_EACH))
    given = generalized_integrated_gradients(network(), images, targets[:, None], _split(images, LAST[0]), steps=4)
    change = (given.change[:, 0].abs() / given.edges.abs().sum(2)[:, 0]).mean()
    return Cell.near("change, of the sizes", change, results()["completeness"]["trained"][LAST[0]]["16"]["change"][0], 0.005)


def apart(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Difference of two independent means, with its interval, from theirs: ``[mean, low, high]`` each (Zou and Donner 2008)."""
    gap = first[0] - second[0]
    low = ((first[0] - first[1]) ** 2 + (second[2] - second[0]) ** 2) ** 0.5
    high = ((first[2] - first[0]) ** 2 + (second[0] - second[1]) ** 2) ** 0.5
    return [gap, gap - low, gap + high]


def study_referee(count: int = PICTURES) -> dict:
    """The article's claims, each with what was measured, its weak null, its right null, and the lead over the right null.

    A claim has a row for each place where it is made: it stands when it stands in all of them, so that no correction for
    several tests is needed. All rows but those of "stable" are results of the other parts.
    """
    found = claims(STUDY.results())
    for layer in LAYERS:
        vectors = bank(count)[layer].vectors
        half = len(vectors) // 2
        own, other, chance = (
            methods.extract_concepts(some, CONCEPTS, layer=layer, method=method)
            for some, method in ((vectors[:half], "bisecting k-means"), (vectors[half:], "bisecting k-means"),
                                 (vectors[half:], "random directions"))
        )  # fmt: skip
        lots = torch.randperm(half, generator=torch.Generator().manual_seed(0))[:CONCEPTS]
        by_lot = Concepts(layer, functional.normalize(vectors[half:][lots], dim=1))
        same = [(matches(own, each) >= SAME).float() for each in (other, chance, by_lot)]
        found["stable"][layer] = _row(*(interval_of(each) for each in same), interval_of(same[0] - same[2]))
    return found


def claims(known: dict) -> dict[str, dict[str, dict]]:
    """The rows of the article's claims that follow from other parts of the study; those of "stable" are left empty."""
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
    rows["stable"] = {}
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


def referee_cell() -> Iterator[Cell]:
    """The claims made again of the stored results; "stable" takes all vectors."""
    for name, rows in claims(results()).items():
        for place, row in rows.items():
            known = results()["referee"][name][place]["ahead"][0]
            yield Cell.near(f"lead of “{name}”, {place}", row["ahead"][0], known, 1e-4)


# --- the study -------------------------------------------------------------------------------------------------------

#: The dictionary learning of scikit-learn says a thousand times that it would go on.
warnings.filterwarnings("ignore", module="sklearn")
_FEW = {"count": 100, "layers": LAST}

STUDY = Study(
    __file__,
    {
        "samples": Part(study_concepts, quick={"count": 66, "file": None}, cell=concepts_cell, file=stored.DICTIONARIES.name),
        **purity.PARTS,
        **sharing.PARTS,
        "dictionaries": Part(study_dictionaries, quick=_FEW, cell=dictionaries_cell),
        "matched": Part(study_matched, quick=_FEW, cell=matched_cell),
        "orders": Part(study_orders, quick={"count": 2, "layers": LAYERS[-2:]}, cell=orders_cell),
        "stability": Part(study_stability, quick={"count": 140, "layers": LAST}, cell=stability_cell),
        "many": Part(study_many, quick={"known": 60, "count": 80, "numbers": (CONCEPTS,)}, cell=many_cell),
        "precision": Part(study_precision, quick={"count": 300, "layers": LAST}, cell=precision_cell),
        "noise": Part(study_noise, quick={"count": 2, "layers": LAST, "samples": 140}, cell=noise_cell),
        "completeness": Part(study_completeness, quick={"count": 2, "layers": LAST, "samples": 140}, cell=completeness_cell),
        "referee": Part(study_referee, quick={"count": 140}, cell=referee_cell),
    },
    about={"pictures": PICTURES, "concepts": CONCEPTS, "nearest": NEAREST},
)
