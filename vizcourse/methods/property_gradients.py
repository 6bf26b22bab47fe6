"""Does this property change the prediction on this picture, by how much, and is it more than chance?

Change one property of one picture step by step, keep everything else fixed, and record the model's answer at every step:
the response curve. Its mean absolute derivative is the *expected property gradient magnitude*; shuffling the steps says
whether the order of the steps matters at all.

Source: Penzel and Denzler, "Towards Locally Explaining Prediction Behavior via Gradual Interventions and Measuring
Property Gradients", WACV 2026 (arXiv:2503.05424), and their published code. Derivatives on any spacing: Fornberg,
"Generation of finite difference formulas on arbitrarily spaced grids", Mathematics of Computation 51 (1988).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vizcourse.methods.checks import (
    as_numbers,
    checked_choice,
    checked_classes,
    checked_count,
    checked_images,
    checked_logits,
    checked_model,
    checked_number,
    checked_numbers,
    not_probabilities,
)
from vizcourse.methods.passes import answers, evaluating

METRICS = ("probability", "logit")
SCORES = ("gradient", "correlation", "mutual information")
Score = Callable[[Tensor, Tensor], Tensor]


# ------------------------------------------------------------------------------------------------ the response curve


@torch.no_grad()
def logits(model: nn.Module, images: Tensor | Iterable[Tensor], *, batch: int = 64) -> Tensor:
    """The model's answer to each of the ordered images, in eval mode.

    Args:
        model: a classifier that returns ``(N, classes)``.
        images: the ordered images of one intervention, ``(steps, channel, height, width)``, a list or generator of
            images ``(channel, height, width)``, or those of several, ``(N, steps, channel, height, width)``.
        batch: images run together.

    Returns:
        ``(steps, classes)`` or ``(N, steps, classes)``.

    Raises:
        ValueError: fewer than three steps, images of different sizes, or answers that are not finite.
    """
    if not isinstance(images, Tensor):
        images = _stacked(images)
    if images.ndim not in (4, 5):
        raise ValueError(
            f"Ordered images are (steps, channel, height, width), or (N, steps, …) for several interventions; "
            f"these are {tuple(images.shape)}."
        )
    if images.shape[-4] < 3 or len(images) == 0:
        raise ValueError(f"A curve needs at least three steps: this intervention has {images.shape[-4]}.")
    flat, count = checked_images(images.flatten(0, -4), checked_model(model)), checked_count(batch, "batch")
    with evaluating(model):
        found = torch.cat([answers(model, part) for part in flat.split(count)])
    return checked_logits(found).unflatten(0, images.shape[:-3])


def _stacked(images: Iterable[Tensor]) -> Tensor:
    listed = list(images) if isinstance(images, Iterable) and not isinstance(images, str) else [images]
    if not all(isinstance(image, Tensor) for image in listed):
        raise ValueError("Ordered images are tensors (channel, height, width): pass them in a list, or torch.stack(…) of them.")
    sizes = {tuple(image.shape) for image in listed}
    if len(sizes) > 1:
        raise ValueError(
            f"All images of an intervention must have one size; these have {sorted(sizes)}: "
            "let the intervention return images as large as the original."
        )
    if len(listed) < 3:
        raise ValueError(f"A curve needs at least three steps: this intervention has {len(listed)}.")
    return torch.stack(listed)


def respond(
    model: nn.Module,
    images: Tensor | Iterable[Tensor],
    target: int | Tensor | None = None,
    *,
    metric: str = "probability",
    batch: int = 64,
) -> Tensor:
    """The response curve: one class's probability (or logit) at every step of an intervention.

    Args:
        model, images, batch: as for :func:`logits`.
        target: the class, an index, or one for each of N interventions; by default the class that the model names on the
            first image.
        metric: ``"probability"`` (softmax, as in the paper) or ``"logit"``.

    Returns:
        ``(steps,)`` or ``(N, steps)``.

    Raises:
        ValueError: as for :func:`logits`; a class that the model does not have; an unknown metric.
    """
    return _response(logits(model, images, batch=batch), target, metric)


def _response(outputs: Tensor, target: int | Tensor | None, metric: str) -> Tensor:
    checked_choice(metric, METRICS, "metric")
    if metric == "probability":
        outputs = not_probabilities(outputs.flatten(0, -2)).softmax(-1).view_as(outputs)
    return outputs.gather(-1, _chosen(outputs, target)[..., None, None].expand(*outputs.shape[:-1], 1)).squeeze(-1)


def _chosen(outputs: Tensor, target: int | Tensor | None) -> Tensor:
    """The class of each intervention, ``()`` or ``(N,)``; by default the one that the model names first."""
    if target is None:
        return outputs[..., 0, :].argmax(-1)
    shape = outputs.shape[:-2]
    return checked_classes(target, math.prod(shape), outputs.shape[-1]).to(outputs.device).view(shape)


# --------------------------------------------------------------------------------------------------- the derivative


def fornberg_weights(nodes: Sequence[float] | Tensor, at: float, derivative: int = 1) -> Tensor:
    """Weights with which function values at ``nodes`` add up to a derivative at ``at``.

    Exact for polynomials of a degree below the number of nodes. Fornberg (1988): the weights for the first ``n`` nodes
    follow from those for ``n − 1`` nodes, because each new node brings one new factor into Lagrange's polynomials.

    Args:
        nodes: different positions, in any order, ``(n,)``.
        at: where the derivative is wanted.
        derivative: 0 interpolates, 1 is the slope, 2 the curvature.

    Returns:
        ``(n,)`` in double precision.

    Raises:
        ValueError: two nodes are equal, or there are too few for this derivative.
    """
    places = checked_numbers(nodes, "The nodes")
    checked_number(at, "at")
    checked_count(derivative, "derivative", least=0)
    if len(set(places)) < len(places):
        raise ValueError("Two nodes are equal: a finite difference needs different positions.")
    if derivative >= len(places):
        raise ValueError(f"Derivative {derivative} needs at least {derivative + 1} nodes; there are {len(places)}.")
    table = [[0.0] * len(places) for _ in range(derivative + 1)]  # table[d][j]: weight of node j for derivative d
    table[0][0] = 1.0
    before = 1.0
    for n in range(1, len(places)):
        product = 1.0
        for j in range(n):
            gap = places[n] - places[j]
            product *= gap
            if j == n - 1:
                for d in range(min(n, derivative), -1, -1):
                    lower = d * table[d - 1][n - 1] if d else 0.0
                    table[d][n] = before / product * (lower - (places[n - 1] - at) * table[d][n - 1])
            for d in range(min(n, derivative), -1, -1):
                lower = d * table[d - 1][j] if d else 0.0
                table[d][j] = ((places[n] - at) * table[d][j] - lower) / gap
        before = product
    return torch.tensor(table[derivative], dtype=torch.float64)


def derivative_matrix(values: Tensor, order: int = 2) -> Tensor:
    """The matrix that turns a curve into its derivative: ``derivative_matrix(values) @ curve``.

    The derivative at step i comes from the ``order + 1`` steps around it, cut off at the ends of the curve.

    Args:
        values: strictly increasing positions of the steps, ``(steps,)``.
        order: order of accuracy inside the curve. 2 (central differences) is ``numpy.gradient`` and the paper; 4 uses
            five steps; 1 takes the difference to the next step, so it sees a curve that alternates.

    Returns:
        ``(steps, steps)`` in double precision.
    """
    values = torch.tensor(checked_numbers(values, "The values of the property"), dtype=torch.float64)
    steps, order = len(values), checked_count(order, "order")
    if steps < 2:
        raise ValueError("A slope needs at least two steps: pass more values of the property.")
    matrix = torch.zeros(steps, steps, dtype=torch.float64)
    for step in range(steps):
        first = max(0, min(step - order // 2, steps - 2))
        last = min(steps, step + (order + 1) // 2 + 1)
        matrix[step, first:last] = fornberg_weights(values[first:last], float(values[step]))
    return matrix


def property_gradients(responses: Tensor, values: Tensor | None = None, *, order: int = 2) -> Tensor:
    """The derivative of response curves along the property, by finite differences.

    Args:
        responses: the model's answers along the ordered interventions, ``(…, steps)``.
        values: the property's value at each step, ``(steps,)``, strictly increasing; by default 0, 1, 2, …, as in the
            published code.
        order: see :func:`derivative_matrix`.

    Returns:
        ``(…, steps)`` in double precision: response per unit of the property.

    Raises:
        ValueError: fewer than three steps, values that do not fit or do not increase strictly, non-finite responses.
    """
    curves, places = _curves(responses, values)
    # A constant has no slope; taking it away first makes this exact, so that a flat curve gives 0 and not 1e-17.
    return (curves - curves[..., :1]) @ derivative_matrix(places, order).to(curves.device).T


def expected_property_gradient_magnitude(
    responses: Tensor, values: Tensor | None = None, *, order: int = 2
) -> Tensor:
    """Mean absolute derivative of the response along the property: how much the property moves the prediction.

    With the default unit spacing this is the published score, which shrinks as 1/steps when the same change is cut into
    more steps. Give ``values`` to make it comparable between different numbers of steps; on uneven steps it remains a
    mean over *steps*, so regions with many steps count for more.

    Args:
        responses, values, order: as for :func:`property_gradients`.

    Returns:
        ``(…)``, one number for each curve, at least 0.
    """
    return property_gradients(responses, values, order=order).abs().mean(-1)


def _curves(responses: Tensor, values: Tensor | None) -> tuple[Tensor, Tensor]:
    """Responses and values in double precision, checked."""
    curves = as_numbers(responses, "The responses")
    steps = curves.shape[-1] if curves.ndim else 0
    if steps < 3:
        raise ValueError(f"A curve needs at least three steps, not {steps}: take more steps of the intervention.")
    if curves.numel() == 0:
        raise ValueError("There are no curves: pass at least one.")
    _finite(curves, "The responses")
    if values is None:
        return curves, torch.arange(steps, dtype=torch.float64, device=curves.device)
    places = as_numbers(values, "The values of the property").to(curves.device)
    if places.shape != (steps,):
        raise ValueError(f"{steps} steps need {steps} values of the property, not {tuple(places.shape)}.")
    _finite(places, "The values of the property")
    if not bool((places.diff() > 0).all()):
        raise ValueError("The values of the property must increase strictly: sort the steps and drop double ones.")
    return curves, places


def _finite(numbers: Tensor, what: str) -> Tensor:
    if not bool(numbers.isfinite().all()):
        raise ValueError(f"{what} contain NaN or infinite numbers: look at the images and the model that gave them.")
    return numbers


# ------------------------------------------------------------------------------------------ two alternative scores


def correlation(responses: Tensor, values: Tensor | None = None) -> Tensor:
    """Pearson's correlation of the response with the property, ``(…)``, from -1 to 1; 0 for a constant response."""
    curves, places = _curves(responses, values)
    curves = curves - curves[..., :1]
    curves, places = curves - curves.mean(-1, keepdim=True), places - places.mean()
    scale = curves.norm(dim=-1) * places.norm()
    return torch.where(scale > 0, curves @ places / scale.clamp_min(1e-300), torch.zeros_like(scale))


