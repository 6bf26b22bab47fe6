"""Lesson 03's tables: every attribution method on 512 scenes, against the truth, by insertion and deletion, and in a cascade;
and on 128 pictures of two objects, asked for one class or the other.

Half an hour on one core. On one object, the explained class is the true one. The network is scenes-small-0, with Grad-CAM at
layer3 (8 × 8 places); the parts' functions take its twin scenes-small-1, trained from another start, and googlenet-scenes
(inception4e, 6 × 6 places), which takes some eight times as long. What a row of a table means is said in the lesson.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vizcourse.methods import sanity_checks
from vizcourse.methods.attribution import (
    METHODS,
    grad_cam,
    integrated_gradients,
    magnitude,
    occlusion,
    rather_than,
    relevance_propagation,
    signed,
    smooth_grad,
    upsample,
)
from vizcourse.methods.intervals import bootstrap
from vizcourse.models import load
from vizcourse.studies import Cell, Part, Study, bar, kept
from vizcourse.worlds import scenes

#: Network -> the layer of Grad-CAM, and the side of the pictures.
NETWORKS = {"scenes-small-0": ("layer3", 64), "scenes-small-1": ("layer3", 64), "googlenet-scenes": ("inception4e", 96)}
NETWORK, PICTURES = "scenes-small-0", 512
SEED = 303  # the networks were trained on seed 1
STEPS = 8
MEASURES = ("pointing game", "energy in mask", "IoU", "insertion", "deletion", "insertion − deletion")
#: METHODS with averages of fewer gradients and fewer occlusions than by default, for the sake of time; so in the cascade.
TABLE = {
    **METHODS,
    "SmoothGrad": lambda model, images, target, layer: smooth_grad(model, images, target, samples=8),
    "integrated gradients": lambda model, images, target, layer: integrated_gradients(model, images, target, steps=8)[0],
    "occlusion": lambda model, images, target, layer: occlusion(model, images, target, window=16, stride=16),
}
#: On two objects, the other rule of relevance propagation as well.
TWO = {
    **TABLE,
    "LRP ε": lambda model, images, target, layer: relevance_propagation(model, images, target, rule="epsilon"),
}
#: Grad-CAM without its ReLU, where a map has to have two sides.
SIGNED = {**TWO, "Grad-CAM": lambda *arguments: _signed_grad_cam(*arguments)}
#: Without occlusion, since every map is made once for each randomized part.
CASCADE = {name: method for name, method in TABLE.items() if name != "occlusion"}


@functools.lru_cache(maxsize=4)
def pictures(count: int, first: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scenes ``(N, 3, size, size)``, their classes ``(N,)``, and where the object is seen ``(N, size, size)``."""
    drawn = scenes.sample(first + count, SEED)[first:]
    images, labels = scenes.render(drawn, size, labels=True)
    codes = torch.tensor([scenes.OBJECTS.index(scene.object) for scene in drawn])
    return images, torch.tensor([scenes.label(scene) for scene in drawn]), labels.object == codes.view(-1, 1, 1)


