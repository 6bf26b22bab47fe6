"""What a convolutional network is made of: windows, channels, receptive fields, and switching a channel off.

The arithmetic follows Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), and the receptive
field Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill, 2019).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vizcourse.hooks import Layer, capture, replay, resolve


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Number of positions at which a window fits along one axis: ``floor((size + 2·padding − kernel) / stride) + 1``.

    Args:
        size: pixels of the input along this axis.
        kernel: pixels of the window.
        stride: pixels between two neighbouring windows.
        padding: zeros added at *each* end.

    Raises:
        ValueError: a number is out of range, or the window is larger than the padded input.
    """
    if min(size, kernel, stride) < 1 or padding < 0:
        raise ValueError("size, kernel and stride must be at least 1 and padding at least 0.")
    if kernel > size + 2 * padding:
        raise ValueError(
            f"A window of {kernel} does not fit into {size} pixels with {padding} of padding at each end: "
            "use a smaller kernel or more padding."
        )
    return (size + 2 * padding - kernel) // stride + 1


def cross_correlate(image: Tensor, kernels: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """What deep learning calls a convolution: slide each kernel over the image and sum the products.

    Equals ``torch.nn.functional.conv2d`` without a bias. (A mathematician's convolution flips the kernel first.)

    Args:
        image: ``(channels, height, width)``.
        kernels: ``(kernels, channels, kernel height, kernel width)``.
        stride: pixels between two neighbouring windows.
        padding: rows and columns of zeros added on each side.

    Returns:
        One feature map per kernel: ``(kernels, output height, output width)``.

    Raises:
        ValueError: shapes do not fit together.
    """
    if image.ndim != 3 or kernels.ndim != 4 or image.shape[0] != kernels.shape[1]:
        raise ValueError(
            f"An image (channels, height, width) and kernels (kernels, channels, height, width) with the same number of "
            f"channels are needed, not {tuple(image.shape)} and {tuple(kernels.shape)}."
        )
    height, width = kernels.shape[2:]
    rows = output_size(image.shape[1], height, stride, padding)
    columns = output_size(image.shape[2], width, stride, padding)
    padded = nn.functional.pad(image, [padding] * 4)
    output = image.new_zeros(len(kernels), rows, columns)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride, column * stride
            window = padded[:, top : top + height, left : left + width]
            output[:, row, column] = (window * kernels).sum(dim=(1, 2, 3))
    return output


@dataclass(frozen=True)
class ReceptiveField:
    """Which input pixels one neuron can see, along one axis.

    Attributes:
        size: pixels the neuron can see.
        jump: input pixels between two neighbouring neurons (the product of the strides).
        start: input coordinate of the centre of the first neuron's field; 0.5 is the centre of the first pixel.
    """

    size: int
    jump: int
    start: float


def receptive_field(layers: Sequence[tuple[int, int, int]]) -> ReceptiveField:
    """Theoretical receptive field of a neuron behind a chain of convolutions and poolings (Araujo et al., 2019).

    Args:
        layers: ``(kernel, stride, padding)`` of each layer, from the input on.
    """
    size, jump, start = 1, 1, 0.5
    for kernel, stride, padding in layers:
        size += (kernel - 1) * jump
        start += ((kernel - 1) / 2 - padding) * jump
        jump *= stride
    return ReceptiveField(size, jump, start)


def gradient_field(model: nn.Module, layer: Layer, images: Tensor, position: tuple[int, int] | None = None) -> Tensor:
    """How strongly one neuron of ``layer`` answers to each input pixel: mean absolute gradient over images and channels.

    Pixels outside the receptive field have a gradient of exactly zero, so this verifies the formula; inside, it shows
    the *effective* receptive field (Luo et al., 2016), which is smaller and soft.

    Args:
        model: any network.
        layer: a layer with spatial extent, by name or as a module.
        images: ``(N, channel, height, width)``.
        position: ``(row, column)`` of the neuron; the middle one by default.

    Returns:
        ``(height, width)``, non-negative.

    Raises:
        ValueError: unknown layer, a layer without spatial extent, or a position outside it.
    """
    name, _ = resolve(model, layer)
    pixels = images.detach().clone().requires_grad_()
    with torch.enable_grad(), capture(model, layer, stop=True) as acts:
        model(pixels)
    activation = acts[name]
    if activation.ndim != 4:
        raise ValueError(
            f"Layer {name!r} gives {tuple(activation.shape)}: choose a layer with (batch, channel, height, width)."
        )
    rows, columns = activation.shape[2:]
    row, column = position if position is not None else (rows // 2, columns // 2)
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(f"Layer {name!r} has {rows} × {columns} positions; there is no position ({row}, {column}).")
    (gradient,) = torch.autograd.grad(activation[:, :, row, column].sum(), pixels)
    return gradient.abs().mean(dim=(0, 1))


@torch.no_grad()
def silence(model: nn.Module, layer: Layer, images: Tensor, channels: Sequence[int]) -> Tensor:
    """The model's answer with some channels of a layer set to zero everywhere.

    Args:
        model: any network.
        layer: the layer, by name or as a module.
        images: ``(N, channel, height, width)``.
        channels: the channels to switch off; none gives the unchanged answer.

    Returns:
        The model's output, for example logits ``(N, classes)``.

    Raises:
        ValueError: unknown layer, or a channel that the layer does not have.
    """
    tail = replay(model, layer, images)
    _check_channels(tail.name, tail.activation, channels)
    activation = tail.activation.clone()
    activation[:, list(channels)] = 0
    return tail(activation)


@torch.no_grad()
def silencing_effects(
    model: nn.Module, layer: Layer, images: Tensor, *, batch: int = 256, logits: bool = False
) -> Tensor:
    """What silencing each channel of a layer, one at a time, does to the class probabilities.

    The network runs up to the layer once; then only the rest is run, for many channels in one batch.

    Args:
        model: a classifier that returns logits ``(N, classes)``.
        layer: the layer, by name or as a module.
        images: ``(N, channel, height, width)``.
        batch: rows (image and channel) that are run together.
        logits: change of the logits instead of the probabilities.

    Returns:
        Probability (or logit) with the channel silenced minus without: ``(channels, N, classes)``.

    Raises:
        ValueError: unknown layer, empty batch.
    """
    if len(images) == 0:
        raise ValueError("There are no images: pass a batch with at least one.")
    tail = replay(model, layer, images)
    count, channels = len(images), tail.activation.shape[1]

    def answer(activation: Tensor, **index: Tensor) -> Tensor:
        given = tail(activation, **index)
        return given if logits else given.softmax(1)

    clean = answer(tail.activation)
    effects = clean.new_empty(channels, count, clean.shape[1])
    together = max(1, batch // count)
    for first in range(0, channels, together):
        some = torch.arange(first, min(first + together, channels), device=images.device)
        rows = tail.activation.repeat(len(some), *[1] * (tail.activation.ndim - 1))
        rows[torch.arange(len(rows)), some.repeat_interleave(count)] = 0
        index = torch.arange(count, device=images.device).repeat(len(some))
        effects[some] = answer(rows, index=index).unflatten(0, (len(some), count)) - clean
    return effects


@torch.no_grad()
def relative_silencing(model: nn.Module, layer: Layer, images: Tensor, *, batch: int = 256) -> Tensor:
    """How much of what a picture does to the logits changes when a channel is silenced, whatever the logits' scale.

    Root mean square of the change over that of the logits themselves, both taken from their mean over the classes
    (which the softmax does not see) and over the images (what is the same for every picture says nothing of it). Twice
    the last layer's weights give the same number. 0: the channel makes no difference between pictures; 1: the change is as
    large as all that tells the pictures apart.

    Args:
        model: a classifier that returns logits ``(N, classes)``.
        layer: the layer, by name or as a module.
        images: ``(N, channel, height, width)``, at least two.
        batch: rows (image and channel) that are run together.

    Returns:
        One number for each channel: ``(channels,)``, not negative.

    Raises:
        ValueError: fewer than two images, unknown layer, or logits that are the same for all images.
    """
    if len(images) < 2:
        raise ValueError(f"{len(images)} image cannot vary: pass at least two.")
    changes = silencing_effects(model, layer, images, batch=batch, logits=True)
    clean = model(images)

    def varying(values: Tensor) -> Tensor:  # (..., N, classes)
        values = values - values.mean(-1, keepdim=True)
        return values - values.mean(-2, keepdim=True)

    own = varying(clean).square().mean().sqrt()
    if own <= 1e-6 * clean.abs().max():  # nothing but rounding
        raise ValueError("The logits are the same for every image, so there is nothing to compare with: use other images.")
    return varying(changes).square().mean(dim=(1, 2)).sqrt() / own


def _check_channels(name: str, activation: Tensor, channels: Sequence[int]) -> None:
    if isinstance(channels, int):
        raise ValueError(f"Channels are a list: write [{channels}] for channel {channels} alone.")
    wrong = [channel for channel in channels if not 0 <= channel < activation.shape[1]]
    if wrong:
        raise ValueError(f"Layer {name!r} has channels 0 to {activation.shape[1] - 1}; there is no channel {wrong[0]}.")


def count_parameters(module: nn.Module) -> int:
    """Number of learnable weights and biases of a module."""
    return sum(math.prod(parameter.shape) for parameter in module.parameters())


def with_classes(network: nn.Module, classes: int, example: Tensor) -> nn.Module:
    """A copy of a classifier with another number of classes: its last layer of weights is made anew, at random.

    Args:
        network: its last `nn.Linear` or `nn.Conv2d` to run, wherever it stands, must give one number a class.
        classes: the new number of classes.
        example: images ``(N, channel, height, width)`` with which the network can run.

    Returns:
        The copy.

    Raises:
        ValueError: the last layer of weights is of another kind, or does not give one number a class.
    """
    network = copy.deepcopy(network)
    ran: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: ran.append(module))
        for module in network.modules()
        if not list(module.children()) and list(module.parameters(recurse=False))
    ]
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            old = network(example).shape[1]
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    last = ran[-1] if ran else None
    bias = getattr(last, "bias", None) is not None
    if type(last) is nn.Linear and last.out_features == old:
        new: nn.Module = nn.Linear(last.in_features, classes, bias)
    elif type(last) is nn.Conv2d and last.out_channels == old and last.groups == 1:
        new = nn.Conv2d(
            last.in_channels, classes, last.kernel_size, last.stride, last.padding, last.dilation, 1, bias, last.padding_mode
        )
    else:
        raise ValueError(
            f"The last layer of weights is {type(last).__name__ if last is not None else 'missing'}: only a network that ends "
            "in an nn.Linear or nn.Conv2d with one output a class can be given other classes."
        )
    if last is network:
        return new
    name = next(name for name, module in network.named_modules() if module is last)
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)
    return network


