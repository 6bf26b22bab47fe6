"""Distributed alignment search: find the subspace of an activation that carries a variable, by interchanging it.

The distributed interchange intervention and its training by gradient descent are from Geiger, Wu, Potts, Icard and Goodman,
"Finding alignments between interpretable causal variables and distributed neural representations" (CLeaR 2024,
arXiv:2303.02536); the learned width from Wu, Geiger, Icard, Potts and Goodman, "Interpretability at scale: identifying causal
mechanisms in Alpaca" (NeurIPS 2023, arXiv:2305.08809); the split into row space and null space from Makelov, Lange and Nanda,
"Is this the subspace you are looking for?" (ICLR 2024, arXiv:2311.17030).

What comes before the layer is computed once and kept in a :class:`Site`; after that only the rest of the network runs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizcourse.hooks import Layer, capture, replay, resolve
from vizcourse.methods.passes import left_alone


def interchange(base: Tensor, source: Tensor, read: Tensor, write: Tensor | None = None) -> Tensor:
    """Give ``base`` the component of ``source`` in a subspace: ``base + (source − base) R Rᵀ``.

    Args:
        base, source: ``(…, d)``.
        read: R, ``(d, dim)``, with orthonormal columns that span the subspace.
        write: along which directions the component is put back, if not along those along which it was read.
    """
    return base + (source - base) @ read @ (read if write is None else write).T


@dataclass(frozen=True)
class Score:
    """A share of pairs, with the 95 % interval of a bootstrap over the pairs (of no width where all pairs agree)."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.0%} [{self.low:.0%}, {self.high:.0%}]"


def score(hits: Tensor, *, draws: int = 2000, seed: int = 0) -> Score:
    """Mean and bootstrap interval of ``hits``, ``(N,)``, one number in [0, 1] a pair."""
    hits = hits.detach().double().cpu()
    if hits.ndim != 1 or len(hits) == 0:
        raise ValueError(f"hits must be one number a pair, (N,), and at least one pair, not {tuple(hits.shape)}.")
    generator = torch.Generator().manual_seed(seed)
    means = hits[torch.randint(len(hits), (draws, len(hits)), generator=generator)].mean(1)
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return Score(hits.mean().item(), low, high, len(hits))