def located(maps: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Where one map an image lies: measure -> ``(N,)``."""
    return {
        "pointing game": sanity_checks.pointing_game(maps, masks),
        "energy in mask": sanity_checks.energy_in_mask(maps, masks),
        "IoU": sanity_checks.iou(maps, masks),
    }


def score(model, images: Tensor, target: Tensor, masks: Tensor, maps: Tensor) -> dict[str, Tensor]:
    """All measures of one map an image: name -> ``(N,)``."""
    inserted = sanity_checks.insertion(model, images, target, maps, steps=STEPS).auc
    deleted = sanity_checks.deletion(model, images, target, maps, steps=STEPS).auc
    area = {"insertion": inserted, "deletion": deleted, "insertion − deletion": inserted - deleted}
    return located(maps, masks) | area


def rows(model, untrained, layer: str, images: Tensor, target: Tensor, first: int = 0):
    """The table's rows: name -> function that makes one map an image, methods first and then what they must beat."""
    size, count = tuple(images.shape[2:]), len(images)
    found = {name: lambda method=method: magnitude(method(model, images, target, layer)) for name, method in TABLE.items()}
    for name in ("Grad-CAM", "guided backprop"):
        found[f"{name}, untrained network"] = lambda name=name: magnitude(METHODS[name](untrained, images, target, layer))
    found["edge detector"] = lambda: sanity_checks.edge_detector(images)
    found["centre Gaussian"] = lambda: sanity_checks.centre_gaussian(count, size)
    found["random map"] = lambda: sanity_checks.random_maps(count, size, seed=first)
    return found


def measure(network: str, first: int, count: int, only: tuple[str, ...] = ()) -> dict[str, dict[str, Tensor]]:
    """Every row (or ``only`` some) on some pictures: row -> measure -> one value a picture."""
    layer, size = NETWORKS[network]
    model, untrained = (load(network, random=random).to(memory_format=torch.channels_last) for random in (False, True))
    images, target, masks = pictures(count, first, size)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        right = (model(images).argmax(1) == target).float()
    found = {"pictures": {"accuracy": right, "object's share of the picture": masks.float().mean(dim=(1, 2))}}
    for name, make in rows(model, untrained, layer, images, target, first).items():
        if not only or name in only:
            found[name] = score(model, images, target, masks, make())
    return found


def _signed_grad_cam(model, images: Tensor, target, layer: str) -> Tensor:
    return upsample(grad_cam(model, images, target, layer, relu=False), images)


def contrasted(network: str, first: int, count: int, only: tuple[str, ...] = ()) -> dict[str, dict[str, Tensor]]:
    """Pictures of two objects, asked for the one class and for the other: row -> measure -> one value a picture.

    - "share": of the map's positive values on the two objects, those on the object asked for; mean of both questions.
    - "discrimination": twice that, minus 1; with the magnitudes of the map instead of its positive values; for a network
      whose last layer is random; and asked for two classes that are not there.
    - "rather than": the positive side of the map of "why this rather than that?" against its negative side.
    - "absent": the strength of the map for a class that is not there, over the mean strength for the two that are.
    - "counterfactual" (Grad-CAM): of what speaks against the one object's class, the share on the other object.
    """
    layer, size = NETWORKS[network]
    model = load(network)
    forgetful = sanity_checks.randomize(model, ["fc"])
    pairs = scenes.sample_pairs(first + count, SEED)[first:]
    images, masks = scenes.render_pairs(pairs, size)
    left, right = masks[:, 0], masks[:, 1]
    here = torch.tensor([[scenes.label(scene) for scene in pair] for pair in pairs])
    absent = absent_classes(here, first)
    found = {"pictures": _answers(model, pairs, images, here)}

    def positive(name: str, network, target) -> Tensor:
        return signed(TWO[name](network, images, target, layer)).relu()

    for name in only or TWO:
        maps = [TWO[name](model, images, target, layer) for target in (*here.T, *absent.T)]
        one, other, third, fourth = (signed(each).relu() for each in maps)
        both = (one.sum((1, 2)) + other.sum((1, 2))).clamp_min(1e-12)
        question = signed(SIGNED[name](model, images, rather_than(*here.T), layer))
        random_maps = [positive(name, forgetful, target) for target in here.T]
        moved = sanity_checks.discrimination(one, other, left, right)
        found[name] = {
            "share": (1 + moved) / 2,
            "discrimination": moved,
            "magnitudes": sanity_checks.discrimination(magnitude(maps[0]), magnitude(maps[1]), left, right),
            "random fc": sanity_checks.discrimination(*random_maps, left, right),
            "absent classes": sanity_checks.discrimination(third, fourth, left, right),
            "rather than": sanity_checks.discrimination(question.relu(), (-question).relu(), left, right),
            "absent": (third + fourth).sum((1, 2)) / both,
        }
    for name, against in (("for", False), ("against", True)):
        maps = [upsample(grad_cam(model, images, target, layer, against=against), images) for target in here.T]
        shares = [sanity_checks.share_between(maps[0], right, left), sanity_checks.share_between(maps[1], left, right)]
        on_it = [sanity_checks.energy_in_mask(maps[0], right), sanity_checks.energy_in_mask(maps[1], left)]
        found[f"Grad-CAM {name}"] = {"share on the other": sum(shares) / 2, "energy on the other": sum(on_it) / 2}
    return found


def absent_classes(here: Tensor, first: int) -> Tensor:
    """Two classes that are not in a picture, and no other colour of one that is: ``(N, 2)``. Picture ``first`` is row 0."""
    rows = []
    for number, classes in enumerate(here.tolist(), start=first):
        forms = {scenes.FORM[scenes.CLASSES[index]] for index in classes}
        free = [index for index, name in enumerate(scenes.CLASSES) if scenes.FORM[name] not in forms]
        generator = torch.Generator().manual_seed(SEED + number)
        rows.append([free[place] for place in torch.randperm(len(free), generator=generator)[:2]])
    return torch.tensor(rows)


@torch.no_grad()
def _answers(model, pairs, images: Tensor, here: Tensor) -> dict[str, Tensor]:
    """What the network says of two objects, and how its logits change when one of them is really taken away."""
    logits = model(images)
    alone = [model(scenes.render(side, images.shape[-1])) for side in zip(*pairs, strict=True)]
    own = [logits.gather(1, here[:, [side]])[:, 0] for side in (0, 1)]
    without_other = [alone[side].gather(1, here[:, [side]])[:, 0] - own[side] for side in (0, 1)]
    without_it = [alone[1 - side].gather(1, here[:, [side]])[:, 0] - own[side] for side in (0, 1)]
    return {
        "first answer is one of them": (logits.argmax(1, keepdim=True) == here).any(1).float(),
        "both in the first two": (logits.topk(2).indices.sort(1).values == here.sort(1).values).all(1).float(),
        "logit without the other": sum(without_other) / 2,
        "logit without it": sum(without_it) / 2,
    }


def randomized(network: str, first: int, count: int, only: tuple[str, ...] = ()) -> dict[str, dict[str, Tensor]]:
    """The cascade on some pictures: method -> metric -> ``(pictures, steps + 1)``."""
    layer, size = NETWORKS[network]
    images, target, _ = pictures(count, first, size)
    methods = {name: method for name, method in CASCADE.items() if not only or name in only}
    result = sanity_checks.cascade(load(network), images, target, layer, methods=methods)
    edges = sanity_checks.edge_detector(images)
    found = {"network": {"probability": result.answers.T}}
    for method, steps in result.maps.items():
        found[method] = {metric: result.similarity(method, metric).T for metric in sanity_checks.METRICS}
        like_edges = [sanity_checks.spearman(magnitude(step), edges) for step in steps]
        found[method]["spearman with edges"] = torch.stack(like_edges, dim=1)
    return found


def in_batches(work: Callable, network: str, count: int, batch: int) -> dict[str, dict[str, Tensor]]:
    """``work`` on all pictures, kept batch by batch, put together: name -> measure -> one row a picture."""
    parts = []
    for first in bar(range(0, count, batch), work.__name__):
        some = network, first, min(batch, count - first)
        parts.append(kept(["03", work.__name__, *some], functools.partial(work, *some)))
    return {
        name: {key: torch.cat([part[name][key] for part in parts]) for key in measures} for name, measures in parts[0].items()
    }


def _estimates(table: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, list[float]]]:
    return {row: {key: bootstrap(values).rounded() for key, values in found.items()} for row, found in table.items()}


