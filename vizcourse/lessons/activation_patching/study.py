"""Lesson 04's studies: where vision transformers carry colour, on 1,000 scenes and 1,000 photographs, with all controls.

    python -m vizcourse.lessons.activation_patching.study                 # all; writes study.json
    python -m vizcourse.lessons.activation_patching.study grey-attn_out-3 # one, again
    python -m vizcourse.lessons.activation_patching.study --pictures 8 --list

Each experiment is written as soon as it is finished, and left out when the file has it already. All of them take about
half an hour of processor time. For the photographs, CIFAR-10 must be there (`vizcourse doctor` says how).
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from vizcourse.methods import activation_patching as patching
from vizcourse.methods import attention
from vizcourse.methods.activation_patching import METRICS, PatchingResult, measure
from vizcourse.models import load
from vizcourse.models.zoo import WeightsError
from vizcourse.worlds import photos, scenes

FILE = Path(__file__).with_name("study.json")
SEED = 404  # the networks were trained on seed 1
MANY, SOME = 1000, 128
COLOURS = 16  # the first 16 classes differ from another one in nothing but colour


def results() -> dict[str, dict]:
    """What the studies found: name of the experiment -> its numbers, as `study` and the others return them."""
    return json.loads(FILE.read_text())


# ------------------------------------------------------------------------------------------------------------ pictures


@functools.cache
def drawn(count: int, colours_only: bool = False) -> tuple[list, Tensor, Tensor, Tensor]:
    """Scenes, their pictures (N, 3, 96, 96), classes (N,), and where the object is seen (N, 96, 96)."""
    some = scenes.sample(count, SEED, **({"object": scenes.CLASSES[:COLOURS]} if colours_only else {}))
    images, labels = scenes.render(some, 96, labels=True)
    codes = torch.tensor([scenes.OBJECTS.index(scene.object) for scene in some]).view(-1, 1, 1)
    return some, images, torch.tensor([scenes.label(scene) for scene in some]), labels.object == codes


def partners(some: list) -> Tensor:
    """The counterfactual pictures: the object in the colour of the other class of its pair, all else equal."""
    return scenes.render([each.replace(colour=scenes.OWN_COLOUR[scenes.counterpart(each.object)]) for each in some], 96)


@functools.cache
def photographs(count: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    images, labels, names = photos.cifar10("test", limit=count)
    return images, labels, tuple(names)


# ---------------------------------------------------------------------------------------------------------- measurement


def logits(
    model: nn.Module, clean, corrupted, component: str, window: int, *, direction="denoising", tokens="all", batch: int = 64
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the patched runs (N, layers, classes), and of the clean and the corrupted run (N, classes)."""
    parts = []
    layers = len(patching.sites(model, component))
    for start in range(0, len(clean), batch):
        rows = slice(start, start + batch)
        runs = patching.record(model, clean[rows], corrupted[rows], components=[component])
        some = tokens[rows] if isinstance(tokens, Tensor) else tokens
        if component == "heads":
            groups = [[(component, layer, head)] for layer in range(layers) for head in range(runs.heads)]
        else:
            groups = [[(component, each) for each in patching.window_layers(layer, window, layers)] for layer in range(layers)]
        patched = torch.stack([runs.patch(cells, tokens=some, direction=direction) for cells in groups], dim=1)
        parts.append((patched, runs.clean, runs.corrupted))
    return tuple(torch.cat(each) for each in zip(*parts, strict=True))


def numbers(values: Tensor) -> list:
    return [round(value, 4) for value in values.tolist()]


def averaged(values: Tensor) -> dict:
    """Mean over pictures (N, …) and its 95 % interval, from the resamples of `PatchingResult`."""
    none = values.new_zeros(len(values))
    result = PatchingResult(values, none, none, (), "", 1, "denoising", "")
    low, high = result.interval
    return {"mean": numbers(result.mean), "low": numbers(low), "high": numbers(high), "pictures": len(values)}


