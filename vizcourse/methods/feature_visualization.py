"""Feature visualization: pictures, found by gradient ascent, that show what a part of a network answers to.

After Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill, 2017). A picture is made from four choices:

- an *objective*, what to raise: :func:`channel`, :func:`neuron`, :func:`logit`, … and sums, differences and multiples
  of these, also with penalties on the picture, as in ``channel("layer3", 7) - 0.1 * total_variation()``;
- an *image*, what to take steps in: :func:`pixels`, :func:`fourier` or the latent space of a :func:`prior`;
- *transformations*, under which the picture must keep its effect: :func:`jitter`, :func:`scale`, :func:`rotate`, …;
- and a seed.

:func:`render` climbs; :func:`top_examples` finds the pictures of a collection that do what a rendered one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from numbers import Real

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from tqdm.auto import tqdm

from vizcourse.hooks import Wanted, capture, resolve

# ---------------------------------------------------------------------------------------------------------- objectives


@dataclass(frozen=True)
class Term:
    """One summand of an objective: ``measure(maps, layer name)`` gives one value a picture, ``(n,)``, to be raised.

    ``maps`` is the layer's activation as ``(n, channel, height, width)``, or the pictures themselves if ``layer`` is None.
    """

    name: str
    layer: Wanted | None
    measure: Callable[[Tensor, str], Tensor]
    weight: float = 1.0


@dataclass(frozen=True, repr=False)
class Objective:
    """What a rendered picture is to raise: a weighted sum of terms. ``+``, ``-``, and ``*`` and ``/`` by numbers work."""

    terms: tuple[Term, ...]

    def __add__(self, other: object) -> Objective:
        if isinstance(other, Objective):
            return Objective(self.terms + other.terms)
        return self if isinstance(other, Real) and other == 0 else NotImplemented  # sum() starts from 0

    __radd__ = __add__

    def __mul__(self, factor: object) -> Objective:
        if not isinstance(factor, Real):
            return NotImplemented
        return Objective(tuple(replace(term, weight=term.weight * float(factor)) for term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: object) -> Objective:
        return self * (1 / divisor) if isinstance(divisor, Real) else NotImplemented

    def __neg__(self) -> Objective:
        return self * -1

    def __sub__(self, other: object) -> Objective:
        return self + -other if isinstance(other, Objective) else NotImplemented

    def __repr__(self) -> str:
        return " + ".join(term.name if term.weight == 1 else f"{term.weight:g} * {term.name}" for term in self.terms)


def _objective(name: str, layer: Wanted | None, measure: Callable[[Tensor, str], Tensor]) -> Objective:
    return Objective((Term(name, layer, measure),))


def channel(layer: Wanted, channel: int) -> Objective:
    """The mean of one channel over all positions: what feature does it look for anywhere in the picture?"""
    return _objective(f"channel({_shown(layer)}, {channel})", layer, lambda maps, name: _one(maps, channel, name).mean((1, 2)))


def neuron(layer: Wanted, channel: int, position: tuple[int, int] | None = None) -> Objective:
    """One channel at one ``(row, column)`` of the layer's map; by default at its centre."""

    def measure(maps: Tensor, name: str) -> Tensor:
        return _one(_at(maps, position or (maps.shape[2] // 2, maps.shape[3] // 2), name), channel, name).flatten()

    return _objective(f"neuron({_shown(layer)}, {channel})", layer, measure)


def logit(index: int, layer: Wanted = "") -> Objective:
    """One output of the network before the softmax; ``layer`` is needed only if the model does not return logits."""
    return _objective(f"logit({index})", layer, lambda maps, name: _one(maps, index, name).mean((1, 2)))


def layer(layer: Wanted) -> Objective:
    """The mean square of a whole layer, which strengthens whatever is seen: DeepDream (Mordvintsev et al., 2015)."""
    return _objective(f"layer({_shown(layer)})", layer, lambda maps, name: maps.square().mean((1, 2, 3)))


def position(layer: Wanted, position: tuple[int, int]) -> Objective:
    """The mean square over all channels at one ``(row, column)`` of the layer's map."""

    def measure(maps: Tensor, name: str) -> Tensor:
        return _at(maps, position, name).square().mean((1, 2, 3))

    return _objective(f"position({_shown(layer)}, {position})", layer, measure)


def direction(layer: Wanted, vector: Tensor, position: tuple[int, int] | None = None, *, cosine_power: float = 0) -> Objective:
    """The activation vectors ``h`` along a direction ``v``: ``(h·v / |v|) · max(cos(h, v), 0.1) ** cosine_power``.

    With power 0 a long vector that is mostly something else still scores; a higher power asks for the direction itself
    (Carter et al., "Activation Atlas", 2019).

    Args:
        layer: the layer, by name or as a module.
        vector: ``(channels,)``, not zero; only its direction matters.
        position: ``(row, column)``; by default the mean over all positions.
        cosine_power: from 0 on.
    """
    vector = torch.as_tensor(vector, dtype=torch.float32).detach()
    if vector.ndim != 1 or not vector.isfinite().all() or not vector.any():
        raise ValueError("A direction is a vector (channels,) of finite numbers that are not all zero.")

    def measure(maps: Tensor, name: str) -> Tensor:
        if len(vector) != maps.shape[1]:
            raise ValueError(f"Layer {name!r} has {maps.shape[1]} channels, and the direction has {len(vector)} entries.")
        maps = maps if position is None else _at(maps, position, name)
        return _along(maps, vector.to(maps).view(1, -1, 1, 1), 1, cosine_power).mean((1, 2))

    return _objective(f"direction({_shown(layer)})", layer, measure)


def caricature(layer: Wanted, activation: Tensor, *, cosine_power: float = 1) -> Objective:
    """A picture that exaggerates what a layer saw in another picture (Olah, 2018): ``h·t / |t| · max(cos, 0.1) ** power``.

    Args:
        layer: the layer, by name or as a module.
        activation: ``t``, the layer's activation for the other picture, as :func:`vizcourse.hooks.capture` gives it,
            ``(1, …)``, or ``(n, …)`` for one of its own for each of the n pictures of this objective. Render at the size
            of the other picture.
        cosine_power: from 0 on.
    """

    def measure(maps: Tensor, name: str) -> Tensor:
        return _along(maps.flatten(1), _target(activation, maps, name).flatten(1), 1, cosine_power)

    return _objective(f"caricature({_shown(layer)})", layer, measure)


def inversion(layer: Wanted, activation: Tensor) -> Objective:
    """A picture with the same activation ``t`` as another one: ``-|h - t|² / |t|²`` (Mahendran and Vedaldi, 2015).

    Args:
        layer: the layer, by name or as a module.
        activation: as for :func:`caricature`.
    """

    def measure(maps: Tensor, name: str) -> Tensor:
        target = _target(activation, maps, name)
        return -(maps - target).square().sum((1, 2, 3)) / target.square().sum((1, 2, 3)).clamp_min(1e-12)

    return _objective(f"inversion({_shown(layer)})", layer, measure)


def diversity(layer: Wanted) -> Objective:
    """How different the pictures of one objective are: add some of it to see several facets of one unit.

    Minus the mean cosine between the Gram matrices (channel by channel, as for artistic style) of a picture and each of
    the others. Render with ``variants=2`` or more.
    """

    def measure(maps: Tensor, name: str) -> Tensor:
        count = len(maps)
        if count < 2:
            raise ValueError("diversity compares the pictures of one objective: render with variants=2 or more.")
        flat = maps.flatten(2)
        grams = functional.normalize((flat @ flat.transpose(1, 2)).flatten(1), dim=1)
        return (grams.square().sum(1) - grams @ grams.sum(0)) / (count - 1)

    return _objective(f"diversity({_shown(layer)})", layer, measure)


def total_variation() -> Objective:
    """How much neighbouring pixels differ: the sum of ``|difference|`` down and across, divided by height · width · 3."""

    def measure(images: Tensor, _name: str) -> Tensor:
        down, across = images.diff(dim=2).abs().sum((1, 2, 3)), images.diff(dim=3).abs().sum((1, 2, 3))
        return (down + across) / images[0].numel()

    return _objective("total_variation()", None, measure)


def l1() -> Objective:
    """The mean ``|pixel - 0.5|``: pulls what is not needed to grey."""
    return _objective("l1()", None, lambda images, _name: (images - 0.5).abs().mean((1, 2, 3)))


def l2() -> Objective:
    """The mean ``(pixel - 0.5)²``: discourages strong contrasts."""
    return _objective("l2()", None, lambda images, _name: (images - 0.5).square().mean((1, 2, 3)))


def blur() -> Objective:
    """Half the mean squared difference from the picture blurred with (1 2 1) down and across.

    The blurred picture counts as given, so a step on this penalty is a step towards it.
    """

    def measure(images: Tensor, _name: str) -> Tensor:
        kernel = images.new_tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]).div(16).expand(images.shape[1], 1, 3, 3)
        padded = functional.pad(images.detach(), [1] * 4, mode="replicate")
        return (images - functional.conv2d(padded, kernel, groups=images.shape[1])).square().mean((1, 2, 3)) / 2

    return _objective("blur()", None, measure)


def _shown(layer: Wanted) -> str:
    return type(layer).__name__ if isinstance(layer, nn.Module) else repr(layer)


def _maps(activation: Tensor, name: str) -> Tensor:
    """An activation as ``(n, channel, height, width)``: tokens make a map of one row, a vector a map of one position."""
    if activation.ndim == 4:
        return activation
    if activation.ndim == 3:
        return activation.transpose(1, 2)[:, :, None]
    if activation.ndim == 2:
        return activation[:, :, None, None]
    raise ValueError(
        f"Layer {name!r} gives {tuple(activation.shape)}: choose a layer with (batch, channel, height, width), "
        "(batch, token, channel) or (batch, channel)."
    )


def _one(maps: Tensor, channel: int, name: str) -> Tensor:
    if not 0 <= channel < maps.shape[1]:
        layer = f"Layer {name!r}" if name else "The model's output"
        raise ValueError(f"{layer} has channels 0 to {maps.shape[1] - 1}; there is no channel {channel}.")
    return maps[:, channel]


def _at(maps: Tensor, position: tuple[int, int], name: str) -> Tensor:
    (rows, columns), (row, column) = maps.shape[2:], position
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(f"Layer {name!r} has {rows} × {columns} positions; there is no position ({row}, {column}).")
    return maps[:, :, row : row + 1, column : column + 1]


def _along(vectors: Tensor, towards: Tensor, dim: int, power: float) -> Tensor:
    dot = (vectors * towards).sum(dim) / towards.norm(dim=dim).clamp_min(1e-12)
    return dot * (dot / (vectors.norm(dim=dim) + 1e-12)).clamp_min(0.1) ** power if power else dot


def _target(activation: Tensor, maps: Tensor, name: str) -> Tensor:
    target = _maps(activation.detach().to(maps), name)
    if target.shape[1:] != maps.shape[1:] or len(target) not in (1, len(maps)):
        raise ValueError(
            f"Layer {name!r} gives {tuple(maps.shape)} here and the target is {tuple(target.shape)}: "
            "render at the size of the picture from which the target comes, and give one target or one for each picture."
        )
    return target


# -------------------------------------------------------------------------------------------------------------- images


@dataclass(frozen=True)
class Image:
    """What is optimised: ``start(count, generator)`` gives the first parameters, ``decode`` makes pictures of them."""

    start: Callable[[int, torch.Generator], Tensor]
    decode: Callable[[Tensor], Tensor]
    modules: tuple[nn.Module, ...] = ()  # to be left exactly as they are


# The square root of the covariance of ImageNet's pixel colours, as published with Lucid: brightness, blue to yellow,
# green to magenta, by falling variance.
IMAGENET_COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


def colour_matrix(pictures: Tensor | Iterable) -> Tensor:
    """The square root of the covariance of pixel colours, ``U √S``, for :func:`fourier` and :func:`pixels`.

    Steps along its columns are steps in colours that vary independently in the given pictures, each as much as it does.

    Args:
        pictures: ``(N, 3, height, width)``, or an iterable of such batches or of ``(batch, …)`` tuples.

    Returns:
        ``(3, 3)``; column by column the principal colours by falling variance; ``matrix @ matrix.T`` is the covariance.

    Raises:
        ValueError: no pictures, or values that are not finite.
    """
    count, total, product = 0, torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    for batch in _batches([pictures] if isinstance(pictures, Tensor) else pictures):
        colours = batch.detach().transpose(0, 1).flatten(1).double().cpu()
        count, total, product = count + colours.shape[1], total + colours.sum(1), product + colours @ colours.T
    mean = total / count
    variances, colours = torch.linalg.eigh(product / count - mean.outer(mean))
    colours = colours * colours.gather(0, colours.abs().argmax(0, keepdim=True)).sign()  # a sign that does not depend on luck
    return (colours * variances.clamp_min(0).sqrt()).flip(1).float()


def _with_colours(colours: Tensor | None) -> Callable[[Tensor], Tensor]:
    """From three independent numbers a pixel to colours in (0, 1)."""
    if colours is None:
        return torch.sigmoid
    matrix = torch.as_tensor(colours, dtype=torch.float32).detach()
    if matrix.shape != (3, 3) or not matrix.isfinite().all() or not matrix.any():
        raise ValueError("colours must be a 3 × 3 matrix of finite numbers, such as colour_matrix(pictures) gives, or None.")
    matrix = matrix / matrix.norm(dim=0).max()
    return lambda image: torch.sigmoid(torch.einsum("ij,njhw->nihw", matrix.to(image), image))


def _height_and_width(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"A picture of {height} × {width} pixels is empty: size must be at least 1.")
    return height, width


def pixels(size: int | tuple[int, int] = 96, *, colours: Tensor | None = None, deviation: float = 0.01) -> Image:
    """Every pixel on its own, which gives the naive, noisy pictures: ``sigmoid`` of the parameters ``(n, 3, h, w)``.

    Args:
        size: pixels, or ``(height, width)``.
        colours: see :func:`fourier`; None for none.
        deviation: standard deviation of the start.
    """
    height, width = _height_and_width(size)

    def start(count: int, generator: torch.Generator) -> Tensor:
        return deviation * torch.randn(count, 3, height, width, generator=generator)

    return Image(start, _with_colours(colours))


def fourier(
    size: int | tuple[int, int] = 96,
    *,
    colours: Tensor | None = IMAGENET_COLOURS,
    decay: float = 1,
    deviation: float = 0.01,
) -> Image:
    """Steps in the spectrum, scaled by 1 / frequency as in natural pictures, and in independent colours.

    The picture is ``sigmoid(C · irfft2(z / max(f, 1/longer side) ** decay) / 4)`` with the orthonormal transform, ``f``
    in cycles per pixel and ``C`` the colour matrix divided by the length of its longest column (Olah et al., 2017;
    conventions of Lucid).

    Args:
        size: pixels, or ``(height, width)``.
        colours: ``(3, 3)``, the default from ImageNet or :func:`colour_matrix` of the network's own training pictures;
            None leaves red, green and blue as they are.
        decay: 0 treats all frequencies alike.
        deviation: standard deviation of the start.
    """
    height, width = _height_and_width(size)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    gain = frequency.clamp_min(1 / max(height, width)) ** -decay / 4
    coloured = _with_colours(colours)

    def start(count: int, generator: torch.Generator) -> Tensor:
        return deviation * torch.randn(count, 3, *gain.shape, 2, generator=generator)

    def decode(spectrum: Tensor) -> Tensor:
        scaled = torch.view_as_complex(spectrum) * gain.to(spectrum)
        return coloured(torch.fft.irfft2(scaled, s=(height, width), norm="ortho"))

    return Image(start, decode)


def prior(
    decoder: Callable[[Tensor], Tensor], latent: int | tuple[int, ...], size: int | None = None, *, limit: float = 3
) -> Image:
    """Steps in the latent space of a generative network, so that only what it can draw is found (Nguyen et al., 2016).

    Args:
        decoder: a module, or a method of one, from standard normal latents ``(n, *latent)`` to pictures in [0, 1].
        latent: shape of one latent.
        size: pixels to which its pictures are resized; by default they are left as they are.
        limit: latents are kept between ``-limit`` and ``limit``, softly, where the decoder has learned something.
    """
    shape = (latent,) if isinstance(latent, int) else tuple(latent)
    owner = getattr(decoder, "__self__", decoder)

    def decode(latents: Tensor) -> Tensor:
        pictures = decoder(limit * torch.tanh(latents / limit))
        if size is None or pictures.shape[2:] == (size, size):
            return pictures
        return functional.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True).clamp(0, 1)

    modules = (owner,) if isinstance(owner, nn.Module) else ()
    return Image(lambda count, generator: torch.randn(count, *shape, generator=generator), decode, modules)