def about(network: str = NETWORK, count: int = PICTURES) -> dict[str, list[float]]:
    """How often the network is right, and how much of a picture its object is."""
    return _estimates(in_batches(measure, network, count, 32))["pictures"]


def table(network: str = NETWORK, count: int = PICTURES) -> dict[str, dict[str, list[float]]]:
    """Row -> measure -> estimate and interval."""
    found = _estimates(in_batches(measure, network, count, 32))
    return {row: measures for row, measures in found.items() if row != "pictures"}


def cascade(network: str = NETWORK, count: int = 64) -> dict:
    """For each method and metric, the similarity at each step of the cascade; and the answer's probability."""
    found = in_batches(randomized, network, count, 16)
    steps = {
        method: {metric: [bootstrap(step).rounded() for step in values.T] for metric, values in metrics.items()}
        for method, metrics in found.items()
    }
    probability = steps.pop("network")["probability"]
    return {
        "pictures": count, "blocks": sanity_checks.blocks(load(network)), "probability": probability, "similarity": steps,
    }  # fmt: skip


def two_objects(network: str = NETWORK, count: int = 128) -> dict:
    """The table of two objects, and what the network says of these pictures."""
    found = _estimates(in_batches(contrasted, network, count, 16))
    return {"pictures": count, "about": found.pop("pictures"), "table": found}


