"""The architectures of the course's networks, each with its normalisation inside.

Every network takes pictures as float tensors `(N, 3, height, width)` in [0, 1]. Its first child is
`normalize`, and all other layers keep the names that torchvision gives them (`layer4.1.conv2`,
`inception4a.branch1.conv`, `encoder.layers.encoder_layer_3.self_attention`), so that layer names in articles
and in other tools still fit.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models import googlenet, resnet18
from torchvision.models.vision_transformer import ConvStemConfig, VisionTransformer


class WeightsError(ValueError):
    """The weights of a network are missing, damaged or cannot be downloaded."""


def known(name: str, names: Iterable[str]) -> None:
    """Refuse a name that no network has, and list the closest."""
    names = list(names)
    if name not in names:
        closest = difflib.get_close_matches(str(name), names, n=3, cutoff=0.3) or sorted(names)
        raise ValueError(f"There is no network named {name!r}: did you mean {' or '.join(map(repr, closest))}?")


def check_images(images: Tensor, channels: int = 3) -> None:
    """Refuse what no network of the course can take as pictures.

    Raises:
        ValueError: wrong kind, shape or number type, an empty batch, values that are not finite, or 0 to 255.
    """
    if not isinstance(images, Tensor):
        raise ValueError(f"Pictures must be a tensor, not a {type(images).__name__}: convert with torch.as_tensor.")
    if images.ndim == 3 and images.shape[0] == channels:
        raise ValueError(f"This is one picture, {tuple(images.shape)}: make a batch of it with images[None].")
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"Pictures must be (N, {channels}, height, width), not {tuple(images.shape)}.")
    if len(images) == 0:
        raise ValueError("The batch is empty: pass at least one picture.")
    if not images.is_floating_point():
        raise ValueError(f"Pictures must be floating point in [0, 1], not {images.dtype}: use images.float() / 255.")
    # One sum finds a NaN or an infinity anywhere, in a tenth of the time that looking at each value takes.
    if not images.sum().isfinite():
        raise ValueError(
            "The pictures hold NaN or infinite values: mend them first, for example with images.nan_to_num()."
        )
    if images.detach().amax() > 30:
        raise ValueError("The pictures run to 255: the course's networks take [0, 1], so divide by 255.")


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel.

    The two are part of the architecture, not of the trained weights, so they are not stored in the weights
    file.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Raises a ValueError, in one sentence, for anything that is not a batch of finite pictures in [0, 1]."""
        check_images(images, channels=self.mean.shape[1])
        return (images - self.mean) / self.std

    def extra_repr(self) -> str:
        def rounded(values: Tensor) -> list[float]:
            return [round(value, 3) for value in values.flatten().tolist()]

        return f"mean={rounded(self.mean)}, std={rounded(self.std)}"


@functools.cache
def _normalizing(network_class: type[nn.Module]) -> type[nn.Module]:
    """The same class with a forward pass that begins with `self.normalize`."""

    def forward(self, images: Tensor):
        return network_class.forward(self, self.normalize(images))

    return type(network_class.__name__, (network_class,), {"forward": forward, "__doc__": network_class.__doc__})


