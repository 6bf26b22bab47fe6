"""Effective receptive fields: which pixels made the channel vector that stands at one position of a layer.

A position can see all pixels from which there is a way up to it, but a few of them make most of its vector. Which, the
sharing ratio says (Han, Kim and Kwak, "Respect the model: fine-grained and robust explanation with sharing ratio
decomposition", ICLR 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vizcourse.hooks import Layer, Layout, capture, layout_of
from vizcourse.methods.checks import (
    checked_count,
    checked_finite,
    checked_images,
    checked_indices,
    checked_model,
    checked_number,
)
from vizcourse.methods.passes import check_order, forward, left_alone, single


def effective_receptive_field(
    model: nn.Module,
    images: Tensor,
    layers: Sequence[Layer],
    positions: Tensor,
    *,
    layout: Layout | str | None = None,
) -> Tensor:
    """Which pixels made a pointwise feature vector, by the sharing ratio: ``(N, H, W)``.

    Between two layers of the chain, vector ``x_i`` gives the part ``ŷ_ij`` of vector ``y_j``, and shares
    ``μ_ij = <ŷ_ij, y_j> / |y_j|²`` of it; shares are multiplied along the chain and summed over its ways down to the
    pixels. What lies between two layers of the chain is taken as linear, with the activation pattern that the picture
    made (a ReLU passes or blocks, a maximum picks). The shares of a layer sum to one but for what biases gave.

    A share is a gradient times an input, so a pixel with values of zero never has any: with pixels from 0 to 1, a black one.
    Where that matters, pass the normalised pictures to a model without its normalisation.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``.
        layers: the chain, from the first layer to the one whose vectors are asked about; the closer together, the
            nearer this is to the layer-by-layer recursion of the source. Of a layer that runs several times, the first
            call counts.
        positions: row and column in the last layer of the chain, one for each picture: ``(N, 2)``; of tokens, 0 and the
            token.
        layout: which axis holds the layers' channels, where that cannot be found out.

    Raises:
        ValueError: layers in the wrong order, or of which one does not feed the next; a position outside the map.
    """
    images, chain, layouts = _chain(model, images, layers, layout)
    maps = _maps(layouts[-1], chain[-1])
    share = torch.zeros_like(maps[:, 0])
    rows, columns = _checked_positions(positions, maps)
    share[torch.arange(len(images)), rows, columns] = 1
    for number in range(len(chain) - 1, 0, -1):
        before, after = chain[number - 1], chain[number]
        vectors = _maps(layouts[number], after)
        pull = vectors * (share / vectors.square().sum(1).clamp_min(1e-20))[:, None]
        back = torch.autograd.grad(
            after, before, layouts[number].from_maps(pull).to(after.dtype), retain_graph=True, allow_unused=True
        )[0]
        if back is None:
            raise ValueError("A layer of the chain does not depend on the one before it: choose layers that feed each other.")
        share = (_maps(layouts[number - 1], back) * _maps(layouts[number - 1], before)).sum(1)
    return share


def gradient_receptive_field(
    model: nn.Module, images: Tensor, layer: Layer, positions: Tensor, *, layout: Layout | str | None = None
) -> Tensor:
    """A cheap stand-in for the effective receptive field: ``(N, H, W)``.

    The size of ``∂<v, v'>/∂x · x`` at each pixel, where v is the pointwise feature vector and v' the same, held fixed:
    the sharing ratio in one step, without its sign. A surrogate, not the source's definition; blind to black pixels, too.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``.
        layer: whose vectors are asked about.
        positions, layout: as in :func:`effective_receptive_field`.
    """
    images, (pixels, activation), layouts = _chain(model, images, [layer], layout)
    with torch.enable_grad():
        maps = layouts[1].to_maps(activation)
        rows, columns = _checked_positions(positions, maps)
        vectors = maps[torch.arange(len(images)), :, rows, columns]
        score = (vectors * vectors.detach()).sum()
    (gradient,) = torch.autograd.grad(score, pixels)
    return (gradient * images).sum(1).abs()


def boxes(fields: Tensor, *, share: float = 0.8, margin: int = 6) -> Tensor:
    """A box around most of each receptive field, with a margin of context: top, left, bottom, right ``(N, 4)``.

    Args:
        fields: ``(N, H, W)``; their sizes count, not their signs.
        share: of the field that is kept along each axis.
        margin: pixels added on each side, within the picture.
    """
    if not isinstance(fields, Tensor) or fields.ndim != 3:
        raise ValueError("Receptive fields are one map a picture, (N, height, width), as effective_receptive_field gives them.")
    checked_finite(fields, "receptive fields")
    share, margin = checked_number(share, "share", above=0, most=1), checked_count(margin, "margin", least=0)
    ends = []
    for axis, size in ((2, fields.shape[1]), (1, fields.shape[2])):
        along = fields.abs().sum(axis).double().cumsum(1)
        along = along / along[:, -1:].clamp_min(1e-30)
        first = (along < (1 - share) / 2).sum(1) - margin
        last = (along < (1 + share) / 2).sum(1) + 1 + margin
        ends.append((first.clamp(0, size - 1), last.clamp(1, size)))
    (top, bottom), (left, right) = ends
    return torch.stack([top, left, bottom, right], 1)


def _chain(
    model: nn.Module, images: Tensor, layers: Sequence[Layer], layout: Layout | str | None
) -> tuple[Tensor, list[Tensor], list[Layout]]:
    """The pictures, the pixels and the layers' activations on one graph of derivatives, and the layout of each."""
    images = checked_images(images, checked_model(model))
    if not layers:
        raise ValueError("The chain of layers is empty: name at least the layer whose vectors are asked about.")
    names = check_order(model, images, layers)
    with left_alone(model), torch.enable_grad(), capture(model, [(name, 0) for name in names], stop=True) as acts:
        pixels = images.detach().clone().requires_grad_()
        forward(model, pixels)
        chain = [acts[name, 0] for name in names]
    layouts = [layout_of(model, name, each, images=images, layout=layout) for name, each in zip(names, chain, strict=True)]
    for name, each, its in zip(names, chain, layouts, strict=True):
        spatial(its.to_maps(each), name)
        if not each.requires_grad:
            raise ValueError(f"Layer {name!r} does not depend on the pixels: choose another layer.")
    return images, [pixels, *chain], [Layout("channels_first"), *layouts]


def _maps(layout: Layout, activation: Tensor) -> Tensor:
    return single(layout.to_maps(activation.detach()))


def spatial(maps: Tensor, name: str) -> Tensor:
    """Maps ``(N, C, h, w)`` of more than one position."""
    if maps.ndim != 4 or maps.shape[2] * maps.shape[3] < 2:
        raise ValueError(
            f"Layer {name!r} gives {tuple(maps.shape)}, which has no spatial extent: choose a layer with maps "
            "(N, channels, height, width), or with tokens."
        )
    return maps


def _checked_positions(positions: Tensor | Sequence, maps: Tensor) -> tuple[Tensor, Tensor]:
    height, width = maps.shape[2:]
    positions = checked_indices(positions, max(height, width), "positions").to(maps.device)
    if positions.shape != (len(maps), 2):
        raise ValueError(f"The positions have shape {tuple(positions.shape)}: pass row and column for each picture, (N, 2).")
    rows, columns = positions.unbind(1)
    if not ((rows < height) & (columns < width)).all():
        raise ValueError(f"A position lies outside the layer's map of {height} rows and {width} columns.")
    return rows, columns