def _about_cell() -> Iterator[Cell]:
    images, target, masks = pictures(PICTURES, 0, NETWORKS[NETWORK][1])
    with torch.no_grad():
        right = (load(NETWORK)(images).argmax(1) == target).float()
    stored = STUDY.stored("one/about")
    yield Cell.near("accuracy", right.mean(), stored["accuracy"][0], 0.002)
    yield Cell.near("share of the object", masks.float().mean(), stored["object's share of the picture"][0], 0.001)


def _table_cell() -> Iterator[Cell]:
    """The gradient's row, but for insertion and deletion, which take a minute."""
    layer, size = NETWORKS[NETWORK]
    images, target, masks = pictures(PICTURES, 0, size)
    maps = magnitude(METHODS["gradient"](load(NETWORK), images, target, layer))
    for name, values in located(maps, masks).items():
        yield Cell.near(f"{name} of the gradient", values.mean(), STUDY.stored("table")["gradient"][name][0], 0.003)


def _cascade_cell() -> Cell:
    """The gradient's rank correlation when all is random."""
    layer, size = NETWORKS[NETWORK]
    images, target, _ = (each[:64] for each in pictures(PICTURES, 0, size))
    methods = {"gradient": METHODS["gradient"]}
    found = sanity_checks.cascade(load(NETWORK), images, target, layer, methods=methods).similarity("gradient", "spearman")
    stored = STUDY.stored("cascade")["similarity"]["gradient"]["spearman"][-1][0]
    return Cell.near("similarity of the gradient at the end", found[-1].mean(), stored, 0.005)


def _two_cell() -> Cell:
    """The difference that the question makes to the gradient."""
    layer, size = NETWORKS[NETWORK]
    pairs = scenes.sample_pairs(128, SEED)
    images, masks = scenes.render_pairs(pairs, size)
    model, here = load(NETWORK), torch.tensor([[scenes.label(scene) for scene in pair] for pair in pairs])
    maps = [signed(METHODS["gradient"](model, images, target, layer)).relu() for target in here.T]
    moved = sanity_checks.discrimination(*maps, masks[:, 0], masks[:, 1])
    stored = STUDY.stored("two")["table"]["gradient"]["discrimination"][0]
    return Cell.near("discrimination of the gradient", moved.mean(), stored, 0.005)


_SETTINGS = {"layer": NETWORKS[NETWORK][0], "seed": SEED, "steps": STEPS, "pictures": PICTURES}
STUDY = Study(
    __file__,
    {
        **{f"one/{key}": Part(lambda value=value: value, path=(NETWORK, key)) for key, value in _SETTINGS.items()},
        "one/about": Part(about, quick={"count": 2}, cell=_about_cell, path=(NETWORK, "about")),
        "table": Part(table, quick={"count": 2}, cell=_table_cell, path=(NETWORK, "table")),
        "cascade": Part(cascade, quick={"count": 2}, cell=_cascade_cell, path=(NETWORK, "cascade")),
        "two": Part(two_objects, quick={"count": 2}, cell=_two_cell, path=(NETWORK, "two")),
    },
)
