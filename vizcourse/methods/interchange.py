"""Interchange interventions: run a network on a base, with a part of a layer's activation taken from a source.

Whole activations, channels at some positions, or, as distributed interchange interventions, their components in a subspace
(Geiger, Wu, Potts, Icard and Goodman, CLeaR 2024, arXiv:2303.02536).

What comes before the layer is computed once and kept in a :class:`Site`; after that only the rest of the network runs.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vizcourse.hooks import Layer, Layout, capture, layout_of, replay, resolve
from vizcourse.methods.checks import (
    checked_classes,
    checked_count,
    checked_finite,
    checked_indices,
    checked_logits,
    checked_model,
    checked_pair,
    following,
)
from vizcourse.methods.passes import answers, device_of, evaluating, left_alone, reached, single


def interchange(base: Tensor, source: Tensor, read: Tensor, write: Tensor | None = None) -> Tensor:
    """Give ``base`` the component of ``source`` in a subspace: ``base + (source − base) R Rᵀ``.

    Args:
        base, source: ``(…, d)``.
        read: R, ``(d, dim)``, with orthonormal columns that span the subspace.
        write: along which directions the component is put back, if not along those along which it was read.
    """
    if not all(isinstance(each, Tensor) and each.ndim for each in (base, source, read)):
        raise ValueError("Pass tensors: base and source (…, d), and the directions (d, dim).")
    checked_pair(base, source, "base and source")
    for directions in (read,) if write is None else (read, write):
        if directions.ndim != 2 or len(directions) != base.shape[-1]:
            raise ValueError(f"Directions must be ({base.shape[-1]}, dim), a row a channel, not {tuple(directions.shape)}.")
        checked_finite(directions, "directions")
    return base + (source - base) @ read @ (read if write is None else write).T


class Site:
    """Base and source activations at one layer, computed once, and the rest of the network from there.

    At each position of an activation, the channels are one vector of d numbers. Which axis holds them is the layer's
    :class:`~vizcourse.hooks.Layout`: a map has rows and columns of positions, tokens have one position each, and a vector
    ``(N, d)`` has a single one.

    Args:
        model: any module whose output is logits, ``(N, classes)``.
        base: inputs of the model, ``(N, …)``.
        source: as many inputs, or a list of such tensors where several sources are interchanged at once.
        layer: where to intervene, by name or as a module; its output is what is interchanged, that of its first call where
            it runs several times.
        positions: at which positions: None for all, a boolean map of them, or a list of them: ``[(row, column), …]`` or
            ``[token, …]``.
        layout: which axis holds the channels, where that cannot be found out.
        batch: inputs that the network sees at once.

    Attributes:
        activation: the base activations as the layer gives them.
        size: d.
        vectors: the base activations as ``(N, positions, d)``, in single precision at least.
        sources: the same of each source.
        differences: for each source, source minus base, zero where no position was chosen: ``(N, positions, d)`` each.
        answers: the network's classes for the base inputs, ``(N,)``.

    Raises:
        ValueError: bases and sources differ in number or shape, a layer has no channels, or a position is outside.
    """

    def __init__(
        self,
        model: nn.Module,
        base: Tensor,
        source: Tensor | Sequence[Tensor],
        layer: Layer,
        *,
        positions: Tensor | Sequence | None = None,
        layout: Layout | str | None = None,
        batch: int = 16,
    ) -> None:
        self.model, (self.layer, _) = checked_model(model), resolve(model, layer)
        inputs = _checked_inputs(model, base, list(source) if isinstance(source, Sequence) else [source])
        base = inputs[0]
        with left_alone(model), torch.no_grad():
            activations, logits = zip(*(self._run(each, checked_count(batch, "batch")) for each in inputs), strict=True)
            # Nearly always everything passes through the layer, and what is remembered of one picture serves all of them.
            self._tail = replay(model, base[:1], self.layer)
            again = [self._tail(activation[-4:]) for activation in activations]
            pairs = [(each, known[-4:]) for each, known in zip(again, logits, strict=True)]
            self._one_serves = all(torch.allclose(*pair, rtol=1e-3, atol=1e-4) for pair in pairs)
            if not self._one_serves:
                self._tail = replay(model, base, self.layer)
        self.answers, self.classes = logits[0].argmax(1), logits[0].shape[1]
        self.activation = activations[0]
        self.layout = layout_of(model, self.layer, self.activation, images=base if base.ndim == 4 else None, layout=layout)
        maps = self.layout.to_maps(self.activation)
        self._places = {4: tuple(maps.shape[2:]), 3: (maps.shape[3],), 2: ()}[self.layout.axes]
        self.vectors, *self.sources = (self._vectors(each) for each in activations)
        self.size = self.vectors.shape[-1]
        self.__dict__.update(self.at(positions).__dict__)

    def _run(self, inputs: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        activations, logits = [], []
        for some in inputs.split(batch):
            with capture(self.model, (self.layer, 0)) as acts:
                logits.append(checked_logits(answers(self.model, some)))
            activations.append(reached(acts, (self.layer, 0)))
            if len(activations[-1]) != len(some):
                raise ValueError(
                    f"Layer {self.layer!r} gives {tuple(activations[-1].shape)} for {len(some)} inputs: its first axis does "
                    "not count them; choose a layer around it."
                )
        return torch.cat(activations), torch.cat(logits)

    def _vectors(self, activation: Tensor) -> Tensor:
        return single(self.layout.to_maps(activation).flatten(2).transpose(1, 2).contiguous())

    def _folded(self, vectors: Tensor) -> Tensor:
        """The way back, to what the layer gives."""
        maps = vectors.transpose(1, 2).unflatten(2, self.layout.to_maps(self.activation).shape[2:])
        return self.layout.from_maps(maps).to(self.activation.dtype).contiguous()

    def __len__(self) -> int:
        return len(self.vectors)

    def at(self, positions: Tensor | Sequence | None) -> Site:
        """The same site with the interchange at other positions; nothing is computed again."""
        other = copy.copy(self)
        other.positions = positions
        mask = _mask(positions, self._places).to(self.vectors)
        other.differences = [(source - self.vectors) * mask[:, None] for source in self.sources]
        return other

    def only(self, source: int) -> Site:
        """The same site with one of its sources alone; nothing is computed again."""
        other = copy.copy(self)
        other.sources = [self.sources[source]]
        return other.at(self.positions)

    def logits(
        self, frames: Sequence[Tensor] | None, rows: Tensor | None = None, *, write: Sequence[Tensor] | None = None
    ) -> Tensor:
        """The network's answers, ``(N, classes)``, with each source's part in its own frame ``(d, dim)`` put in.

        ``frames=None`` interchanges whole activations. Differentiable with respect to the frames.
        """
        rows = torch.arange(len(self), device=self.vectors.device) if rows is None else rows
        vectors = self.vectors[rows]
        for number, difference in enumerate(self.differences):
            change = difference[rows]
            if frames is not None:
                read, put = frames[number].to(change), (frames if write is None else write)[number].to(change)
                change = change @ read @ put.T
            vectors = vectors + change
        with evaluating(self.model):
            logits = self._tail(self._folded(vectors), None if self._one_serves else rows)
        return logits.to(vectors.dtype)

    def checked_labels(self, labels: Tensor | Sequence[int]) -> Tensor:
        """One of the network's classes for each pair, ``(N,)``."""
        return checked_classes(labels, len(self), self.classes, name="label", each=True).to(self.vectors.device)

    @torch.no_grad()
    def hits(self, frames: Sequence[Tensor] | None, labels: Tensor, *, write: Sequence[Tensor] | None = None) -> Tensor:
        """Whether each pair's answer after the interchange is its label: ``(N,)`` of 0 and 1."""
        labels = self.checked_labels(labels)
        with left_alone(self.model):
            parts = torch.arange(len(self), device=self.vectors.device).split(64)
            answers = torch.cat([self.logits(frames, rows, write=write).argmax(1) for rows in parts])
        return (answers == labels).double()


