"""What steps are taken in, and what is done to a picture before the network sees it.

The same picture can be written as pixels, as waves, or as a point in the latent space of a generative network, and in each of
them gradient ascent takes another path (Olah et al., "Feature Visualization", 2017, section "Preconditioning").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.methods.checks import checked_count, checked_number, checked_numbers
from vizcourse.methods.passes import picture_batches


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
    for batch in picture_batches([pictures] if isinstance(pictures, Tensor) else pictures):
        colours = batch.detach().transpose(0, 1).flatten(1).double().cpu()
        count, total, product = count + colours.shape[1], total + colours.sum(1), product + colours @ colours.T
    if not count:
        raise ValueError("The pictures have no pixels: pass (N, 3, height, width), none of them 0.")
    mean = total / count
    variances, colours = torch.linalg.eigh(product / count - mean.outer(mean))
    colours = colours * colours.gather(0, colours.abs().argmax(0, keepdim=True)).sign()  # a sign that does not depend on luck
    return (colours * variances.clamp_min(0).sqrt()).flip(1).float()


def _with_colours(colours: Tensor | None) -> Callable[[Tensor], Tensor]:
    """From three independent numbers a pixel to colours in (0, 1)."""
    if colours is None:
        return torch.sigmoid
    try:
        matrix = torch.as_tensor(colours, dtype=torch.float32).detach()
    except (TypeError, ValueError, RuntimeError):
        matrix = torch.zeros(())
    if matrix.shape != (3, 3) or not matrix.isfinite().all() or not matrix.any():
        raise ValueError("colours must be a 3 × 3 matrix of finite numbers, such as colour_matrix(pictures) gives, or None.")
    matrix = matrix / matrix.norm(dim=0).max()
    return lambda image: torch.sigmoid(torch.einsum("ij,njhw->nihw", matrix.to(image), image))


def _height_and_width(size: int | tuple[int, int]) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, Sequence) and len(size) == 2 else (size, size)
    height, width = (checked_count(side, "size") for side in sides)
    return height, width


def pixels(size: int | tuple[int, int] = 96, *, colours: Tensor | None = None, deviation: float = 0.01) -> Image:
    """Every pixel on its own, which gives the naive, noisy pictures: ``sigmoid`` of the parameters ``(n, 3, h, w)``.

    Args:
        size: pixels, or ``(height, width)``.
        colours: see :func:`fourier`; None for none.
        deviation: standard deviation of the start.
    """
    height, width = _height_and_width(size)
    checked_number(deviation, "deviation", least=0)

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
    decay, _ = checked_number(decay, "decay"), checked_number(deviation, "deviation", least=0)
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
    shape = tuple(checked_count(each, "latent") for each in (latent if isinstance(latent, Sequence) else (latent,)))
    size = None if size is None else checked_count(size, "size")
    checked_number(limit, "limit", above=0)
    if not callable(decoder):
        raise ValueError("A decoder is a module, or a method of one, from latents (n, …) to pictures in [0, 1].")
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
    checked_count(pixels, "pixels", least=0)
    return lambda images, _generator: functional.pad(images, [pixels] * 4, value=0.5)


def jitter(pixels: int) -> Transformation:
    """Shift by up to ``pixels`` in all: the picture loses that many rows and columns, some on each side by chance."""
    checked_count(pixels, "pixels", least=0)

    def transform(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[2] - pixels, images.shape[3] - pixels
        if min(height, width) < 1:
            raise ValueError(f"jitter({pixels}) leaves nothing of {tuple(images.shape[2:])} pixels: take less, or pad first.")
        top, left = (int(torch.randint(pixels + 1, (), generator=generator)) for _ in range(2))
        return images[:, :, top : top + height, left : left + width]

    return transform


def scale(factors: Sequence[float]) -> Transformation:
    """Resize (bilinearly) by one of the factors."""
    factors = checked_numbers(factors, "factors", least=1e-6)

    def transform(images: Tensor, generator: torch.Generator) -> Tensor:
        factor = _choice(factors, generator)
        size = [max(1, round(side * factor)) for side in images.shape[2:]]
        if size == list(images.shape[2:]):
            return images
        return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)

    return transform


def rotate(degrees: Sequence[float]) -> Transformation:
    """Rotate about the centre by one of the angles; the corners that come in are grey."""
    degrees = checked_numbers(degrees, "degrees")

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


def cut(images: Tensor, size: torch.Size) -> Tensor:
    """The central part in the given size, with grey where there is nothing; the network always sees one size."""
    down, across = size[0] - images.shape[2], size[1] - images.shape[3]
    frame = [across // 2, across - across // 2, down // 2, down - down // 2]
    return functional.pad(images, frame, value=0.5) if any(frame) else images
