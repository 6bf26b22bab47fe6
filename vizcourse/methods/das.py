"""Distributed alignment search: find the subspace of an activation that carries a variable, by interchanging it.

The distributed interchange intervention and its training by gradient descent are from Geiger, Wu, Potts, Icard and Goodman,
"Finding alignments between interpretable causal variables and distributed neural representations" (CLeaR 2024,
arXiv:2303.02536); the learned width from Wu, Geiger, Icard, Potts and Goodman, "Interpretability at scale: identifying causal
mechanisms in Alpaca" (NeurIPS 2023, arXiv:2305.08809); the split into row space and null space from Makelov, Lange and Nanda,
"Is this the subspace you are looking for?" (ICLR 2024, arXiv:2311.17030).

What is trained is a subspace of a :class:`~vizcourse.methods.interchange.Site`, where interchanges are cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizcourse.hooks import Layer, Layout
from vizcourse.methods.checks import checked_choice, checked_count, checked_finite, checked_number
from vizcourse.methods.interchange import Site, interchange
from vizcourse.methods.intervals import Interval, bootstrap
from vizcourse.methods.passes import left_alone
from vizcourse.methods.subspaces import orthonormal, random_frame, row_null_split

__all__ = [
    "Alignment", "Interval", "Site", "align", "align_at", "align_boundless", "controls", "dimension_sweep", "full_swap",
    "interchange", "off_target", "orthonormal", "random_frame", "random_subspace", "row_null_split", "score", "shuffled",
]  # fmt: skip


def score(hits: Tensor, *, draws: int = 2000, seed: int = 0) -> Interval:
    """Mean of ``hits``, ``(N,)``, one number in [0, 1] a pair, with its 95 % bootstrap interval over the pairs."""
    return bootstrap(hits, draws=draws, seed=seed)


@dataclass
class Alignment:
    """A subspace of a layer that is to carry a variable.

    Attributes:
        model, layer, positions, layout: where it was found.
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
    layout: Layout | None = field(default=None, repr=False)

    def _frames(self) -> tuple[list[Tensor], list[Tensor] | None]:
        write = None if self.write is None else list(self.write.split(self.dims, dim=1))
        return list(self.rotation.split(self.dims, dim=1)), write

    def score(self, site: Site, labels: Tensor) -> Interval:
        """Interchange intervention accuracy at a site, with its bootstrap interval."""
        if not isinstance(site, Site):
            raise ValueError(f"An alignment is scored at a Site, not at a {type(site).__name__}: make one of base and source.")
        if site.size != len(self.rotation) or len(site.sources) != len(self.dims):
            raise ValueError(
                f"This alignment is for {len(self.dims)} source(s) at a layer of {len(self.rotation)} channels, the site has "
                f"{len(site.sources)} and {site.size}: make the site with the alignment's own model and layer."
            )
        frames, write = self._frames()
        return score(site.hits(frames, labels, write=write))

    def _site(self, base: Tensor, source: Tensor | Sequence[Tensor]) -> Site:
        return Site(self.model, base, source, self.layer, positions=self.positions, layout=self.layout)

    def iia(self, base: Tensor, source: Tensor | Sequence[Tensor], labels: Tensor) -> float:
        """Interchange intervention accuracy: in which share of the pairs the network then answers the label."""
        return self.score(self._site(base, source), labels).estimate

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
    layout: Layout | str | None = None,
    **training: object,
) -> Alignment:
    """Distributed alignment search: the subspace whose interchange makes the network answer ``labels``.

    Args:
        model, base, source, layer, positions, layout: see :class:`Site`.
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
    return align_at(Site(model, base, source, layer, positions=positions, layout=layout), labels, dim=dim, **training)


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
    dims = tuple(dim) if isinstance(dim, Sequence) else (dim,) * len(site.sources)
    total = sum(checked_count(each, "dim") for each in dims)
    labels = site.checked_labels(labels)
    if len(dims) != len(site.sources) or total > site.size:
        raise ValueError(
            f"dim must be one number for each of the {len(site.sources)} source(s) and at most {site.size} in all, the "
            f"channels of layer {site.layer!r}, not {dim}."
        )
    checked_choice(kind, ("rotation", "linear"), "kind")
    generator = torch.Generator().manual_seed(seed)
    weight = random_frame(site.size, total, generator) if start is None else start
    if not isinstance(weight, Tensor):
        raise ValueError(f"start must be a matrix ({site.size}, {total}), not a {type(weight).__name__}.")
    if weight.shape != (site.size, total):
        raise ValueError(f"start must be ({site.size}, {total}), not {tuple(weight.shape)}.")
    weight = checked_finite(weight, "values of start").detach().to(site.vectors, copy=True).requires_grad_()
    beside = torch.zeros_like(weight, requires_grad=True)
    parameters = [weight] if kind == "rotation" else [weight, beside]

    def frames() -> tuple[Tensor, Tensor | None]:
        rotation = orthonormal(weight)
        if kind == "rotation":
            return rotation, None
        # Any write with readᵀ write = 1: the read directions themselves, and anything that they do not see.
        return rotation, rotation + beside - rotation @ (rotation.T @ beside)

    def loss(rows: Tensor, _step: int) -> Tensor:
        read, write = frames()
        parts = None if write is None else write.split(dims, dim=1)
        return functional.cross_entropy(site.logits(read.split(dims, dim=1), rows, write=parts), labels[rows])

    optimizer = torch.optim.Adam(parameters, lr=checked_number(learning_rate, "learning_rate", above=0))
    losses = _descended(site, optimizer, loss, batch, steps, generator, progress)
    read, write = (None if each is None else each.detach() for each in frames())
    return Alignment(site.model, site.layer, read, dims, site.positions, losses, write, site.layout)


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
    if len(site.sources) != 1:
        raise ValueError("Boundless alignment is for one source: use align(…, dim=[…]) for several.")
    first, last = (checked_number(each, "A temperature", above=0) for each in _two(temperatures))
    labels, size, penalty = site.checked_labels(labels), site.size, checked_number(penalty, "penalty", least=0)
    generator = torch.Generator().manual_seed(seed)
    weight = random_frame(size, size, generator).to(site.vectors).requires_grad_()
    boundary = site.vectors.new_tensor(0.5).requires_grad_()
    places = torch.arange(size, device=weight.device) + 0.5
    rates = (checked_number(learning_rate, "learning_rate", above=0), checked_number(boundary_rate, "boundary_rate", above=0))
    groups = [{"params": [each], "lr": rate} for each, rate in zip((weight, boundary), rates, strict=True)]

    def loss(rows: Tensor, step: int) -> Tensor:
        boundary.data.clamp_(1e-3, 1)
        temperature = size * first * (last / first) ** (step / max(steps - 1, 1))
        mask = torch.sigmoid((boundary * size - places) / temperature)
        rotation = orthonormal(weight)
        answers = site.logits([rotation * mask], rows, write=[rotation])
        return functional.cross_entropy(answers, labels[rows]) + penalty * boundary

    losses = _descended(site, torch.optim.Adam(groups), loss, batch, steps, generator, progress)
    boundary.data.clamp_(1e-3, 1)
    width = max(1, round(boundary.item() * size))
    rotation = orthonormal(weight).detach()[:, :width].clone()
    return Alignment(site.model, site.layer, rotation, (width,), site.positions, losses, layout=site.layout)


# ------------------------------------------------------------------------------------------------------------ controls


def full_swap(site: Site, labels: Tensor) -> Interval:
    """IIA when the whole activation is interchanged: what the network answers to the source itself, as far as positions go."""
    return score(site.hits(None, labels))


def random_subspace(site: Site, labels: Tensor, dim: int, *, draws: int = 10, seed: int = 0) -> Interval:
    """Mean IIA of random subspaces of the same dimension."""
    generator = torch.Generator().manual_seed(seed)
    frames = [random_frame(site.size, dim, generator).to(site.vectors) for _ in range(checked_count(draws, "draws"))]
    return score(torch.stack([site.hits([frame], labels) for frame in frames]).mean(0))


def shuffled(labels: Tensor, seed: int = 0) -> Tensor:
    """The labels in another order. An alignment that still fits them has memorised; held-out pairs show it."""
    if not isinstance(labels, Tensor) or labels.ndim != 1:
        raise ValueError("Labels to shuffle are a tensor (N,), one class a pair.")
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)).to(labels.device)]


def off_target(alignment: Alignment, site: Site) -> Interval:
    """Share of pairs whose answer *changes* at a site where another variable differs: 0 where the subspace is selective."""
    kept = alignment.score(site, getattr(site, "answers", None))
    return replace(kept, estimate=1 - kept.estimate, low=1 - kept.high, high=1 - kept.low)


def dimension_sweep(
    site: Site, labels: Tensor, held_out: tuple[Site, Tensor], dims: Sequence[int], **training: object
) -> dict[int, dict[str, Interval]]:
    """For each dimension the IIA of an alignment on its own and on held-out pairs, and of random subspaces."""
    if not isinstance(dims, Sequence) or not dims:
        raise ValueError(f"dims must be some dimensions to sweep over, such as [1, 2, 4], not {dims!r}.")
    table = {}
    for dim in dims:
        alignment = align_at(site, labels, dim=dim, **training)
        table[dim] = {
            "trained on": alignment.score(site, labels),
            "held out": alignment.score(*held_out),
            "random subspace": random_subspace(*held_out, dim),
        }
    return table


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
) -> dict[str, Interval]:
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


def _two(temperatures: tuple[float, float]) -> tuple[float, float]:
    if not isinstance(temperatures, Sequence) or len(temperatures) != 2:
        raise ValueError(f"temperatures must be two, the first and the last, not {temperatures!r}.")
    return temperatures


def _descended(
    site: Site,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Tensor, int], Tensor],
    batch: int,
    steps: int,
    generator: torch.Generator,
    progress: bool,
) -> list[float]:
    """Steps down a loss of some pairs and the step's number; what it was at each step."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    batches = _batches(len(site), checked_count(batch, "batch"), checked_count(steps, "steps"), generator)
    losses = []
    with left_alone(site.model), torch.enable_grad():
        for step, rows in enumerate(tqdm(batches, "aligning", steps, leave=False, delay=3, disable=not progress)):
            loss = loss_of(rows.to(site.vectors.device), step)
            optimizer.zero_grad()
            loss.backward(inputs=parameters)
            optimizer.step()
            losses.append(loss.item())
    return losses


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