def with_normalize(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Put a `Normalize` layer named `normalize` in front of a network, in place, and return the network.

    Wrapping it in an `nn.Sequential` would do the same sum but rename every layer.
    """
    children = dict(network._modules)
    network._modules.clear()
    network.normalize = Normalize(mean, std)
    network._modules.update(children)
    network.__class__ = _normalizing(type(network))
    return network


class SmallCNN(nn.Module):
    """A plain convolutional network, in the order in which a picture passes through it: the network of lesson
    01."""

    def __init__(self, classes: int, widths: Sequence[int] = (8, 12, 16, 16)):
        super().__init__()
        conv1, conv2, conv3, conv4 = widths
        self.conv1 = nn.Conv2d(3, conv1, kernel_size=3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(conv1, conv2, kernel_size=3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(conv2, conv3, kernel_size=3, padding=1)
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(2)
        self.conv4 = nn.Conv2d(conv3, conv4, kernel_size=3, padding=1)
        self.relu4 = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(conv4, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.pool1(self.relu1(self.conv1(images)))
        hidden = self.pool2(self.relu2(self.conv2(hidden)))
        hidden = self.pool3(self.relu3(self.conv3(hidden)))
        hidden = self.relu4(self.conv4(hidden))
        return self.fc(self.flatten(self.avgpool(hidden)))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2015, figure 2).

    Where the shape changes, the shortcut is a 1×1 convolution (option B of the paper).
    """

    def __init__(self, channels_in: int, channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            convolution = nn.Conv2d(channels_in, channels, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(channels))
        self.relu2 = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        shortcut = images if self.downsample is None else self.downsample(images)
        hidden = self.relu1(self.bn1(self.conv1(images)))
        return self.relu2(self.bn2(self.conv2(hidden)) + shortcut)


class SmallResNet(nn.Module):
    """A residual network for small pictures: a 3×3 stem and stages named `layer1`, `layer2`, … as in
    torchvision.

    With three stages of three blocks, widths 16, 32 and 64 and a stem of stride 1, it is the 20-layer network
    of He et al. 2015, section 4.2 (except that its shortcuts are of option B, not A).
    """

    def __init__(self, classes: int, widths: Sequence[int] = (16, 32, 64), blocks: int = 3, stem_stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], kernel_size=3, stride=stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.stages = len(widths)
        channels = widths[0]
        for stage, width in enumerate(widths, start=1):
            layers = []
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                layers.append(ResidualBlock(channels, width, stride))
                channels = width
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(images)))
        for stage in range(1, self.stages + 1):
            hidden = getattr(self, f"layer{stage}")(hidden)
        return self.fc(self.flatten(self.avgpool(hidden)))


class SceneAutoencoder(nn.Module):
    """A small variational autoencoder (Kingma and Welling 2014): a learned prior of what pictures look like.

    `decode` turns a latent vector into a picture; `encode` gives the mean and the logarithm of the variance
    of the latent vector of a picture; called as a whole, it reconstructs pictures from the mean.
    """

    def __init__(self, latent: int = 128, side: int = 4, widths: Sequence[int] = (96, 64, 48, 32)):
        super().__init__()
        self.latent = latent
        # A child like any other: it is part of `encode`, not of `decode`, which is what most learners call.
        self.normalize = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        outer = widths[::-1]
        layers: list[nn.Module] = []
        for channels_in, channels in zip((3, *outer), outer, strict=False):
            layers += [
                nn.Conv2d(channels_in, channels, kernel_size=3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.latents = nn.Linear(widths[0] * side * side, 2 * latent)
        self.expand = nn.Linear(latent, widths[0] * side * side)
        layers = [nn.Unflatten(1, (widths[0], side, side))]
        for channels_in, channels in zip(widths, (*widths[1:], widths[-1]), strict=True):
            layers += [
                nn.BatchNorm2d(channels_in),
                nn.ReLU(),
                nn.Upsample(scale_factor=2),
                nn.Conv2d(channels_in, channels, kernel_size=3, padding=1, bias=False),
            ]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.Conv2d(widths[-1], 3, kernel_size=3, padding=1)]
        self.decoder = nn.Sequential(*layers, nn.Sigmoid())

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (N, latent) each, of the latent vectors of pictures in [0, 1]."""
        mean, log_variance = self.latents(self.encoder(self.normalize(images))).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures in [0, 1], (N, 3, 64, 64), of latent vectors (N, latent); standard normal ones look
        likely."""
        return self.decoder(self.expand(latents))

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images)[0])


def vision_transformer(
    classes: int,
    *,
    image_size: int,
    stem: Sequence[tuple[int, int]] = (),
    patch: int = 1,
    width: int,
    heads: int,
    hidden: int,
    layers: int = 12,
) -> nn.Module:
    """torchvision's `VisionTransformer` with a convolutional stem (Xiao et al. 2021, "Early convolutions …").

    `stem` lists the 3×3 convolutions as (channels, stride); the product of the strides is the side of a
    patch. Without a stem, each `patch` of so many pixels goes through one linear map (Dosovitskiy et al. 2021).
    """
    for _, stride in stem:
        patch *= stride
    return VisionTransformer(
        image_size=image_size,
        patch_size=patch,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=width,
        mlp_dim=hidden,
        num_classes=classes,
        conv_stem_configs=[ConvStemConfig(channels, 3, stride) for channels, stride in stem] or None,
    )


@dataclass(frozen=True)
class Architecture:
    """What has to be known about a network before there are any trained weights.

    build: makes the untrained network for a number of classes.
    classes: returns the names of the classes, in the order of the network's outputs.
    input_size: side of the square pictures on which it was trained, in pixels.
    mean, std: what `Normalize` subtracts and divides by.
    """

    build: Callable[[int], nn.Module]
    classes: Callable[[], tuple[str, ...]]
    input_size: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.25, 0.25, 0.25)


