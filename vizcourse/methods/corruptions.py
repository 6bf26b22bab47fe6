"""Ways to corrupt a picture: each takes one thing away, so that a run on it can be compared with the clean one.

:func:`greyscale`, :func:`blur`, :func:`silhouette` and :func:`shuffle_patches` give pictures; :func:`embedding_noise` leaves
the pictures as they are and disturbs the run inside the network (Meng et al. 2022). What a corruption removes is what an
experiment made with it is about (Zhang and Nanda 2023).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse import hooks
from vizcourse.methods.checks import (
    checked_count,
    checked_finite,
    checked_images,
    checked_model,
    checked_number,
    checked_pair,
    following,
)
from vizcourse.methods.passes import evaluating
from vizcourse.methods.vision_transformer import embedding


def greyscale(images: Tensor) -> Tensor:
    """Pictures (N, 3, height, width) without their colour: the brightness of ITU-R BT.601 in all three channels."""
    if checked_images(images).shape[1] != 3:
        raise ValueError(f"Colours are three channels (N, 3, height, width), not {tuple(images.shape)}: pass colour pictures.")
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True).expand_as(images).clone()


def blur(images: Tensor, sigma: float = 2.0) -> Tensor:
    """Pictures (N, 3, height, width) behind a Gaussian of standard deviation `sigma`, in pixels; 0 changes nothing."""
    images = checked_images(images)
    if checked_number(sigma, "sigma", least=0) == 0:
        return images.clone()
    reach = min(round(3 * sigma) or 1, min(images.shape[-2:]) - 1)
    places = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = functional.pad(images, [reach] * 4, mode="reflect")
    across = functional.conv2d(padded, kernel[..., None, :], groups=images.shape[1])
    return functional.conv2d(across, kernel[..., None], groups=images.shape[1])


def silhouette(images: Tensor, masks: Tensor) -> Tensor:
    """The object as a shape without inside: its pixels all take their mean colour.

    Args:
        images: (N, 3, height, width).
        masks: (N, height, width), true on the object.
    """
    if not isinstance(masks, Tensor) or masks.shape != (len(checked_images(images)), *images.shape[2:]):
        found = tuple(masks.shape) if isinstance(masks, Tensor) else type(masks).__name__
        raise ValueError(
            f"Masks must be (N, height, width) like the pictures, {(len(images), *images.shape[2:])}, not {found}."
        )
    inside = masks.bool()[:, None].to(images)
    mean = (images * inside).sum(dim=(2, 3), keepdim=True) / inside.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    return images * (1 - inside) + mean * inside


def shuffle_patches(images: Tensor, patch: int = 16, *, seed: int = 0) -> Tensor:
    """Pictures cut into squares of `patch` pixels, which are put together again at random (each picture its own way)."""
    count, _, height, width = checked_images(images).shape
    checked_count(patch, "patch")
    if height % patch or width % patch:
        raise ValueError(f"Patches of {patch} px do not tile pictures of {height} × {width} px: choose a divisor of both.")
    squares = functional.unfold(images, patch, stride=patch)  # (N, channels · patch², squares)
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(count, squares.shape[2], generator=generator).argsort(dim=1).to(images.device)
    squares = squares.gather(2, order[:, None].expand_as(squares))
    return functional.fold(squares, (height, width), patch, stride=patch)


@dataclass(frozen=True)
class Shifted:
    """A run that is corrupted inside the network: `offset` (N, …) is added to the output of `layer` on `images`."""

    images: Tensor
    layer: str
    offset: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> Shifted:
        return Shifted(self.images[rows], self.layer, self.offset[rows])


Pictures = Tensor | Shifted


@torch.no_grad()
def embedding_noise(
    model: nn.Module, images: Tensor, strength: float = 3.0, *, seed: int = 0, layer: str | None = None
) -> Shifted:
    """The pictures with Gaussian noise on their embedded patches, as Meng et al. (2022) do with the words of a text.

    Args:
        model: a vision transformer; its special tokens (class token, registers) stay as they are.
        images: (N, 3, height, width).
        strength: standard deviation of the noise, in standard deviations of the embeddings ("3" in that paper).
        seed: of the noise.
        layer: the layer whose output are the embeddings (N, tokens, width); of torchvision's networks it is known.

    Returns:
        What `sweep` and the others take in the place of corrupted pictures.

    Raises:
        ValueError: the layer has no tokens, or it is not known which of them are special.
    """
    images = checked_images(images, checked_model(model))
    checked_number(strength, "strength", least=0)
    name, _ = hooks.resolve(model, embedding(model) if layer is None else layer)
    parts = []
    with evaluating(model), hooks.capture(model, name, stop=True) as acts:
        for part in images.split(128):
            model(part)
            layout = hooks.layout_of(model, name, acts[name], images=part)
            parts.append(acts[name].cpu())
    if layout.name != "tokens" or layout.special is None:
        raise ValueError(
            f"Layer {name!r} gives {tuple(parts[0].shape)}, in which the tokens of the picture are not known: "
            "name the layer behind the embedding of a vision transformer."
        )
    embeddings = torch.cat(parts)
    noise = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(seed)).to(embeddings)
    noise[:, : layout.special] = 0
    return Shifted(images, name, noise * strength * embeddings[:, layout.special :].std())


@contextmanager
def shifting(model: nn.Module, pictures: Pictures) -> Iterator[tuple[Tensor, list[str]]]:
    """Inside the block, the model runs on the images that are given as the corruption wants it; and where it is changed."""
    if not isinstance(pictures, Shifted):
        yield pictures, []
        return
    with hooks.replace(model, {pictures.layer: lambda output: output + pictures.offset}):
        yield pictures.images, [hooks.resolve(model, pictures.layer)[0]]


def checked_pictures(model: nn.Module, clean: Pictures, corrupted: Pictures) -> tuple[Pictures, Pictures]:
    """Clean and corrupted pictures that belong together, on the model's device and in its precision."""
    checked_model(model)
    clean, corrupted = (_checked(model, each) for each in (clean, corrupted))
    checked_pair(*(each.images if isinstance(each, Shifted) else each for each in (clean, corrupted)))
    return clean, corrupted


def _checked(model: nn.Module, pictures: Pictures) -> Pictures:
    if not isinstance(pictures, Shifted):
        return checked_images(pictures, model)
    offset = following(checked_finite(pictures.offset, "offsets"), model)
    return replace(pictures, images=checked_images(pictures.images, model), offset=offset)
