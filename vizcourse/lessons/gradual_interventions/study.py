"""Lesson 07's long measurements: every factor and network, cue conflicts, the test's level and power, training runs.

About an hour on one core. What the numbers mean is said in the lesson.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from vizcourse.methods.intervals import bootstrap
from vizcourse.methods.property_gradients import logits, permutation_test, property_effect, respond
from vizcourse.models import evaluation, load
from vizcourse.studies import Cell, Part, Study, bar, kept, rounded
from vizcourse.worlds import gradual, lesions, scenes

NETWORKS = ("pets-unbiased", "pets-dark-cats", "pets-dark-dogs")
PETS = {"object": ("cat", "dog")}
SEED = 707  # the networks were trained on seed 10 and measured on seed 20
#: The numbers' ranges in the training pictures; gradual.RANGES goes beyond them.
SEEN = {
    "size": (0.44, 0.76), "x": (0.4, 0.6), "y": (0.5, 0.65), "rotation": (-14, 14), "stretch": (0.9, 1.12),
    "brightness": (0.9, 1.0), "texture_scale": (0.7, 1.5),
}
FACTORS = tuple(name for name in scenes.FACTORS if name not in ("distractors", "words_at"))


# ------------------------------------------------------------------------------------------ every factor and network


def planted(network: str, factor: str) -> float:
    """Mutual information of factor and class in the network's training pictures, in bits."""
    return 1.0 if factor == "object" or (factor == "colour" and network != "pets-unbiased") else 0.0


def factors(count: int = 48, steps: int = 16) -> list[dict]:
    """One row for each factor, range and network: score, span, significance and flips over many scenes."""
    ranges = [*((factor, "wide") for factor in FACTORS), *((factor, "seen", *ends) for factor, ends in SEEN.items())]
    return [row for each in bar(ranges, "factors") for row in of_a_factor(*each, count=count, steps=steps)]


def of_a_factor(factor: str, width: str, start=None, stop=None, *, count: int = 48, steps: int = 16) -> list[dict]:
    """The rows of one factor, turned from start to stop, as far as `gradual.RANGES` where these are None."""
    drawn = scenes.sample(count, SEED, **PETS)
    targets = torch.tensor([int(scene.object == "dog") for scene in drawn])
    pictures = torch.stack([gradual.turn(scene, factor, start, stop, steps=steps).pictures for scene in drawn])
    rows = []
    for name in NETWORKS:
        effect = property_effect(load(name), pictures, targets, torch.linspace(0, 1, steps), permutations=999, batch=250)
        score = bootstrap(effect.score)
        rows.append({
            "factor": factor, "range": width, "network": name, "planted bits": planted(name, factor),
            "score": score.estimate, "interval": (score.low, score.high), "median span": float(effect.span.median()),
            "largest span": float(effect.span.max()),
            "significant": share(effect.p_value <= 0.05), "flips": share(effect.flips),
            "negligible but significant": share((effect.p_value <= 0.05) & (effect.span < 0.01)),
        })
    return rows


def share(right: Tensor) -> float:
    return float(right.double().mean())


def conflicts(count: int = 60) -> list[dict]:
    """What each network goes by when two causes disagree, on pictures of the kind it learned from.

    A cat gets one factor of a dog, or a dog one of a cat, and keeps the rest: ``by the factor`` is the share of answers
    that follow it. With a donor of the *same* animal, the same change of answer is a mere disturbance: ``disturbed``.
    Pairs with the same value of the factor are left out. One row for each factor and network.
    """
    pairs = [(name, factor) for name in NETWORKS for factor in FACTORS]
    return [
        kept(["07", "conflicts", name, factor, count], functools.partial(_conflict, name, factor, count))
        for name, factor in bar(pairs, "conflicts")
    ]


def _conflict(name: str, factor: str, count: int) -> dict:
    cats, dogs = _own_kind(name, count)
    swapped = [
        (one, other, answer) for left, right in zip(cats, dogs, strict=True)
        for one, other, answer in ((left, right, 1), (right, left, 0))
    ]
    alike = [
        (one, other, answer) for animals, answer in ((cats, 1), (dogs, 0))
        for one, other in zip(animals, animals[1:] + animals[:1], strict=True)
    ]
    followed, disturbed = (_follows(load(name), factor, donors) for donors in (swapped, alike))
    return {
        "factor": factor, "network": name,
        "by the factor": followed["value"], "conflict interval": [followed["low"], followed["high"]],
        "pictures": followed["count"], "disturbed": disturbed["value"],
        "disturbed interval": [disturbed["low"], disturbed["high"]],
    }


