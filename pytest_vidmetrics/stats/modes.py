"""Whether repeated scores fall into two groups: noise that no margin between the groups can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST = 4
"""Two values on either side: a single value away from the others is an outlier, not a second mode."""

_DRAWS = 4000


@dataclass(frozen=True)
class Modes:
    """Two groups of scores: their means, how many there are in each, and how often one group would look so by chance.

    ``members`` are the indices of the scores in the lower and in the upper group.
    """

    low: float
    high: float
    members: tuple[tuple[int, ...], tuple[int, ...]]
    p: float


def two_modes(scores: ArrayLike, *, alpha: float = 0.01) -> Modes | None:
    """Return the two groups that ``scores``, shape ``(n,)``, fall into, or ``None`` when one group explains them.

    The scores are split where the gap between neighbours is largest in units of the spread within the parts. ``p`` is
    the share of normal samples of this size that a split separates as clearly (simulated with a fixed seed). Fewer
    than four scores, or a lone one on a side, are never two modes. Raises ``ValueError`` for scores not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"scores are finite numbers in one dimension; got the shape {values.shape}")
    if len(values) < FEWEST:
        return None
    # The gaps are between neighbours, so that only sorted values matter.
    order = np.argsort(values, kind="stable")
    statistic, at = _separation(values[order][None])
    if not statistic[0] > 0:
        return None
    # Seeded: the same scores give the same answer everywhere.
    draws, _ = _separation(np.sort(np.random.default_rng(4).standard_normal((_DRAWS, len(values))), axis=1))
    # The sample itself counts as one of the draws, so that p is never zero.
    p = float((np.count_nonzero(draws >= statistic[0]) + 1) / (_DRAWS + 1))
    if p > alpha:
        return None
    low, high = order[: at[0]], order[at[0] :]
    groups = (tuple(sorted(map(int, low))), tuple(sorted(map(int, high))))
    return Modes(float(values[low].mean()), float(values[high].mean()), groups, p)


def _separation(ordered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return, for each sorted row, the clearest gap in units of the spread within both sides, and where it is."""
    count = ordered.shape[1]
    best, where = np.zeros(len(ordered)), np.zeros(len(ordered), dtype=np.intp)
    for at in range(2, count - 1):
        low, high = ordered[:, :at], ordered[:, at:]
        inside = low.var(axis=1) * at + high.var(axis=1) * (count - at)
        # Two means were fitted.
        spread = np.sqrt(inside / (count - 2))
        gap = ordered[:, at] - ordered[:, at - 1]
        # Equal scores within both sides: any gap at all is infinitely clear.
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(gap > 0, np.where(spread > 0, gap / spread, math.inf), 0.0)
        better = found > best
        best[better], where[better] = found[better], at
    return best, where
