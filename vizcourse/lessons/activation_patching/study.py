"""Lesson 04's studies: where vision transformers carry colour, on 1,000 scenes and 1,000 photographs, with all controls.

    vizcourse study 04                          # what is not stored yet
    vizcourse study 04 grey-attn_out-3 --again  # one, again

All of them take about half an hour of processor time. For the photographs, CIFAR-10 must be there (`vizcourse doctor` says
how).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from vizcourse.methods import activation_patching as patching
from vizcourse.methods import attention
from vizcourse.methods.activation_patching import METRICS, PatchingResult, measure
from vizcourse.methods.intervals import bootstrap_bounds
from vizcourse.models import load
from vizcourse.models.zoo import WeightsError
from vizcourse.studies import Cell, Part, Study
from vizcourse.worlds import photos, scenes

SEED = 404  # the networks were trained on seed 1
MANY, SOME = 1000, 128
COLOURS = 16  # the first 16 classes differ from another one in nothing but colour
#: Its tokens are linear maps of patches; those of `vit-cifar10` come out of a convolutional stem.
LINEAR = "vit-cifar10-linear"


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


def rivals(some: list) -> Tensor:
    """The other class of each scene's pair, (N,)."""
    return torch.tensor([scenes.CLASSES.index(scenes.counterpart(each.object)) for each in some])


def touched(masks: Tensor) -> Tensor:
    """The tokens that the object touches, (N, 6, 6), from where it is seen (N, 96, 96)."""
    return torch.nn.functional.adaptive_max_pool2d(masks.float(), (6, 6)).bool()


@functools.cache
def photographs(count: int) -> tuple[Tensor, Tensor]:
    return photos.cifar10("test", limit=count)[:2]


# ---------------------------------------------------------------------------------------------------------- measurement


