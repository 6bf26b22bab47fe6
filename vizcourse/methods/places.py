"""Which tokens or places of an activation are meant: all, the class token, numbers, or a region of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vizcourse.hooks import Layout
from vizcourse.methods.checks import checked_choice, checked_count

Tokens = str | Sequence[int] | Tensor


def chosen_places(tokens: Tokens, activation: Tensor, layout: Layout, images: Tensor) -> Tensor:
    """A mask of places of an activation, ready to be broadcast to it.

    Args:
        tokens: "all"; "class", the class token; "patches", those of the picture; a list of token numbers; or a region: a
            mask, boolean, (height, width) or (N, height, width), of the picture or of the layer's grid.
        activation: what a layer gave for the images.
        layout: of the activation.
        images: (N, channel, height, width).

    Raises:
        ValueError: the activation has no such places, or they are not known.
    """
    region = isinstance(tokens, Tensor) and tokens.dtype == torch.bool and tokens.ndim in (2, 3)
    if isinstance(tokens, str):
        checked_choice(tokens, ("all", "class", "patches"), "tokens")
    if isinstance(tokens, str) and tokens == "all":
        return torch.ones([1] * activation.ndim, dtype=torch.bool, device=activation.device)
    if layout.axes == 2:
        raise ValueError("This layer gives one vector a picture, without tokens or places: pass tokens='all'.")
    maps = layout.to_maps(activation)
    if region:
        grid = tuple(maps.shape[2:]) if layout.axes == 4 else layout.grid
        if grid is None:
            raise ValueError("How these tokens lie in the picture is not known: pass their numbers in the place of a region.")
        if tuple(tokens.shape[-2:]) not in (grid, tuple(images.shape[-2:])):
            raise ValueError(
                f"A region is a mask of the picture {tuple(images.shape[-2:])} or of the layer's grid {grid}, "
                f"not {tuple(tokens.shape[-2:])}."
            )
        # A place counts if the region touches it.
        mask = functional.adaptive_max_pool2d(tokens.to(activation).view(-1, *tokens.shape[-2:]), grid).bool()
        if layout.axes == 3:
            mask = functional.pad(mask.flatten(1), (layout.special, 0))
        return mask.unsqueeze(layout.channel_axis)
    if layout.axes == 4:
        raise ValueError("A feature map has no tokens: pass 'all', or a region as a mask (height, width).")
    if isinstance(tokens, Tensor) and tokens.dtype == torch.bool:
        raise ValueError(f"A region is a mask (height, width) or (N, height, width), not {tuple(tokens.shape)}.")
    length = maps.shape[3]
    mask = torch.zeros(1, length, dtype=torch.bool, device=activation.device)
    if isinstance(tokens, str):
        if layout.special is None or (tokens == "class" and layout.special == 0):
            raise ValueError(f"Which of these tokens are {tokens!r} is not known: pass their numbers, such as tokens=[0, 1].")
        mask[:, slice(0, 1) if tokens == "class" else slice(layout.special, None)] = True
    else:
        numbers = [checked_count(number, "A token's number", least=-length) for number in tokens]
        if any(not 0 <= number < length for number in numbers):
            raise ValueError(f"Tokens run from 0 (the class token) to {length - 1}; {numbers} leaves that range.")
        mask[:, numbers] = True
    return mask.unsqueeze(layout.channel_axis)