# ----------------------------------------------------------------------------------------------------- transformations

Transformation = Callable[[Tensor, torch.Generator], Tensor]


def _choice(options: Sequence, generator: torch.Generator) -> float:
    return options[int(torch.randint(len(options), (), generator=generator))]


def pad(pixels: int) -> Transformation:
    """A grey frame, so that jitter and rotation do not cut the picture's rim."""
    return lambda images, _generator: functional.pad(images, [pixels] * 4, value=0.5)


def jitter(pixels: int) -> Transformation:
    """Shift by up to ``pixels`` in all: the picture loses that many rows and columns, some on each side by chance."""

    def transform(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2] - pixels, images.shape[3] - pixels
        if min(height, width) < 1:
            raise ValueError(f"jitter({pixels}) leaves nothing of {tuple(images.shape[2:])} pixels: take less, or pad first.")
        top, left = (int(torch.randint(pixels + 1, (), generator=generator)) for _ in range(2))
        return images[:, :, top : top + height, left : left + width]

    return transform


def scale(factors: Sequence[float]) -> Transformation:
    """Resize (bilinearly) by one of the factors."""

    def transform(images: Tensor, generator: torch.Generator) -> Tensor:
        factor = _choice(factors, generator)
        size = [max(1, round(side * factor)) for side in images.shape[2:]]
        if size == list(images.shape[2:]):
            return images
        return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)

    return transform


