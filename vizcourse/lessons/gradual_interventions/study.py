"""Lesson 07's long measurements: every factor and network, cue conflicts, the test's level and power, training runs.

    python -m vizcourse.lessons.gradual_interventions.study                 # all parts, about an hour on one core
    python -m vizcourse.lessons.gradual_interventions.study factors power   # some of them
    python -m vizcourse.lessons.gradual_interventions.study --trial         # a few pictures and runs, to standard output

Writes study.json, part by part. What the numbers mean is said in the lesson.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vizcourse.methods.intervals import bootstrap
from vizcourse.methods.property_gradients import logits, permutation_test, property_effect, respond
from vizcourse.models import evaluation, load
from vizcourse.worlds import gradual, lesions, scenes

FILE = Path(__file__).with_name("study.json")
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
    drawn = scenes.sample(count, SEED, **PETS)
    nets = {name: load(name) for name in NETWORKS}
    targets = torch.tensor([int(scene.object == "dog") for scene in drawn])
    rows = []
    ranges = [(factor, "wide", None, None) for factor in FACTORS]
    ranges += [(factor, "seen", *ends) for factor, ends in SEEN.items()]
    for factor, width, start, stop in tqdm(ranges, desc="factors"):
        paths = [gradual.turn(scene, factor, start, stop, steps=steps) for scene in drawn]
        pictures = torch.stack([path.pictures for path in paths])
        places = torch.linspace(0, 1, steps)
        for name, net in nets.items():
            effect = property_effect(net, pictures, targets, places, permutations=999, batch=250)
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
        kept(["conflict", name, factor, count], functools.partial(_conflict, name, factor, count))
        for name, factor in tqdm(pairs, desc="conflicts")
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
    images = scenes.render(scenes.sample(800 if runs > 100 else 120, SEED + 1, **PETS), 64)
    generator = torch.Generator().manual_seed(0)
    for name in tqdm(NETWORKS, desc="null"):
        responses = respond(load(name), images, target=1, batch=250)
        for steps in (10, 30, 100):
            curves = responses[torch.rand(runs, len(responses), generator=generator).topk(steps).indices]
            p_value = permutation_test(curves, permutations=999, seed=1).p_value
            results["networks"].append({"network": name, "steps": steps, "false positives": share(p_value <= 0.05)})
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


# ------------------------------------------------------------------------------------ plasters beside skin lesions

LESION_NETWORKS = ("lesions-unbiased", "lesions-biased", "lesions-mixed")


def plasters(count: int = 100, steps: int = 8) -> list[dict]:
    """What plaster and signs do to three networks, by diagnosis: one row for each property, diagnosis and network.

    "plaster" blends a coloured one in, "skin plaster" one of the skin's own tone; the three signs run from 0 to 1.
    """
    nets = {name: load(name) for name in LESION_NETWORKS}
    rows = []
    for diagnosis in tqdm(lesions.CLASSES, desc="plasters"):
        drawn = lesions.sample(count, SEED + 7, diagnosis=diagnosis)
        for factor in ("plaster", "skin plaster", *lesions.SIGNS):
            number = "opacity" if "plaster" in factor else factor
            patch = {"patch": "skin"} if factor == "skin plaster" else {}
            pictures = torch.stack([
                lesions.turn(lesion.replace(**patch), number, steps=steps).pictures for lesion in drawn
            ])
            for name, net in nets.items():
                effect = property_effect(
                    net, pictures, lesions.CLASSES.index("nevus"), torch.linspace(0, 1, steps), permutations=199, batch=250
                )
                score, change = bootstrap(effect.score), bootstrap(effect.change)
                first, last = (effect.responses[:, step] > 0.5 for step in (0, -1))
                rows.append({
                    "factor": factor, "diagnosis": diagnosis, "network": name, "pictures": count, "score": score.estimate,
                    "interval": (score.low, score.high),
                    "change": change.estimate, "change interval": (change.low, change.high),
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
    generator = torch.Generator().manual_seed(0)
    rows = []
    plans = [("gradient", steps, 999) for steps in (10, 30, 100)]
    plans += [("gradient, next step", 30, 999), ("correlation", 30, 999), ("mutual information", 30, 99)]
    for score, steps, permutations in tqdm(plans, desc="power"):
        options = {"score": "gradient", "order": 1} if score == "gradient, next step" else {"score": score}
        for name, shape in SHAPES.items():
            if score == "mutual information" and name in ("flip", "alternating"):
                continue  # it takes as long as all the others together
            for size in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0):
                curves = size * shape(torch.linspace(0, 1, steps)) + torch.randn(runs, steps, generator=generator)
                p_value = permutation_test(curves, permutations=permutations, seed=3, **options).p_value
                found = share(p_value <= 0.05)
                rows.append({"score": score, "steps": steps, "shape": name, "effect": size, "power": found})
    return rows


# -------------------------------------------------------------------------------------------------- training runs

CHECKPOINTS = (0, 5, 10, 20, 40, 80, 120, 180, 240)
SIDE, BATCH = 48, 32


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
            rows += train_one(images, labels, tested, paths, strength, seed, checkpoints)
    return rows


def held_out(strength: float, count: int = 120, side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Pictures that no network has learned from, and 1 for a dog."""
    drawn = scenes.sample(count, SEED + 2, bias=bias(strength), **PETS)
    return scenes.render(drawn, side), torch.tensor([int(scene.object == "dog") for scene in drawn])


def bias(strength: float) -> dict:
    return {"colour": [(scenes.DARK_FUR, "cat", strength), (scenes.DARK_FUR, "dog", 1 - strength)]}