class Site:
    """Base and source activations at one layer, computed once, and the rest of the network from there.

    The channels are the last axis of ``(N, d)`` and ``(N, tokens, d)`` activations and the second of
    ``(N, channels, height, width)``; at each position, the channels are one vector of d numbers.

    Args:
        model: any module whose output is logits, ``(N, classes)``.
        base: inputs of the model, ``(N, …)``.
        source: as many inputs, or a list of such tensors where several sources are interchanged at once.
        layer: where to intervene, by name or as a module; its output is what is interchanged.
        positions: at which positions: None for all, a boolean map of them, or a list of them: ``[(row, column), …]`` or
            ``[token, …]``.

    Attributes:
        activation: the base activations as the layer gives them.
        size: d.
        vectors: the base activations as ``(N, positions, d)``.
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
        batch: int = 16,
    ) -> None:
        sources = [source] if isinstance(source, Tensor) else list(source)
        if not sources or len(base) == 0:
            raise ValueError("There is nothing to interchange: pass at least one base and one source.")
        for each in sources:
            if each.shape != base.shape:
                raise ValueError(
                    f"Base and source must be pairs of one shape, not {tuple(base.shape)} and {tuple(each.shape)}."
                )
        for each in (base, *sources):
            if not each.isfinite().all():
                raise ValueError("The inputs hold NaN or infinite values: mend them first, for example with nan_to_num().")
        self.model, (self.layer, _) = model, resolve(model, layer)
        device = next((parameter.device for parameter in model.parameters()), base.device)
        base, *sources = (each.to(device) for each in (base, *sources))
        with left_alone(model), torch.no_grad():
            activations, answers = zip(*(self._run(each, batch) for each in (base, *sources)), strict=True)
            self.activation, logits = activations[0], answers[0]
            # Nearly always everything passes through the layer, and what is remembered of one picture serves all of them.
            self._tail = replay(model, base[:1], self.layer)
            check = [self._tail(activation[-4:]) for activation in activations]
            known = [answer[-4:] for answer in answers]
            self._one_serves = all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(check, known, strict=True))
            if not self._one_serves:
                self._tail = replay(model, base, self.layer)
        self.answers, self.classes = logits.argmax(1), logits.shape[1]
        self.vectors, self._shape = _vectors(self.activation, self.layer)
        self.size = self.vectors.shape[-1]
        self._sources = [_vectors(each, self.layer)[0] for each in activations[1:]]
        self.__dict__.update(self.at(positions).__dict__)

    def _run(self, inputs: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        activations, logits = [], []
        for some in inputs.split(batch):
            with capture(self.model, self.layer) as acts:
                logits.append(self.model(some))
            activations.append(acts[self.layer])
        if logits[0].ndim != 2:
            raise ValueError(f"The model must give logits (N, classes), not {tuple(logits[0].shape)}.")
        return torch.cat(activations), torch.cat(logits)

    def __len__(self) -> int:
        return len(self.vectors)

    def at(self, positions: Tensor | Sequence | None) -> Site:
        """The same site with the interchange at other positions; nothing is computed again."""
        other = copy.copy(self)
        other.positions = positions
        mask = _mask(positions, self._shape).to(self.vectors)
        other.differences = [(source - self.vectors) * mask[:, None] for source in self._sources]
        return other

    def only(self, source: int) -> Site:
        """The same site with one of its sources alone; nothing is computed again."""
        other = copy.copy(self)
        other._sources = [self._sources[source]]
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
                change = change @ frames[number] @ (frames if write is None else write)[number].T
            vectors = vectors + change
        return self._tail(self._folded(vectors), None if self._one_serves else rows)

    def _folded(self, vectors: Tensor) -> Tensor:
        if len(self._shape) == 2 and self.activation.ndim == 4:
            return vectors.unflatten(1, self._shape).movedim(-1, 1).contiguous()
        return vectors.reshape(-1, *self.activation.shape[1:])

    @torch.no_grad()
    def hits(self, frames: Sequence[Tensor] | None, labels: Tensor, *, write: Sequence[Tensor] | None = None) -> Tensor:
        """Whether each pair's answer after the interchange is its label: ``(N,)`` of 0 and 1."""
        labels = _labels(labels, len(self), self.classes, self.vectors.device)
        with left_alone(self.model):
            parts = torch.arange(len(self), device=self.vectors.device).split(64)
            answers = torch.cat([self.logits(frames, rows, write=write).argmax(1) for rows in parts])
        return (answers == labels).double()


