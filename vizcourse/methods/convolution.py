"""What a convolutional network is made of: windows, channels, receptive fields, and switching a channel off.

The arithmetic follows Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (2016), and the receptive
field Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill, 2019).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor, nn

from vizcourse.hooks import Layer, Layout, capture, layout_of, replay, resolve
from vizcourse.methods.checks import (
    checked_classes,
    checked_count,
    checked_finite,
    checked_images,
    checked_logits,
    checked_model,
    checked_number,
    not_probabilities,
)
from vizcourse.methods.passes import evaluating, left_alone


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
    for name, value in (("size", size), ("kernel", kernel), ("stride", stride)):
        checked_count(value, name)
    checked_count(padding, "padding", least=0)
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
    for name, values in (("image", image), ("kernels", kernels)):
        if not isinstance(values, Tensor):
            raise ValueError(f"The {name} must be a tensor, not a {type(values).__name__}: use torch.as_tensor(…).")
        checked_finite(values, f"values of the {name}")
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
    try:
        chain = [tuple(layer) for layer in layers]
    except TypeError:
        chain = [()]
    if any(len(layer) != 3 for layer in chain):
        raise ValueError(f"Layers are a list of (kernel, stride, padding), such as [(3, 1, 1)], not {layers!r:.60}.")
    for each in chain:
        for name, value, least in zip(("kernel", "stride", "padding"), each, (1, 1, 0), strict=True):
            checked_count(value, name, least=least)
    size, jump, start = 1, 1, 0.5
    for kernel, stride, padding in chain:
        size += (kernel - 1) * jump
        start += ((kernel - 1) / 2 - padding) * jump
        jump *= stride
    return ReceptiveField(size, jump, start)


def gradient_field(
    model: nn.Module,
    images: Tensor,
    layer: Layer,
    position: tuple[int, int] | None = None,
    *,
    layout: Layout | str | None = None,
) -> Tensor:
    """How strongly one neuron of ``layer`` answers to each input pixel: mean absolute gradient over images and channels.

    Pixels outside the receptive field have a gradient of exactly zero, so this verifies the formula; inside, it shows
    the *effective* receptive field (Luo et al., 2016), which is smaller and soft.

    Args:
        model: any network.
        images: ``(N, channel, height, width)``.
        layer: a layer with spatial extent, by name or as a module.
        position: ``(row, column)`` of the neuron; the middle one by default.
        layout: how the layer lays out its activation, where it cannot be found; see :func:`vizcourse.hooks.layout_of`.

    Returns:
        ``(height, width)``, non-negative.

    Raises:
        ValueError: unknown layer, a layer without spatial extent, or a position outside it.
    """
    pixels = checked_images(images, checked_model(model)).detach().clone().requires_grad_()
    name, _ = resolve(model, layer)
    with left_alone(model), torch.enable_grad():
        with capture(model, layer, stop=True) as acts:
            model(pixels.clone())  # a first layer may work in place
        activation = acts[name]
        if activation.ndim != 4:
            raise ValueError(
                f"Layer {name!r} gives {tuple(activation.shape)}: choose a layer with (batch, channel, height, width)."
            )
        maps = layout_of(model, name, activation, images=pixels, layout=layout).to_maps(activation)
        rows, columns = maps.shape[2:]
        position = (rows // 2, columns // 2) if position is None else position
        if not isinstance(position, Sequence) or len(position) != 2:
            raise ValueError(f"A position is a (row, column) of whole numbers, not {position!r}.")
        row, column = (checked_count(place, "A row or column", least=-(10**9)) for place in position)
        if not (0 <= row < rows and 0 <= column < columns):
            raise ValueError(f"Layer {name!r} has {rows} × {columns} positions; there is no position ({row}, {column}).")
        (gradient,) = torch.autograd.grad(maps[:, :, row, column].sum(), pixels)
    return gradient.abs().mean(dim=(0, 1))


@torch.no_grad()
def silence(
    model: nn.Module, images: Tensor, layer: Layer, channels: Sequence[int], *, layout: Layout | str | None = None
) -> Tensor:
    """The model's answer, in eval mode, with some channels of a layer set to zero everywhere.

    Args:
        model: any network.
        images: ``(N, channel, height, width)``.
        layer: the layer, by name or as a module.
        channels: the channels to switch off; none gives the unchanged answer.
        layout: how the layer lays out its activation, where it cannot be found; see :func:`vizcourse.hooks.layout_of`.

    Returns:
        The model's output, for example logits ``(N, classes)``.

    Raises:
        ValueError: no images or such that are not finite, an unknown layer, or a channel that the layer does not have.
    """
    images = checked_images(images, checked_model(model))
    with evaluating(model):
        tail = replay(model, images, layer)
        found = layout_of(model, tail.name, tail.activation, images=images, layout=layout)
        maps = found.to_maps(tail.activation).clone()
        maps[:, _checked_channels(channels, maps.shape[1], tail.name)] = 0
        return tail(found.from_maps(maps))


@torch.no_grad()
def silencing_effects(
    model: nn.Module,
    images: Tensor,
    layer: Layer,
    *,
    batch: int = 256,
    logits: bool = False,
    layout: Layout | str | None = None,
) -> Tensor:
    """What silencing each channel of a layer, one at a time, does to the class probabilities (in eval mode).

    The network runs up to the layer once; then only the rest is run, for many channels in one batch.

    Args:
        model: a classifier that returns logits ``(N, classes)``.
        images: ``(N, channel, height, width)``.
        layer: the layer, by name or as a module.
        batch: rows (image and channel) that are run together.
        logits: change of the logits instead of the probabilities.
        layout: how the layer lays out its activation, where it cannot be found; see :func:`vizcourse.hooks.layout_of`.

    Returns:
        Probability (or logit) with the channel silenced minus without: ``(channels, N, classes)``.

    Raises:
        ValueError: no images or such that are not finite, an unknown layer, or a model that returns probabilities.
    """
    images, batch = checked_images(images, checked_model(model)), checked_count(batch, "batch")
    with evaluating(model):
        tail = replay(model, images, layer)
        found = layout_of(model, tail.name, tail.activation, images=images, layout=layout)
        maps = found.to_maps(tail.activation)
        clean = checked_logits(tail(tail.activation))
        clean = clean if logits else not_probabilities(clean).softmax(1)
        count, channels = maps.shape[:2]
        effects = []
        for pairs in torch.arange(channels * count, device=images.device).split(batch):
            image, channel = pairs % count, pairs // count
            rows = maps[image]
            rows[torch.arange(len(rows), device=images.device), channel] = 0
            answers = tail(found.from_maps(rows), index=image)
            effects.append((answers if logits else answers.softmax(1)) - clean[image])
    return torch.cat(effects).unflatten(0, (channels, count))


@torch.no_grad()
def relative_silencing(
    model: nn.Module, images: Tensor, layer: Layer, *, batch: int = 256, layout: Layout | str | None = None
) -> Tensor:
    """How much of what a picture does to the logits changes when a channel is silenced, whatever the logits' scale.

    Root mean square of the change over that of the logits themselves, both taken from their mean over the classes
    (which the softmax does not see) and over the images (what is the same for every picture says nothing of it). Twice
    the last layer's weights give the same number. 0: the channel makes no difference between pictures; 1: the change is as
    large as all that tells the pictures apart.

    Args:
        model: a classifier that returns logits ``(N, classes)``.
        images: ``(N, channel, height, width)``, at least two.
        layer: the layer, by name or as a module.
        batch: rows (image and channel) that are run together.
        layout: how the layer lays out its activation, where it cannot be found; see :func:`vizcourse.hooks.layout_of`.

    Returns:
        One number for each channel: ``(channels,)``, not negative.

    Raises:
        ValueError: fewer than two images, unknown layer, or logits that are the same for all images.
    """
    images = checked_images(images, checked_model(model), least=2)
    changes = silencing_effects(model, images, layer, batch=batch, logits=True, layout=layout)
    with evaluating(model):
        clean = model(images.clone())

    def varying(values: Tensor) -> Tensor:  # (..., N, classes)
        values = values - values.mean(-1, keepdim=True)
        return values - values.mean(-2, keepdim=True)

    own = varying(clean).square().mean().sqrt()
    if own <= 1e-6 * clean.abs().max():  # nothing but rounding
        raise ValueError("The logits are the same for every image, so there is nothing to compare with: use other images.")
    return varying(changes).square().mean(dim=(1, 2)).sqrt() / own


def _checked_channels(channels: Sequence[int], count: int, name: str) -> list[int]:
    if isinstance(channels, int):
        raise ValueError(f"Channels are a list: write [{channels}] for channel {channels} alone.")
    wanted = (
        channels.tolist() if isinstance(channels, Tensor) else list(channels) if isinstance(channels, Iterable) else [channels]
    )
    if any(isinstance(channel, bool) or not isinstance(channel, Integral) for channel in wanted):
        raise ValueError(f"Channels are whole numbers, such as [3, 7], not {wanted}; those of a mask are mask.nonzero()[:, 0].")
    wrong = [channel for channel in wanted if not 0 <= channel < count]
    if wrong:
        raise ValueError(f"Layer {name!r} has channels 0 to {count - 1}; there is no channel {wrong[0]}.")
    return wanted


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
    checked_count(classes, "classes")
    example = checked_images(example, checked_model(network))
    network = copy.deepcopy(network)
    ran: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: ran.append(module))
        for module in network.modules()
        if not list(module.children()) and list(module.parameters(recurse=False))
    ]
    try:
        with torch.no_grad(), evaluating(network):
            old = network(example.clone()).shape[1]
    finally:
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
    new = new.to(last.weight)
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
    for value, name in ((epochs, "epochs"), (batch, "batch")):
        checked_count(value, name)
    checked_number(learning_rate, "learning_rate", above=0)
    images = checked_images(images)
    labels = checked_classes(labels, len(images), name="labels", each=True)
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
            logits = network(images[chosen])
            checked_classes(labels[chosen], len(chosen), logits.shape[1], name="labels", each=True)
            loss = nn.functional.cross_entropy(logits, labels[chosen])
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
    images, batch = checked_images(images, checked_model(network)), checked_count(batch, "batch")
    with evaluating(network):
        answers = torch.cat([checked_logits(network(some.clone())) for some in images.split(batch)])
    labels = checked_classes(labels, len(images), answers.shape[1], name="labels", each=True).to(answers.device)
    return int((answers.argmax(1) == labels).sum()) / len(images)