def train_one(images: Tensor, labels: Tensor, tested: dict, paths: dict[str, Tensor], strength: float,
              seed: int, checkpoints=CHECKPOINTS) -> list[dict]:
    network = load("pets-unbiased", random=True, seed=seed)
    rows = learn(network, images, labels, tested, paths, seed, checkpoints)
    return [{"bias": strength, "seed": seed, **row} for row in rows]


def learn(network: nn.Module, images: Tensor, labels: Tensor, tested: dict, paths: dict[str, Tensor], seed: int,
          checkpoints=CHECKPOINTS, peak: float = 4e-3) -> list[dict]:
    """Train a network in place and measure it at every checkpoint: one row each."""
    network.requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters())
    last, batch = checkpoints[-1], BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=last)
    generator = torch.Generator().manual_seed(seed)
    order = torch.cat([torch.randperm(len(images), generator=generator) for _ in range(-(-last * batch // len(images)))])
    rows = []
    for step in tqdm(range(last + 1), desc=f"training, seed {seed}", leave=False):
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
        if step == last:
            break
        network.train()
        chosen = order[step * batch : (step + 1) * batch]
        loss = nn.functional.cross_entropy(network(images[chosen].float() / 255), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return rows


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
    a new one. There is one seed for each pretrained network. Finished runs are kept in $VIZCOURSE_CACHE (or
    ~/.cache/vizcourse), so the same call goes on.
    """
    rows = []
    for name, (sources, side, peak) in (starts or STARTS).items():
        for seed, source in enumerate(sources):
            for strength in strengths:
                for pretrained in (False, True):
                    settings = [source, side, peak, strength, pretrained, seed, pictures, scenes_measured, checkpoints]
                    found = kept(settings, functools.partial(_one_start, *settings))
                    begun = {"architecture": name, "pretrained": pretrained, "source": source, "bias": strength, "seed": seed}
                    rows += [begun | row for row in found]
    return rows


def _one_start(source: str, side: int, peak: float, strength: float, pretrained: bool, seed: int, pictures: int,
               scenes_measured: int, checkpoints) -> list[dict]:
    network = with_two_classes(load(source, random=not pretrained, seed=seed), seed)
    images, labels = _lesson(pictures, side, strength)
    tested = {"without bias": held_out(0.5, side=side), "of its own kind": held_out(strength, side=side)}
    return learn(network, images, labels, tested, _paths(scenes_measured, side), seed, checkpoints, peak)


def with_two_classes(network: nn.Module, seed: int) -> nn.Module:
    """The network with a new last layer, for cat and dog."""
    parent, name = (network.heads, "head") if hasattr(network, "heads") else (network, "fc")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        setattr(parent, name, nn.Linear(getattr(parent, name).in_features, 2))
    return network


@functools.lru_cache(maxsize=4)
def _lesson(pictures: int, side: int, strength: float) -> tuple[Tensor, Tensor]:
    cached = scenes.CachedScenes(pictures, SEED + 4, size=side, bias=bias(strength), **PETS)
    return cached.pictures, (cached.targets == scenes.CLASSES.index("dog")).long()


@functools.lru_cache(maxsize=4)
def _paths(scenes_measured: int, side: int) -> dict[str, Tensor]:
    """Fur and animal of the same scenes, each turned in ten steps."""
    measured = scenes.sample(scenes_measured, SEED + 3, **PETS)
    return {
        factor: torch.stack([gradual.turn(scene, factor, *ends, steps=10, size=side).pictures for scene in measured])
        for factor, ends in (("colour", ("black", "white")), ("object", ("cat", "dog")))
    }


def kept(settings: list, compute: Callable[[], list | dict]) -> list | dict:
    """What was computed with these settings before, else compute it and keep it."""
    folder = Path(os.environ.get("VIZCOURSE_CACHE") or Path.home() / ".cache" / "vizcourse") / "study-07"
    file = folder / f"{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]}.json"
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    found = rounded(compute())
    folder.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps(found), encoding="utf-8")
    draft.replace(file)
    return found


# ---------------------------------------------------------------------------------------------------------- files

PARTS = {
    "factors": factors, "conflicts": conflicts, "null": null, "power": power, "training": training,
    "architectures": architectures, "plasters": plasters,
}
TRIAL = {
    "factors": {"count": 2, "steps": 5}, "conflicts": {"count": 3}, "null": {"runs": 20}, "power": {"runs": 5},
    "training": {"pictures": 64, "scenes_measured": 2, "seeds": 1, "strengths": (1.0,), "checkpoints": (0, 2)},
    "architectures": {"pictures": 64, "scenes_measured": 2, "strengths": (1.0,), "checkpoints": (0, 1),
                      "starts": {"residual network": (("scenes-small-0",), 48, 4e-3)}},
    "plasters": {"count": 2, "steps": 4},
}


def read() -> dict:
    """The stored results, by part."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def rounded(value):
    """Five significant digits are more than these measurements have."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--trial", action="store_true", help="small, and to standard output")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {unknown.pop()!r}: choose from {', '.join(PARTS)}")
    for part in arguments.parts or PARTS:
        started = time.perf_counter()
        result = {"result": rounded(PARTS[part](**(TRIAL[part] if arguments.trial else {})))}
        result["minutes"] = round((time.perf_counter() - started) / 60, 1)
        if arguments.trial:
            print(part, json.dumps(result)[:600])
            continue
        stored = {**(read() if FILE.exists() else {}), part: result}
        lines = json.dumps({name: stored[name] for name in PARTS if name in stored}, indent=0, ensure_ascii=False)
        draft = FILE.with_suffix(".part")
        draft.write_text(lines.replace(",\n", ", ").replace(", {", ",\n{") + "\n", encoding="utf-8")
        draft.replace(FILE)
        print(f"{part}: {result['minutes']} minutes")


if __name__ == "__main__":
    main()