def rotate(degrees: Sequence[float]) -> Transformation:
    """Rotate about the centre by one of the angles; the corners that come in are grey."""

    def transform(images: Tensor, generator: torch.Generator) -> Tensor:
        angle = math.radians(_choice(degrees, generator))
        if angle == 0:
            return images
        # The grid is in units of half a side, so a picture that is not square needs the ratio of its sides.
        ratio = images.shape[2] / images.shape[3]
        cos, sin = math.cos(angle), math.sin(angle)
        turn = images.new_tensor([[cos, -sin * ratio, 0], [sin / ratio, cos, 0]]).expand(len(images), 2, 3)
        grid = functional.affine_grid(turn, list(images.shape), align_corners=False)
        return functional.grid_sample(images - 0.5, grid, align_corners=False) + 0.5

    return transform


# As in the article's appendix, and as in Lucid and Lucent; both were made for pictures of 224 pixels.
DISTILL = (pad(16), jitter(16), scale((1, 0.975, 1.025, 0.95, 1.05)), rotate(range(-5, 6)), jitter(8))
LUCENT = (
    pad(12),
    jitter(8),
    scale([1 + (step - 5) / 50 for step in range(11)]),
    rotate([*range(-10, 11), 0, 0, 0, 0, 0]),
    jitter(4),
)
# For the course's pictures of 96 pixels.
DEFAULT = (pad(6), jitter(8), scale((0.95, 0.975, 1, 1.025, 1.05)), rotate(range(-5, 6)), jitter(4))