def build(name: str, architecture: Architecture, *, seed: int = 0) -> nn.Module:
    """The untrained network with its `normalize` layer and its `name`, `classes` and `input_size`.

    The same seed gives the same weights; the caller's own random state is left as it was.
    """
    classes = tuple(architecture.classes())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = architecture.build(len(classes))
    if not hasattr(network, "normalize"):  # an autoencoder has its own
        with_normalize(network, architecture.mean, architecture.std)
    network.name, network.classes, network.input_size = name, classes, architecture.input_size
    return network


def _shape_classes() -> tuple[str, ...]:
    from vizcourse.worlds import shapes

    return tuple(shapes.CLASSES)


def _scene_classes() -> tuple[str, ...]:
    from vizcourse.worlds import scenes

    return tuple(scenes.CLASSES)


def _scenes_transformer(classes: int) -> nn.Module:
    stem = ((24, 2), (48, 2), (96, 2), (128, 2))
    return vision_transformer(classes, image_size=96, stem=stem, width=144, heads=4, hidden=288)


def _greyscale_transformer(classes: int) -> nn.Module:
    """The same, with a first convolution that begins equal for red, green and blue, and so without any hue.

    Greyscale pictures teach all three the same. Untrained differences between them would stay, and answer to the
    colours of a picture at random.
    """
    network = _scenes_transformer(classes)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        first.weight.copy_(first.weight.mean(dim=1, keepdim=True).expand_as(first.weight))
    return network


def _photos_transformer(classes: int) -> nn.Module:
    return vision_transformer(
        classes, image_size=32, stem=((32, 1), (64, 2), (128, 2), (192, 2)), width=128, heads=4, hidden=256
    )


def _patches_transformer(classes: int) -> nn.Module:
    """A narrower transformer for photographs, whose tokens are linear maps of patches that do not overlap."""
    return vision_transformer(classes, image_size=32, patch=8, width=64, heads=4, hidden=128)


def _small_residual(classes: int) -> nn.Module:
    return SmallResNet(classes, widths=(16, 32, 64), blocks=2, stem_stride=2)


def _narrow_residual(classes: int) -> nn.Module:
    return SmallResNet(classes, widths=(12, 24, 48), blocks=1, stem_stride=2)


def _lesion_classes() -> tuple[str, ...]:
    from vizcourse.worlds import lesions

    return lesions.CLASSES


_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR10 = {"mean": (0.491, 0.482, 0.447), "std": (0.247, 0.243, 0.262)}

ARCHITECTURES: dict[str, Architecture] = {
    "cnn-shapes": Architecture(SmallCNN, _shape_classes, 64),
    "resnet18-shapes": Architecture(lambda classes: resnet18(num_classes=classes), _shape_classes, 244),
    **{
        f"shapes-cue-{cue}": Architecture(_small_residual, _shape_classes, 96)
        for cue in ("all", "background", "colour", "type")
    },
    **{
        name: Architecture(
            lambda classes: googlenet(num_classes=classes, aux_logits=False, init_weights=True),
            _scene_classes,
            96,
        )
        for name in ("googlenet-scenes", "googlenet-scenes-robust")
    },
    "vit-scenes": Architecture(_scenes_transformer, _scene_classes, 96),
    "vit-scenes-grey": Architecture(_greyscale_transformer, _scene_classes, 96),
    **{f"scenes-small-{seed}": Architecture(_small_residual, _scene_classes, 64) for seed in (0, 1)},
    "scenes-decoder": Architecture(lambda classes: SceneAutoencoder(), tuple, 64),
    **{
        f"pets-{bias}": Architecture(_small_residual, lambda: ("cat", "dog"), 64)
        for bias in ("unbiased", "dark-cats", "dark-dogs", "watermark")
    },
    **{f"lesions-{kind}": Architecture(_narrow_residual, _lesion_classes, 64) for kind in ("unbiased", "biased", "mixed")},
    "resnet20-cifar10": Architecture(SmallResNet, lambda: _CIFAR10_CLASSES, 32, **_CIFAR10),
    "vit-cifar10": Architecture(_photos_transformer, lambda: _CIFAR10_CLASSES, 32, **_CIFAR10),
    "vit-cifar10-linear": Architecture(_patches_transformer, lambda: _CIFAR10_CLASSES, 32, **_CIFAR10),
}