def mutual_information(responses: Tensor, values: Tensor | None = None, *, neighbours: int = 5) -> Tensor:
    """Mutual information of response and property in nats, by nearest neighbours, ``(…)``.

    Kraskov, Stögbauer and Grassberger, "Estimating mutual information", Physical Review E 69 (2004), equation 8. The
    estimate of independent quantities scatters around 0 and may be negative; a constant response gives 0.

    Raises:
        ValueError: as for :func:`property_gradients`, or fewer steps than neighbours + 1.
    """
    curves, places = _curves(responses, values)
    steps = curves.shape[-1]
    checked_count(neighbours, f"With {steps} steps, neighbours", most=steps - 1)
    shape, curves = curves.shape[:-1], curves.reshape(-1, steps)

    def distances(positions: Tensor) -> Tensor:
        spread = positions.std(-1, keepdim=True)
        scaled = positions / torch.where(spread > 0, spread, torch.ones_like(spread))
        gaps = (scaled[..., :, None] - scaled[..., None, :]).abs()
        return gaps.masked_fill(torch.eye(steps, dtype=torch.bool, device=gaps.device), math.inf)  # not one's own

    along = distances(places)
    estimates = []
    for part in curves.split(max(1, 4_000_000 // steps**2)):
        across = distances(part)
        radius = torch.maximum(along, across).kthvalue(neighbours, dim=-1).values[..., None]
        near_along, near_across = (along < radius).sum(-1), (across < radius).sum(-1)
        digamma = torch.special.digamma((1 + torch.stack([near_along, near_across])).double()).sum(0).mean(-1)
        known = torch.tensor([neighbours, steps], dtype=torch.float64, device=part.device)
        estimate = torch.special.digamma(known).sum() - digamma
        flat = (part == part[:, :1]).all(-1)
        estimates.append(estimate.masked_fill(flat, 0.0))
    return torch.cat(estimates).reshape(shape)


# ------------------------------------------------------------------------------------------------- is it chance?


@dataclass(frozen=True)
class PermutationTest:
    """What a shuffled order of the steps gives, beside what the true order gave.

    Attributes:
        score: of the true order, ``(…)``.
        p_value: share of orders at least as far from the mean as the true one, ``(…)``.
        null: scores of the shuffled orders, ``(permutations, …)``.
    """

    score: Tensor
    p_value: Tensor
    null: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean score of the shuffled orders, ``(…)``."""
        return self.null.mean(0)

    @property
    def smoother(self) -> Tensor:
        """Whether the true order scores *below* the shuffled ones, as nearly every significant curve does, ``(…)``."""
        return self.score < self.mean


def permutation_test(
    responses: Tensor,
    values: Tensor | None = None,
    *,
    score: str = "gradient",
    permutations: int = 1000,
    seed: int = 0,
    order: int = 2,
    published: bool = False,
) -> PermutationTest:
    """Does the order of the steps matter? Shuffle the responses and compare the score (a permutation test).

    A response that ignores the property has no order, so its score is one of many alike. The test is two-sided about the
    mean of all orders. A significant curve is mostly *smoother* than chance, however small it is: p says whether there
    is an effect, the score says how large. All curves see the same shuffles.

    Args:
        responses, values, order: as for :func:`property_gradients`; ``(…, steps)``.
        score: ``"gradient"``, ``"correlation"`` (two-sided about 0) or ``"mutual information"`` (one-sided).
        permutations: number of shuffles.
        seed: of the shuffles.
        published: False counts the true order as one of the orders, in the count and in the mean ("+1 correction"), so
            the smallest p is 1 / (permutations + 1) and the test keeps its level; True divides as the published code
            does, where p can be 0.

    Returns:
        A :class:`PermutationTest`.

    Raises:
        ValueError: as for :func:`property_gradients`; an unknown score; no permutations.
    """
    curves, places = _curves(responses, values)
    checked_choice(score, SCORES, "score")
    checked_count(permutations, "permutations")
    shape, steps = curves.shape[:-1], curves.shape[-1]
    curves = curves.reshape(-1, steps)
    generator = torch.Generator().manual_seed(seed)
    shuffles = torch.rand(permutations, steps, generator=generator).argsort(1).to(curves.device)
    if score == "gradient":
        observed = expected_property_gradient_magnitude(curves, places, order=order)
        null = _shuffled_gradients(curves, derivative_matrix(places, order).to(curves.device), shuffles, order)
    else:
        measure: Score = correlation if score == "correlation" else mutual_information
        observed = measure(curves, places)
        null = torch.cat([measure(curves[:, some].transpose(0, 1), places) for some in shuffles.split(64)])

    # The true order is one of the possible orders: with it, no curve can have p = 0, and the test is exact.
    reference = null if published else torch.cat([null, observed[None]])
    centre = reference.mean(0) if score == "gradient" else torch.zeros_like(observed)
    distance = reference - centre if score == "mutual information" else (reference - centre).abs()
    threshold = observed - centre if score == "mutual information" else (observed - centre).abs()
    # Orders that tie (a curve read backwards, say) must count as ties whatever the rounding.
    p_value = (distance >= threshold - 1e-9 * null.abs().amax(0)).double().mean(0)
    return PermutationTest(observed.reshape(shape), p_value.reshape(shape), null.reshape(permutations, *shape))


def _shuffled_gradients(curves: Tensor, matrix: Tensor, shuffles: Tensor, order: int) -> Tensor:
    """Scores of shuffled curves, ``(permutations, curves)``, a few shuffles at a time so that they stay in the cache."""
    columns = (curves - curves[:, :1]).T.contiguous()  # (steps, curves): a shuffle then moves whole rows
    steps = len(columns)
    # A derivative needs its neighbours only: a few diagonals of the matrix, and some whole rows at the two ends.
    cut = (order + 1) // 2
    inside = matrix[cut : steps - cut]
    ends = torch.cat([matrix[:cut], matrix[max(cut, steps - cut) :]])
    diagonals = {offset: inside.diagonal(offset)[:, None] for offset in range(2 * cut + 1)} if len(inside) else {}
    scores = []
    for some in shuffles.split(max(1, 400_000 // columns.numel())):
        shuffled = columns[some.T.flatten()].reshape(steps, -1)  # (steps, shuffles · curves)
        total = (ends @ shuffled).abs_().sum(0)
        slopes = shuffled.new_zeros(len(inside), shuffled.shape[1])
        for offset, weights in diagonals.items():
            if bool(weights.any()):
                slopes.addcmul_(weights, shuffled[offset : offset + len(inside)])
        total += slopes.abs_().sum(0)
        scores.append(total.reshape(len(some), -1) / steps)
    return torch.cat(scores)


# -------------------------------------------------------------------------------------- one image, or many at once


@dataclass(frozen=True)
class PropertyEffect:
    """What changing one property did to a model's answers: the size of the effect and its significance, together.

    Attributes:
        values: the property at each step, ``(steps,)``.
        target: the class whose answers were recorded, ``(…)``.
        responses: the response curves, ``(…, steps)``.
        score: expected property gradient magnitude, ``(…)``.
        p_value: of the permutation test, ``(…)``.
        span: largest minus smallest response, ``(…)``: how much of the prediction is at stake.
        change: last minus first response, ``(…)``: in which direction.
        flips: whether the model names another class somewhere along the way, ``(…)``.
        test: the permutation test, with all shuffled scores.
    """

    values: Tensor
    target: Tensor
    responses: Tensor
    score: Tensor
    p_value: Tensor
    span: Tensor
    change: Tensor
    flips: Tensor
    test: PermutationTest

    def __str__(self) -> str:
        if self.score.ndim:
            share = float((self.p_value < 0.05).double().mean())
            return (
                f"{self.score.numel()} pictures: mean score {float(self.score.mean()):.4f}, mean span "
                f"{float(self.span.mean()):.3f}, p < 0.05 in {share:.0%}, the name flips in "
                f"{float(self.flips.double().mean()):.0%}"
            )
        return (
            f"score {float(self.score):.4f}, span {float(self.span):.3f}, p = {float(self.p_value):.3f}, "
            f"the name {'flips' if self.flips else 'stays'}"
        )


def property_effect(
    model: nn.Module,
    images: Tensor | Iterable[Tensor],
    target: int | Tensor | None = None,
    values: Tensor | None = None,
    *,
    metric: str = "probability",
    permutations: int = 1000,
    seed: int = 0,
    order: int = 2,
    batch: int = 64,
) -> PropertyEffect:
    """Respond, score and test in one call.

    Args:
        model, images, target, metric, batch: as for :func:`respond`.
        values, order: as for :func:`property_gradients`.
        permutations, seed: as for :func:`permutation_test`.

    Returns:
        A :class:`PropertyEffect`; for ``(N, steps, …)`` images, N of each number.

    Raises:
        ValueError: as those functions do.
    """
    outputs = logits(model, images, batch=batch)
    named, chosen = outputs.argmax(-1), _chosen(outputs, target)
    responses = _response(outputs, chosen, metric)
    test = permutation_test(responses, values, permutations=permutations, seed=seed, order=order)
    return PropertyEffect(
        values=_curves(responses, values)[1],
        target=chosen,
        responses=responses,
        score=test.score,
        p_value=test.p_value,
        span=responses.amax(-1) - responses.amin(-1),
        change=responses[..., -1] - responses[..., 0],
        flips=(named != named[..., :1]).any(-1),
        test=test,
    )
