"""Lesson 03's table: every attribution method on 512 scenes, against the truth, by insertion and deletion, and in a cascade.

    python -m vizcourse.studies.attribution            # about half an hour on one core; writes 03_attribution.json

The network is googlenet-scenes, the explained class the true one, Grad-CAM's layer inception4e (6 × 6 places). What a row
of the table means is said in the lesson. `--pictures 8` is a quick trial that writes to standard output.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from vizcourse.methods import sanity_checks
from vizcourse.methods.attribution import METHODS, integrated_gradients, magnitude, occlusion, smooth_grad
from vizcourse.methods.sanity_checks import interval
from vizcourse.models import load
from vizcourse.worlds import scenes

FILE = Path(__file__).with_name("03_attribution.json")
NETWORK, LAYER, SIZE = "googlenet-scenes", "inception4e", 96
SEED = 303  # the network was trained on seed 1
STEPS = 8
MEASURES = ("pointing game", "energy in mask", "IoU", "insertion", "deletion", "insertion − deletion")
#: METHODS with averages of fewer gradients and fewer occlusions than by default, for the sake of time.
TABLE = {
    **METHODS,
    "SmoothGrad": lambda model, images, target, layer: smooth_grad(model, images, target, samples=16),
    "integrated gradients": lambda model, images, target, layer: integrated_gradients(model, images, target, steps=16)[0],
    "occlusion": lambda model, images, target, layer: occlusion(model, images, target, window=16, stride=16),
}
#: Fewer still in the cascade, where every map is made once for each randomized part.
CASCADE = {
    **{name: METHODS[name] for name in ("gradient", "gradient × input", "guided backprop", "Grad-CAM", "guided Grad-CAM")},
    "SmoothGrad": lambda model, images, target, layer: smooth_grad(model, images, target, samples=8),
    "integrated gradients": lambda model, images, target, layer: integrated_gradients(model, images, target, steps=8)[0],
}


def pictures(count: int, first: int = 0, seed: int = SEED) -> tuple[Tensor, Tensor, Tensor]:
    """Scenes ``(N, 3, 96, 96)``, their classes ``(N,)``, and where the object is seen ``(N, 96, 96)``."""
    drawn = scenes.sample(first + count, seed)[first:]
    images, labels = scenes.render(drawn, SIZE, labels=True)
    codes = torch.tensor([scenes.OBJECTS.index(scene.object) for scene in drawn])
    return images, torch.tensor([scenes.label(scene) for scene in drawn]), labels.object == codes.view(-1, 1, 1)


def score(model, images: Tensor, target: Tensor, masks: Tensor, maps: Tensor) -> dict[str, Tensor]:
    """All measures of one map an image: name -> ``(N,)``."""
    inserted = sanity_checks.insertion(model, images, target, maps, steps=STEPS).auc
    deleted = sanity_checks.deletion(model, images, target, maps, steps=STEPS).auc
    return {
        "pointing game": sanity_checks.pointing_game(maps, masks),
        "energy in mask": sanity_checks.energy_in_mask(maps, masks),
        "IoU": sanity_checks.iou(maps, masks),
        "insertion": inserted,
        "deletion": deleted,
        "insertion − deletion": inserted - deleted,
    }


def rows(model, untrained, images: Tensor, target: Tensor, first: int = 0):
    """The table's rows: name -> function that makes one map an image, methods first and then what they must beat."""
    size, count = tuple(images.shape[2:]), len(images)
    found = {name: lambda method=method: magnitude(method(model, images, target, LAYER)) for name, method in TABLE.items()}
    for name in ("gradient", "Grad-CAM", "guided backprop"):
        found[f"{name}, untrained network"] = lambda name=name: magnitude(METHODS[name](untrained, images, target, LAYER))
    found["edge detector"] = lambda: sanity_checks.edge_detector(images)
    found["centre Gaussian"] = lambda: sanity_checks.centre_gaussian(count, size)
    found["random map"] = lambda: sanity_checks.random_maps(count, size, seed=first)
    return found


def measure(count: int, batch: int = 32) -> dict:
    """Every row on ``count`` pictures: row -> measure -> mean and 95 % bootstrap interval over pictures."""
    model, untrained = (
        load(NETWORK, random=random).to(memory_format=torch.channels_last) for random in (False, True)
    )
    values: dict[str, dict[str, list[Tensor]]] = {}
    right, area = [], []
    for first in tqdm(range(0, count, batch), desc="pictures, in batches"):
        images, target, masks = pictures(min(batch, count - first), first)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            right.append(model(images).argmax(1) == target)
        area.append(masks.float().mean(dim=(1, 2)))
        for name, make in rows(model, untrained, images, target, first).items():
            for measured, each in score(model, images, target, masks, make()).items():
                values.setdefault(name, {}).setdefault(measured, []).append(each)
    table = {name: {key: _rounded(interval(torch.cat(each))) for key, each in row.items()} for name, row in values.items()}
    return {
        "pictures": count,
        "accuracy": _rounded(interval(torch.cat(right).float())),
        "object's share of the picture": _rounded(interval(torch.cat(area))),
        "rows": table,
    }


def randomized(count: int, batch: int = 16) -> dict:
    """The cascade on ``count`` pictures: method -> metric -> mean and interval at each step; and the answer's probability."""
    model = load(NETWORK)
    found: dict[str, dict[str, list[Tensor]]] = {}
    answers = []
    for first in tqdm(range(0, count, batch), desc="cascade, in batches"):
        images, target, _ = pictures(min(batch, count - first), first)
        result = sanity_checks.cascade(model, images, target, LAYER, methods=CASCADE)
        answers.append(result.answers)
        edges = sanity_checks.edge_detector(images)
        for method, steps in result.maps.items():
            for metric in sanity_checks.METRICS:
                found.setdefault(method, {}).setdefault(metric, []).append(result.similarity(method, metric))
            like_edges = torch.stack([sanity_checks.spearman(magnitude(step), edges) for step in steps])
            found[method].setdefault("spearman with edges", []).append(like_edges)
    return {
        "pictures": count,
        "blocks": list(result.blocks),
        "probability": [_rounded(interval(step)) for step in torch.cat(answers, dim=1)],
        "similarity": {
            method: {
                metric: [_rounded(interval(step)) for step in torch.cat(each, dim=1)] for metric, each in by_metric.items()
            }
            for method, by_metric in found.items()
        },
    }


def _rounded(estimate: sanity_checks.Interval) -> list[float]:
    return [round(value, 4) for value in estimate]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--cascade", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    result = {
        "network": NETWORK, "layer": LAYER, "seed": SEED, "steps": STEPS,
        "cascade": randomized(min(arguments.cascade, arguments.pictures)),
        "table": measure(arguments.pictures),
    }
    result["seconds"] = round(time.perf_counter() - started)
    text = json.dumps(result, indent=None, ensure_ascii=False) + "\n"
    if arguments.pictures < 500:
        print(text)
    else:
        FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
