"""The networks that the course ships, and other people's, through one call: `load(name)`.

A shipped network is two files in `weights/`: `NAME.safetensors` (half precision) and `NAME.json`, its card:
what it is, how it was trained, how well it does, and the SHA-256 of the weights file. `vizcourse train NAME`
writes both.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from vizcourse.models import imagenet
from vizcourse.models.networks import ARCHITECTURES, WeightsError, build, known

WEIGHTS = Path(__file__).parent / "weights"


class Card(dict):
    """The facts on one network, as a dictionary that also prints itself as a short text.

    Keys: `name`, `about`, `architecture`, `parameters`, `input_size`, `classes`, `data`, `recipe`, `figures`
    (name -> `value`, 95 % interval `low` and `high`, `count`), `details` (by class, confusion matrix, …),
    `training` (seconds on the clock and of the processor, hardware; or `by` whom), `weaknesses`, `sha256`, `bytes`.
    """

    def __str__(self) -> str:
        lines = [f"{self['name']}: {self['about']}"]
        lines.append(f"  {self['parameters']:,} parameters, pictures of {self['input_size']} px, {self['data']}")
        lines += [f"  {name}: {format_figure(figure)}" for name, figure in self["figures"].items()]
        training = self["training"]
        if "seconds" in training:
            minutes, busy = training["seconds"] / 60, training["processor_seconds"] / 60
            lines.append(f"  trained in {minutes:.0f} minutes ({busy:.0f} of processor time) on {training['hardware']}")
        else:
            lines.append(f"  trained by {training['by']}")
        lines += [f"  weakness: {weakness}" for weakness in self["weaknesses"]]
        return "\n".join(lines)


def format_figure(figure: dict[str, Any]) -> str:
    """One figure of a card as text: a share with its interval as per cent, anything else as a plain
    number."""
    if "low" not in figure:
        return f"{figure['value']:.4g} ({figure['count']} pictures)"
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    return f"{value:.1f} % (95 % interval {low:.1f} to {high:.1f}; {figure['count']} pictures)"


def names() -> tuple[str, ...]:
    """The names of all networks of the course, also of those that are not trained yet."""
    return tuple(ARCHITECTURES)


def card(name: str, *, folder: Path = WEIGHTS) -> Card:
    """The card of one shipped network.

    Raises:
        ValueError: if no network has this name (lists the closest), or if it has not been trained yet.
    """
    known(name, [*ARCHITECTURES, *imagenet.PACKAGED])
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        raise WeightsError(f"{name!r} has no trained weights here yet: make them with `vizcourse train {name}`.")
    return Card(json.loads(path.read_text(encoding="utf-8")))


def cards(*, folder: Path = WEIGHTS) -> dict[str, Card]:
    """The cards of all shipped networks, by name."""
    return {name: card(name, folder=folder) for name in ARCHITECTURES if (Path(folder) / f"{name}.json").is_file()}


def load(
    name: str,
    *,
    device: str | torch.device = "cpu",
    random: bool = False,
    seed: int = 0,
    folder: Path = WEIGHTS,
) -> nn.Module:
    """A network that takes pictures `(N, 3, height, width)` as floats in [0, 1], ready to be looked into.

    It is in evaluation mode, its parameters need no gradient, and it carries `name`, `classes` (the names of
    its outputs) and `input_size` (pixels).

    Args:
        name: a network of the course (`names()` lists them); `imagenet/efficientnet-lite0`, whose ImageNet weights a
            package holds; or `torchvision/NAME` for one of torchvision's classifiers with its own ImageNet weights,
            which are downloaded once.
        device: where to put it.
        random: leave it untrained. The same architecture with random weights is the control of many
            experiments.
        seed: of the random weights.
        folder: where the course's weights are.

    Raises:
        ValueError: if the name is unknown (lists the closest ones), or, as `WeightsError`, if the weights are
            not there, are damaged, or cannot be downloaded.
    """
    if str(name).startswith(imagenet.TORCHVISION):
        network = imagenet.from_torchvision(name, random=random, seed=seed)
    elif name in imagenet.PACKAGED:
        network = imagenet.from_package(name, None if random else card(name)["sha256"], seed=seed)
    else:
        known(name, [*ARCHITECTURES, *imagenet.PACKAGED, imagenet.TORCHVISION + "resnet50"])
        network = build(name, ARCHITECTURES[name], seed=seed)
        if not random:
            state = read_weights(name, folder=folder)
            network.load_state_dict(
                {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
            )
    return network.to(device).eval().requires_grad_(False)


def untrained(name: str, images: torch.Tensor, *, seed: int = 0) -> nn.Module:
    """A control: the network with random weights, its batch norms' statistics taken from ``images``.

    As it is initialized, a random network's deep units hardly answer at all; with statistics of its own they are as loud as a
    trained one's, so that what sets the two apart is what was learned.

    Args:
        name: as for :func:`load`.
        images: ``(N, 3, height, width)``, float in [0, 1] or uint8.
        seed: of the weights.
    """
    model = load(name, random=True, seed=seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    model.train()
    with torch.no_grad():
        for batch in images.split(64):
            model(batch.float() / 255 if batch.dtype == torch.uint8 else batch)
    return model.eval()


def read_weights(name: str, *, folder: Path = WEIGHTS) -> dict[str, torch.Tensor]:
    """The tensors of a shipped weights file, half precision as stored, after comparing its SHA-256 with the
    card's.

    Raises:
        WeightsError: if the file is missing or is not the one that the card describes.
    """
    expected = card(name, folder=folder)["sha256"]
    path = Path(folder) / f"{name}.safetensors"
    remedy = f"fetch it again, or make it anew with `vizcourse train {name}`"
    if not path.is_file():
        raise WeightsError(f"The weights file {path.name} is missing: {remedy}.")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise WeightsError(
            f"The weights file {path.name} is damaged or is another file: its SHA-256 is {found}, "
            f"its card says {expected}; {remedy}."
        )
    try:
        return load_tensors(content)
    except SafetensorError as error:
        raise WeightsError(f"The weights file {path.name} is not a safetensors file ({error}): {remedy}.") from error
