"""Lesson 01's long measurements: which networks learn the shapes in five epochs, and what silencing says of three networks.

``patterns``: held-out accuracy of networks for exercise 1.8 that differ in the number of convolutions, batch norm, the end,
and the number of channels. ``silencing``: for the recipe of cnn-shapes with three seeds, and for as many untrained networks,
each channel's mean activation and importance. All in all it takes about ten minutes on one core.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vizcourse.hooks import capture
from vizcourse.methods.convolution import accuracy, fit, relative_silencing, silencing_effects
from vizcourse.models import load
from vizcourse.studies import Cell, Part, Study, rounded
from vizcourse.worlds import shapes

#: Knobs of the pictures in exercise 1.8: only the types of the shapes tell the class, in any colours, and they are not tiny.
TRAINING_KNOBS = {"cue": "type", "free_colours": True, "sizes": (25, 45)}
EPOCHS, LEARNING_RATE, ENOUGH = 5, 1e-2, 0.95

ENDS = ("max", "mean", "flatten")
WIDTHS = ((16, 32, 64), (8, 16, 32), (4, 8, 16))
PATTERN_SEEDS = (0, 1)
LAYERS = ("relu1", "relu2", "relu3", "relu4")
NETWORK_SEEDS = tuple(range(3))
PICTURES = 600


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


def try_pattern(seed: int, which: tuple, epochs: int = EPOCHS) -> float:
    """Held-out accuracy of a pattern after the training that the exercise's check gives it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = pattern(*which)
    fit(network, *shape_pictures("train"), epochs=epochs, learning_rate=LEARNING_RATE)
    return round(accuracy(network, *shape_pictures("test")), 4)


def try_starts(which: tuple, seeds: Sequence[int] = PATTERN_SEEDS, epochs: int = EPOCHS) -> list[float]:
    return [try_pattern(seed, which, epochs) for seed in seeds]


# ---------------------------------------------------------------------------------------------- what silencing says


@functools.cache
def test_pictures(count: int = PICTURES) -> tuple[Tensor, Tensor]:
    """Held-out pictures (N, 3, 64, 64) as the lesson's, with their labels."""
    drawn = shapes.sample(count, seed=7, split="test", **shapes.VARIED)
    return shapes.render(drawn, size=64), shapes.labels(drawn)


def network(kind: str, seed: int) -> nn.Module:
    """cnn-shapes, "untrained", or "trained" as its recipe says, from another start; seed 0 is the shipped network."""
    if kind == "untrained":
        return load("cnn-shapes", random=True, seed=seed)
    if seed == 0:
        return load("cnn-shapes")
    from vizcourse.models import recipes, training
    from vizcourse.models.networks import ARCHITECTURES, build

    recipe = recipes.RECIPES["cnn-shapes"]
    model = build("cnn-shapes", ARCHITECTURES["cnn-shapes"], seed=seed)
    training.fit(
        model, functools.partial(recipe.data, "train"), recipe.schedule, seed=seed, device=torch.device("cpu"),
        checkpoint=recipes._cache_folder(None) / f"cnn-shapes-{seed}.checkpoint", fingerprint=f"cnn-shapes, seed {seed}",
        augment=recipe.augment,
    )  # fmt: skip
    return model.eval().requires_grad_(False).to(memory_format=torch.contiguous_format)


def silencing(kind: str, seed: int, count: int = PICTURES, layers: Sequence[str] = LAYERS) -> dict:
    """For each layer, one number a channel: mean activation, importance, and importance relative to the logits' own scale."""
    model, (images, labels) = network(kind, seed), test_pictures(count)
    found: dict = {"accuracy": round(accuracy(model, images, labels), 4)}
    for layer in layers:
        with torch.no_grad(), capture(model, layer, stop=True) as acts:
            model(images)
        effects = silencing_effects(model, images, layer)[:, torch.arange(len(labels)), labels]
        found[layer] = {
            "loudness": rounded(acts[layer].mean(dim=(0, 2, 3))),
            "importance": rounded(effects.abs().mean(1)),
            "relative": rounded(relative_silencing(model, images, layer)),
        }
    return found


# ----------------------------------------------------------------------------- the parts, and numbers measured again


def pattern_again() -> Cell:
    """The smallest pattern from one start. Another processor rounds otherwise, and trains another network of the kind."""
    which = (1, True, "max")
    stored = STUDY.stored(f"patterns/{pattern_name(*which)}")[0]
    return Cell.near("held-out accuracy", try_pattern(0, which), stored, 0.1)


def silencing_again() -> Iterator[Cell]:
    """The shipped network's last layer, channel by channel."""
    stored, found = STUDY.stored("silencing/trained 0"), silencing("trained", 0, layers=["relu4"])
    yield Cell.near("accuracy", found["accuracy"], stored["accuracy"], 0.004)
    for what in ("loudness", "importance"):
        most = max(range(16), key=stored["relu4"][what].__getitem__)
        now, then = found["relu4"][what][most], stored["relu4"][what][most]
        yield Cell.near(f"largest {what}", now, then, 0.01 * then)


STUDY = Study(
    __file__,
    {
        f"patterns/{pattern_name(*which)}": Part(
            try_starts,
            {"which": which},
            {"seeds": (0,), "epochs": 1},
            pattern_again if which == (1, True, "max", WIDTHS[0]) else None,
            path=("patterns", pattern_name(*which)),
        )
        for which in patterns()
    }
    | {
        f"silencing/{kind} {seed}": Part(
            silencing,
            {"kind": kind, "seed": seed},
            {"count": 12},
            silencing_again if (kind, seed) == ("trained", 0) else None,
            path=("silencing", f"{kind} {seed}"),
        )
        for seed, kind in itertools.product(NETWORK_SEEDS, ("trained", "untrained"))
    },
)