def _checked_inputs(model: nn.Module, base: Tensor, sources: Sequence[Tensor]) -> list[Tensor]:
    """Bases and sources as the model takes them."""
    if not sources or not all(isinstance(each, Tensor) and each.ndim and len(each) for each in (base, *sources)):
        raise ValueError("There is nothing to interchange: pass tensors of at least one base and one source.")
    for each in (base, *sources):
        checked_pair(base, each, "bases and sources")
        checked_finite(each, "inputs")
        if each.dtype == torch.uint8:
            raise ValueError("The inputs are 8-bit pictures: .float() / 255 makes floats of them.")
    return [following(each, model) if each.is_floating_point() else each.to(device_of(model)) for each in (base, *sources)]


def _mask(positions: Tensor | Sequence | None, shape: tuple[int, ...]) -> Tensor:
    """Which of the flattened positions take part: ``(positions,)`` of 0 and 1."""
    if positions is None:
        return torch.ones(shape).flatten()
    if isinstance(positions, Tensor) and positions.dtype == torch.bool:
        if tuple(positions.shape) != shape:
            raise ValueError(f"A map of positions must be {shape} here, not {tuple(positions.shape)}.")
        return positions.flatten().float()
    if isinstance(positions, Sequence):
        positions = [tuple(each) if isinstance(each, Tensor) and each.ndim else each for each in positions]
    places = checked_indices(positions, max(shape, default=1), "The rows and columns, or tokens, of positions")
    places = places[:, None] if places.ndim == 1 and len(shape) == 1 else places
    if not places.numel() or places.ndim != 2 or places.shape[1] != len(shape) or (places >= torch.tensor(shape)).any():
        raise ValueError(f"There are no positions {positions}: this layer's are {shape}; pass at least one of them.")
    mask = torch.zeros(shape)
    mask[tuple(places.T)] = 1
    return mask.flatten()
