"""Lesson 03's tables: every attribution method on 512 scenes, against the truth, by insertion and deletion, and in a cascade;
and on 128 pictures of two objects, asked for one class or the other.

    python -m vizcourse.lessons.attribution.study            # half an hour on one core; writes study.json

On one object, the explained class is the true one. The network is scenes-small-0, with Grad-CAM at layer3 (8 × 8 places);
`--network scenes-small-1` is its twin, trained from another start, and `--network googlenet-scenes` (inception4e, 6 × 6
places) takes some eight times as long. `--only two` leaves the first two tables as they are in the file. What a row of a
table means is said in the lesson. `--rows "LRP"` computes these rows of the first two tables alone, and keeps the others.
Finished batches are kept in $VIZCOURSE_CACHE (or ~/.cache/vizcourse), so the same call goes on after an interruption, and a
second process with `--backwards` shares the work. `--pictures 8 --cascade 8 --two 8` is a quick trial that prints its answer.
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
from vizcourse.worlds import scenes

FILE = Path(__file__).with_name("study.json")
#: Network -> the layer of Grad-CAM, and the side of the pictures.
NETWORKS = {"scenes-small-0": ("layer3", 64), "scenes-small-1": ("layer3", 64), "googlenet-scenes": ("inception4e", 96)}
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


def in_batches(
    work: Callable, network: str, count: int, batch: int, folder: Path, backwards: bool, only: tuple[str, ...] = ()
) -> dict[str, dict[str, Tensor]]:
    """``work`` on all pictures, one file a batch, put together: name -> measure -> one row a picture."""
    starts = list(range(0, count, batch))
    folder = folder / "-".join(only).replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    files = {first: folder / f"{network}-{work.__name__}-{first}-{min(batch, count - first)}.pt" for first in starts}
    for first in tqdm(starts[::-1] if backwards else starts, desc=work.__name__):
        if not files[first].exists():
            unfinished = files[first].with_suffix(f".{os.getpid()}")
            torch.save(work(network, first, min(batch, count - first), only), unfinished)
            unfinished.replace(files[first])
    parts = [torch.load(files[first]) for first in starts]
    return {
        name: {key: torch.cat([part[name][key] for part in parts]) for key in measures} for name, measures in parts[0].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="scenes-small-0")
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--cascade", type=int, default=64, help="how many of the pictures the cascade sees")
    parser.add_argument("--two", type=int, default=128, help="how many pictures of two objects")
    parser.add_argument("--only", choices=("one", "two"), help="tables of one object or of two; the others stay as they are")
    parser.add_argument("--rows", nargs="*", default=(), help="only these rows; the others stay as they are")
    parser.add_argument("--backwards", action="store_true", help="begin with the last batch, beside another process")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(os.environ.get("VIZCOURSE_CACHE") or Path.home() / ".cache" / "vizcourse") / "study-03"
    network = arguments.network
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    result = known.get(network, {})
    if arguments.only != "two":
        result = _merged(result, one_object(arguments, folder))
    if arguments.only != "one":
        result = _merged(result, {"two": two_objects(arguments, folder)})
    if arguments.pictures < 500 or arguments.two < 90:
        print(json.dumps(result, ensure_ascii=False))
        return
    FILE.write_text(json.dumps(known | {network: result}, ensure_ascii=False) + "\n", encoding="utf-8")


def _merged(old: dict, new: dict) -> dict:
    """The old results with the new ones in their places; a dictionary in both is merged in turn."""
    both = {key: _merged(old[key], new[key]) for key in new if isinstance(new[key], dict) and isinstance(old.get(key), dict)}
    return old | new | both


def one_object(arguments: argparse.Namespace, folder: Path) -> dict:
    network, only = arguments.network, tuple(arguments.rows)
    cascade = in_batches(randomized, network, arguments.cascade, 16, folder, arguments.backwards, only)
    table = in_batches(measure, network, arguments.pictures, 32, folder, arguments.backwards, only)
    probability = cascade.pop("network")["probability"]
    return {
        "layer": NETWORKS[network][0],
        "seed": SEED,
        "steps": STEPS,
        "pictures": arguments.pictures,
        "about": {key: bootstrap(values).rounded() for key, values in table.pop("pictures").items()},
        "table": _estimates(table),
        "cascade": {
            "pictures": arguments.cascade,
            "blocks": sanity_checks.blocks(load(network)),
            "probability": [bootstrap(step).rounded() for step in probability.T],
            "similarity": {
                method: {metric: [bootstrap(step).rounded() for step in values.T] for metric, values in found.items()}
                for method, found in cascade.items()
            },
        },
    }


def two_objects(arguments: argparse.Namespace, folder: Path) -> dict:
    only = tuple(arguments.rows)
    table = in_batches(contrasted, arguments.network, arguments.two, 16, folder, arguments.backwards, only)
    about = {key: bootstrap(values).rounded() for key, values in table.pop("pictures").items()}
    return {"pictures": arguments.two, "about": about, "table": _estimates(table)}


def _estimates(table: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, list[float]]]:
    return {row: {key: bootstrap(values).rounded() for key, values in found.items()} for row, found in table.items()}


if __name__ == "__main__":
    main()