def summary(result: PatchingResult) -> dict:
    """Means and 95 % intervals, rounded: what the lesson draws."""
    total = PatchingResult(result.total[:, None], result.clean, result.corrupted, ("total",), "", 1, "denoising", result.metric)
    return {
        "pictures": len(result.effects),
        "clean": round(float(result.clean.mean()), 4),
        "corrupted": round(float(result.corrupted.mean()), 4),
        "total": numbers(torch.cat([total.mean, total.interval[:, 0]])),
        "mean": numbers(result.mean),
        "low": numbers(result.interval[0]),
        "high": numbers(result.interval[1]),
        "normalised": numbers(result.normalised),
        "normalised low": numbers(result.normalised_interval[0]),
        "normalised high": numbers(result.normalised_interval[1]),
        "standard deviation": numbers(result.effects.std(dim=0)),
        "peak": numbers(result.peak),
    }


def study(
    model: nn.Module, clean, corrupted, targets: Tensor, component: str, window: int, *, direction="denoising", **options
) -> dict:
    """One sweep in all three metrics, for all pictures and for those of the classes with and without a colour of their own."""
    patched, before, after = logits(model, clean, corrupted, component, window, direction=direction, **options)
    rival = patching.rival(after, targets)
    right = [float((each.argmax(dim=1) == targets).float().mean()) for each in (before, after)]
    found = {
        "component": component,
        "window": window,
        "direction": direction,
        "right": {"clean": round(right[0], 4), "corrupted": round(right[1], 4)},
    }
    for metric in METRICS:

        def value(outputs: Tensor, metric: str = metric) -> Tensor:
            return measure(outputs, targets, metric, rival)

        first, last = value(before), value(after)
        each = torch.stack([value(patched[:, layer]) for layer in range(patched.shape[1])], dim=1)
        effects = each - last[:, None] if direction == "denoising" else first[:, None] - each
        names = tuple(map(str, range(effects.shape[1])))
        result = PatchingResult(effects, first, last, names, component, window, direction, metric)
        found[metric] = {"all": summary(result)}
        if before.shape[1] == len(scenes.CLASSES):
            for group, chosen in {"colour": targets < COLOURS, "free": targets >= COLOURS}.items():
                if 1 < chosen.sum() < len(targets):
                    found[metric][group] = summary(result[chosen])
        elif metric == "probability":
            for number, name in enumerate(model.classes):
                if (targets == number).sum() > 1:
                    found[metric][name] = summary(result[targets == number])
            # As in the project's own example, a deer that is taken for a cat in grey.
            flipped = (before.argmax(dim=1) == targets) & (after.argmax(dim=1) != targets)
            if flipped.sum() > 1:
                found[metric]["flipped"] = summary(result[flipped])
    return found


# ---------------------------------------------------------------------------------------------------------- experiments

#: Its tokens are linear maps of patches; those of `vit-cifar10` come out of a convolutional stem.
LINEAR = "vit-cifar10-linear"

EXPERIMENTS: dict[str, Callable[[], dict]] = {}


def grey(component: str, window: int, count: int, direction: str = "denoising") -> dict:
    """Colour against greyscale: the seed's corruption, on scenes of all classes."""
    _, images, targets, _ = drawn(count)
    return study(load("vit-scenes"), images, patching.greyscale(images), targets, component, window, direction=direction)


def photographs_grey(
    component: str, window: int, count: int, direction: str = "denoising", network: str = "vit-cifar10"
) -> dict:
    """The seed's own pictures: colour against greyscale, on the test photographs of CIFAR-10."""
    images, targets, _ = photographs(count)
    return study(load(network), images, patching.greyscale(images), targets, component, window, direction=direction)


def partner(component: str, window: int, count: int, direction: str = "denoising") -> dict:
    """The colour of the other class of the pair, all else equal."""
    some, images, targets, _ = drawn(count, colours_only=True)
    return study(load("vit-scenes"), images, partners(some), targets, component, window, direction=direction)