@functools.cache
def _own_kind(name: str, count: int) -> tuple[list[scenes.Scene], list[scenes.Scene]]:
    """Cats and dogs as in the pictures that a network learned from."""
    dark = {"pets-dark-cats": 1.0, "pets-dark-dogs": 0.0}.get(name)
    own = None if dark is None else bias(dark)
    # Of one seed, the two would differ in the animal alone.
    return tuple(scenes.sample(count, SEED + 5 + seed, object=animal, bias=own) for seed, animal in enumerate(("cat", "dog")))


def _follows(network: nn.Module, factor: str, donors: list[tuple]) -> dict:
    """Share of pictures ``(scene, donor of the factor, answer)`` that get this answer, with its interval."""
    different = [each for each in donors if getattr(each[0], factor) != getattr(each[1], factor)]
    if not different:
        return {"value": 0.0, "low": 0.0, "high": 0.0, "count": 0}  # no cat has another animal than a cat
    mixed = scenes.render([scene.replace(**{factor: getattr(donor, factor)}) for scene, donor, _ in different], 64)
    named = torch.cat([network(part).argmax(1) for part in mixed.split(100)])
    return evaluation.share(named == torch.tensor([answer for *_, answer in different]))


# ------------------------------------------------------------------------------------- the test without an effect


def null(runs: int = 1000) -> dict:
    """Share of runs with p ≤ 0.05 where the property does nothing.

    ``networks``: the steps are unrelated scenes in the order in which they were drawn, so nothing runs along them.
    ``few shuffles``: the published p-value and the corrected one. ``neighbours alike``: responses without any effect,
    but with a correlation of neighbouring steps, as when something else drifts along.
    """
    results: dict = {"runs": runs, "networks": [], "few shuffles": [], "neighbours alike": []}
    generator = torch.Generator().manual_seed(0)
    results["networks"] = list(_on_unrelated_scenes(generator, runs, 800 if runs > 100 else 120))
    noise = torch.randn(runs, 30, generator=generator)
    for permutations in (19, 39, 99, 999):
        for published in (False, True):
            # Few runs share their shuffles here: with few shuffles, those that share them share their luck.
            p_value = torch.cat([
                permutation_test(curves, permutations=permutations, seed=number, published=published).p_value
                for number, curves in enumerate(noise.split(20))
            ])
            results["few shuffles"].append({
                "permutations": permutations, "published": published, "false positives": share(p_value <= 0.05),
                "p of 0": share(p_value == 0),
            })
    for similarity in (0.0, 0.2, 0.4, 0.6, 0.8, 0.95):
        curves = torch.randn(runs, 100, generator=generator)
        for step in range(1, 100):
            curves[:, step] = similarity * curves[:, step - 1] + (1 - similarity**2) ** 0.5 * curves[:, step]
        for score in ("gradient", "correlation"):
            p_value = permutation_test(curves, permutations=999, seed=2, score=score).p_value
            results["neighbours alike"].append({
                "similarity": similarity, "score": score, "false positives": share(p_value <= 0.05),
            })
    return results


def _on_unrelated_scenes(generator: torch.Generator, runs: int, count: int) -> Iterator[dict]:
    images = scenes.render(scenes.sample(count, SEED + 1, **PETS), 64)
    for name in bar(NETWORKS, "null"):
        responses = respond(load(name), images, target=1, batch=250)
        for steps in (10, 30, 100):
            curves = responses[torch.rand(runs, count, generator=generator).topk(steps).indices]
            p_value = permutation_test(curves, permutations=999, seed=1).p_value
            yield {"network": name, "steps": steps, "false positives": share(p_value <= 0.05)}


def _null_cell() -> Cell:
    """The first network's answers to unrelated scenes, ten steps: each run as it was."""
    row = next(_on_unrelated_scenes(torch.Generator().manual_seed(0), 1000, 800))
    stored = STUDY.stored("null")["result"]["networks"][0]["false positives"]
    return Cell.near(f"false alarms of {row['network']}, ten steps", row["false positives"], stored, 0.003)


# ------------------------------------------------------------------------------------ plasters beside skin lesions

LESION_NETWORKS = ("lesions-unbiased", "lesions-biased", "lesions-mixed")


def plasters(count: int = 100, steps: int = 8) -> list[dict]:
    """What plaster and signs do to three networks, by diagnosis: one row for each property, diagnosis and network.

    "plaster" blends a coloured one in, "skin plaster" one of the skin's own tone; the three signs run from 0 to 1.
    """
    turned = [(kind, factor) for kind in lesions.CLASSES for factor in ("plaster", "skin plaster", *lesions.SIGNS)]
    return [row for each in bar(turned, "plasters") for row in of_a_sign(*each, count=count, steps=steps)]