@dataclass
class Alignment:
    """A subspace of a layer that is to carry a variable.

    Attributes:
        model, layer, positions: where it was found.
        rotation: orthonormal columns that span it, ``(d, dim)``; of several sources one after the other.
        dims: how many of these columns belong to each source.
        losses: the training loss of each step.
        write: only with ``kind="linear"``: the directions along which the component is written, ``(d, dim)``.
    """

    model: nn.Module
    layer: str
    rotation: Tensor
    dims: tuple[int, ...]
    positions: Tensor | Sequence | None = None
    losses: list[float] = field(default_factory=list, repr=False)
    write: Tensor | None = field(default=None, repr=False)

    def _frames(self) -> tuple[list[Tensor], list[Tensor] | None]:
        write = None if self.write is None else list(self.write.split(self.dims, dim=1))
        return list(self.rotation.split(self.dims, dim=1)), write

    def score(self, site: Site, labels: Tensor) -> Score:
        """Interchange intervention accuracy at a site, with its bootstrap interval."""
        if site.size != len(self.rotation) or len(site._sources) != len(self.dims):
            raise ValueError(
                f"This alignment is for {len(self.dims)} source(s) at a layer of {len(self.rotation)} channels, the site has "
                f"{len(site._sources)} and {site.size}: make the site with the alignment's own model and layer."
            )
        frames, write = self._frames()
        return score(site.hits(frames, labels, write=write))

    def _site(self, base: Tensor, source: Tensor | Sequence[Tensor]) -> Site:
        return Site(self.model, base, source, self.layer, positions=self.positions)

    def iia(self, base: Tensor, source: Tensor | Sequence[Tensor], labels: Tensor) -> float:
        """Interchange intervention accuracy: in which share of the pairs the network then answers the label."""
        return self.score(self._site(base, source), labels).value

    def interval(self, base: Tensor, source: Tensor | Sequence[Tensor], labels: Tensor) -> tuple[float, float]:
        """The 95 % bootstrap interval of :meth:`iia` over the pairs."""
        found = self.score(self._site(base, source), labels)
        return found.low, found.high

    def logits(self, site: Site) -> Tensor:
        """The network's answers after the interchange, ``(N, classes)``."""
        frames, write = self._frames()
        with torch.no_grad(), left_alone(self.model):
            return site.logits(frames, write=write)


def align(
    model: nn.Module,
    base: Tensor,
    source: Tensor | Sequence[Tensor],
    labels: Tensor,
    layer: Layer,
    *,
    dim: int | Sequence[int],
    positions: Tensor | Sequence | None = None,
    **training: object,
) -> Alignment:
    """Distributed alignment search: the subspace whose interchange makes the network answer ``labels``.

    Args:
        model, base, source, layer, positions: see :class:`Site`.
        labels: the counterfactual classes, ``(N,)``: what the hypothesis says that the network answers when the variable has
            the source's value and all else the base's.
        dim: dimensions of the subspace, one number for each source; several sources get disjoint subspaces.
        training: see :func:`align_at`.

    Raises:
        ValueError: bad inputs; ``dim`` larger than the layer has channels; labels out of range.

    Example:
        >>> alignment = align(model, base, source, labels, "avgpool", dim=8)
        >>> alignment.rotation.shape, alignment.iia(*held_out)
    """
    return align_at(Site(model, base, source, layer, positions=positions), labels, dim=dim, **training)


def align_at(
    site: Site,
    labels: Tensor,
    *,
    dim: int | Sequence[int],
    seed: int = 0,
    steps: int = 200,
    batch: int = 64,
    learning_rate: float = 0.02,
    start: Tensor | None = None,
    kind: str = "rotation",
    progress: bool = True,
) -> Alignment:
    """:func:`align` for a site whose activations are already computed.

    Args:
        site, labels, dim: see :func:`align`.
        seed: of the first frame and of the batches.
        steps, batch, learning_rate: of Adam, on the cross-entropy of the answers with the labels.
        start: the first frame, ``(d, dim)``; a random one by default.
        kind: "rotation" reads and writes along the same orthonormal columns. "linear" may write along others, which is any
            linear change of basis in the place of the rotation: a control, because it is far too powerful.
        progress: show a bar when it takes long.
    """
    dims = (dim,) * len(site._sources) if isinstance(dim, int) else tuple(dim)
    device, total = site.vectors.device, sum(dims)
    labels = _labels(labels, len(site), site.classes, device)
    if len(dims) != len(site._sources) or min(dims) < 1 or total > site.size:
        raise ValueError(
            f"dim must be at least 1 for each of the {len(site._sources)} source(s) and at most {site.size} in all, "
            f"the channels of layer {site.layer!r}, not {dim}."
        )
    if kind not in ("rotation", "linear"):
        raise ValueError(f'kind must be "rotation" or "linear", not {kind!r}.')
    generator = torch.Generator().manual_seed(seed)
    weight = random_frame(site.size, total, generator) if start is None else start
    if weight.shape != (site.size, total):
        raise ValueError(f"start must be ({site.size}, {total}), not {tuple(weight.shape)}.")
    weight = weight.detach().clone().to(device).requires_grad_()
    beside = torch.zeros_like(weight, requires_grad=True)
    parameters = [weight] if kind == "rotation" else [weight, beside]

    def frames() -> tuple[Tensor, Tensor | None]:
        rotation = orthonormal(weight)
        if kind == "rotation":
            return rotation, None
        # Any write with readᵀ write = 1: the read directions themselves, and anything that they do not see.
        return rotation, rotation + beside - rotation @ (rotation.T @ beside)

    optimizer, losses = torch.optim.Adam(parameters, lr=learning_rate), []
    with left_alone(site.model), torch.enable_grad():
        for rows in tqdm(_batches(len(site), batch, steps, generator), "aligning", steps, leave=False, delay=3,
                         disable=not progress):  # fmt: skip
            rows = rows.to(device)
            read, write = frames()
            parts = None if write is None else write.split(dims, dim=1)
            loss = functional.cross_entropy(site.logits(read.split(dims, dim=1), rows, write=parts), labels[rows])
            optimizer.zero_grad()
            loss.backward(inputs=parameters)
            optimizer.step()
            losses.append(loss.item())
    read, write = (None if each is None else each.detach() for each in frames())
    return Alignment(site.model, site.layer, read, dims, site.positions, losses, write)