def blind(component: str, window: int, count: int) -> dict:
    """Control: a network that has never seen a colour."""
    _, images, targets, _ = drawn(count)
    return study(load("vit-scenes-grey"), images, patching.greyscale(images), targets, component, window)


def corrupted_by(kind: str, strength: float, component: str, count: int, network: str = "vit-scenes") -> dict:
    """Other corruptions, as the seed proposes."""
    model = load(network)
    if network == "vit-scenes":
        _, images, targets, masks = drawn(count)
    else:
        (images, targets, _), masks = photographs(count), None
    corrupted = {
        "noise": lambda: patching.embedding_noise(model, images, strength),
        "blur": lambda: patching.blur(images, strength),
        "silhouette": lambda: patching.silhouette(images, masks),
        "shuffle": lambda: patching.shuffle_patches(images, int(strength)),
    }[kind]()
    return study(model, images, corrupted, targets, component, 3)


DONORS = ("own picture", "own colour, same object", "own colour, other object", "partner's colour, same object",
          "partner's colour, other object")  # fmt: skip
#: Objects of no pair, which the world paints in any colour: a red umbrella is as usual as a blue one.
OTHERS = ("car", "bicycle", "house", "church", "sailing boat", "rocket", "umbrella", "clock")


def donors(some: list) -> dict[str, list]:
    """For each scene the scenes that lend their activations: the colour crossed with the object, all else drawn anew."""
    fresh = scenes.sample(len(some), SEED + 1, object=scenes.CLASSES[:COLOURS])
    found: dict[str, list] = {"own picture": some}
    for number, (one, other) in enumerate(zip(some, fresh, strict=True)):
        twin = scenes.counterpart(one.object)
        for words, wearer in {"own colour": one.object, "partner's colour": twin}.items():
            colour = scenes.OWN_COLOUR[wearer]
            found.setdefault(f"{words}, same object", []).append(other.replace(object=wearer, colour=colour))
            stranger = other.replace(object=OTHERS[number % len(OTHERS)], colour=colour)
            found.setdefault(f"{words}, other object", []).append(stranger)
    return found


def transplant(component: str, window: int, count: int) -> dict:
    """Activations of five donors in the greyscale run, which has no colour of its own: whose colour comes out?

    Logit difference between the class and its partner. "colour" and "object" are the two main effects of the crossed
    four: own colour minus partner's colour, same object minus other object, each averaged over the other factor.
    """
    model = load("vit-scenes")
    some, images, targets, _ = drawn(count, colours_only=True)
    rivals = torch.tensor([scenes.CLASSES.index(scenes.counterpart(each.object)) for each in some])
    corrupted, found, effects = patching.greyscale(images), {"pictures": count, "window": window}, {}
    for name, lent in donors(some).items():
        patched, _, after = logits(model, scenes.render(lent, 96), corrupted, component, window)
        for metric in ("probability", "logit_difference"):
            value = functools.partial(measure, target=targets, metric=metric, against=rivals)
            each = torch.stack([value(patched[:, layer]) for layer in range(patched.shape[1])], dim=1)
            effects[name, metric] = each - value(after)[:, None]
            found.setdefault(metric, {})[name] = averaged(effects[name, metric])
    own, own_other, partner, partner_other = (effects[name, "logit_difference"] for name in DONORS[1:])
    found["colour"] = averaged((own + own_other - partner - partner_other) / 2)
    found["object"] = averaged((own + partner - own_other - partner_other) / 2)
    found["both"] = averaged((own - own_other - partner + partner_other) / 2)  # colour counts more on its own object
    return found


def inside(part: str, count: int) -> dict:
    """One part of each attention alone, all heads and tokens: its queries, keys, values, pattern, or all of it."""
    model = load("vit-scenes")
    some, images, targets, _ = drawn(count, colours_only=True)
    corrupted = partners(some)
    rivals = torch.tensor([scenes.CLASSES.index(scenes.counterpart(each.object)) for each in some])
    value = functools.partial(measure, target=targets, metric="logit_difference", against=rivals)
    parts = ("pattern", "value") if part == "all" else (part,)
    with torch.no_grad():
        before, after = (value(model(each)) for each in (images, corrupted))
    effects = torch.stack(
        [value(attention.patch_parts(model, images, corrupted, parts, [layer])) - after for layer in range(12)], dim=1
    )
    return summary(PatchingResult(effects, before, after, (), part, 1, "denoising", "logit_difference"))


