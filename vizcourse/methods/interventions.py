"""Gradual edits of one photograph: each is a generator of ordered pictures, one for each strength.

All take a picture ``(3, height, width)`` in [0, 1] and the strengths in order, and yield pictures of the same size.
Strengths are given in the natural unit of the edit, and one of them (factor 1, shift 0, weight 0, …) is the picture
itself::

    pictures = torch.stack(list(brightness(photo, torch.linspace(0.2, 1.8, 100))))

Every edit changes a whole photograph at once, also where the property is not: an edit of the *fur* needs a mask
(:func:`recolour`), a picture world that knows its causes, or a generative editor (:func:`edit_with_text`), as in Penzel
and Denzler (arXiv:2503.05424).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

Strengths = Sequence[float] | Tensor


def brightness(photo: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """All channels times a factor: 0 is black, 1 the photograph; clipped at 1."""
    _checked(photo)
    for factor in _numbers(factors, low=0):
        yield functional.adjust_brightness(photo, factor)


def contrast(photo: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """Distance from the mean grey times a factor: 0 is even grey, 1 the photograph."""
    _checked(photo)
    for factor in _numbers(factors, low=0):
        yield functional.adjust_contrast(photo, factor)


def saturation(photo: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """Distance of each pixel from its own grey times a factor: 0 is greyscale, 1 the photograph."""
    _checked(photo)
    for factor in _numbers(factors, low=0):
        yield functional.adjust_saturation(photo, factor)


def hue(photo: Tensor, turns: Strengths) -> Iterator[Tensor]:
    """All colours moved around the colour wheel, by -0.5 to 0.5 turns; 0 is the photograph."""
    _checked(photo)
    for turn in _numbers(turns, low=-0.5, high=0.5):
        yield functional.adjust_hue(photo, turn)


def blur(photo: Tensor, deviations: Strengths) -> Iterator[Tensor]:
    """Gaussian blur with a standard deviation in pixels; 0 is the photograph."""
    _checked(photo)
    most = 2 * ((min(photo.shape[-2:]) - 1) // 2) + 1  # a reflected border cannot be wider than the photograph
    for deviation in _numbers(deviations, low=0):
        if deviation == 0:
            yield photo.clone()
        else:
            kernel = min(2 * math.ceil(3 * deviation) + 1, most)
            yield functional.gaussian_blur(photo, [kernel, kernel], [deviation, deviation])


def noise(photo: Tensor, deviations: Strengths, *, seed: int = 0) -> Iterator[Tensor]:
    """Gaussian noise of a standard deviation (0 to 1 is black to white), clipped to [0, 1]; 0 is the photograph.

    The *same* noise at every strength, only stronger: fresh noise at every step would change more than one property.
    """
    _checked(photo)
    grain = torch.randn(photo.shape, generator=torch.Generator().manual_seed(seed)).to(photo)
    for deviation in _numbers(deviations, low=0):
        yield (photo + deviation * grain).clamp(0, 1)


def rotation(photo: Tensor, degrees: Strengths) -> Iterator[Tensor]:
    """Turned counter-clockwise about the middle; 0 is the photograph. The corners are filled by mirroring."""
    _checked(photo)
    for degree in _numbers(degrees):
        yield _moved(photo, degree, 1.0)


def scale(photo: Tensor, factors: Strengths) -> Iterator[Tensor]:
    """Enlarged (above 1) or shrunk (down to 0.4) about the middle; what comes in at the border is mirrored."""
    _checked(photo)
    for factor in _numbers(factors, low=0.4):
        yield _moved(photo, 0.0, factor)


def blend(photo: Tensor, other: Tensor, weights: Strengths) -> Iterator[Tensor]:
    """Faded into another picture of the same size: weight 0 is the photograph, 1 the other."""
    _checked(photo)
    if other.shape != photo.shape:
        raise ValueError(f"Both pictures must have one size, not {tuple(photo.shape)} and {tuple(other.shape)}.")
    for weight in _numbers(weights, low=0, high=1):
        yield torch.lerp(photo, other.to(photo), weight)


def patch(
    photo: Tensor,
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
    _checked(photo)
    height, width = photo.shape[-2:]
    side = size * min(height, width)
    rows = (torch.arange(height) + 0.5 - corner[0] * height - side / 2).abs() / (side / 2)
    columns = (torch.arange(width) + 0.5 - corner[1] * width - side / 2).abs() / (side / 2)
    mask = (rows[:, None] ** 2 + columns[None] ** 2) < 1
    if not bool(mask.any()):
        raise ValueError("The patch lies outside the photograph: choose a corner between 0 and 1 and a larger size.")
    yield from recolour(photo, mask, colour, weights, keep_shading=False)


def recolour(
    photo: Tensor, mask: Tensor, colour: Sequence[float], weights: Strengths, *, keep_shading: bool = True
) -> Iterator[Tensor]:
    """One region faded into another colour, and nothing else: weight 0 is the photograph, 1 the colour.

    Args:
        mask: ``(height, width)``, True (or a weight up to 1) where the colour is to change.
        colour: red, green, blue, 0 to 1.
        keep_shading: multiply the colour by the region's own light and dark, so that its relief stays.
    """
    _checked(photo)
    if mask.shape != photo.shape[-2:]:
        raise ValueError(f"The mask must be {tuple(photo.shape[-2:])}, as the photograph, not {tuple(mask.shape)}.")
    region = mask.to(photo)
    if not bool(region.any()):
        raise ValueError("The mask is empty: it must be True (or above 0) where the colour is to change.")
    paint = torch.as_tensor(colour, dtype=photo.dtype, device=photo.device)
    if paint.shape != (3,) or not bool(((paint >= 0) & (paint <= 1)).all()):
        raise ValueError(f"A colour is red, green and blue from 0 to 1, not {tuple(colour)}.")
    painted = paint[:, None, None].expand_as(photo)
    if keep_shading:
        light = functional.rgb_to_grayscale(photo)
        mean = (light * region).sum() / region.sum()
        painted = (painted * light / mean.clamp_min(1 / 255)).clamp(0, 1)
    for weight in _numbers(weights, low=0, high=1):
        yield torch.lerp(photo, painted, weight * region)


def _moved(photo: Tensor, degrees: float, factor: float) -> Tensor:
    """Rotated and scaled about the middle, on a mirrored surrounding so that no black corners come in."""
    if degrees == 0 and factor == 1:
        return photo.clone()
    height, width = photo.shape[-2:]
    border = [width - 1, height - 1]  # left and right, top and bottom: the most that can be mirrored
    large = functional.pad(photo, border, padding_mode="reflect")
    large = functional.affine(
        large, angle=-degrees, translate=[0, 0], scale=factor, shear=[0.0, 0.0], interpolation=InterpolationMode.BILINEAR
    )
    return functional.center_crop(large, [height, width]).clamp(0, 1)


def _checked(photo: Tensor) -> None:
    if not isinstance(photo, Tensor) or photo.ndim != 3 or photo.shape[0] != 3 or not photo.is_floating_point():
        found = f"{tuple(photo.shape)} {photo.dtype}" if isinstance(photo, Tensor) else type(photo).__name__
        raise ValueError(f"One photograph is a float tensor (3, height, width), not {found}.")
    if not bool(photo.isfinite().all()) or float(photo.min()) < 0 or float(photo.max()) > 1:
        raise ValueError("The photograph's pixels must be finite numbers from 0 to 1: divide whole-number pixels by 255.")


def _numbers(strengths: Strengths, low: float = -math.inf, high: float = math.inf) -> Iterable[float]:
    numbers = torch.as_tensor(strengths, dtype=torch.float64).flatten().tolist()
    wrong = [number for number in numbers if not (math.isfinite(number) and low <= number <= high)]
    if wrong:
        asked = "" if low == -math.inf else f" from {low:g}" if high == math.inf else f" from {low:g} to {high:g}"
        raise ValueError(f"Strengths of this edit must be finite numbers{asked}, not {wrong[0]:g}.")
    return numbers


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
    photo: Tensor,
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
        photo: ``(3, height, width)``; height and width should be multiples of 8, near 512.
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
    _checked(photo)
    if not instruction.strip():
        raise ValueError('The instruction is empty: say what is to change, for example "change the fur to white".')
    numbers = _numbers(guidance)
    if min(numbers, default=2) <= 1:
        raise ValueError("Text guidance must be above 1: at 1 and below, the words are not used.")
    editor = text_editor() if editor is None else editor
    yield photo.clone()
    for number in numbers:
        edited = editor(
            instruction,
            image=photo[None],
            guidance_scale=number,
            image_guidance_scale=image_guidance,
            num_inference_steps=denoising_steps,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        ).images[0]
        yield edited.to(photo).clamp(0, 1)
