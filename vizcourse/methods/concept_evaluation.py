"""Do concepts matter as their contributions say? Insertion and deletion of concepts, at the class and between layers.

After Kim, Han, Han and Kwak (2024, arXiv 2409.01610): C-insertion and C-deletion, and the same from layer to layer. The
paper does not say how a concept is deleted: here its coefficients become zero at every position. Its only baseline
between layers is a random order; here are the size of the coefficients, the gradient at the end of the path, and the
truth for single concepts, leave-one-out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vizcourse.methods.checks import (
    checked_choice,
    checked_classes,
    checked_count,
    checked_images,
    checked_logits,
    checked_model,
    not_probabilities,
)
from vizcourse.methods.concept_graph import decomposed, generalized_integrated_gradients, importance, tail_of
from vizcourse.methods.concepts import Concepts, Decomposition, Rest, check_order
from vizcourse.methods.intervals import Interval, bootstrap
from vizcourse.methods.passes import left_alone

ORDERS = ("gig", "coefficient", "gradient", "leave-one-out", "random")


@dataclass(frozen=True)
class Curves:
    """What concepts that are put in, or taken out, one after another do to a score.

    Attributes:
        fractions: share of the concepts present in a picture that are in (insertion) or out (deletion), ``(S,)``.
        insertion: the score from an activation of zero on, ``(N, S)``: high early when the order is good.
        deletion: the score from the reconstruction on, ``(N, S)``: low early when the order is good.
    """

    fractions: Tensor
    insertion: Tensor
    deletion: Tensor

    @property
    def insertion_auc(self) -> Tensor:
        """Area under each insertion curve by the trapezoid rule, ``(N,)``."""
        return torch.trapezoid(self.insertion, self.fractions, dim=1)

    @property
    def deletion_auc(self) -> Tensor:
        """Area under each deletion curve, ``(N,)``."""
        return torch.trapezoid(self.deletion, self.fractions, dim=1)

    @property
    def auc_difference(self) -> Tensor:
        """Insertion's area less deletion's, ``(N,)``: the paper's figure, greater when the order is better."""
        return self.insertion_auc - self.deletion_auc

    @property
    def mean(self) -> float:
        """Mean of the difference of the areas over pictures."""
        return float(self.auc_difference.mean())

    @property
    def interval(self) -> Interval:
        """That mean with its 95 % bootstrap interval over pictures."""
        return bootstrap(self.auc_difference)


def insertion_deletion(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int,
    source: Concepts | Decomposition,
    *,
    order: str | Tensor = "gig",
    measure: str = "probability",
    fractions: int = 16,
    steps: int = 32,
    seed: int = 0,
) -> Curves:
    """C-insertion and C-deletion: the class's probability while a layer's concepts come and go by importance.

    Only concepts that are present in a picture count. A score decides the order, greatest first: ``"gig"`` (contribution
    to the class's logit), ``"coefficient"`` (sum of the concept's coefficients), ``"gradient"`` (of the logit at the
    reconstruction, times the coefficients), ``"leave-one-out"`` (fall of the logit when this concept alone is taken out),
    ``"random"``.

    Args:
        model: gives logits ``(N, classes)``.
        images: ``(N, 3, H, W)``.
        target: class of each picture ``(N,)``, or one for all.
        source: concepts of a layer, or a decomposition of these pictures.
        order: one of :data:`ORDERS`, or scores ``(N, K)``.
        measure: ``"probability"`` or ``"logit"``.
        fractions: steps of the curves, which have one point more.
        steps: points on the path of GIG.
        seed: of the random order.

    Raises:
        ValueError: an order or measure that does not exist, or what GIG itself refuses.
    """
    checked_choice(measure, ("probability", "logit"), "measure")
    checked_count(steps, "steps")
    images = checked_images(images, checked_model(model))
    classes = checked_classes(target, len(images))[:, None].to(images.device)
    parts = decomposed(model, images, source)
    with left_alone(model), torch.no_grad():
        rest = Rest(model, images, parts.concepts.layer, parts.concepts.layout)

        def answers(maps: Tensor, index: Tensor) -> Tensor:
            return rest(maps, index).to(maps.dtype).gather(1, classes[index])

        def measured(maps: Tensor, index: Tensor) -> Tensor:
            if measure == "logit":
                return answers(maps, index)
            return rest(maps, index).to(maps.dtype).softmax(1).gather(1, classes[index])

        logits = checked_logits(rest(rest.maps))
        checked_classes(classes[:, 0], len(images), logits.shape[1])
        if measure == "probability":
            not_probabilities(logits)
        ranked = _order(model, images, classes, parts, None, order, answers, steps, seed)
        grid, insertion, deletion = _curves(measured, parts, ranked, fractions)
    return Curves(grid, insertion[:, 0], deletion[:, 0])


