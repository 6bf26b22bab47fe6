"""Lesson 01's long measurements: which networks learn the shapes in five epochs, and what silencing says of three networks.

    python -m vizcourse.lessons.cnn_basics.study             # both parts, about ten minutes on one core; writes study.json
    python -m vizcourse.lessons.cnn_basics.study patterns    # one of them

``patterns``: held-out accuracy of networks for exercise 1.8 that differ in the number of convolutions, batch norm, the end,
and the number of channels. ``silencing``: for the recipe of cnn-shapes with three seeds, and for as many untrained networks,
each channel's mean activation and importance. The file is written after each network; a second call goes on from there.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from vizcourse.hooks import capture
from vizcourse.methods.convolution import accuracy, fit, relative_silencing, silencing_effects
from vizcourse.models import load
from vizcourse.worlds import shapes

FILE = Path(__file__).with_name("study.json")

#: Knobs of the pictures in exercise 1.8: only the types of the shapes tell the class, in any colours, and they are not tiny.
TRAINING_KNOBS = {"cue": "type", "free_colours": True, "sizes": (25, 45)}
EPOCHS, LEARNING_RATE, ENOUGH = 5, 1e-2, 0.95

ENDS = ("max", "mean", "flatten")
WIDTHS = ((16, 32, 64), (8, 16, 32), (4, 8, 16))
PATTERN_SEEDS = (0, 1)
LAYERS = ("relu1", "relu2", "relu3", "relu4")
NETWORK_SEEDS = tuple(range(3))
PICTURES = 600


def results() -> dict:
    """What the study found, as it was written."""
    return json.loads(FILE.read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------- which networks learn the shapes


@functools.cache
def shape_pictures(split: str = "train") -> tuple[Tensor, Tensor]:
    """Pictures and labels for the network of exercise 1.8: 4,000 for training, 600 held out, 32 × 32 pixels."""
    pictures = shapes.sample(4000 if split == "train" else 600, seed=0, split=split, **TRAINING_KNOBS)
    return shapes.render(pictures, size=32), shapes.labels(pictures)


def pattern_name(convolutions: int, batch_norm: bool, end: str, widths: tuple[int, ...] = WIDTHS[0]) -> str:
    """The key of a pattern in the stored results."""
    listed = ", ".join(map(str, widths[:convolutions]))
    return f"{convolutions} convolutions ({listed}), {'batch norm' if batch_norm else 'no batch norm'}, {end}"


def pattern(convolutions: int, batch_norm: bool, end: str, widths: tuple[int, ...] = WIDTHS[0]) -> nn.Sequential:
    """Blocks of convolution, batch norm, ReLU with max pooling between them, and one of three ends."""
    layers: list[nn.Module] = []
    channels, side = 3, 32
    for number, width in enumerate(widths[:convolutions]):
        if number:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        layers.append(nn.Conv2d(channels, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width)] if batch_norm else []
        layers.append(nn.ReLU())
        channels = width
    if end == "flatten":
        return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(channels * (side // 2) ** 2, 3))
    pool = nn.AdaptiveMaxPool2d(1) if end == "max" else nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, pool, nn.Flatten(), nn.Linear(channels, 3))


def patterns() -> list[tuple]:
    """All that are tried: every combination, and the best one with fewer channels."""
    every = list(itertools.product((1, 2, 3), (True, False), ENDS, WIDTHS[:1]))
    return every + [(3, True, "max", widths) for widths in WIDTHS[1:]]


def try_pattern(seed: int, *which, epochs: int = EPOCHS) -> float:
    """Held-out accuracy of a pattern after the training that the exercise's check gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = pattern(*which)
    fit(network, *shape_pictures("train"), epochs=epochs, learning_rate=LEARNING_RATE)
    return round(accuracy(network, *shape_pictures("test")), 4)


# ---------------------------------------------------------------------------------------------- what silencing says


@functools.cache
def test_pictures(count: int = PICTURES) -> tuple[Tensor, Tensor]:
    """Held-out pictures (N, 3, 64, 64) as the lesson's, with their labels."""
    drawn = shapes.sample(count, seed=7, split="test", **shapes.VARIED)
    return shapes.render(drawn, size=64), shapes.labels(drawn)


def trained(seed: int) -> nn.Module:
    """cnn-shapes, trained as its recipe says, from another start; seed 0 is the shipped network."""
    if seed == 0:
        return load("cnn-shapes")
    from vizcourse.models import recipes, training
    from vizcourse.models.networks import ARCHITECTURES, build

    recipe = recipes.RECIPES["cnn-shapes"]
    network = build("cnn-shapes", ARCHITECTURES["cnn-shapes"], seed=seed)
    training.fit(
        network, functools.partial(recipe.data, "train"), recipe.schedule, seed=seed, device=torch.device("cpu"),
        checkpoint=recipes._cache_folder(None) / f"cnn-shapes-{seed}.checkpoint", fingerprint=f"cnn-shapes, seed {seed}",
        augment=recipe.augment,
    )  # fmt: skip
    return network.eval().requires_grad_(False).to(memory_format=torch.contiguous_format)


def silencing(network: nn.Module, count: int = PICTURES) -> dict:
    """For each layer, one number a channel: mean activation, importance, and importance relative to the logits' own scale."""
    images, labels = test_pictures(count)
    found: dict = {"accuracy": round(accuracy(network, images, labels), 4)}
    for layer in LAYERS:
        with torch.no_grad(), capture(network, layer, stop=True) as acts:
            network(images)
        effects = silencing_effects(network, images, layer)[:, torch.arange(len(labels)), labels]
        found[layer] = {
            "loudness": _rounded(acts[layer].mean(dim=(0, 2, 3))),
            "importance": _rounded(effects.abs().mean(1)),
            "relative": _rounded(relative_silencing(network, images, layer)),
        }
    return found


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]


# --------------------------------------------------------------------------------------------------------- running


def _stored() -> dict:
    return results() if FILE.is_file() else {}


def _keep(part: str, name: str, value) -> None:
    found = _stored()
    found.setdefault(part, {})[name] = value
    unfinished = FILE.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, FILE)


def run_patterns() -> None:
    for which in patterns():
        name = pattern_name(*which)
        if name not in _stored().get("patterns", {}):
            _keep("patterns", name, [try_pattern(seed, *which) for seed in PATTERN_SEEDS])
            print(name, _stored()["patterns"][name], flush=True)


def run_silencing() -> None:
    for seed, kind in itertools.product(NETWORK_SEEDS, ("trained", "untrained")):
        name = f"{kind} {seed}"
        if name not in _stored().get("silencing", {}):
            network = trained(seed) if kind == "trained" else load("cnn-shapes", random=True, seed=seed)
            _keep("silencing", name, silencing(network))
            print(name, _stored()["silencing"][name]["accuracy"], flush=True)


PARTS = {"patterns": run_patterns, "silencing": run_silencing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all by default")
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