def align_boundless(
    site: Site,
    labels: Tensor,
    *,
    penalty: float = 1.0,
    seed: int = 0,
    steps: int = 300,
    batch: int = 64,
    learning_rate: float = 0.02,
    boundary_rate: float = 0.02,
    temperatures: tuple[float, float] = (0.1, 0.002),
    progress: bool = True,
) -> Alignment:
    """Boundless DAS: learn the width of the subspace together with it, for one source.

    The i-th of all d rotated dimensions is interchanged to the part ``sigmoid((b·d − i) / τ)``, and ``penalty · b`` is added to
    the loss. Here τ is a share of d, lowered geometrically; a fixed τ of 50, as in the original code for d = 4096, would make
    the mask flat for a small d.

    Args:
        site, labels, seed, steps, batch, learning_rate, progress: see :func:`align_at`.
        penalty: price of the width; ``b`` runs from 0 to 1.
        boundary_rate: learning rate of ``b``, which begins at 0.5.
        temperatures: first and last τ, as shares of d.

    Returns:
        An alignment with a rotation of ``round(b·d)`` columns (at least one), all of them then interchanged in full.
    """
    if len(site._sources) != 1:
        raise ValueError("Boundless alignment is for one source: use align(…, dim=[…]) for several.")
    device, size = site.vectors.device, site.size
    labels = _labels(labels, len(site), site.classes, device)
    generator = torch.Generator().manual_seed(seed)
    weight = random_frame(size, size, generator).to(device).requires_grad_()
    boundary = torch.tensor(0.5, device=device, requires_grad=True)
    places = torch.arange(size, device=device) + 0.5
    groups = [{"params": [weight], "lr": learning_rate}, {"params": [boundary], "lr": boundary_rate}]
    optimizer, losses = torch.optim.Adam(groups), []
    with left_alone(site.model), torch.enable_grad():
        for step, rows in enumerate(tqdm(_batches(len(site), batch, steps, generator), "aligning", steps, leave=False,
                                         delay=3, disable=not progress)):  # fmt: skip
            rows = rows.to(device)
            temperature = size * temperatures[0] * (temperatures[1] / temperatures[0]) ** (step / max(steps - 1, 1))
            mask = torch.sigmoid((boundary * size - places) / temperature)
            rotation = orthonormal(weight)
            answers = site.logits([rotation * mask], rows, write=[rotation])
            loss = functional.cross_entropy(answers, labels[rows]) + penalty * boundary
            optimizer.zero_grad()
            loss.backward(inputs=[weight, boundary])
            optimizer.step()
            boundary.data.clamp_(1e-3, 1)
            losses.append(loss.item())
    width = max(1, round(boundary.item() * size))
    rotation = orthonormal(weight).detach()[:, :width].clone()
    return Alignment(site.model, site.layer, rotation, (width,), site.positions, losses)


