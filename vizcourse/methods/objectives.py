"""What a rendered picture is to raise: objectives, which add up, and penalties on the picture itself.

After Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill, 2017); the objectives of others name their source.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real

import torch
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.hooks import Wanted
from vizcourse.methods.checks import checked_finite, checked_indices, checked_number
from vizcourse.methods.passes import one_channel


@dataclass(frozen=True)
class Term:
    """One summand of an objective: ``measure(maps, layer name)`` gives one value a picture, ``(n,)``, to be raised.

    ``maps`` is the layer's activation as ``(n, channel, height, width)``, or the pictures themselves if ``layer`` is None.
    With an activation ``beside``, as the layer gives it for another picture, measure gets the maps of that as a third argument.
    """

    name: str
    layer: Wanted | None
    measure: Callable[..., Tensor]
    weight: float = 1.0
    beside: Tensor | None = None


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
        factor = checked_number(factor, "The weight of an objective")
        return Objective(tuple(replace(term, weight=term.weight * factor) for term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: object) -> Objective:
        if not isinstance(divisor, Real):
            return NotImplemented
        return self * (1 / (checked_number(divisor, "What an objective is divided by") or math.nan))

    def __neg__(self) -> Objective:
        return self * -1

    def __sub__(self, other: object) -> Objective:
        return self + -other if isinstance(other, Objective) else NotImplemented

    def __repr__(self) -> str:
        return " + ".join(term.name if term.weight == 1 else f"{term.weight:g} * {term.name}" for term in self.terms)


def _objective(name: str, layer: Wanted, measure: Callable[..., Tensor], beside: Tensor | None = None) -> Objective:
    if layer is None:
        raise ValueError("An objective is about a layer: name one, such as 'layer3'.")
    return Objective((Term(name, layer, measure, beside=beside),))


def _penalty(name: str, measure: Callable[[Tensor, str], Tensor]) -> Objective:
    return Objective((Term(name, None, measure),))


def channel(layer: Wanted, channel: int) -> Objective:
    """The mean of one channel over all positions: what feature does it look for anywhere in the picture?"""
    name = f"channel({_shown(layer)}, {channel})"
    return _objective(name, layer, lambda maps, layer_name: one_channel(maps, channel, layer_name).mean((1, 2)))


def neuron(layer: Wanted, channel: int, position: tuple[int, int] | None = None) -> Objective:
    """One channel at one ``(row, column)`` of the layer's map; by default at its centre."""

    def measure(maps: Tensor, name: str) -> Tensor:
        return one_channel(_at(maps, position or (maps.shape[2] // 2, maps.shape[3] // 2), name), channel, name).flatten()

    return _objective(f"neuron({_shown(layer)}, {channel})", layer, measure)


def logit(index: int, layer: Wanted = "") -> Objective:
    """One output of the network before the softmax; ``layer`` is needed only if the model does not return logits."""
    return _objective(f"logit({index})", layer, lambda maps, name: one_channel(maps, index, name).mean((1, 2)))


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
    checked_number(cosine_power, "cosine_power", least=0)
    try:
        vector = torch.as_tensor(vector).detach().to(torch.promote_types(torch.as_tensor(vector).dtype, torch.float32))
    except (TypeError, ValueError, RuntimeError):
        vector = torch.zeros(())
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

    checked_number(cosine_power, "cosine_power", least=0)
    _check_activation(activation)

    def measure(maps: Tensor, name: str, other: Tensor) -> Tensor:
        return _along(maps.flatten(1), _comparable(other, maps, name).flatten(1), 1, cosine_power)

    return _objective(f"caricature({_shown(layer)})", layer, measure, activation)


def inversion(layer: Wanted, activation: Tensor) -> Objective:
    """A picture with the same activation ``t`` as another one: ``-|h - t|² / |t|²`` (Mahendran and Vedaldi, 2015).

    Args:
        layer: the layer, by name or as a module.
        activation: as for :func:`caricature`.
    """
    _check_activation(activation)

    def measure(maps: Tensor, name: str, other: Tensor) -> Tensor:
        target = _comparable(other, maps, name)
        return -(maps - target).square().sum((1, 2, 3)) / target.square().sum((1, 2, 3)).clamp_min(1e-12)

    return _objective(f"inversion({_shown(layer)})", layer, measure, activation)


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

    return _penalty("total_variation()", measure)


def l1() -> Objective:
    """The mean ``|pixel - 0.5|``: pulls what is not needed to grey."""
    return _penalty("l1()", lambda images, _name: (images - 0.5).abs().mean((1, 2, 3)))


def l2() -> Objective:
    """The mean ``(pixel - 0.5)²``: discourages strong contrasts."""
    return _penalty("l2()", lambda images, _name: (images - 0.5).square().mean((1, 2, 3)))


def blur() -> Objective:
    """Half the mean squared difference from the picture blurred with (1 2 1) down and across.

    The blurred picture counts as given, so a step on this penalty is a step towards it.
    """

    def measure(images: Tensor, _name: str) -> Tensor:
        kernel = images.new_tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]).div(16).expand(images.shape[1], 1, 3, 3)
        padded = functional.pad(images.detach(), [1] * 4, mode="replicate")
        return (images - functional.conv2d(padded, kernel, groups=images.shape[1])).square().mean((1, 2, 3)) / 2

    return _penalty("blur()", measure)


def _shown(layer: Wanted) -> str:
    return type(layer).__name__ if isinstance(layer, nn.Module) else repr(layer)


def _at(maps: Tensor, position: tuple[int, int], name: str) -> Tensor:
    place = checked_indices(position, sys.maxsize, "The row and column of a position")
    if place.shape != (2,):
        raise ValueError(f"A position is (row, column), of tokens (0, token), not {position!r}.")
    (rows, columns), (row, column) = maps.shape[2:], place.tolist()
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(f"Layer {name!r} has {rows} × {columns} positions; there is no position ({row}, {column}).")
    return maps[:, :, row : row + 1, column : column + 1]


def _along(vectors: Tensor, towards: Tensor, dim: int, power: float) -> Tensor:
    dot = (vectors * towards).sum(dim) / towards.norm(dim=dim).clamp_min(1e-12)
    return dot * (dot / (vectors.norm(dim=dim) + 1e-12)).clamp_min(0.1) ** power if power else dot


def _check_activation(activation: Tensor) -> None:
    if not isinstance(activation, Tensor):
        raise ValueError(f"The activation must be a tensor, as capture gives it, not a {type(activation).__name__}.")
    checked_finite(activation, "values of the activation")


def _comparable(other: Tensor, maps: Tensor, name: str) -> Tensor:
    if other.shape[1:] != maps.shape[1:] or len(other) not in (1, len(maps)):
        raise ValueError(
            f"Layer {name!r} gives maps {tuple(maps.shape)} here and those of the target are {tuple(other.shape)}: "
            "render at the size of the picture from which the target comes, and give one target or one for each picture."
        )
    return other