def token_map(count: int) -> dict:
    """One token of the residual stream at a time: how much of what all places give back comes from the object's own?"""
    model = load("vit-scenes")
    some, images, targets, masks = drawn(count, colours_only=True)
    touched = torch.nn.functional.adaptive_max_pool2d(masks.float(), (6, 6)).bool().flatten(1)
    rivals = torch.tensor([scenes.CLASSES.index(scenes.counterpart(each.object)) for each in some])
    corrupted = partners(some)
    shares = []
    for number in range(count):
        places = one_token_each(
            model, images[number], corrupted[number], int(targets[number]), int(rivals[number]), layers=range(0, 12, 2)
        )
        total = places[:, 1:].clamp(min=0).sum(dim=1).clamp(min=1e-6)
        own = places[:, 1:].clamp(min=0)[:, touched[number]].sum(dim=1) / total
        shares.append(torch.stack([own, places[:, 1:].sum(dim=1), places[:, 0]]))
    shares = torch.stack(shares)
    names = ("share of the object's tokens", "sum over places", "class token")
    return {name: averaged(shares[:, row]) for row, name in enumerate(names)} | {
        "layers": list(range(0, 12, 2)),
        "tokens of the object": round(float(touched.float().mean()), 4),
    }


def one_token_each(model, clean: Tensor, corrupted: Tensor, target: int, rival: int, *, layers) -> Tensor:
    """Normalised logit difference (layers, tokens) of one picture (3, H, W), one token of the residual stream at a time."""
    tokens = model.seq_length
    runs = patching.record(model, clean[None].expand(tokens, -1, -1, -1), corrupted[None].expand(tokens, -1, -1, -1),
                           components=["resid"])  # fmt: skip
    side = round((tokens - 1) ** 0.5)
    regions = torch.eye(tokens)[:, 1:].view(tokens, side, side).bool()  # the first is empty: that row is the class token's

    def difference(outputs: Tensor) -> Tensor:
        return outputs[:, target] - outputs[:, rival]

    before, after = difference(runs.clean)[0], difference(runs.corrupted)[0]
    rows = []
    for layer in layers:
        places = difference(runs.patch([("resid", layer)], tokens=regions))
        places[0] = difference(runs.patch([("resid", layer)], tokens="class"))[0]
        rows.append((places - after) / (before - after))
    return torch.stack(rows)


def single_heads(count: int, corruption: str = "grey") -> dict:
    some, images, targets, _ = drawn(count, colours_only=True)
    corrupted = partners(some) if corruption == "partner" else patching.greyscale(images)
    return study(load("vit-scenes"), images, corrupted, targets, "heads", 1)


def where(place: str, count: int) -> dict:
    """The residual stream of some tokens only: class token, the object's tokens, all other patches."""
    some, images, targets, masks = drawn(count, colours_only=True)
    touched = torch.nn.functional.adaptive_max_pool2d(masks.float(), (6, 6)).bool()
    tokens = {"class": "class", "object": touched, "background": ~touched}[place]
    return study(load("vit-scenes"), images, partners(some), targets, "resid", 1, tokens=tokens)


def where_difference(count: int) -> dict:
    """Class token minus the object's tokens, picture by picture: from which layer on does it give back more?"""
    model = load("vit-scenes")
    some, images, targets, masks = drawn(count, colours_only=True)
    touched = torch.nn.functional.adaptive_max_pool2d(masks.float(), (6, 6)).bool()
    corrupted, found = partners(some), {}
    outputs = {
        name: logits(model, images, corrupted, "resid", 1, tokens=tokens)[0]
        for name, tokens in {"class": "class", "object": touched}.items()
    }
    rivals = torch.tensor([scenes.CLASSES.index(scenes.counterpart(each.object)) for each in some])
    for metric in ("probability", "logit_difference"):
        values = {
            name: torch.stack([measure(each[:, layer], targets, metric, rivals) for layer in range(each.shape[1])], dim=1)
            for name, each in outputs.items()
        }
        found[metric] = averaged(values["class"] - values["object"])
    return found