def logits(
    model: nn.Module, clean, corrupted, component: str, window: int, *, layers: Sequence[int] | None = None,
    direction="denoising", tokens="all", batch: int = 64,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Logits of the patched runs (N, layers, classes), and of the clean and the corrupted run (N, classes)."""
    parts, depth = [], len(patching.sites(model, component))
    chosen = range(depth) if layers is None else layers
    for start in range(0, len(clean), batch):
        rows = slice(start, start + batch)
        runs = patching.record(model, clean[rows], corrupted[rows], components=[component])
        some = tokens[rows] if isinstance(tokens, Tensor) else tokens
        if component == "heads":
            groups = [[(component, layer, head)] for layer in chosen for head in range(runs.heads)]
        else:
            groups = [[(component, each) for each in patching.window_layers(layer, window, depth)] for layer in chosen]
        patched = torch.stack([runs.patch(cells, tokens=some, direction=direction) for cells in groups], dim=1)
        parts.append((patched, runs.clean, runs.corrupted))
    return tuple(torch.cat(each) for each in zip(*parts, strict=True))


def each_layer(patched: Tensor, value: Callable[[Tensor], Tensor]) -> Tensor:
    """A metric of patched runs (N, layers, classes) -> (N, layers)."""
    return torch.stack([value(patched[:, layer]) for layer in range(patched.shape[1])], dim=1)


def numbers(values: Tensor) -> list:
    return [round(value, 4) for value in values.tolist()]


def averaged(values: Tensor) -> dict:
    """Mean over pictures (N, …) and its 95 % interval."""
    low, high = bootstrap_bounds(values).to(values)
    return {"mean": numbers(values.mean(dim=0)), "low": numbers(low), "high": numbers(high), "pictures": len(values)}


def summary(result: PatchingResult) -> dict:
    """Means and 95 % intervals, rounded: what the lesson draws."""
    total = averaged(result.total[:, None])
    return {
        "pictures": len(result.effects),
        "clean": round(float(result.clean.mean()), 4),
        "corrupted": round(float(result.corrupted.mean()), 4),
        "total": [total["mean"][0], total["low"][0], total["high"][0]],
        "mean": numbers(result.mean),
        "low": numbers(result.interval[0]),
        "high": numbers(result.interval[1]),
        "normalised": numbers(result.normalised),
        "normalised low": numbers(result.normalised_interval[0]),
        "normalised high": numbers(result.normalised_interval[1]),
        "standard deviation": numbers(result.effects.std(dim=0)),
        "peak": numbers(result.peak),
    }


def in_all_metrics(
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
        value = functools.partial(measure, target=targets, metric=metric, against=rival)
        first, last, each = value(before), value(after), each_layer(patched, value)
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


def sweep(
    component: str, window: int, count: int, *, by: str = "greyscale", strength: float = 0, network: str = "vit-scenes",
    place: str | None = None, **options,
) -> dict:  # fmt: skip
    """One component, layer by layer, after one corruption, in one network.

    Args:
        by: the corruption, with its `strength`. "greyscale" is the project's; "partner" puts the colour of the other class of
            the pair in its place, and takes scenes of the pairs only.
        network: a name in the zoo; of those that know scenes, "vit-scenes-grey" is the control that never saw a colour.
        place: the residual stream of some tokens only: "class" (token), the "object"'s, or the "background"'s.
        options: `layers`, `direction`, as for `logits`.
    """
    model, some, masks = load(network), None, None
    if "scenes" in network:
        some, images, targets, masks = drawn(count, colours_only=by == "partner")
    else:
        images, targets = photographs(count)
    corrupted = {
        "greyscale": lambda: patching.greyscale(images),
        "partner": lambda: partners(some),
        "noise": lambda: patching.embedding_noise(model, images, strength),
        "blur": lambda: patching.blur(images, strength),
        "silhouette": lambda: patching.silhouette(images, masks),
        "shuffle": lambda: patching.shuffle_patches(images, int(strength)),
    }[by]()
    if place:
        options["tokens"] = {"class": "class", "object": touched(masks), "background": ~touched(masks)}[place]
    return in_all_metrics(model, images, corrupted, targets, component, window, **options)


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


def transplant(count: int, layers: Sequence[int] | None = None) -> dict:
    """Activations of five donors in the greyscale run, which has no colour of its own: whose colour comes out?

    Logit difference between the class and its partner. "colour" and "object" are the two main effects of the crossed
    four: own colour minus partner's colour, same object minus other object, each averaged over the other factor.
    """
    some, images, targets, _ = drawn(count, colours_only=True)
    corrupted, found, effects = patching.greyscale(images), {"pictures": count, "window": 3}, {}
    for name, lent in donors(some).items():
        patched, _, after = logits(load("vit-scenes"), scenes.render(lent, 96), corrupted, "attn_out", 3, layers=layers)
        for metric in ("probability", "logit_difference"):
            value = functools.partial(measure, target=targets, metric=metric, against=rivals(some))
            effects[name, metric] = each_layer(patched, value) - value(after)[:, None]
            found.setdefault(metric, {})[name] = averaged(effects[name, metric])
    own, own_other, partner, partner_other = (effects[name, "logit_difference"] for name in DONORS[1:])
    found["colour"] = averaged((own + own_other - partner - partner_other) / 2)
    found["object"] = averaged((own + partner - own_other - partner_other) / 2)
    found["both"] = averaged((own - own_other - partner + partner_other) / 2)  # colour counts more on its own object
    return found


def inside(part: str, count: int, layers: Sequence[int] = range(12)) -> dict:
    """One part of each attention alone, all heads and tokens: its queries, keys, values, pattern, or all of it."""
    model = load("vit-scenes")
    some, images, targets, _ = drawn(count, colours_only=True)
    corrupted = partners(some)
    value = functools.partial(measure, target=targets, metric="logit_difference", against=rivals(some))
    parts = ("pattern", "value") if part == "all" else (part,)
    with torch.no_grad():
        before, after = (value(model(each)) for each in (images, corrupted))
    effects = torch.stack(
        [value(attention.patch_parts(model, images, corrupted, parts, [layer])) - after for layer in layers], dim=1
    )
    return summary(PatchingResult(effects, before, after, (), part, 1, "denoising", "logit_difference"))


def token_map(count: int, layers: Sequence[int] = range(0, 12, 2)) -> dict:
    """One token of the residual stream at a time: how much of what all places give back comes from the object's own?"""
    model = load("vit-scenes")
    some, images, targets, masks = drawn(count, colours_only=True)
    objects, corrupted, against = touched(masks).flatten(1), partners(some), rivals(some)
    shares = []
    for number in range(count):
        pair = images[number], corrupted[number]
        places = one_token_each(model, *pair, int(targets[number]), int(against[number]), layers=layers)
        total = places[:, 1:].clamp(min=0).sum(dim=1).clamp(min=1e-6)
        own = places[:, 1:].clamp(min=0)[:, objects[number]].sum(dim=1) / total
        shares.append(torch.stack([own, places[:, 1:].sum(dim=1), places[:, 0]]))
    names = ("share of the object's tokens", "sum over places", "class token")
    return {name: averaged(values) for name, values in zip(names, torch.stack(shares, dim=1), strict=True)} | {
        "layers": list(layers),
        "tokens of the object": round(float(objects.float().mean()), 4),
    }


def one_token_each(model, clean: Tensor, corrupted: Tensor, target: int, rival: int, *, layers: Iterable[int]) -> Tensor:
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


def where_difference(count: int, layers: Sequence[int] | None = None) -> dict:
    """Class token minus the object's tokens, picture by picture: from which layer on does it give back more?"""
    some, images, targets, masks = drawn(count, colours_only=True)
    runs = [
        logits(load("vit-scenes"), images, partners(some), "resid", 1, tokens=tokens, layers=layers)[0]
        for tokens in ("class", touched(masks))
    ]
    found = {}
    for metric in ("probability", "logit_difference"):
        value = functools.partial(measure, target=targets, metric=metric, against=rivals(some))
        found[metric] = averaged(each_layer(runs[0], value) - each_layer(runs[1], value))
    return found


def approximation(component: str, count: int) -> dict:
    """Attribution patching, to be compared with the exact sweep of the same pictures (window 1)."""
    _, images, targets, _ = drawn(count)
    runs, found = (load("vit-scenes"), images, patching.greyscale(images), targets), {"component": component, "window": 1}
    for metric in ("probability", "logit_difference"):
        options = {"component": component, "window": 1, "metric": metric, "batch": 64}
        exact, quick = patching.sweep(*runs, progress=False, **options), patching.attribute(*runs, **options)
        pairs = torch.stack([exact.effects.flatten(), quick.effects.flatten()])
        means = torch.stack([exact.mean.flatten(), quick.mean.flatten()])
        found[metric] = {
            "exact": numbers(means[0]),
            "approximate": numbers(means[1]),
            "correlation of the means": round(float(torch.corrcoef(means)[0, 1]), 4),
            "correlation of single effects": round(float(torch.corrcoef(pairs)[0, 1]), 4),
            "pictures": count,
        }
    return found


def direct_paths(count: int) -> dict:
    """What each attention and MLP tells the logits directly, beside its whole effect."""
    some, images, targets, _ = drawn(count, colours_only=True)
    runs, options = (load("vit-scenes"), images, partners(some), targets), {"metric": "logit_difference", "batch": 64}
    found = {"pictures": count}
    for component in ("attn_out", "mlp_out"):
        whole = patching.sweep(*runs, component=component, window=1, against=rivals(some), progress=False, **options)
        direct = torch.stack([direct_path(component, layer, count).mean() for layer in range(len(whole.layers))])
        found[component] = {
            "whole": numbers(whole.mean),
            "direct": numbers(direct),
            "total": round(float(whole.total.mean()), 4),
        }
    return found


def direct_path(component: str, layer: int, count: int) -> Tensor:
    """What one attention or MLP tells the logits directly, in logit difference against the partner class, (N,)."""
    some, images, targets, _ = drawn(count, colours_only=True)
    options = {"against": rivals(some), "metric": "logit_difference", "batch": 64}
    return patching.path_patch(load("vit-scenes"), images, partners(some), targets, (component, layer), "logits", **options)


def accuracy_in_grey(count: int) -> dict:
    """How often each network is right, in colour and in greyscale, on the pictures of the studies."""
    found = {}
    for name in ("vit-scenes", "vit-cifar10"):
        images, targets = photographs(count) if name == "vit-cifar10" else drawn(count)[1:3]
        model = load(name)
        for kind, some in {"colour": images, "grey": patching.greyscale(images)}.items():
            with torch.no_grad():
                answers = torch.cat([model(part).argmax(dim=1) for part in some.split(100)])
            found[f"{name} {kind}"] = round(float((answers == targets).float().mean()), 4)
    return found


# ------------------------------------------------------------------------------------------------------ measured afresh

FEW = 24  # pictures, the first ones of each study


def strongest_again(name: str, path: Sequence[str], count: int) -> Cell:
    """The strongest layer on the first `count` pictures: the very number where these are all.

    All would mostly take too long. Fewer must lie in the stored interval, made as wide as so few pictures are worth: times
    the root of how many times fewer they are, and half as much again (some three standard errors).
    """
    part, whole = STUDY.parts[name], STUDY.stored(name)
    stored, layers = functools.reduce(operator.getitem, path, whole), whole.get("layers", range(12))
    index = max(range(len(stored["mean"])), key=stored["mean"].__getitem__)
    layer, head = divmod(index, len(stored["mean"]) // len(layers))
    again = part.measure(**{**part.settings, "count": count, "layers": [layers[layer]]})
    measured = functools.reduce(operator.getitem, path, again)["mean"][head]
    mean, low, high = (stored[key][index] for key in ("mean", "low", "high"))
    what = f"layer {layers[layer]}, {count} pictures"
    if count == stored["pictures"]:
        return Cell.near(what, measured, mean, 1e-3)
    wider = 1.5 * math.sqrt(stored["pictures"] / count)
    return Cell(what, measured, mean - wider * (mean - low), mean + wider * (high - mean))


def approximation_again(component: str) -> Cell:
    """The strongest approximate effect on the first few pictures, which say themselves how much they differ."""
    stored = STUDY.stored(f"approximation-{component}")["probability"]["approximate"]
    index = max(range(len(stored)), key=stored.__getitem__)
    _, images, targets, _ = drawn(FEW)
    quick = patching.attribute(load("vit-scenes"), images, patching.greyscale(images), targets, component=component)
    effects = quick.effects.flatten(1)[:, index]
    tolerance = 3 * float(effects.std()) / math.sqrt(FEW)
    return Cell.near(f"effect {index}, {FEW} pictures", effects.mean(), stored[index], tolerance)


def direct_path_again() -> Cell:
    """One path, on all the study's pictures: the very number."""
    stored = STUDY.stored("direct-paths")
    again = direct_path("attn_out", 3, stored["pictures"]).mean()
    return Cell.near("attention 3 to the logits", again, stored["attn_out"]["direct"][3], 1e-3)


def accuracy_again() -> Iterator[Cell]:
    """The accuracy on the first hundred pictures: within three standard errors of that on a thousand."""
    for name, again in accuracy_in_grey(100).items():
        stored = STUDY.stored("accuracy")[name]
        yield Cell.near(name, again, stored, 3 * math.sqrt(stored * (1 - stored) / 100))


# ----------------------------------------------------------------------------------------------------------------- plan


def _part(measure: Callable[..., dict], cell: Callable, count: int, **settings) -> Part:
    return Part(measure, {"count": count, **settings}, quick={"count": 6}, cell=cell)


def _layers(name: str, measure: Callable[..., dict], count: int, *path: str, few: int = FEW, **settings) -> dict[str, Part]:
    """A part with an effect for each layer, found under `path`; its cell takes `few` pictures."""
    return {name: _part(measure, functools.partial(strongest_again, name, path, few), count, **settings)}


def _sweep(name: str, component: str, window: int, count: int, **settings) -> dict[str, Part]:
    return _layers(name, sweep, count, "probability", "all", component=component, window=window, **settings)


def _plan() -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for window in (3, 1, 5, 2):
        parts |= _sweep(f"grey-attn_out-{window}", "attn_out", window, MANY)
        parts |= _sweep(f"photos-attn_out-{window}", "attn_out", window, MANY, network="vit-cifar10")
    for window in (3, 1):
        parts |= _sweep(f"partner-attn_out-{window}", "attn_out", window, SOME, by="partner")
        parts |= _sweep(f"linear-attn_out-{window}", "attn_out", window, MANY, network=LINEAR)
        parts |= _sweep(f"grey-mlp_out-{window}", "mlp_out", window, SOME)
    parts |= _sweep("partner-mlp_out-3", "mlp_out", 3, SOME, by="partner")
    parts |= _sweep("photos-mlp_out-3", "mlp_out", 3, SOME, network="vit-cifar10")
    parts |= _sweep("blind-attn_out-3", "attn_out", 3, SOME, network="vit-scenes-grey")
    # Denoising on the very pictures of the noising study, so that the two directions can be compared.
    parts |= _sweep("grey-attn_out-3-some", "attn_out", 3, SOME, few=SOME)
    parts |= _sweep("grey-attn_out-3-noising", "attn_out", 3, SOME, direction="noising")
    parts |= _sweep("photos-attn_out-3-noising", "attn_out", 3, SOME, network="vit-cifar10", direction="noising")
    for by, strength in (("noise", 3), ("noise", 1), ("blur", 2), ("shuffle", 16)):
        parts |= _sweep(f"{by}-{strength}-attn_out", "attn_out", 3, SOME, by=by, strength=strength)
    parts |= _sweep("silhouette-attn_out", "attn_out", 3, SOME, by="silhouette")
    for by, strength in (("noise", 3), ("blur", 1)):
        parts |= _sweep(
            f"photos-{by}-{strength}-attn_out", "attn_out", 3, SOME, network="vit-cifar10", by=by, strength=strength
        )
    for place in ("class", "object", "background"):
        parts |= _sweep(f"where-{place}", "resid", 1, SOME, by="partner", place=place)
    parts |= _sweep("heads-partner", "heads", 1, SOME // 2, by="partner")
    parts |= _layers("where-difference", where_difference, SOME, "logit_difference")
    parts |= _layers("transplant", transplant, SOME, "colour", few=FEW // 2)
    parts |= _layers("token-map", token_map, SOME // 4, "share of the object's tokens", few=4)
    for name in (*attention.PARTS, "all"):
        parts |= _layers(f"inside-{name}", inside, SOME // 2, few=SOME // 2, part=name)
    for name, count in (("attn_out", SOME), ("mlp_out", SOME), ("heads", SOME // 2)):
        cell = functools.partial(approximation_again, name)
        parts[f"approximation-{name}"] = _part(approximation, cell, count, component=name)
    parts["direct-paths"] = _part(direct_paths, direct_path_again, SOME // 2)
    parts["accuracy"] = _part(accuracy_in_grey, accuracy_again, MANY)
    return parts


STUDY = Study(__file__, _plan(), unavailable=(photos.PhotosUnavailable, WeightsError))
