"""Which concepts cause which: generalized integrated gradients (GIG), and the graph from pixels' layers to the class.

After Kim, Han, Han and Kwak, "Decompose the model: mechanistic interpretability in image models with generalized
integrated gradients" (2024, arXiv 2409.01610). Concepts come from :mod:`vizcourse.methods.concepts`.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import networkx
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm.auto import tqdm

from vizcourse.hooks import Layout
from vizcourse.methods.checks import (
    checked_classes,
    checked_count,
    checked_finite,
    checked_images,
    checked_indices,
    checked_logits,
    checked_model,
)
from vizcourse.methods.concepts import (
    Concepts,
    Decomposition,
    Rest,
    check_order,
    decompose,
    extract_concepts,
    pointwise_feature_vectors,
)
from vizcourse.methods.passes import answers, left_alone, plain_batch_norms

__all__ = [
    "Attributions", "Concepts", "Decomposition", "build_graph", "decompose", "decomposed", "extract_concepts",
    "generalized_integrated_gradients", "importance", "shared_concepts", "tail_of",
]


def tail_of(
    model: nn.Module,
    images: Tensor,
    target: Tensor | None,
    source: str,
    effect: Concepts | None = None,
    *,
    layout: Layout | str | None = None,
) -> Callable[..., Tensor]:
    """The function from the maps of a layer, ``(N, C, h, w)``, to the scores of targets, ``(N, T)``.

    The score of a concept is the projection of the later layer's vectors on it, summed over the positions; that of a
    class is its logit. Only what lies between is computed.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``, for what goes around the source layer.
        target: which classes, or which concepts of the effect: ``(T,)`` for all pictures, ``(N, T)`` for each, None for all.
        source: the earlier layer.
        effect: concepts of the later layer, or None for the classes.
        layout: which axis holds the source's channels, where that cannot be found out.

    Returns:
        The function; a second argument says which picture each row belongs to, when they are not all in order.
    """
    rest = Rest(model, images, source, layout)

    def scores(maps: Tensor, index: Tensor | None = None) -> Tensor:
        if effect is None:
            every = rest(maps, index).to(maps.dtype)
        else:
            later = rest.reach(maps, index, effect.layer, effect.layout)
            if later.shape[1] != effect.vectors.shape[1]:
                raise ValueError(
                    f"Layer {effect.layer!r} has {later.shape[1]} channels and its concepts {effect.vectors.shape[1]}: take "
                    "concepts of this layer."
                )
            every = torch.einsum("nchw,kc->nk", later, effect.vectors.to(later))
        if target is None:
            return every
        return every[:, target] if target.ndim == 1 else every.gather(1, target if index is None else target[index])

    return scores


def decomposed(model: nn.Module, images: Tensor, source: Concepts | Decomposition) -> Decomposition:
    """The decomposition of the pictures' activations on concepts; one that is passed is checked to be theirs."""
    if not isinstance(source, Concepts | Decomposition):
        raise ValueError(f"The source must be Concepts of a layer or a Decomposition, not a {type(source).__name__}.")
    concepts = source if isinstance(source, Concepts) else source.concepts
    maps = pointwise_feature_vectors(model, images, concepts.layer, layout=concepts.layout)
    if isinstance(source, Concepts):
        return decompose(maps, source)
    known = len(source.coefficients)
    if known != len(images):
        raise ValueError(f"The decomposition is of {known} pictures and there are {len(images)}: take the same pictures.")
    whole = source.reconstruction + source.residual
    if maps.shape != whole.shape or (maps - whole).norm() > 1e-3 * maps.norm():
        raise ValueError(
            f"The decomposition is not of these pictures' activations in layer {concepts.layer!r}: decompose the activations "
            "of the layer that the concepts come from."
        )
    return source


@dataclass(frozen=True)
class Attributions:
    """What concepts of one layer contribute to targets.

    Attributes:
        edges: ``(N, T, K)``: contribution of each of K concepts, over all positions, to each of T targets.
        change: ``(N, T)``: the score of the reconstruction less that of an activation of zero.
        maps: ``(N, T, K, h, w)``: the contributions position by position, when asked for.
    """

    edges: Tensor
    change: Tensor
    maps: Tensor | None = None

    @property
    def gap(self) -> Tensor:
        """Completeness: how far the contributions miss the changes that they should sum to, relative to them, ``(N,)``.

        Both are lengths of vectors over the targets: a target that hardly changes does not blow the figure up.
        """
        return (self.edges.sum(2) - self.change).norm(dim=1) / self.change.norm(dim=1).clamp_min(1e-12)


