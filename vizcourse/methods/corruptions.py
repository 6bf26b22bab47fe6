"""Ways to corrupt a picture: each takes one thing away, so that a run on it can be compared with the clean one.

:func:`greyscale`, :func:`blur`, :func:`silhouette` and :func:`shuffle_patches` give pictures; :func:`embedding_noise` leaves
the pictures as they are and disturbs the run inside the network (Meng et al. 2022). What a corruption removes is what an
experiment made with it is about (Zhang and Nanda 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.hooks import capture, resolve
from vizcourse.methods.passes import device_of, evaluating


def greyscale(images: Tensor) -> Tensor:
    """Pictures (N, 3, height, width) without their colour: the brightness of ITU-R BT.601 in all three channels."""
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True).expand_as(images).clone()


def blur(images: Tensor, sigma: float = 2.0) -> Tensor:
    """Pictures (N, 3, height, width) behind a Gaussian of standard deviation `sigma`, in pixels; 0 changes nothing."""
    if sigma <= 0:
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
    if masks.shape != (len(images), *images.shape[2:]):
        raise ValueError(
            f"Masks must be (N, height, width) like the pictures, {(len(images), *images.shape[2:])}, not {tuple(masks.shape)}."
        )
    inside = masks.bool()[:, None].to(images)
    mean = (images * inside).sum(dim=(2, 3), keepdim=True) / inside.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    return images * (1 - inside) + mean * inside


def shuffle_patches(images: Tensor, patch: int = 16, *, seed: int = 0) -> Tensor:
    """Pictures cut into squares of `patch` pixels, which are put together again at random (each picture its own way)."""
    count, channels, height, width = images.shape
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
    model: nn.Module, images: Tensor, strength: float = 3.0, *, seed: int = 0, layer: str = "encoder.dropout"
) -> Shifted:
    """The pictures with Gaussian noise on their embedded patches, as Meng et al. (2022) do with the words of a text.

    Args:
        model: a vision transformer, whose first token is the class token and stays as it is.
        images: (N, 3, height, width).
        strength: standard deviation of the noise, in standard deviations of the embeddings ("3" in that paper).
        seed: of the noise.
        layer: the layer whose output are the embeddings (N, tokens, width).

    Returns:
        What `sweep` and the others take in the place of corrupted pictures.
    """
    parts = []
    with evaluating(model), capture(model, layer, stop=True) as acts:
        for part in images.split(128):
            model(part.to(device_of(model)))
            parts.append(acts[resolve(model, layer)[0]].cpu())
    embeddings = torch.cat(parts)
    noise = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(seed))
    noise[:, 0] = 0
    return Shifted(images, layer, noise * strength * embeddings[:, 1:].std())