# ------------------------------------------------------------------------------------------------------------ controls


def full_swap(site: Site, labels: Tensor) -> Score:
    """IIA when the whole activation is interchanged: what the network answers to the source itself, as far as positions go."""
    return score(site.hits(None, labels))


def random_subspace(site: Site, labels: Tensor, dim: int, *, draws: int = 10, seed: int = 0) -> Score:
    """Mean IIA of random subspaces of the same dimension."""
    generator = torch.Generator().manual_seed(seed)
    frames = [random_frame(site.size, dim, generator).to(site.vectors) for _ in range(draws)]
    return score(torch.stack([site.hits([frame], labels) for frame in frames]).mean(0))


def shuffled(labels: Tensor, seed: int = 0) -> Tensor:
    """The labels in another order. An alignment that still fits them has memorised; held-out pairs show it."""
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)).to(labels.device)]


def off_target(alignment: Alignment, site: Site) -> Score:
    """Share of pairs whose answer *changes* at a site where another variable differs: 0 where the subspace is selective."""
    kept = alignment.score(site, site.answers)
    return Score(1 - kept.value, 1 - kept.high, 1 - kept.low, kept.count)


def dimension_sweep(
    site: Site, labels: Tensor, held_out: tuple[Site, Tensor], dims: Sequence[int], **training: object
) -> dict[int, dict[str, Score]]:
    """For each dimension the IIA of an alignment on its own and on held-out pairs, and of random subspaces."""
    table = {}
    for dim in dims:
        alignment = align_at(site, labels, dim=dim, **training)
        table[dim] = {
            "trained on": alignment.score(site, labels),
            "held out": alignment.score(*held_out),
            "random subspace": random_subspace(*held_out, dim),
        }
    return table