def generalized_integrated_gradients(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int | None,
    source: Concepts | Decomposition,
    effect: Concepts | None = None,
    *,
    steps: int = 32,
    positions: bool = False,
    batch: int = 16,
    progress: bool = True,
) -> Attributions:
    """Contribution of each concept of a layer to concepts of a later layer, or to class logits (Eq. 4 to 6 of the paper).

    The coefficients u of the decomposition run on a straight line from zero to their values. The contribution of concept
    q at position p to target r is ``u_pq ∫₀¹ ∂g_r(α U V) / ∂u_pq dα``, by the midpoint rule. Contributions sum to
    ``g_r(U V) − g_r(0)``: to the score of the *reconstruction*, not to that of the picture.

    The gradient with respect to every coefficient follows from that with respect to the activation, so one backward
    pass serves all sources of a target; and where fewer sources are present than there are targets, one forward pass of
    derivatives serves all targets of a source.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``.
        target: numbers of the classes, or of the effect's concepts: one or some, ``(T,)``, for all pictures, or ``(N, T)``
            for other ones in each picture; None for all.
        source: concepts of the earlier layer, or a decomposition of these pictures.
        effect: concepts of the later layer, or None for the classes.
        steps: points on the path.
        positions: also give the contributions position by position.
        batch: pictures at once; what is kept for each grows with sources and targets.
        progress: show a bar when it takes more than a few seconds.

    Raises:
        ValueError: layers in the wrong order, a target that does not exist, a decomposition of other pictures.
    """
    images = checked_images(images, checked_model(model))
    parts = decomposed(model, images, source)
    check_order(model, images, [part.layer for part in (parts.concepts, effect) if part is not None])
    wanted = _wanted(model, images, target, effect)
    return _attributions(model, images, wanted, parts, effect, steps, positions, batch, progress)


def _attributions(
    model: nn.Module,
    images: Tensor,
    wanted: Tensor,
    parts: Decomposition,
    effect: Concepts | None,
    steps: int,
    positions: bool = False,
    batch: int = 16,
    progress: bool = True,
) -> Attributions:
    """The same for a decomposition, layers and targets that are known to be right."""
    done, source = [], parts.concepts
    steps, batch = checked_count(steps, "steps"), checked_count(batch, "batch")
    with left_alone(model), plain_batch_norms(model):
        starts = range(0, len(images), batch)
        for start in tqdm(starts, "contributions", unit="batch", delay=3, leave=False, disable=not progress):
            rows = slice(start, start + batch)
            some = wanted[rows] if wanted.ndim == 2 else wanted
            scores = tail_of(model, images[rows], some, source.layer, effect, layout=source.layout)
            whole, coefficients = parts.reconstruction[rows], parts.coefficients[rows]
            with torch.enable_grad():
                reached = scores(whole.clone().requires_grad_())
            if not reached.requires_grad:
                name = effect.layer if effect is not None else "the output"
                raise ValueError(f"{name!r} does not depend on {source.layer!r}: choose a layer that feeds the other.")
            change = reached.detach() - scores(torch.zeros_like(whole))
            present = parts.present[rows].sum()
            if positions or FORWARD_COSTS * present >= change.numel():
                edges, maps = _from_targets(scores, whole, coefficients, source.vectors, steps, positions)
            else:
                edges = _from_sources(scores, whole, coefficients, source.vectors, steps, change.shape[1])
                maps = None
            done.append(Attributions(edges, change, maps))
    return Attributions(
        torch.cat([part.edges for part in done]),
        torch.cat([part.change for part in done]),
        torch.cat([part.maps for part in done]) if positions else None,
    )


ROWS = 64  # points on the paths that a backward pass takes together
FORWARD_ROWS = 256  # derivatives that a forward pass takes together
FORWARD_COSTS = 1.9  # measured: one derivative forward, in units of a backward pass for a target


def _midpoints(steps: int, whole: Tensor) -> Tensor:
    return (torch.arange(steps, device=whole.device, dtype=whole.dtype) + 0.5) / steps