def approximation(component: str, count: int) -> dict:
    """Attribution patching, to be compared with the exact sweep of the same pictures (window 1)."""
    _, images, targets, _ = drawn(count)
    corrupted, found = patching.greyscale(images), {"component": component, "window": 1}
    for metric in ("probability", "logit_difference"):
        options = {"component": component, "window": 1, "metric": metric}
        exact = patching.sweep(load("vit-scenes"), images, corrupted, targets, progress=False, batch=64, **options)
        quick = patching.attribute(load("vit-scenes"), images, corrupted, targets, batch=64, **options)
        pairs = torch.stack([exact.effects.flatten(), quick.effects.flatten()])
        means = torch.stack([exact.mean.flatten(), quick.mean.flatten()])
        found[metric] = {
            "exact": [round(value, 4) for value in means[0].tolist()],
            "approximate": [round(value, 4) for value in means[1].tolist()],
            "correlation of the means": round(float(torch.corrcoef(means)[0, 1]), 4),
            "correlation of single effects": round(float(torch.corrcoef(pairs)[0, 1]), 4),
            "pictures": count,
        }
    return found


def direct_paths(count: int) -> dict:
    """What each attention and MLP tells the logits directly, beside its whole effect."""
    some, images, targets, _ = drawn(count, colours_only=True)
    found = {"pictures": count}
    for component in ("attn_out", "mlp_out"):
        options = {"metric": "logit_difference", "batch": 64}
        model, corrupted = load("vit-scenes"), partners(some)
        rivals = torch.tensor([scenes.CLASSES.index(scenes.counterpart(each.object)) for each in some])
        whole = patching.sweep(
            model, images, corrupted, targets, component=component, window=1, against=rivals, progress=False, **options
        )
        direct = [
            patching.path_patch(
                model, images, corrupted, targets, (component, layer), "logits", against=rivals, **options
            ).mean()
            for layer in range(len(whole.layers))
        ]
        found[component] = {
            "whole": [round(value, 4) for value in whole.mean.tolist()],
            "direct": [round(float(value), 4) for value in direct],
            "total": round(float(whole.total.mean()), 4),
        }
    return found


def accuracy_in_grey(count: int) -> dict:
    """How often each network is right, in colour and in greyscale, on the pictures of the studies."""
    found = {}
    for name in ("vit-scenes", "vit-cifar10"):
        images, targets = photographs(count)[:2] if name == "vit-cifar10" else drawn(count)[1:3]
        model = load(name)
        for kind, some in {"colour": images, "grey": patching.greyscale(images)}.items():
            with torch.no_grad():
                answers = torch.cat([model(part).argmax(dim=1) for part in some.split(100)])
            found[f"{name} {kind}"] = round(float((answers == targets).float().mean()), 4)
    return found