def row_null_split(rotation: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split a subspace at the input of a linear layer into the parts that the layer can and cannot see.

    Each direction is the sum of one in the row space of the weight and one in its null space (Makelov et al., section 3).
    A faithful alignment keeps its IIA with the row part alone; one that loses it was reading from the null space, which
    the layer ignores, and writing into the row space.

    Args:
        rotation: ``(d, dim)``.
        weight: of the linear layer, ``(outputs, d)``. What is the same for all outputs cannot change an answer and counts
            as null space.

    Returns:
        Orthonormal frames ``(d, ≤ dim)`` of both parts.
    """
    if weight.shape[1] != len(rotation):
        raise ValueError(f"The weight must have {len(rotation)} columns, one a channel, not {weight.shape[1]}.")
    weight = (weight - weight.mean(0)).detach().to(rotation)
    row = _basis(weight.T)
    inside = row @ (row.T @ rotation)
    return _basis(inside), _basis(rotation - inside)


def controls(
    site: Site,
    labels: Tensor,
    held_out: tuple[Site, Tensor],
    *,
    dim: int,
    untrained: tuple[Site, Site] | None = None,
    others: Sequence[Site] = (),
    seed: int = 0,
    **training: object,
) -> dict[str, Score]:
    """An alignment and what could expose it, in one table. All but the first row are measured on held-out pairs.

    Args:
        site, labels, dim, seed, training: see :func:`align_at`.
        held_out: another site and its labels, with pairs that the alignment has not seen.
        untrained: both sites again, in an untrained network of the same architecture.
        others: held-out sites at which other variables differ.
    """
    alignment = align_at(site, labels, dim=dim, seed=seed, **training)
    table = {
        "trained on": alignment.score(site, labels),
        "held out": alignment.score(*held_out),
        "full swap": full_swap(*held_out),
        "random subspace": random_subspace(*held_out, dim, seed=seed),
        "shuffled labels": align_at(site, shuffled(labels, seed), dim=dim, seed=seed, **training).score(*held_out),
    }
    if untrained is not None:
        there = align_at(untrained[0], labels, dim=dim, seed=seed, **training)
        table["untrained network"] = there.score(untrained[1], held_out[1])
    for number, other in enumerate(others, start=1):
        table[f"off target {number}"] = off_target(alignment, other)
    return table


# -------------------------------------------------------------------------------------------------------------- helpers


def orthonormal(weight: Tensor) -> Tensor:
    """The Gram–Schmidt frame of a matrix's columns, ``(d, dim)``: differentiable, and the identity on orthonormal ones."""
    q, r = torch.linalg.qr(weight)
    return q * torch.where(r.diagonal() < 0, -1.0, 1.0)


def random_frame(size: int, dim: int, generator: torch.Generator) -> Tensor:
    """A random orthonormal frame, ``(size, dim)``, every subspace equally likely.

    Raises:
        ValueError: ``dim`` is larger than ``size``.
    """
    if not 1 <= dim <= size:
        raise ValueError(f"dim must be from 1 to {size}, the channels of the layer, not {dim}.")
    return orthonormal(torch.randn(size, dim, generator=generator))


def _basis(columns: Tensor, tolerance: float = 1e-4) -> Tensor:
    """Orthonormal basis of the span of columns, without those that are zero but for rounding."""
    vectors, values, _ = torch.linalg.svd(columns, full_matrices=False)
    return vectors[:, values > tolerance * max(float(values.max()), tolerance)]


def _vectors(activation: Tensor, name: str) -> tuple[Tensor, tuple[int, ...]]:
    """Activations as ``(N, positions, d)``, and the shape of the positions."""
    if activation.ndim == 4:
        return activation.movedim(1, -1).flatten(1, 2).contiguous(), tuple(activation.shape[2:])
    if activation.ndim in (2, 3):
        return activation.reshape(len(activation), -1, activation.shape[-1]), tuple(activation.shape[1:-1])
    raise ValueError(
        f"Layer {name!r} gives {tuple(activation.shape)}, which has no channel axis: choose a layer with (N, d), "
        "(N, tokens, d) or (N, channels, height, width)."
    )


def _mask(positions: Tensor | Sequence | None, shape: tuple[int, ...]) -> Tensor:
    """Which of the flattened positions take part: ``(positions,)`` of 0 and 1."""
    if positions is None:
        return torch.ones(shape).flatten()
    if isinstance(positions, Tensor) and positions.dtype == torch.bool:
        if tuple(positions.shape) != shape:
            raise ValueError(f"A map of positions must be {shape} here, not {tuple(positions.shape)}.")
        return positions.flatten().float()
    mask = torch.zeros(shape)
    for place in positions:
        place = tuple(place) if isinstance(place, Sequence | Tensor) else (place,)
        if len(place) != len(shape) or not all(0 <= at < most for at, most in zip(place, shape, strict=True)):
            raise ValueError(f"There is no position {place}: this layer's positions are {shape}.")
        mask[place] = 1
    return mask.flatten()


def _labels(labels: Tensor, count: int, classes: int, device: torch.device) -> Tensor:
    labels = torch.as_tensor(labels, device=device)
    if labels.shape != (count,) or labels.is_floating_point():
        raise ValueError(f"labels must be {count} whole numbers, one a pair, not {tuple(labels.shape)} of {labels.dtype}.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels must be from 0 to {classes - 1}, the network's classes; these run from {low} to {high}.")
    return labels.long()


def _batches(count: int, batch: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """``steps`` batches, each pair once an epoch; all pairs at a time where they fit."""
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if count <= batch:
            yield torch.arange(count)
            continue
        if len(order) < batch:
            order = torch.randperm(count, generator=generator)
        rows, order = order[:batch], order[batch:]
        yield rows