def _cut(images: Tensor, size: torch.Size) -> Tensor:
    """The central part in the given size, with grey where there is nothing; the network always sees one size."""
    down, across = size[0] - images.shape[2], size[1] - images.shape[3]
    frame = [across // 2, across - across // 2, down // 2, down - down // 2]
    return functional.pad(images, frame, value=0.5) if any(frame) else images


# ----------------------------------------------------------------------------------------------------------- rendering


class ConstantObjective(ValueError):
    """A term of an objective is the same whatever the picture; ``indices`` lists the objectives that have one."""

    def __init__(self, message: str, indices: list[int]) -> None:
        super().__init__(message)
        self.indices = indices


class NotFinite(ValueError):
    """The loss or its gradient was not finite at ``step``; ``images`` are the last good ones, ``(N, 3, h, w)``."""

    def __init__(self, message: str, step: int, images: Tensor) -> None:
        super().__init__(message)
        self.step, self.images = step, images


@dataclass(frozen=True)
class Rendering:
    """What :func:`render` returns.

    Attributes:
        images: ``(N, 3, height, width)`` in [0, 1], objective by objective.
        values: ``(steps, N)``, each objective on the transformed picture before each step.
        frames: ``(frames, N, 3, height, width)`` of the path from the start to the end, on the CPU.
        frame_steps: after how many steps each frame was taken.
    """

    images: Tensor
    values: Tensor
    frames: Tensor
    frame_steps: tuple[int, ...]


def render(
    model: nn.Module,
    objective: Objective | Sequence[Objective],
    *,
    image: Image | None = None,
    steps: int = 128,
    learning_rate: float = 0.05,
    transformations: Sequence[Transformation] = DEFAULT,
    variants: int = 1,
    seed: int = 0,
    frames: int = 0,
    warm_up: int = 16,
    progress: bool = True,
) -> Rendering:
    """Make pictures that raise objectives, by gradient ascent (Adam) from faint noise.

    All objectives share one batch, one starting noise and the same transformations at each step, so a picture is the
    same whether rendered alone or among others (but for rounding), and differs from its neighbour only by what is asked.
    The forward pass ends at the last layer that an objective names. The model runs in eval mode, and is left as it was.

    Args:
        model: from pictures ``(N, 3, height, width)`` in [0, 1].
        objective: one, or several.
        image: what to take steps in; by default ``fourier(model.input_size)``, or 96 pixels if the model does not say.
        steps: of gradient ascent.
        learning_rate: Adam's.
        transformations: applied in turn, one draw for the whole batch; ``()`` for none. What they leave is cut or framed
            with grey to the picture's own size.
        variants: pictures of each objective, from different noise.
        seed: of the noise and of the transformations.
        frames: how many pictures of the path to keep, evenly from the start to the end.
        warm_up: steps, at most half of all, in which a gradient that is wholly blocked by a ReLU is let through where it
            would raise the input, because a unit that is silent on noise could never be woken otherwise (as in Lucid).
        progress: show a bar if it takes more than three seconds.

    Raises:
        ValueError: bad numbers, unknown layer or channel out of range (names the valid ones).
        ConstantObjective: a term of an objective does not depend on the picture, as with a dead unit.
        NotFinite: the loss or the gradient is not finite; carries the step and the last good pictures.

    Example:
        >>> result = render(model, [channel("inception4a", 3), channel("inception4a", 3) - channel("inception4a", 7)])
        >>> result.images.shape
        torch.Size([2, 3, 96, 96])
    """
    objectives = _checked(objective)
    if min(steps, variants) < 1 or frames < 0 or not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError("steps and variants must be at least 1, frames at least 0 and learning_rate positive and finite.")
    image = image or fourier(getattr(model, "input_size", 96))
    generator = torch.Generator().manual_seed(seed)
    start = image.start(variants, generator)
    parameter = start.repeat(len(objectives), *[1] * (start.ndim - 1)).to(_device(model)).requires_grad_()
    optimizer = torch.optim.Adam([parameter], learning_rate)
    frame_steps = tuple(round(steps * number / max(1, frames - 1)) for number in range(frames)) if frames != 1 else (steps,)
    kept: list[Tensor] = []
    values: list[Tensor] = []
    warm_up = min(warm_up, steps // 2)
    suspicious = min(steps - 1, max(warm_up, 16))  # when a term that has never moved is looked into
    first = moved = good = None
    with _left_alone(model, *image.modules), torch.enable_grad(), _running(model, _layers(objectives)) as run:
        for step in tqdm(range(steps), "rendering", delay=3, leave=False, disable=not progress):
            pictures = image.decode(parameter)
            now = pictures.detach().clone()
            good = now if good is None else good
            kept += [now.cpu()] * frame_steps.count(step)
            seen = pictures
            for transform in transformations:
                seen = transform(seen, generator)
            with _PassingReLU() if step < warm_up else nullcontext():
                # With the channels side by side in memory, pooling and convolution are faster; the values are the same.
                maps = run(_cut(seen, pictures.shape[2:]).contiguous(memory_format=torch.channels_last))
            terms = _measure(objectives, maps | {None: ("", pictures)})  # penalties look at the untransformed pictures
            each = _weighed(terms)
            layered = [value.detach() for pairs in terms for term, value in pairs if term.layer is not None]
            if step == 0:
                first, moved = layered, [False] * len(layered)
            moved = [has or not torch.equal(*both) for has, *both in zip(moved, first, layered, strict=True)]
            if step == suspicious and not all(moved):
                _refuse_constant(terms, parameter, moved, step + 1)
            gradient = torch.autograd.grad(-each.sum(), parameter)[0] if each.requires_grad else torch.zeros_like(parameter)
            if not (each.detach().sum() + gradient.sum()).isfinite():
                wrong = [term.name for pairs in terms for term, value in pairs if not value.isfinite().all()]
                raise NotFinite(
                    f"{_and(wrong) or 'The gradient'} is not finite at step {step}: check the model's weights, "
                    "or use a smaller weight or learning rate; the last good pictures are this error's .images.",
                    step,
                    good,
                )
            good = now
            values.append(each.detach())
            parameter.grad = gradient
            optimizer.step()
        final = image.decode(parameter).detach()
    kept += [final.cpu()] * frame_steps.count(steps)
    path = torch.stack(kept) if kept else final.new_zeros(0, *final.shape)
    return Rendering(final, torch.stack(values), path, frame_steps)


@torch.no_grad()
def evaluate(model: nn.Module, objective: Objective | Sequence[Objective], pictures: Tensor) -> Tensor:
    """The values of objectives on given pictures, without any transformation.

    Args:
        model: as for :func:`render`.
        objective: one, or several.
        pictures: ``(N, 3, height, width)``.

    Returns:
        ``(objectives, N)``.

    Raises:
        ValueError: no pictures, unknown layer, channel out of range.
    """
    objectives = _checked(objective)
    if pictures.ndim != 4 or len(pictures) == 0:
        raise ValueError(f"Pictures must be (N, 3, height, width) with N at least 1, not {tuple(pictures.shape)}.")
    with _left_alone(model), _running(model, _layers(objectives)) as run:
        return _weighed(_measure(objectives, run(pictures.to(_device(model))), together=True)).view(len(objectives), -1)


def _checked(objective: Objective | Sequence[Objective]) -> list[Objective]:
    objectives = [objective] if isinstance(objective, Objective) else list(objective)
    if not objectives or not all(isinstance(each, Objective) for each in objectives):
        raise ValueError("An objective is needed, such as channel('layer3', 7), or a list of them.")
    return objectives


def _device(model: nn.Module) -> torch.device:
    return next((tensor.device for tensor in [*model.parameters(), *model.buffers()]), torch.device("cpu"))


@contextmanager
def _left_alone(*modules: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients for parameters inside the block, and afterwards everything as it was."""
    training = {module: module.training for root in modules for module in root.modules()}
    needed = {parameter: parameter.requires_grad for root in modules for parameter in root.parameters()}
    try:
        for root in modules:
            root.eval()
            root.requires_grad_(False)
        yield
    finally:
        for module, mode in training.items():
            module.training = mode
        for parameter, need in needed.items():
            parameter.requires_grad_(need)


Seen = dict[Wanted | None, tuple[str, Tensor]]


@contextmanager
def _running(model: nn.Module, layers: Iterable[Wanted | None]) -> Iterator[Callable[[Tensor], Seen]]:
    """A function from pictures to ``{layer: (name, maps)}``, which runs the model no further than to the last layer."""
    keys = {}
    for layer in layers:
        if layer is not None:
            module, *call = layer if isinstance(layer, tuple) else (layer,)
            name = resolve(model, module)[0]
            keys[layer] = (name, *call) if call else name
    inner = [layer for layer, key in keys.items() if key != ""]  # "" is the model's own output

    def run(images: Tensor) -> Seen:
        seen: Seen = {None: ("", images)}
        output = model(images) if keys else None
        for layer, key in keys.items():
            try:
                activation = acts[key] if key != "" else output[0] if isinstance(output, tuple | list) else output
            except KeyError as error:
                raise ValueError(f"Choose another layer: {error.args[0]}.") from None
            name = key if isinstance(key, str) else key[0]
            seen[layer] = name, _maps(activation, name)
        return seen

    with capture(model, inner, stop=len(inner) == len(keys)) if inner else nullcontext({}) as acts:
        yield run


def _layers(objectives: Sequence[Objective]) -> list[Wanted | None]:
    return [term.layer for each in objectives for term in each.terms]


def _measure(objectives: Sequence[Objective], seen: Seen, together: bool = False) -> list[list[tuple[Term, Tensor]]]:
    """For each objective its terms with their values, before they are weighted, on its own share of the batch, ``(n,)``.

    Together, all objectives look at the same pictures.
    """
    count = len(seen[None][1]) // (1 if together else len(objectives))
    # Cut once for all objectives, because the gradient of all the cuts together is one concatenation.
    pieces = {layer: (maps.split(count), name) for layer, (name, maps) in seen.items()}

    def value(term: Term, number: int) -> Tensor:
        parts, name = pieces[term.layer]
        return term.measure(parts[0 if together else number], name)

    return [[(term, value(term, number)) for term in each.terms] for number, each in enumerate(objectives)]


def _weighed(terms: list[list[tuple[Term, Tensor]]]) -> Tensor:
    return torch.cat([sum(term.weight * value for term, value in pairs) for pairs in terms])


def _refuse_constant(terms: list[list[tuple[Term, Tensor]]], parameter: Tensor, moved: list[bool], steps: int) -> None:
    """Raise if a term that has not moved has no gradient either."""
    found: dict[int, str] = {}
    layered = [(number, *pair) for number, pairs in enumerate(terms) for pair in pairs if pair[0].layer is not None]
    for (number, term, value), has_moved in zip(layered, moved, strict=True):
        if has_moved or not value.isfinite().all():
            continue
        gradient = None
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), parameter, retain_graph=True, allow_unused=True)
        if gradient is None or not gradient.any():
            found[number] = f"{term.name} is {value[0].item():g} whatever the picture ({steps} steps)"
    if found:
        raise ConstantObjective(
            f"{_and(list(found.values()))}: a dead unit, or one that noise does not wake; "
            "leave it out, or try another seed or a longer warm_up.",
            list(found),
        )


def _and(texts: Sequence[str], most: int = 3) -> str:
    more = [f"{len(texts) - most} more"] if len(texts) > most else []
    return " and ".join([*texts[:most], *more])


class _PassingReLU(TorchFunctionMode):
    """Inside the block, ReLUs called as functions or as modules let a wholly blocked gradient through."""

    NAMES = (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in self.NAMES:
            return _PassThrough.apply(args[0] if args else kwargs["input"])
        return function(*args, **(kwargs or {}))


class _PassThrough(torch.autograd.Function):
    """ReLU whose gradient, for a picture that gets none at all, is the one that would raise negative inputs."""

    @staticmethod
    def forward(context, hidden: Tensor) -> Tensor:
        context.save_for_backward(hidden)
        return hidden.clamp_min(0)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (hidden,) = context.saved_tensors
        passed = gradient * (hidden > 0)
        blocked = (passed == 0).flatten(1).all(1).view(-1, *[1] * (hidden.ndim - 1))
        # Steps go against the gradient, so a negative one is a wish for more.
        return torch.where(blocked, gradient.clamp_max(0), passed)


# ---------------------------------------------------------------------------------------------------- dataset examples


@dataclass(frozen=True)
class Examples:
    """What :func:`top_examples` returns, best first, for U units and k examples each.

    Attributes:
        values: ``(U, k)``.
        index: ``(U, k)``, the picture's number in the order in which it came.
        position: ``(U, k, 2)``, row and column of the layer's map at which the unit answered most.
        boxes: ``(U, k, 4)``, the receptive field of that position in pixels: top, left, bottom, right (not included).
    """

    values: Tensor
    index: Tensor
    position: Tensor
    boxes: Tensor
    _pictures: dict[int, Tensor] = field(repr=False)

    def pictures(self, unit: int) -> Tensor:
        """The pictures of the unit in place ``unit``, ``(k, 3, height, width)``."""
        return torch.stack([self._pictures[number] for number in self.index[unit].tolist()])

    def crops(self, unit: int) -> list[Tensor]:
        """What the unit saw of each, ``(3, h, w)``; smaller where the receptive field is cut by the picture's rim."""
        both = zip(self.pictures(unit), self.boxes[unit].tolist(), strict=True)
        return [picture[:, top:bottom, left:right] for picture, (top, left, bottom, right) in both]


@torch.no_grad()
def top_examples(
    model: nn.Module,
    layer: Wanted,
    batches: Iterable,
    *,
    channels: Sequence[int] | None = None,
    directions: Tensor | None = None,
    k: int = 9,
    by: str = "max",
    progress: bool = True,
) -> Examples:
    """The pictures that excite units of a layer most, found in one pass over any amount of pictures.

    Only the best k of each unit are held at any time. Of equals, the one that came first is taken.

    Args:
        model: from pictures ``(N, 3, height, width)`` in [0, 1], all of one size.
        layer: the layer, by name or as a module.
        batches: batches of pictures, or of ``(pictures, …)`` tuples as a data loader gives.
        channels: the units; by default all channels.
        directions: ``(U, channels)``: directions in activation space as units instead.
        k: examples for each unit, fewer if there are fewer pictures.
        by: ``"max"`` or ``"mean"`` of the unit's map.
        progress: show a bar if it takes more than three seconds.

    Raises:
        ValueError: no pictures, unknown layer, channel out of range, values that are not finite.
    """
    if by not in ("max", "mean") or k < 1 or (channels is not None and directions is not None):
        raise ValueError('by is "max" or "mean", k at least 1, and channels or directions may be given, not both.')
    values = index = where = None
    pictures: dict[int, Tensor] = {}
    seen = columns = 0
    with _left_alone(model), _running(model, [layer]) as run:
        for batch in tqdm(_batches(batches), "pictures", delay=3, leave=False, disable=not progress):
            batch = batch.to(_device(model))
            name, maps = run(batch)[layer]
            if directions is not None:
                if directions.ndim != 2 or directions.shape[1] != maps.shape[1]:
                    raise ValueError(f"directions must be (U, {maps.shape[1]}) for layer {name!r}.")
                maps = torch.einsum("uc,nchw->nuhw", directions.to(maps), maps)
            elif channels is not None:
                maps = torch.stack([_one(maps, number, name) for number in channels], 1)
            if not maps.sum().isfinite():
                raise ValueError(f"Layer {name!r} gives values that are not finite: check the pictures and the weights.")
            columns = maps.shape[3]
            most, at = maps.flatten(2).max(2)  # (n, U)
            score = most if by == "max" else maps.mean((2, 3))
            number = torch.arange(seen, seen + len(maps), device=at.device)[:, None].expand_as(at)
            new = [entry.T.cpu() for entry in (score, number, at)]
            old = (values, index, where) if seen else [entry[:, :0] for entry in new]
            values, order = torch.cat([old[0], new[0]], 1).sort(dim=1, descending=True, stable=True)
            values, order = values[:, :k], order[:, :k]
            index, where = (torch.cat(both, 1).gather(1, order) for both in zip(old[1:], new[1:], strict=True))
            kept = set(index.flatten().tolist())
            pictures |= {seen + row: batch[row].cpu().clone() for row in range(len(batch)) if seen + row in kept}
            pictures = {number: picture for number, picture in pictures.items() if number in kept}
            seen += len(batch)
    position = torch.stack([where // columns, where % columns], 2)
    rows, sides = _receptive_fields(model, layer, batch[:1])
    tall, wide = rows[position[..., 0]], sides[position[..., 1]]
    boxes = torch.stack([tall[..., 0], wide[..., 0], tall[..., 1], wide[..., 1]], 2)
    return Examples(values, index, position, boxes, pictures)


def _batches(batches: Iterable) -> Iterator[Tensor]:
    """The pictures of each batch, without what may come with them."""
    empty = True
    for batch in batches:
        pictures = batch[0] if isinstance(batch, tuple | list) else batch
        if not isinstance(pictures, Tensor) or pictures.ndim != 4:
            raise ValueError("A batch must be a tensor (N, 3, height, width), or a tuple that begins with one.")
        if not pictures.sum().isfinite():
            raise ValueError("The pictures hold NaN or infinite values: mend them first.")
        if len(pictures):
            empty = False
            yield pictures
    if empty:
        raise ValueError("There are no pictures: pass at least one batch with at least one.")


def _receptive_fields(model: nn.Module, layer: Wanted, picture: Tensor, draws: int = 4) -> tuple[Tensor, Tensor]:
    """Which pixel rows each row of a layer's map can see, ``(rows, 2)`` from and up to, and the same for columns.

    Found from where gradients are not zero on noise, all at once: copy j of the noise asks for row j and column j.
    """
    generator = torch.Generator().manual_seed(0)
    with _left_alone(model), torch.enable_grad(), _running(model, [layer]) as run, _PassingReLU():
        with torch.no_grad():
            rows, columns = run(picture)[layer][1].shape[2:]
        if rows == 1:  # a vector, or tokens: they see everything
            return torch.tensor([[0, picture.shape[2]]]), torch.tensor([[0, picture.shape[3]]]).expand(columns, 2)
        number = torch.arange(max(rows, columns))
        reach = torch.zeros(len(number), *picture.shape[2:], dtype=torch.bool)
        for _ in range(draws):
            noise = torch.rand(len(number), *picture.shape[1:], generator=generator).to(picture).requires_grad_()
            maps = run(noise)[layer][1]
            answer = maps[number, :, number.clamp_max(rows - 1), number.clamp_max(columns - 1)]
            if answer.requires_grad:
                reach |= torch.autograd.grad(answer.sum(), noise, allow_unused=True)[0].ne(0).any(1).cpu()

    def extent(touched: Tensor, count: int) -> Tensor:
        nothing = ~touched.any(1)  # a dead part: the whole picture rather than none of it
        touched = touched | nothing[:, None]
        first = touched.int().argmax(1)
        last = touched.shape[1] - touched.flip(1).int().argmax(1)
        return torch.stack([first, last], 1)[:count]

    return extent(reach.any(2), rows), extent(reach.any(1), columns)
