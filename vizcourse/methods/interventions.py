"""Gradual edits of one photograph: each is a generator of ordered pictures, one for each strength.

All take a picture ``(3, height, width)`` in [0, 1] and the strengths in order, and yield pictures of the same size.
Strengths are given in the natural unit of the edit, and one of them (factor 1, shift 0, weight 0, …) is the picture
itself::

    pictures = torch.stack(list(brightness(image, torch.linspace(0.2, 1.8, 100))))

Every edit changes a whole photograph at once, also where the property is not: an edit of the *fur* needs a mask
(:func:`recolour`), a picture world that knows its causes, or a generative editor (:func:`edit_with_text`), as in Penzel
and Denzler (arXiv:2503.05424).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from vizcourse.methods.checks import as_numbers, checked_finite, checked_number, checked_numbers

Strengths = Sequence[float] | Tensor


def brightness(image: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """All channels times a factor: 0 is black, 1 the photograph; clipped at 1."""
    _check(image)
    for factor in _numbers(factors, least=0):
        yield functional.adjust_brightness(image, factor)


def contrast(image: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """Distance from the mean grey times a factor: 0 is even grey, 1 the photograph."""
    _check(image)
    for factor in _numbers(factors, least=0):
        yield functional.adjust_contrast(image, factor)


def saturation(image: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """Distance of each pixel from its own grey times a factor: 0 is greyscale, 1 the photograph."""
    _check(image)
    for factor in _numbers(factors, least=0):
        yield functional.adjust_saturation(image, factor)


def hue(image: Tensor, turns: Strengths) -> Iterator[Tensor]:
    """All colours moved around the colour wheel, by -0.5 to 0.5 turns; 0 is the photograph."""
    _check(image)
    for turn in _numbers(turns, least=-0.5, most=0.5):
        yield functional.adjust_hue(image, turn)


def blur(image: Tensor, deviations: Strengths) -> Iterator[Tensor]:
    """Gaussian blur with a standard deviation in pixels; 0 is the photograph."""
    _check(image)
    most = 2 * ((min(image.shape[-2:]) - 1) // 2) + 1  # a reflected border cannot be wider than the photograph
    for deviation in _numbers(deviations, least=0):
        if deviation == 0:
            yield image.clone()
        else:
            kernel = min(2 * math.ceil(3 * deviation) + 1, most)
            yield functional.gaussian_blur(image, [kernel, kernel], [deviation, deviation])


def noise(image: Tensor, deviations: Strengths, *, seed: int = 0) -> Iterator[Tensor]:
    """Gaussian noise of a standard deviation (0 to 1 is black to white), clipped to [0, 1]; 0 is the photograph.

    The *same* noise at every strength, only stronger: fresh noise at every step would change more than one property.
    """
    _check(image)
    grain = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)).to(image)
    for deviation in _numbers(deviations, least=0):
        yield (image + deviation * grain).clamp(0, 1)


def rotation(image: Tensor, degrees: Strengths) -> Iterator[Tensor]:
    """Turned counter-clockwise about the middle; 0 is the photograph. The corners are filled by mirroring."""
    _check(image)
    for degree in _numbers(degrees):
        yield _moved(image, degree, 1.0)


def scale(image: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """Enlarged (above 1) or shrunk (down to 0.4) about the middle; what comes in at the border is mirrored."""
    _check(image)
    for factor in _numbers(factors, least=0.4):
        yield _moved(image, 0.0, factor)


def blend(image: Tensor, other: Tensor, weights: Strengths) -> Iterator[Tensor]:
    """Faded into another picture of the same size: weight 0 is the photograph, 1 the other."""
    _check(image)
    _check(other)
    if other.shape != image.shape:
        raise ValueError(f"Both pictures must have one size, not {tuple(image.shape)} and {tuple(other.shape)}.")
    for weight in _numbers(weights, least=0, most=1):
        yield torch.lerp(image, other.to(image), weight)


def patch(
    image: Tensor,
    weights: Strengths,
    *,
    colour: Sequence[float] = (0.1, 0.35, 0.9),
    corner: tuple[float, float] = (0.06, 0.62),
    size: float = 0.32,
) -> Iterator[Tensor]:
    """A round patch of one colour faded in, as the coloured plasters beside skin lesions; weight 0 is the photograph.

    Args:
        weights: 0 (not there) to 1 (opaque).
        colour: red, green, blue, 0 to 1.
        corner: top and left of the patch's square, as shares of the height and width.
        size: its side, as a share of the shorter side of the photograph.
    """
    _check(image)
    height, width = image.shape[-2:]
    checked_number(size, "size", above=0)
    if len(checked_numbers(corner, "corner")) != 2:
        raise ValueError(f"corner is the top and left of the patch, two shares of the height and width, not {corner!r}.")
    side = size * min(height, width)
    rows = (torch.arange(height) + 0.5 - corner[0] * height - side / 2).abs() / (side / 2)
    columns = (torch.arange(width) + 0.5 - corner[1] * width - side / 2).abs() / (side / 2)
    mask = (rows[:, None] ** 2 + columns[None] ** 2) < 1
    if not bool(mask.any()):
        raise ValueError("The patch lies outside the photograph: choose a corner between 0 and 1 and a larger size.")
    yield from recolour(image, mask, colour, weights, keep_shading=False)


def recolour(
    image: Tensor, mask: Tensor, colour: Sequence[float], weights: Strengths, *, keep_shading: bool = True
) -> Iterator[Tensor]:
    """One region faded into another colour, and nothing else: weight 0 is the photograph, 1 the colour.

    Args:
        mask: ``(height, width)``, True (or a weight up to 1) where the colour is to change.
        colour: red, green, blue, 0 to 1.
        keep_shading: multiply the colour by the region's own light and dark, so that its relief stays.
    """
    _check(image)
    if not isinstance(mask, Tensor) or mask.shape != image.shape[-2:]:
        found = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"The mask must be {tuple(image.shape[-2:])}, as the photograph, not {found}.")
    region = checked_finite(mask.to(image), "values of the mask")
    if not bool(region.any()):
        raise ValueError("The mask is empty: it must be True (or above 0) where the colour is to change.")
    paint = as_numbers(colour, "A colour's red, green and blue").to(image)
    if paint.shape != (3,) or not bool(((paint >= 0) & (paint <= 1)).all()):
        raise ValueError(f"A colour is red, green and blue from 0 to 1, not {colour!r}.")
    painted = paint[:, None, None].expand_as(image)
    if keep_shading:
        light = functional.rgb_to_grayscale(image)
        mean = (light * region).sum() / region.sum()
        painted = (painted * light / mean.clamp_min(1 / 255)).clamp(0, 1)
    for weight in _numbers(weights, least=0, most=1):
        yield torch.lerp(image, painted, weight * region)


def _moved(image: Tensor, degrees: float, factor: float) -> Tensor:
    """Rotated and scaled about the middle, on a mirrored surrounding so that no black corners come in."""
    if degrees == 0 and factor == 1:
        return image.clone()
    height, width = image.shape[-2:]
    border = [width - 1, height - 1]  # left and right, top and bottom: the most that can be mirrored
    large = functional.pad(image, border, padding_mode="reflect")
    large = functional.affine(
        large, angle=-degrees, translate=[0, 0], scale=factor, shear=[0.0, 0.0], interpolation=InterpolationMode.BILINEAR
    )
    return functional.center_crop(large, [height, width]).clamp(0, 1)


def _check(image: Tensor) -> None:
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
        found = f"{tuple(image.shape)} {image.dtype}" if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"One photograph is a float tensor (3, height, width), not {found}.")
    if not image.numel():
        raise ValueError(f"A photograph of {tuple(image.shape)} has no pixels: pass one that has some.")
    if not bool(image.isfinite().all()) or float(image.min()) < 0 or float(image.max()) > 1:
        raise ValueError("The photograph's pixels must be finite numbers from 0 to 1: divide whole-number pixels by 255.")


_numbers = functools.partial(checked_numbers, name="Strengths of this edit")


# ---------------------------------------------------------------------------------------------- editing by a sentence


class EditorUnavailable(RuntimeError):
    """The text-guided editor cannot be had here; the message says what is missing and how to get it."""


def text_editor(name: str = "timbrooks/instruct-pix2pix", *, device: str = "cpu", local_only: bool = False) -> object:
    """Load the diffusion model that edits a picture as a sentence says (Brooks, Holynski and Efros, CVPR 2023).

    Args:
        name: a model on the Hugging Face hub, or a folder with its files.
        device: ``"cuda"`` loads half precision; on a processor an edit takes minutes.
        local_only: do not try to download.

    Raises:
        EditorUnavailable: `diffusers` is not installed, or the weights (2.6 GB in half precision) cannot be had.
    """
    try:
        from diffusers import StableDiffusionInstructPix2PixPipeline
    except ImportError as error:
        raise EditorUnavailable(
            "Editing by a sentence needs two more packages: pip install diffusers transformers."
        ) from error
    kind = torch.float16 if str(device).startswith("cuda") else torch.float32
    try:
        editor = StableDiffusionInstructPix2PixPipeline.from_pretrained(
            name, torch_dtype=kind, local_files_only=local_only, safety_checker=None, requires_safety_checker=False
        )
    except Exception as error:  # the hub, the network and the files each have their own errors
        reason = str(error).strip().partition("\n")[0]
        raise EditorUnavailable(
            f"The weights of {name} cannot be had here ({type(error).__name__}: {reason[:160]}): "
            "connect to the network once, or give the folder that holds them."
        ) from error
    editor.set_progress_bar_config(disable=True)
    return editor.to(device)


def edit_with_text(
    image: Tensor,
    instruction: str,
    guidance: Strengths,
    *,
    editor: object | None = None,
    image_guidance: float = 2.5,
    denoising_steps: int = 20,
    seed: int = 0,
) -> Iterator[Tensor]:
    """Gradual editing as in the paper: one instruction, one seed, more and more weight on the words.

    The editor changes what it was asked to change *and whatever else it likes*: look at the pictures, and measure an
    unrelated instruction as a control.

    Args:
        image: ``(3, height, width)``; height and width should be multiples of 8, near 512.
        instruction: for example ``"change the fur to white"``.
        guidance: text guidance at each step; the published code uses 100 steps from 1.01 (hardly any) to 15.
        editor: from :func:`text_editor`; by default it is loaded.
        image_guidance: how closely the original is kept.
        denoising_steps: of the diffusion at each strength.
        seed: of the one noise that all steps start from.

    Yields:
        The photograph itself, and then one picture for each guidance.

    Raises:
        EditorUnavailable: as :func:`text_editor`.
        ValueError: an empty instruction, guidance that is not above 1.
    """
    _check(image)
    if not instruction.strip():
        raise ValueError('The instruction is empty: say what is to change, for example "change the fur to white".')
    numbers = _numbers(guidance)
    if min(numbers, default=2) <= 1:
        raise ValueError("Text guidance must be above 1: at 1 and below, the words are not used.")
    editor = text_editor() if editor is None else editor
    yield image.clone()
    for number in numbers:
        edited = editor(
            instruction,
            image=image[None],
            guidance_scale=number,
            image_guidance_scale=image_guidance,
            num_inference_steps=denoising_steps,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        ).images[0]
        yield edited.to(image).clamp(0, 1)