def of_a_sign(diagnosis: str, factor: str, *, count: int = 100, steps: int = 8) -> list[dict]:
    """The rows of one property of the lesions with one diagnosis."""
    number, patch = ("opacity" if "plaster" in factor else factor), ({"patch": "skin"} if factor == "skin plaster" else {})
    drawn = lesions.sample(count, SEED + 7, diagnosis=diagnosis)
    pictures = torch.stack([lesions.turn(lesion.replace(**patch), number, steps=steps).pictures for lesion in drawn])
    nevus, rows = lesions.CLASSES.index("nevus"), []
    for name in LESION_NETWORKS:
        effect = property_effect(load(name), pictures, nevus, torch.linspace(0, 1, steps), permutations=199, batch=250)
        score, change = bootstrap(effect.score), bootstrap(effect.change)
        first, last = (effect.responses[:, step] > 0.5 for step in (0, -1))
        rows.append({
            "factor": factor, "diagnosis": diagnosis, "network": name, "pictures": count, "score": score.estimate,
            "interval": (score.low, score.high), "change": change.estimate, "change interval": (change.low, change.high),
            "nevus at first": share(first), "nevus at last": share(last), "flips": share(effect.flips),
            "significant": share(effect.p_value <= 0.05),
        })
    return rows


# ---------------------------------------------------------------------------------------------------------- power

SHAPES = {
    "ramp": lambda places: places,
    "flip": lambda places: torch.sigmoid(40 * (places - 0.5)),
    "there and back": lambda places: 1 - (2 * places - 1).abs(),
    "alternating": lambda places: (torch.arange(len(places)) % 2).float(),
}


def power(runs: int = 500) -> list[dict]:
    """Share of runs with p ≤ 0.05 against the size of the effect: span of the curve over the deviation of the noise."""
    return [_found(*each) for each in bar(list(_planned(runs)), "power")]


def _planned(runs: int) -> Iterator[tuple[dict, Tensor, int]]:
    """What to try: the row's keys, the curves (runs, steps), and how many shuffles."""
    generator = torch.Generator().manual_seed(0)
    plans = [("gradient", steps, 999) for steps in (10, 30, 100)]
    plans += [("gradient, next step", 30, 999), ("correlation", 30, 999), ("mutual information", 30, 99)]
    for score, steps, permutations in plans:
        for name, shape in SHAPES.items():
            if score == "mutual information" and name in ("flip", "alternating"):
                continue  # it takes as long as all the others together
            for size in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0):
                curves = size * shape(torch.linspace(0, 1, steps)) + torch.randn(runs, steps, generator=generator)
                yield {"score": score, "steps": steps, "shape": name, "effect": size}, curves, permutations


def _found(row: dict, curves: Tensor, permutations: int) -> dict:
    options = {"score": "gradient", "order": 1} if row["score"] == "gradient, next step" else {"score": row["score"]}
    p_value = permutation_test(curves, permutations=permutations, seed=3, **options).p_value
    return row | {"power": share(p_value <= 0.05)}


# -------------------------------------------------------------------------------------------------- training runs

CHECKPOINTS = (0, 5, 10, 20, 40, 80, 120, 180, 240)
SIDE, BATCH = 48, 32
FIRST = 5  # so many steps are trained anew by the cells


def training(pictures: int = 2560, scenes_measured: int = 24, seeds: int = 2, strengths=(0.5, 0.75, 0.9, 1.0),
             checkpoints=CHECKPOINTS) -> list[dict]:
    """Small networks trained with more and more bias: a cat's fur is dark with probability q, a dog's with 1 − q.

    At every checkpoint: accuracy on pictures without bias and on pictures of the network's own kind, and the scores of
    fur and animal on the same scenes.
    """
    paths = _paths(scenes_measured, SIDE)
    rows = []
    for strength in strengths:
        images, labels = _lesson(pictures, SIDE, strength)
        tested = {"without bias": held_out(0.5), "of its own kind": held_out(strength)}
        for seed in range(seeds):
            network = load("pets-unbiased", random=True, seed=seed)
            found = learn(network, images, labels, tested, paths, seed, checkpoints)
            rows += [{"bias": strength, "seed": seed} | row for row in found]
    return rows