def interlayer_insertion_deletion(
    model: nn.Module,
    images: Tensor,
    target: Tensor | Sequence[int] | int | None,
    source: Concepts | Decomposition,
    effect: Concepts,
    *,
    orders: Sequence[str] = ORDERS,
    top: int = 5,
    score: str = "sum",
    fractions: int = 16,
    steps: int = 32,
    seed: int = 0,
) -> dict[str, Curves]:
    """Insertion and deletion of one layer's concepts, and what they do to the most important concepts of a later layer.

    The score of a later concept is the projection of its layer's vectors on it, less what an activation of zero gives,
    relative to what the whole reconstruction gives: 0 at one end, 1 at the other (and above 1 where concepts that speak
    against it are still out). The projections are summed over the positions, because that is the score whose changes GIG,
    the gradient and leave-one-out share out; with ``score="max"`` the greatest counts, as in the paper, and the orders still
    are those for the sum.

    Args:
        model: gives logits ``(N, classes)``.
        images: ``(N, 3, H, W)``.
        target: class of each picture ``(N,)``, or one for all, for which the later concepts are important; None for what
            the model answers.
        source: concepts of the earlier layer, or a decomposition of these pictures.
        effect: concepts of the later layer.
        orders: some of :data:`ORDERS`.
        top: later concepts a picture, over which its curves are averaged: the most important ones, by GIG, of those that
            an activation of zero loses at least a tenth as much of as of the one that it loses most of. (Else the
            division is by next to nothing.)
        score: ``"sum"`` or ``"max"`` over positions.
        fractions, steps, seed: as in :func:`insertion_deletion`.

    Returns:
        Curves for each order, ``(N, S)``.

    Raises:
        ValueError: as :func:`insertion_deletion`; also layers in the wrong order.
    """
    checked_choice(score, ("sum", "max"), "score")
    if not isinstance(effect, Concepts):
        raise ValueError(f"The effect must be Concepts of a later layer, not a {type(effect).__name__}.")
    for order in orders if isinstance(orders, Sequence) else [orders]:
        checked_choice(order, ORDERS, "order")
    checked_count(steps, "steps")
    top, images = checked_count(top, "top"), checked_images(images, checked_model(model))
    parts = decomposed(model, images, source)
    check_order(model, images, [parts.concepts.layer, effect.layer])
    with left_alone(model), torch.no_grad():
        rest = Rest(model, images, parts.concepts.layer, parts.concepts.layout)
        logits = checked_logits(rest(rest.maps))
        classes = checked_classes(logits.argmax(1) if target is None else target, len(images), logits.shape[1])

        def projections(maps: Tensor, index: Tensor, kind: str) -> Tensor:
            later = rest.reach(maps, index, effect.layer, effect.layout)
            found = torch.einsum("nchw,kc->nkhw", later, effect.vectors.to(later))
            return found.sum((2, 3)) if kind == "sum" else found.amax((2, 3))

        every = torch.arange(len(images), device=images.device)
        bottom = {kind: projections(torch.zeros_like(parts.reconstruction), every, kind) for kind in ("sum", score)}
        change = {kind: projections(parts.reconstruction, every, kind) - bottom[kind] for kind in ("sum", score)}
        moves = torch.stack([each >= 0.1 * each.amax(1, keepdim=True).clamp_min(1e-12) for each in change.values()]).all(0)
        if not moves.sum(1).min() >= top:
            raise ValueError(
                f"In a picture, the reconstruction moves only {int(moves.sum(1).min())} of the concepts of {effect.layer!r}: "
                f"ask for fewer than {top} at the top."
            )
        matters = importance(model, images, classes, effect, steps=steps).masked_fill(~moves, -torch.inf)
        wanted = matters.topk(top, dim=1).indices

        def answers(maps: Tensor, index: Tensor) -> Tensor:
            return projections(maps, index, "sum").gather(1, wanted[index])

        def measured(maps: Tensor, index: Tensor) -> Tensor:
            risen = projections(maps, index, score) - bottom[score][index]
            return (risen / change[score][index]).gather(1, wanted[index])

        found = {}
        for name in orders:
            ranked = _order(model, images, wanted, parts, effect, name, answers, steps, seed)
            grid, insertion, deletion = _curves(measured, parts, ranked, fractions)
            found[name] = Curves(grid, insertion.mean(1), deletion.mean(1))
    return found


