"""The networks that the course ships, and torchvision's, through one call: `load(name)`.

A shipped network is two files in `weights/`: `NAME.safetensors` (half precision) and `NAME.json`, its card:
what it is, how it was trained, how well it does, and the SHA-256 of the weights file. `vizcourse train NAME`
writes both.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import nn

from vizcourse.models.networks import ARCHITECTURES, build, with_normalize

WEIGHTS = Path(__file__).parent / "weights"
TORCHVISION = "torchvision/"
DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer


class WeightsError(ValueError):
    """The weights of a network are missing, damaged or cannot be downloaded."""


class Card(dict):
    """The facts on one network, as a dictionary that also prints itself as a short text.

    Keys: `name`, `about`, `architecture`, `parameters`, `input_size`, `classes`, `data`, `recipe`, `figures`
    (name -> `value`, 95 % interval `low` and `high`, `count`), `details` (by class, confusion matrix, …),
    `training` (seconds on the clock and of the processor, hardware), `weaknesses`, `sha256`, `bytes`.
    """

    def __str__(self) -> str:
        lines = [f"{self['name']}: {self['about']}"]
        lines.append(f"  {self['parameters']:,} parameters, pictures of {self['input_size']} px, {self['data']}")
        lines += [f"  {name}: {format_figure(figure)}" for name, figure in self["figures"].items()]
        training = self["training"]
        minutes, busy = training["seconds"] / 60, training["processor_seconds"] / 60
        lines.append(f"  trained in {minutes:.0f} minutes ({busy:.0f} of processor time) on {training['hardware']}")
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
    _known(name, ARCHITECTURES)
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
        name: a network of the course (`names()` lists them), or `torchvision/NAME` for one of torchvision's
            classifiers with its own ImageNet weights, which are downloaded once.
        device: where to put it.
        random: leave it untrained. The same architecture with random weights is the control of many
            experiments.
        seed: of the random weights.
        folder: where the course's weights are.

    Raises:
        ValueError: if the name is unknown (lists the closest ones), or, as `WeightsError`, if the weights are
            not there, are damaged, or cannot be downloaded.
    """
    if str(name).startswith(TORCHVISION):
        network = _load_torchvision(name, random=random, seed=seed)
    else:
        _known(name, [*ARCHITECTURES, TORCHVISION + "resnet50"])
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


def _known(name: str, known: Iterable[str]) -> None:
    known = list(known)
    if name not in known:
        closest = difflib.get_close_matches(str(name), known, n=3, cutoff=0.3) or sorted(known)
        raise ValueError(f"There is no network named {name!r}: did you mean {' or '.join(map(repr, closest))}?")


def _load_torchvision(name: str, *, random: bool, seed: int) -> nn.Module:
    """A classifier of torchvision with its default weights, or untrained."""
    short = name.removeprefix(TORCHVISION)
    # Only plain image classifiers: those in other submodules (detection, video, …) do not take a batch of
    # pictures.
    known = torchvision.models.list_models(module=torchvision.models)
    _known(name, [TORCHVISION + model for model in known])
    weights = torchvision.models.get_model_weights(short).DEFAULT
    if random:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = torchvision.models.get_model(short, weights=None, **_without_warning(short))
        if getattr(network, "aux_logits", False):  # the trained ones come without auxiliary classifiers, too
            network.aux_logits, network.aux1, network.aux2 = False, None, None
    else:
        network = _download(name, short, weights)
    preset = weights.transforms()
    with_normalize(network, preset.mean, preset.std)
    network.name = name
    network.classes = tuple(weights.meta["categories"])
    network.input_size = preset.crop_size[0]
    return network


def _without_warning(short: str) -> dict[str, bool]:
    """The two Inception networks warn unless they are told to keep their own initialisation."""
    return {"init_weights": True} if short in ("googlenet", "inception_v3") else {}


def _download(name: str, short: str, weights) -> nn.Module:
    """torchvision's network with its weights: from its download cache, else downloaded, tried once."""
    address = weights.url
    try:
        with _network_timeout(DOWNLOAD_TIMEOUT):
            return torchvision.models.get_model(short, weights=weights)
    except (URLError, OSError) as error:  # URLError is an OSError; time-outs and refused connections are, too
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"The weights of {name!r} could not be downloaded from {address} ({reason}): check the connection, or put "
            f"the file into {_hub_folder_in_words()} by hand."
        ) from error
    except RuntimeError as error:
        if "hash" not in str(error):
            raise
        raise WeightsError(
            f"What was downloaded from {address} for {name!r} is not the file that torchvision expects ({error}): "
            "try again, perhaps from another network."
        ) from error


def _hub_folder_in_words() -> str:
    """Where torch.hub keeps weights, with the home folder as ~, which is shorter and the same for everybody."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return f"~/{folder.relative_to(Path.home())}" if folder.is_relative_to(Path.home()) else str(folder)


@contextlib.contextmanager
def _network_timeout(seconds: float):
    """torch.hub has no time-out of its own, so that a silent server would hang the notebook."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
