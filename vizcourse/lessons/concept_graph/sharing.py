"""Lesson 06's study, the concepts that classes share: are they the parts that both classes are drawn with?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vizcourse.lessons.concept_graph import stored
from vizcourse.lessons.concept_graph.stored import LAYERS, network, results
from vizcourse.methods.concept_graph import importance, shared_concepts
from vizcourse.methods.concepts import Concepts
from vizcourse.methods.intervals import bootstrap
from vizcourse.studies import Cell, Part, bar, kept
from vizcourse.worlds import scenes

#: How often each null is drawn for a pair, and the nulls of :func:`shared_table`.
SHUFFLES = 100
NULLS = ("shuffled concepts", "shuffled in one class", "one class alone")
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
    images, targets = stored.held_out(each, names)
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


def study_shared(each: int = 16) -> dict:
    """One layer's concepts and two classes: the table of exercise 6.7."""
    layer, pair = TABLE
    found = table(*importances(network(), stored.dictionaries()[layer], each, pair).values())
    return {
        "layer": layer, "classes": list(pair), "pictures": each, **found,
        "parts": [stored.named(layer, concept)[0] for concept in found["concepts"]],
    }  # fmt: skip


def shared_cell() -> Cell:
    """The concept that speaks most for a car, with four pictures of the 16."""
    layer, (car, _) = TABLE
    known = results()["shared"]
    most, share = max(zip(known["concepts"], known["shares"][0], strict=True), key=lambda each: each[1])
    matters = importances(network(), stored.dictionaries()[layer], 4, (car,), steps=4)[car].mean(0)
    return Cell.near(f"share of concept {most}", matters[most] / matters.clamp_min(0).sum(), share, 0.1)


def labels_of(layer: str) -> Tensor:
    """The code of the part that each concept of a layer is named after, ``(K,)``."""
    return stored.parts()[layer][stored.nearest()[layer]].mode(1).values


def study_planted(each: int = 8, layers: Sequence[str] = LAYERS) -> dict:
    """Are the concepts that two classes share parts that both are drawn with?

    One class of each of the 20 forms, `each` held-out pictures of each. Controls: the nulls of :func:`shared_table`; pairs that
    share no part. "over layers": of each pair, the mean over the layers; one test in the place of five.
    """
    found: dict = {"pictures": each, "classes": list(ONE_OF_EACH), "examples": {}}
    rows: dict[tuple[str, str], list] = {}
    for layer in bar(layers, "layers"):
        concepts = stored.dictionaries()[layer]
        matters = kept(["06", "importances", layer, each], lambda concepts=concepts: importances(network(), concepts, each))
        found[layer] = shared_table(matters, labels_of(layer))
        for one, other, *values in found[layer].pop("rows"):
            rows.setdefault((one, other), []).append(values)
        found["examples"][layer] = examples(matters, labels_of(layer))
    means = [dict(zip(("found", *NULLS), np.mean(values, 0), strict=True)) | {"pair": pair} for pair, values in rows.items()]
    found["over layers"] = {
        "found": over_classes(means, lambda row: row["found"]),
        **{null: over_classes(means, lambda row, null=null: row[null]) for null in NULLS},
        **{f"ahead of {null}": over_classes(means, lambda row, null=null: row["found"] - row[null]) for null in NULLS},
    }
    return found


def planted_cell() -> Cell:
    """What is found at the last layer, with one picture of each class."""
    matters = importances(network(), stored.dictionaries()[LAYERS[-1]], 1, steps=4)
    found = [
        share_found(matters[one], matters[other], labels_of(LAYERS[-1]), planted)
        for (one, other), planted in pairs_of().items() if planted
    ]  # fmt: skip
    return Cell.within(f"found at {LAYERS[-1]}", np.mean(found), results()["planted"][LAYERS[-1]]["found"])


PARTS = {
    "shared": Part(study_shared, quick={"each": 2}, cell=shared_cell),
    "planted": Part(study_planted, quick={"each": 1, "layers": LAYERS[-1:]}, cell=planted_cell),
}