# ---------------------------------------------------------------------------------------------------------------- inside

Answers = Callable[[Tensor, Tensor], Tensor]  # maps (M, C, h, w), the picture of each (M,) -> scores (M, T)
ROWS = 64  # maps that are run together


def _order(
    model: nn.Module,
    images: Tensor,
    wanted: Tensor,
    parts: Decomposition,
    effect: Concepts | None,
    order: str | Tensor,
    answers: Answers,
    steps: int,
    seed: int,
) -> Tensor:
    """Scores by which concepts are ordered: ``(N, T, K)``, or ``(N, 1, K)`` where they are the same for all targets."""
    coefficients, vectors = parts.coefficients, parts.concepts.vectors
    if isinstance(order, Tensor):
        if order.shape != coefficients.shape[:2] or not order.isfinite().all():
            raise ValueError(f"An order is a finite score for each concept, {tuple(coefficients.shape[:2])}.")
        return order[:, None]
    if order == "gig":
        return generalized_integrated_gradients(model, images, wanted, parts, effect, steps=steps).edges
    if order == "coefficient":
        return coefficients.sum((2, 3))[:, None]
    if order == "gradient":
        scores = tail_of(model, images, wanted, parts.concepts.layer, effect, layout=parts.concepts.layout)
        with torch.enable_grad():
            point = parts.reconstruction.clone().requires_grad_()
            reached = scores(point).sum(0).unbind()
        some = [torch.autograd.grad(each, point, retain_graph=True)[0] for each in reached]
        return torch.stack([torch.einsum("nchw,kc,nkhw->nk", one, vectors, coefficients) for one in some], 1)
    if order == "leave-one-out":
        pictures, gone = parts.present.nonzero(as_tuple=True)
        without = parts.coefficients.new_ones(len(gone), len(vectors)).scatter_(1, gone[:, None], 0)
        whole = answers(parts.reconstruction, torch.arange(len(images), device=images.device))
        falls = whole[pictures] - _answered(answers, parts, pictures, without)[0]
        scores = falls.new_zeros(*coefficients.shape[:2], falls.shape[1])
        scores[pictures, gone] = falls
        return scores.transpose(1, 2)
    if order == "random":
        drawn = torch.rand(coefficients.shape[:2], generator=torch.Generator().manual_seed(seed))
        return drawn.to(coefficients)[:, None]
    raise ValueError(f"There is no order {order!r}: choose from {', '.join(ORDERS)}, or pass scores (N, K).")


def _answered(answers: Answers, parts: Decomposition, pictures: Tensor, kept: Tensor, *, both: bool = False) -> list[Tensor]:
    """Scores ``(M, T)`` with some concepts kept, ``(M, K)``; with ``both``, also of what they leave of the reconstruction."""
    found: list[list[Tensor]] = [[], []]
    for some, mask in zip(pictures.split(ROWS), kept.split(ROWS), strict=True):
        held = torch.einsum("nkhw,kc->nchw", parts.coefficients[some] * mask[:, :, None, None], parts.concepts.vectors)
        found[0].append(answers(held, some))
        if both:
            found[1].append(answers(parts.reconstruction[some] - held, some))
    return [torch.cat(each) for each in found if each]


def _curves(measured: Answers, parts: Decomposition, scores: Tensor, fractions: int) -> tuple[Tensor, Tensor, Tensor]:
    """The grid ``(S,)``, and both curves ``(N, T, S)``, T being that of the answers."""
    present, fractions = parts.present, checked_count(fractions, "fractions")
    rank = scores.masked_fill(~present[:, None], -torch.inf).argsort(dim=2, descending=True, stable=True).argsort(dim=2)
    grid = torch.linspace(0, 1, fractions + 1, device=scores.device)
    many = (grid * present.sum(1, keepdim=True) + 0.5).floor()  # (N, S)
    kept = (rank[:, :, None] < many[:, None, :, None]).to(parts.coefficients)  # (N, T or 1, S, K)
    count, orders, points, _ = kept.shape
    pictures = torch.arange(count, device=scores.device).repeat_interleave(orders * points)
    inserted, deleted = (
        each.view(count, orders, points, -1) for each in _answered(measured, parts, pictures, kept.flatten(0, 2), both=True)
    )
    if orders > 1:  # each order was made for a target of its own
        inserted, deleted = (each.diagonal(dim1=1, dim2=3).transpose(1, 2) for each in (inserted, deleted))
    else:
        inserted, deleted = (each[:, 0].transpose(1, 2) for each in (inserted, deleted))
    return grid, inserted, deleted