def register(many: int = MANY, some: int = SOME) -> None:
    """All experiments, the most important first."""
    plan: list[tuple[str, Callable[[], dict]]] = [
        ("grey-attn_out-3", lambda: grey("attn_out", 3, many)),
        ("photos-attn_out-3", lambda: photographs_grey("attn_out", 3, many)),
        ("photos-attn_out-1", lambda: photographs_grey("attn_out", 1, many)),
        ("grey-attn_out-1", lambda: grey("attn_out", 1, many)),
        ("partner-attn_out-3", lambda: partner("attn_out", 3, some)),
        ("partner-attn_out-1", lambda: partner("attn_out", 1, some)),
        ("transplant", lambda: transplant("attn_out", 3, some)),
        ("linear-attn_out-3", lambda: photographs_grey("attn_out", 3, many, network=LINEAR)),
        ("linear-attn_out-1", lambda: photographs_grey("attn_out", 1, many, network=LINEAR)),
        ("photos-attn_out-5", lambda: photographs_grey("attn_out", 5, many)),
        ("photos-attn_out-2", lambda: photographs_grey("attn_out", 2, many)),
        ("where-difference", lambda: where_difference(some)),
        *((f"inside-{part}", functools.partial(inside, part, some // 2)) for part in (*attention.PARTS, "all")),
        ("token-map", lambda: token_map(some // 4)),
        ("grey-attn_out-3-noising", lambda: grey("attn_out", 3, some, "noising")),
        # Denoising on the very pictures of the noising study, so that the two directions can be compared.
        ("grey-attn_out-3-some", lambda: grey("attn_out", 3, some)),
        ("grey-mlp_out-3", lambda: grey("mlp_out", 3, some)),
        ("grey-mlp_out-1", lambda: grey("mlp_out", 1, some)),
        ("partner-mlp_out-3", lambda: partner("mlp_out", 3, some)),
        ("photos-mlp_out-3", lambda: photographs_grey("mlp_out", 3, some)),
        ("photos-attn_out-3-noising", lambda: photographs_grey("attn_out", 3, some, "noising")),
        ("noise-3-attn_out", lambda: corrupted_by("noise", 3, "attn_out", some)),
        ("where-class", lambda: where("class", some)),
        ("where-object", lambda: where("object", some)),
        ("where-background", lambda: where("background", some)),
        ("heads-partner", lambda: single_heads(some // 2, "partner")),
        ("approximation-attn_out", lambda: approximation("attn_out", some)),
        ("approximation-mlp_out", lambda: approximation("mlp_out", some)),
        ("blur-2-attn_out", lambda: corrupted_by("blur", 2, "attn_out", some)),
        ("silhouette-attn_out", lambda: corrupted_by("silhouette", 0, "attn_out", some)),
        ("shuffle-16-attn_out", lambda: corrupted_by("shuffle", 16, "attn_out", some)),
        ("noise-1-attn_out", lambda: corrupted_by("noise", 1, "attn_out", some)),
        ("grey-attn_out-5", lambda: grey("attn_out", 5, many)),
        ("grey-attn_out-2", lambda: grey("attn_out", 2, many)),
        ("photos-noise-3-attn_out", lambda: corrupted_by("noise", 3, "attn_out", some, "vit-cifar10")),
        ("photos-blur-1-attn_out", lambda: corrupted_by("blur", 1, "attn_out", some, "vit-cifar10")),
        ("approximation-heads", lambda: approximation("heads", some // 2)),
        ("direct-paths", lambda: direct_paths(some // 2)),
        ("accuracy", lambda: accuracy_in_grey(many)),
        ("blind-attn_out-3", lambda: blind("attn_out", 3, some)),
    ]
    EXPERIMENTS.update(plan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="experiments to run again; all that are not in the file yet by default")
    parser.add_argument("--pictures", type=int, help="a trial with so few pictures, printed instead of written")
    parser.add_argument("--list", action="store_true", help="print the names of the experiments")
    options = parser.parse_args()
    register(*(options.pictures, options.pictures) if options.pictures else ())
    if options.list:
        print("\n".join(EXPERIMENTS))
        return
    found = results() if FILE.exists() else {}
    for name in options.names or [name for name in EXPERIMENTS if options.pictures or name not in found]:
        started, processor = time.perf_counter(), time.process_time()
        try:
            entry = EXPERIMENTS[name]()
        except (photos.PhotosUnavailable, WeightsError) as reason:
            print(f"{name}: left out. {reason}", flush=True)
            continue
        seconds = f"{time.perf_counter() - started:.0f} s, {time.process_time() - processor:.0f} s of processor time"
        print(f"{name}: {seconds}", flush=True)
        if options.pictures:
            print(json.dumps(entry)[:400])
            continue
        found = (results() if FILE.exists() else {}) | {name: entry}
        FILE.write_text(json.dumps(found, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
