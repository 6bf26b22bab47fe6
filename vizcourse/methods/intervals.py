"""How far a number is known: an estimate with the bounds of its interval, by bootstrap or, for a share, by Wilson's formula.

A *bootstrap* draws the rows (pictures, pairs, concepts) anew with replacement, many times, and takes the range in which the
middle share of the means lies (Efron, "Bootstrap methods: another look at the jackknife", 1979; percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from vizcourse.methods.checks import as_numbers, checked_count, checked_number


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its interval; ``f"{interval:.0%}"`` prints ``76% [70%, 81%]``.

    Attributes:
        estimate: what was measured: a mean, a share, a ratio.
        low, high: bounds of the interval.
        level: in which share of such measurements the interval holds the true value.
        count: how many rows the estimate is made of.
    """

    estimate: float
    low: float
    high: float
    level: float = 0.95
    count: int = 0

    def __format__(self, each: str) -> str:
        """The three numbers, each formatted as ``each`` says, two digits by default."""
        estimate, low, high = (format(number, each or ".2f") for number in (self.estimate, self.low, self.high))
        return f"{estimate} [{low}, {high}]"

    def __str__(self) -> str:
        return format(self)

    def rounded(self, digits: int = 4) -> list[float]:
        """``[estimate, low, high]``, as studies store it."""
        return [round(number, digits) for number in (self.estimate, self.low, self.high)]

    def overlaps(self, other: Interval) -> bool:
        """Whether the two intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high


def bootstrap(
    values: Tensor | Sequence[float],
    *,
    over: Tensor | None = None,
    clusters: Tensor | np.ndarray | Sequence | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int | torch.Generator = 0,
) -> Interval:
    """Mean of one number a row, with its percentile bootstrap interval over the rows.

    Args:
        values: ``(N,)``.
        over: ``(N,)``, for the ratio of two means, ``values`` over these, of the same rows in each draw.
        clusters: ``(N,)`` or ``(N, k)``, the cluster or clusters that each row comes from (a pair of classes has two): then
            clusters are drawn in the place of rows, and a row counts as often as all of its clusters together, the product.
            Rows with a cluster in common are not independent, so an interval over rows would be too narrow.
        level: of the interval.
        draws: how often rows are drawn anew.
        seed: of the draws; a generator goes on where it is.

    Raises:
        ValueError: no values, values that are not finite, a level outside 0 to 1, or shapes that do not fit.
    """
    rows = _rows(values, "values")
    under = None if over is None else _rows(over, "over")
    if under is not None and len(under) != len(rows):
        raise ValueError(f"A ratio needs a pair a row: {len(rows)} values over {len(under)}.")
    if clusters is not None:
        if under is not None:
            raise ValueError("Choose: rows are drawn for a ratio, and clusters for a mean.")
        return _over_clusters(rows, np.asarray(clusters), level, draws, seed)
    bounds = bootstrap_bounds(rows, over=under, level=level, draws=draws, seed=seed)
    estimate = rows.mean() if under is None else rows.mean() / under.mean()
    return Interval(float(estimate), *bounds.tolist(), level, len(rows))


def bootstrap_bounds(
    values: Tensor,
    *,
    over: Tensor | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int | torch.Generator = 0,
) -> Tensor:
    """Bounds of the means of many numbers a row, ``(2, …)`` for ``(N, …)``: low and high. All see the same draws.

    Arguments and errors as for :func:`bootstrap`; ``over`` is ``(N,)``, one for all numbers of a row.
    """
    _check_draws(level, draws)
    return _middle(bootstrap_means(values, over=over, draws=draws, seed=seed), level)


def bootstrap_means(
    values: Tensor, *, over: Tensor | None = None, draws: int = 2000, seed: int | torch.Generator = 0
) -> Tensor:
    """The means of all draws, ``(draws, …)`` for ``(N, …)``, of which :func:`bootstrap_bounds` takes the middle."""
    values = as_numbers(values, "values").cpu()
    if not values.ndim or not len(values) or not values.isfinite().all():
        raise ValueError("An interval needs at least one value, and all of them finite.")
    count = len(values)
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
    chosen = torch.randint(count, (draws, count), generator=generator)
    # How often each row was drawn: the means of all draws are then one product of matrices.
    times = torch.zeros(draws, count, dtype=torch.double)
    times.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=torch.double))
    means = (times @ values.reshape(count, -1) / count).view(draws, *values.shape[1:])
    if over is not None:
        under = times @ _rows(over, "over") / count
        means = means / under.view(-1, *[1] * (values.ndim - 1))
    return means


def bootstrap_by_group(
    values: Tensor | Sequence[float],
    groups: Tensor | Sequence[Hashable],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> dict[Hashable, Interval]:
    """:func:`bootstrap` for each group of rows on its own: ``{group: Interval}``, in the order in which they first occur.

    Raises:
        ValueError: as for :func:`bootstrap`, or not one group a row.
    """
    rows = _rows(values, "values")
    names = groups.tolist() if isinstance(groups, Tensor | np.ndarray) else list(groups) if groups is not None else []
    if len(names) != len(rows):
        raise ValueError(f"One group a value is needed, not {len(names)} groups for {len(rows)} values.")
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name in dict.fromkeys(names):
        own = rows[[row for row, each in enumerate(names) if each == name]]
        found[name] = bootstrap(own, level=level, draws=draws, seed=generator)
    return found


def wilson(hits: int, count: int, *, level: float = 0.95) -> Interval:
    """A share, ``hits`` of ``count``, with its score interval.

    Unlike the usual normal interval it stays within 0 and 1 and has a width also when all answers are right.
    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Raises:
        ValueError: nothing was counted, more hits than there are, or a level outside 0 to 1.
    """
    _check_draws(level, 1)
    hits, count = checked_count(hits, "hits", least=0), checked_count(count, "count", least=0)
    if not 0 <= hits <= count or count == 0:
        raise ValueError(f"There must be at least one answer and at most all right, not {hits} of {count}.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = hits / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    # At the ends one bound is exactly 0 or 1, which rounding would miss.
    low = 0.0 if hits == 0 else (centre - half) / scale
    high = 1.0 if hits == count else (centre + half) / scale
    return Interval(share, low, high, level, count)


def _over_clusters(rows: Tensor, clusters: np.ndarray, level: float, draws: int, seed: int) -> Interval:
    _check_draws(level, draws)
    if clusters.shape[:1] != (len(rows),) or clusters.ndim > 2:
        raise ValueError(f"{len(rows)} values need their clusters, (N,) or (N, k), not {clusters.shape}.")
    names, place = np.unique(clusters, return_inverse=True)
    times = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    weights = times[:, place.reshape(len(rows), -1)].prod(2)
    drawn = weights[weights.sum(1) > 0]  # a draw that holds no whole row says nothing
    if not len(drawn):
        raise ValueError("No draw of the clusters holds a row: there are too few clusters for an interval.")
    means = torch.from_numpy((drawn * rows.numpy()).sum(1) / drawn.sum(1))
    return Interval(float(rows.mean()), *_middle(means, level).tolist(), level, len(rows))


def _middle(samples: Tensor, level: float) -> Tensor:
    return torch.quantile(samples, samples.new_tensor([(1 - level) / 2, (1 + level) / 2]), dim=0)


def _rows(values: Tensor | Sequence[float], name: str) -> Tensor:
    rows = as_numbers(values, name).cpu()
    if rows.ndim != 1 or not len(rows) or not rows.isfinite().all():
        raise ValueError(
            f"An interval needs {name} as one number a row, (N,), at least one value, and all of them finite; "
            f"these are {tuple(rows.shape)}."
        )
    return rows


def _check_draws(level: float, draws: int) -> None:
    if checked_number(level, "level", above=0) >= 1:
        raise ValueError(f"A level is a share between 0 and 1, such as 0.95, not {level!r}.")
    checked_count(draws, "draws")