def _from_targets(
    scores: Callable, whole: Tensor, coefficients: Tensor, vectors: Tensor, steps: int, positions: bool
) -> tuple[Tensor, Tensor | None]:
    """A backward pass for each target, good for all sources at all positions."""
    total = None
    for part in _midpoints(steps, whole).split(max(1, ROWS // len(whole))):
        index = torch.arange(len(whole), device=whole.device).repeat(len(part))
        # Channels last, because convolutions on a CPU take half the time then.
        point = (part[:, None, None, None, None] * whole).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        point.requires_grad_()
        with torch.enable_grad():
            reached = scores(point, index).sum(0).unbind()  # each row moves its own scores alone
        some = [torch.autograd.grad(each, point, retain_graph=True)[0].unflatten(0, (len(part), -1)).sum(0) for each in reached]
        total = some if total is None else [one.add_(other) for one, other in zip(total, some, strict=True)]
    # Δu · ∂g/∂u, where the derivative with respect to a coefficient is that with respect to its concept's direction.
    maps = [torch.einsum("nchw,kc->nkhw", one / steps, vectors) * coefficients for one in total]
    edges = torch.stack([one.sum((2, 3)) for one in maps], 1)
    return edges, torch.stack(maps, 1) if positions else None


def _from_sources(
    scores: Callable, whole: Tensor, coefficients: Tensor, vectors: Tensor, steps: int, targets: int
) -> Tensor:
    """A forward pass of derivatives for each source that is present in a picture, good for all targets.

    The j-th direction holds, in each picture, the j-th of the sources that it has: those that it has not cause nothing.
    Pictures that have fewer than others drop out early.
    """
    strength = coefficients.flatten(2).abs().sum(2)
    order, counts = strength.argsort(dim=1, descending=True), (strength > 0).sum(1)
    edges = coefficients.new_zeros(len(whole), coefficients.shape[1], targets)
    start = 0
    while len(some := (counts > start).nonzero()[:, 0]):
        sources = order[some, start : start + max(1, FORWARD_ROWS // len(some))].T  # (J, pictures)
        directions = vectors[sources][..., None, None] * coefficients[some, sources][:, :, None]
        found = sum(_directional(scores, part * whole[some], some, directions) for part in _midpoints(steps, whole))
        edges[some, sources] = found / steps
        start += len(sources)
    return edges.transpose(1, 2)


def _directional(scores: Callable, point: Tensor, index: Tensor, directions: Tensor) -> Tensor:
    """The derivative of the scores of some pictures along each direction (J, pictures, C, h, w): ``(J, pictures, T)``."""

    def along(direction: Tensor) -> Tensor:
        return torch.func.jvp(lambda activations: scores(activations, index), (point,), (direction,))[1]

    with torch.no_grad(), warnings.catch_warnings(), _plain_attention():
        warnings.simplefilter("ignore")  # PyTorch's own use of torch.jit
        return torch.func.vmap(along)(directions)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """PyTorch's fast ways through attention have no forward derivatives."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _wanted(
    model: nn.Module, images: Tensor, target: Tensor | Sequence[int] | int | None, effect: Concepts | None
) -> Tensor:
    if effect is not None:
        there, what = len(effect), f"The concepts of {effect.layer!r} that are asked for"
    else:
        with left_alone(model), torch.no_grad():
            there, what = checked_logits(answers(model, images[:1])).shape[1], "The classes that are asked for"
    wanted = torch.atleast_1d(checked_indices(range(there) if target is None else target, there, what)).to(images.device)
    if wanted.ndim > 2 or not wanted.numel() or (wanted.ndim == 2 and len(wanted) != len(images)):
        raise ValueError(
            f"The targets have shape {tuple(wanted.shape)}: pass (T,) for all pictures, or ({len(images)}, T), a row for each."
        )
    return wanted


# ---------------------------------------------------------------------------------------------------------------- graph


def importance(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int,
    source: Concepts | Decomposition,
    *,
    steps: int = 32,
) -> Tensor:
    """What each concept contributes to each picture's class logit, over all positions: ``(N, K)``.

    Args:
        model, images, source, steps: as in :func:`generalized_integrated_gradients`.
        target: a class for each picture, ``(N,)``, or one for all.
    """
    images = checked_images(images, checked_model(model))
    target = checked_classes(target, len(images))
    return generalized_integrated_gradients(model, images, target[:, None], source, steps=steps).edges[:, 0]


def shared_concepts(first: Tensor, second: Tensor, top: int = 3) -> Tensor:
    """The concepts that matter most to both of two classes: ``(top,)``, those first whose lesser share is greatest.

    Args:
        first, second: importance of K concepts in pictures of one class and of the other, ``(N, K)`` each.
        top: how many at most; a concept that speaks against one of the classes is never among them.
    """
    top = checked_count(top, "top")
    if not all(isinstance(part, Tensor) and part.ndim == 2 and len(part) for part in (first, second)):
        raise ValueError("Importances are (pictures, concepts) for each class, as importance(…) gives them.")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"Importances of {first.shape[1]} and {second.shape[1]} concepts: take the same concepts for both.")
    shares = [checked_finite(part, "importances").mean(0).clamp_min(0) for part in (first, second)]
    lesser = torch.minimum(*(share / share.sum().clamp_min(1e-12) for share in shares))
    best = lesser.topk(min(top, len(lesser)))
    return best.indices[best.values > 0]


def _strongest(matters: Tensor, top: int) -> Tensor:
    """The concepts that contribute most; none that speaks against the class, unless all do."""
    best = matters.topk(min(top, len(matters)))
    return best.indices[(best.values > 0) | (best.values == best.values.max())]


def build_graph(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int,
    concepts: Sequence[Concepts],
    *,
    top: int = 5,
    shared: int = 3,
    steps: int = 32,
) -> networkx.DiGraph:
    """The concept graph of one picture, of a class, or of several classes: it depends on which pictures are passed.

    Of each layer it holds the ``top`` concepts that contribute most to each class's logit (fewer, where fewer speak
    for the class), and the ``shared`` ones that matter most to each pair of classes. Edges run from cause to
    effect, between consecutive layers and from the last one to the classes; their weights are contributions,
    averaged over pictures.

    Nodes are named ``"inception4b:17"`` and ``"class:3"``. Their attributes: ``layer`` (``"class"`` for classes),
    ``concept`` (number of the concept, or of the class), ``depth`` (0 for the earliest layer), ``importance`` (mean
    contribution to the pictures' own classes), ``importance:3`` (the same in pictures of class 3), ``shared`` (whether it
    was taken for being shared). Edges: ``weight``, and ``share``, the weight relative to the mean size of the effect's
    score. Of the graph: ``pictures``, ``gap`` (completeness: the largest of any picture and pair of layers) and
    ``error:layer`` (mean share of the activations that the concepts leave out). All are numbers and words, so that
    networkx exports them.

    Args:
        model: any model.
        images: ``(N, 3, H, W)``.
        target: a class for each picture, ``(N,)``, or one for all.
        concepts: of several layers, the earliest first.
        top: concepts a layer and class.
        shared: concepts a layer and pair of classes.
        steps: points on each path.

    Raises:
        ValueError: layers in the wrong order, or a class that does not exist.
    """
    if not concepts or not all(isinstance(each, Concepts) for each in concepts):
        raise ValueError("A graph needs concepts of at least one layer: pass those of extract_concepts in a list.")
    images = checked_images(images, checked_model(model))
    check_order(model, images, [each.layer for each in concepts])
    top, shared = checked_count(top, "top"), checked_count(shared, "shared", least=0)
    target = checked_classes(target, len(images)).to(images.device)
    own = _wanted(model, images, target[:, None], None)
    classes = target.unique().tolist()
    graph = networkx.DiGraph(pictures=len(images), gap=0.0)
    for number in classes:
        graph.add_node(f"class:{number}", layer="class", concept=number, depth=len(concepts), importance=1.0, shared=False)
    parts = [decomposed(model, images, each) for each in concepts]
    chosen: list[list[int]] = []
    for depth, part in enumerate(parts):
        matters = _attributions(model, images, own, part, None, steps).edges[:, 0]
        by_class = {number: matters[target == number] for number in classes}
        best = [index for each in by_class.values() for index in _strongest(each.mean(0), top)]
        pairs = itertools.combinations(by_class.values(), 2) if shared else ()
        both = {int(index) for pair in pairs for index in shared_concepts(*pair, shared)}
        chosen.append(sorted({int(index) for index in best} | both))
        graph.graph[f"error:{part.concepts.layer}"] = float(part.error.mean())
        for index in chosen[-1]:
            graph.add_node(
                f"{part.concepts.layer}:{index}",
                layer=part.concepts.layer,
                concept=index,
                depth=depth,
                importance=float(matters[:, index].mean()),
                shared=index in both,
                **{f"importance:{number}": float(each[:, index].mean()) for number, each in by_class.items()},
            )
            if part is parts[-1]:
                for number, each in by_class.items():
                    share = float(each[:, index].mean() / each.sum(1).mean().abs().clamp_min(1e-12))
                    weight = float(each[:, index].mean())
                    graph.add_edge(f"{part.concepts.layer}:{index}", f"class:{number}", weight=weight, share=share)
    for part, later, kept, effects in zip(parts, parts[1:], chosen, chosen[1:], strict=False):
        found = _attributions(model, images, torch.tensor(effects, device=images.device), part, later.concepts, steps)
        weights, change = found.edges.mean(0), found.change.mean(0)
        graph.graph["gap"] = max(graph.graph["gap"], float(found.gap.max()))
        for row, effect in enumerate(effects):
            for cause in kept:
                graph.add_edge(
                    f"{part.concepts.layer}:{cause}",
                    f"{later.concepts.layer}:{effect}",
                    weight=float(weights[row, cause]),
                    share=float(weights[row, cause] / change[row].abs().clamp_min(1e-12)),
                )
    return graph
