"""Lesson 03's table: every attribution method on 512 scenes, against the truth, by insertion and deletion, and in a cascade.

    python -m vizcourse.studies.attribution            # some minutes on one core; writes 03_attribution.json

The explained class is the true one. The network is scenes-small-0, with Grad-CAM at layer3 (8 × 8 places); `--network
googlenet-scenes` (inception4e, 6 × 6 places) takes some eight times as long. What a row of the table means is said in the
lesson. Finished batches are kept in $VIZCOURSE_CACHE (or ~/.cache/vizcourse), so the same
call goes on after an interruption, and a second process with `--backwards` shares the work. `--pictures 8 --cascade 8` is a
quick trial that prints its answer.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
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
#: Network -> the layer of Grad-CAM, and the side of the pictures.
NETWORKS = {"scenes-small-0": ("layer3", 64), "googlenet-scenes": ("inception4e", 96)}
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
#: Without occlusion, since every map is made once for each randomized part.
CASCADE = {name: method for name, method in TABLE.items() if name != "occlusion"}


def pictures(count: int, first: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scenes ``(N, 3, size, size)``, their classes ``(N,)``, and where the object is seen ``(N, size, size)``."""
    drawn = scenes.sample(first + count, SEED)[first:]
    images, labels = scenes.render(drawn, size, labels=True)
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


def measure(network: str, first: int, count: int) -> dict[str, dict[str, Tensor]]:
    """Every row on some pictures: row -> measure -> one value a picture."""
    layer, size = NETWORKS[network]
    model, untrained = (load(network, random=random).to(memory_format=torch.channels_last) for random in (False, True))
    images, target, masks = pictures(count, first, size)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        right = (model(images).argmax(1) == target).float()
    found = {"pictures": {"accuracy": right, "object's share of the picture": masks.float().mean(dim=(1, 2))}}
    for name, make in rows(model, untrained, layer, images, target, first).items():
        found[name] = score(model, images, target, masks, make())
    return found


def randomized(network: str, first: int, count: int) -> dict[str, dict[str, Tensor]]:
    """The cascade on some pictures: method -> metric -> ``(pictures, steps + 1)``."""
    layer, size = NETWORKS[network]
    images, target, _ = pictures(count, first, size)
    result = sanity_checks.cascade(load(network), images, target, layer, methods=CASCADE)
    edges = sanity_checks.edge_detector(images)
    found = {"network": {"probability": result.answers.T}}
    for method, steps in result.maps.items():
        found[method] = {metric: result.similarity(method, metric).T for metric in sanity_checks.METRICS}
        like_edges = [sanity_checks.spearman(magnitude(step), edges) for step in steps]
        found[method]["spearman with edges"] = torch.stack(like_edges, dim=1)
    return found


def in_batches(
    work: Callable, network: str, count: int, batch: int, folder: Path, backwards: bool
) -> dict[str, dict[str, Tensor]]:
    """``work`` on all pictures, one file a batch, put together: name -> measure -> one row a picture."""
    starts = list(range(0, count, batch))
    folder.mkdir(parents=True, exist_ok=True)
    files = {first: folder / f"{network}-{work.__name__}-{first}-{min(batch, count - first)}.pt" for first in starts}
    for first in tqdm(starts[::-1] if backwards else starts, desc=work.__name__):
        if not files[first].exists():
            unfinished = files[first].with_suffix(f".{os.getpid()}")
            torch.save(work(network, first, min(batch, count - first)), unfinished)
            unfinished.replace(files[first])
    parts = [torch.load(files[first]) for first in starts]
    return {
        name: {key: torch.cat([part[name][key] for part in parts]) for key in measures} for name, measures in parts[0].items()
    }


def _rounded(estimate: sanity_checks.Interval) -> list[float]:
    return [round(value, 4) for value in estimate]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="scenes-small-0")
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--cascade", type=int, default=64, help="how many of the pictures the cascade sees")
    parser.add_argument("--backwards", action="store_true", help="begin with the last batch, beside another process")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ.get("VIZCOURSE_CACHE") or Path.home() / ".cache" / "vizcourse") / "study-03"
    network = arguments.network
    cascade = in_batches(randomized, network, arguments.cascade, 16, folder, arguments.backwards)
    table = in_batches(measure, network, arguments.pictures, 32, folder, arguments.backwards)
    probability = cascade.pop("network")["probability"]
    result = {
        "layer": NETWORKS[network][0],
        "seed": SEED,
        "steps": STEPS,
        "pictures": arguments.pictures,
        "about": {key: _rounded(interval(values)) for key, values in table.pop("pictures").items()},
        "table": {row: {key: _rounded(interval(values)) for key, values in found.items()} for row, found in table.items()},
        "cascade": {
            "pictures": arguments.cascade,
            "blocks": sanity_checks.blocks(load(network)),
            "probability": [_rounded(interval(step)) for step in probability.T],
            "similarity": {
                method: {metric: [_rounded(interval(step)) for step in values.T] for metric, values in found.items()}
                for method, found in cascade.items()
            },
        },
    }
    if arguments.pictures < 500:
        print(json.dumps(result, ensure_ascii=False))
        return
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    FILE.write_text(json.dumps(known | {network: result}, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