def fit(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int = 4,
    batch: int = 64,
    learning_rate: float = 4e-3,
    seed: int = 0,
) -> list[float]:
    """Train a classifier in place with Adam and a one-cycle schedule (Smith and Topin, 2018), and leave it in eval mode.

    Args:
        network: returns logits ``(N, classes)``.
        images: ``(N, channel, height, width)``.
        labels: class indices ``(N,)``.
        epochs: passes over the pictures.
        batch: pictures in one step.
        learning_rate: the schedule's peak.
        seed: of the order in which pictures are seen.

    Returns:
        The loss at each step.

    Raises:
        ValueError: fewer pictures than one batch, or the loss is not finite.
    """
    steps = len(images) // batch
    if steps == 0:
        raise ValueError(f"{len(images)} pictures are fewer than one batch of {batch}: pass more, or a smaller batch.")
    if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in network.parameters()):
        with torch.no_grad():  # lazy layers take their shapes from a first look
            network.eval()(images[:2])
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * steps)
    losses: list[float] = []
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            loss = nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise ValueError(f"The loss is {losses[-1]} at step {len(losses)}: use a smaller learning rate.")
    network.eval()
    return losses


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor, *, batch: int = 256) -> float:
    """Share of pictures whose highest logit is that of their label, from 0 to 1, measured in eval mode."""
    training = network.training
    network.eval()
    try:
        right = sum(
            int((network(images[first : first + batch]).argmax(1) == labels[first : first + batch]).sum())
            for first in range(0, len(images), batch)
        )
    finally:
        network.train(training)
    return right / len(images)