@functools.lru_cache(maxsize=4)
def held_out(strength: float, count: int = 120, side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Pictures that no network has learned from, and 1 for a dog."""
    drawn = scenes.sample(count, SEED + 2, bias=bias(strength), **PETS)
    return scenes.render(drawn, side), torch.tensor([int(scene.object == "dog") for scene in drawn])


def bias(strength: float) -> dict:
    return {"colour": [(scenes.DARK_FUR, "cat", strength), (scenes.DARK_FUR, "dog", 1 - strength)]}


def learn(network: nn.Module, images: Tensor, labels: Tensor, tested: dict, paths: dict[str, Tensor], seed: int,
          checkpoints=CHECKPOINTS, peak: float = 4e-3, until: int | None = None) -> list[dict]:
    """Train a network in place and measure it at every checkpoint, one row each; ``until``: leave off after that step."""
    network.requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters())
    last = checkpoints[-1]
    until = last if until is None else until
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=last)
    order = _order(len(images), last, seed)
    rows = []
    for step in bar(range(until + 1), f"training, seed {seed}"):
        if step in checkpoints:
            network.eval()
            row = {"step": step}
            for kind, (pictures, classes) in tested.items():
                row[f"accuracy {kind}"] = share(logits(network, pictures, batch=200).argmax(-1) == classes)
            for factor, pictures in paths.items():
                effect = property_effect(
                    network, pictures, 1, torch.linspace(0, 1, pictures.shape[1]), permutations=199, batch=200
                )
                score = bootstrap(effect.score)
                row |= {f"{factor} score": score.estimate, f"{factor} interval": (score.low, score.high),
                        f"{factor} significant": share(effect.p_value <= 0.05), f"{factor} flips": share(effect.flips)}
            rows.append(row)
        if step == until:
            break
        network.train()
        chosen = order[step * BATCH : (step + 1) * BATCH]
        loss = nn.functional.cross_entropy(network(images[chosen].float() / 255), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return rows


def _begun(network: nn.Module, side: int, strength: float, measured: int, checkpoints, peak: float = 4e-3) -> list[dict]:
    """The first rows of a training, of whose pictures only those are drawn that it sees: all of it takes minutes."""
    seen = _order(2560, checkpoints[-1], 0)[: FIRST * BATCH]
    images, labels = _lesson(2560, side, strength, tuple(seen.tolist()))
    return learn(network, images, labels, {}, _paths(measured, side), 0, checkpoints, peak, FIRST)


def _order(count: int, steps: int, seed: int) -> Tensor:
    """The numbers of the pictures that a network learns from in so many steps, one after the other."""
    generator = torch.Generator().manual_seed(seed)
    passes = -(-steps * BATCH // count)
    return torch.cat([torch.randperm(count, generator=generator) for _ in range(passes)])


# ------------------------------------------------------------------- architectures, from scratch and pretrained

#: Architecture -> networks pretrained on the classes of the scenes world, side of the pictures, highest rate.
STARTS = {
    "residual network": (("scenes-small-0", "scenes-small-1"), 48, 4e-3),
    "transformer": (("vit-scenes",), 96, 5e-4),
}
STAGES = (0, 5, 10, 20, 40, 80, 120)


def architectures(pictures: int = 2560, scenes_measured: int = 16, strengths=(0.9, 1.0), checkpoints=STAGES,
                  starts=None) -> list[dict]:
    """Training runs as in :func:`training`, of two architectures, each untrained at first and pretrained on scenes.

    The pretrained ones know cats and dogs already, among other classes and with fur of any colour; their last layer is
    a new one. There is one seed for each pretrained network. Finished runs are kept, so the same call goes on.
    """
    rows = []
    for name, (sources, side, peak) in (starts or STARTS).items():
        for seed, source in enumerate(sources):
            for strength in strengths:
                for pretrained in (False, True):
                    settings = [source, side, peak, strength, pretrained, seed, pictures, scenes_measured, checkpoints]
                    found = kept(["07", "architectures", *settings], functools.partial(_one_start, *settings))
                    begun = {"architecture": name, "pretrained": pretrained, "source": source, "bias": strength, "seed": seed}
                    rows += [begun | row for row in found]
    return rows


def _one_start(source: str, side: int, peak: float, strength: float, pretrained: bool, seed: int, pictures: int,
               scenes_measured: int, checkpoints) -> list[dict]:
    images, labels = _lesson(pictures, side, strength)
    tested = {"without bias": held_out(0.5, side=side), "of its own kind": held_out(strength, side=side)}
    network = with_two_classes(load(source, random=not pretrained, seed=seed), seed)
    return learn(network, images, labels, tested, _paths(scenes_measured, side), seed, checkpoints, peak)


def with_two_classes(network: nn.Module, seed: int) -> nn.Module:
    """The network with a new last layer, for cat and dog."""
    parent, name = (network.heads, "head") if hasattr(network, "heads") else (network, "fc")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        setattr(parent, name, nn.Linear(getattr(parent, name).in_features, 2))
    return network


@functools.lru_cache(maxsize=4)
def _lesson(pictures: int, side: int, strength: float, only: tuple[int, ...] | None = None) -> tuple[Tensor, Tensor]:
    """Pictures to learn from, bytes, and 1 for a dog; with ``only``, no others than those of these numbers are drawn."""
    source = scenes.Scenes(pictures, SEED + 4, size=side, bias=bias(strength), **PETS)
    images, labels = torch.zeros(pictures, 3, side, side, dtype=torch.uint8), torch.zeros(pictures, dtype=torch.long)
    for number in range(pictures) if only is None else only:
        images[number] = scenes.render_bytes(source.scene(number), side)
        labels[number] = source.scene(number).object == "dog"
    return images, labels


@functools.lru_cache(maxsize=4)
def _paths(scenes_measured: int, side: int) -> dict[str, Tensor]:
    """Fur and animal of the same scenes, each turned in ten steps."""
    measured = scenes.sample(scenes_measured, SEED + 3, **PETS)
    return {
        factor: torch.stack([gradual.turn(scene, factor, *ends, steps=10, size=side).pictures for scene in measured])
        for factor, ends in (("colour", ("black", "white")), ("object", ("cat", "dog")))
    }


# ---------------------------------------------------------------------------------------------------------- parts


def timed(measure: Callable[..., Any]) -> Callable[..., dict]:
    """What is stored of a measurement: its result, with five digits, and how many minutes it took."""

    def with_minutes(**settings: Any) -> dict:
        started = time.perf_counter()
        found = rounded(measure(**settings), 5)
        return {"result": found, "minutes": round((time.perf_counter() - started) / 60, 1)}

    return with_minutes


def _again(part: str, rows: Sequence[dict], keys: int, number: str, tolerance: float) -> Iterator[Cell]:
    """A number of each row beside that of the stored row which begins with the same entries, so many of them."""
    for row in rows:
        which = dict(islice(row.items(), keys))
        (stored,) = (each for each in STUDY.stored(part)["result"] if which.items() <= each.items())
        what = f"{number} of {', '.join(map(str, which.values()))}"
        yield Cell.near(what, row[number], stored[number], tolerance)


def _training_cell() -> Iterator[Cell]:
    """Without a bias, seed 0."""
    rows = _begun(load("pets-unbiased", random=True, seed=0), SIDE, 0.5, 24, CHECKPOINTS)
    return _again("training", [{"bias": 0.5, "seed": 0} | row for row in rows], 3, "colour score", 0.003)


def _architectures_cell() -> Iterator[Cell]:
    """The first pretrained network, with exceptions to the rule of the fur."""
    (name, ((source, *_), side, peak)), *_ = STARTS.items()
    begun = {"architecture": name, "pretrained": True, "source": source, "bias": 0.9, "seed": 0}
    rows = _begun(with_two_classes(load(source), 0), side, 0.9, 16, STAGES, peak)
    return _again("architectures", [begun | row for row in rows], 6, "object score", 0.003)


_ONE_START = {"residual network": (("scenes-small-0",), 48, 4e-3)}
STUDY = Study(
    __file__,
    {
        "factors": Part(
            timed(factors), quick={"count": 2, "steps": 5},
            cell=lambda: _again("factors", of_a_factor("colour", "wide"), 3, "score", 0.005),
        ),
        "conflicts": Part(
            timed(conflicts), quick={"count": 3},
            cell=lambda: _again("conflicts", [_conflict("pets-dark-dogs", "colour", 60)], 2, "by the factor", 0.02),
        ),
        "null": Part(timed(null), quick={"runs": 20}, cell=_null_cell),
        "power": Part(
            timed(power), quick={"runs": 5},
            cell=lambda: _again("power", [_found(*each) for each in islice(_planned(500), 8)], 4, "power", 0.01),
        ),
        "training": Part(
            timed(training), cell=_training_cell,
            quick={"pictures": 64, "scenes_measured": 2, "seeds": 1, "strengths": (1.0,), "checkpoints": (0, 2)},
        ),
        "architectures": Part(
            timed(architectures), cell=_architectures_cell,
            quick={"pictures": 64, "scenes_measured": 2, "strengths": (1.0,), "checkpoints": (0, 1), "starts": _ONE_START},
        ),
        "plasters": Part(
            timed(plasters), quick={"count": 2, "steps": 4},
            cell=lambda: _again("plasters", of_a_sign("melanoma", "plaster"), 3, "score", 0.005),
        ),
    },
)
