"""Several methods on the same samples: which are better, which are not told apart, and what rank each may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pytest_vidmetrics.stats.intervals import t_interval
from pytest_vidmetrics.stats.multiplicity import holm

Unit = TypeVar("Unit", bound=Hashable)

DRAWS = 400
"""Halves of the samples that are drawn for the error of a set metric, and resamples for the interval of a rank."""

_SEED = 20


@dataclass(frozen=True)
class Difference:
    """How much better ``first`` is than ``second``, in the unit of the score; negative when it is worse.

    ``low`` and ``high`` are the ends of the two-sided interval at ``1 - alpha`` of this pair alone; ``p`` is two-sided,
    ``p_holm`` adjusted for all pairs. ``apart``: the two are told apart at ``alpha`` after that adjustment.
    """

    first: str
    second: str
    better: float
    low: float
    high: float
    p: float
    p_holm: float
    apart: bool


@dataclass(frozen=True)
class Place:
    """One method in a ranking.

    ``rank`` is 1 plus the number of methods that are shown to be better, so that methods that are not told apart from
    the best share rank 1. ``best`` and ``worst`` bound the rank by score over resampled samples (95 %). ``low`` and
    ``high`` are the two-sided interval of the score itself.
    """

    method: str
    score: float
    low: float
    high: float
    rank: int
    best: int
    worst: int


@dataclass(frozen=True)
class Ranking:
    """Methods from the best to the worst, every pair of them, and how many independent samples say so."""

    places: tuple[Place, ...]
    differences: tuple[Difference, ...]
    n: int
    alpha: float


def rank_means(
    scores: Mapping[str, Mapping[Unit, float]],
    clusters: Mapping[Unit, Hashable] | None = None,
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
) -> Ranking:
    """Rank methods by the mean of their scores, ``{method: {sample id: score}}``, all on the same samples.

    Samples of one cluster, such as the seeds of a prompt, are averaged first: only clusters are independent. Each
    pair is compared by Student's t on the paired differences. Raises ``ValueError`` for fewer than two methods or
    independent samples, other samples in one of the methods, and scores that are not finite.
    """
    ids = _same_samples(scores)
    labels = [id if clusters is None else clusters[id] for id in ids]
    # In order of first appearance, which does not depend on hashing.
    order = sorted(set(labels), key=lambda label: labels.index(label))
    place = {label: i for i, label in enumerate(order)}
    counts = np.bincount([place[label] for label in labels], minlength=len(order))
    methods = sorted(scores)
    table = np.zeros((len(methods), len(order)))
    for row, method in enumerate(methods):
        for id, label in zip(ids, labels, strict=True):
            table[row, place[label]] += scores[method][id]
    table /= counts
    if not np.isfinite(table).all():
        raise ValueError("scores that are ranked are finite numbers")
    if len(order) < 2:
        raise ValueError(f"a ranking needs at least 2 independent samples, got {len(order)}")
    means, n = table.mean(axis=1), len(order)
    errors = {
        (i, j): float((table[i] - table[j]).std(ddof=1)) / math.sqrt(n) for i, j in combinations(range(len(methods)), 2)
    }
    own = table.std(axis=1, ddof=1) / math.sqrt(n)
    rng = np.random.Generator(np.random.PCG64(_SEED))
    # The same resamples for all methods: their ranks are compared within a draw.
    drawn = table[:, rng.integers(0, n, (DRAWS, n))].mean(axis=2).T
    return _ranking(methods, means, own, errors, drawn, n, higher_is_better, alpha)


def rank_sets(
    rows: Mapping[str, Mapping[Unit, NDArray[np.float64]]],
    reference: Mapping[Unit, NDArray[np.float64]],
    statistic: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    clusters: Mapping[Unit, Hashable] | None = None,
    *,
    higher_is_better: bool = False,
    alpha: float = 0.05,
    draws: int = DRAWS,
) -> Ranking:
    """Rank methods by a distance between sets of feature rows, ``{method: {sample id: (k, D)}}``, to one reference set.

    All methods have the same samples, and so the same number of rows. The error of a difference is that of joint
    resampling: random halves of the samples, and of the references, the *same* halves for every method (halves without
    repetition, since a repeated row biases a covariance). Raises ``ValueError`` as :func:`rank_means`, and for fewer
    than eight independent samples or references.
    """
    ids = _same_samples(rows)
    groups: dict[Hashable, list[Unit]] = {}
    for id in ids:
        groups.setdefault(id if clusters is None else clusters[id], []).append(id)
    # Sorted as text, so that references in another order give the same halves.
    units, others = list(groups.values()), sorted(reference, key=str)
    n = len(units)
    if min(n, len(others)) < 8:
        raise ValueError(f"halves need at least 8 independent samples and references, got {n} and {len(others)}")
    methods = sorted(rows)

    def scored(chosen: Sequence[Sequence[Unit]], theirs: Sequence[Unit]) -> NDArray[np.float64]:
        second = np.concatenate([reference[id] for id in theirs])
        first = [np.concatenate([rows[method][id] for unit in chosen for id in unit]) for method in methods]
        return np.array([statistic(one, second) for one in first])

    full = scored(units, others)
    rng = np.random.Generator(np.random.PCG64(_SEED))
    drawn = np.stack(
        [
            scored(
                # Sorted rows: sums in floating point depend on their order.
                [units[i] for i in np.sort(rng.permutation(n)[: n // 2])],
                [others[i] for i in np.sort(rng.permutation(len(others))[: len(others) // 2])],
            )
            for _ in range(draws)
        ]
    )
    # A half of n without repetition scatters as n independent samples do: the factor m / (n - m) is 1.
    scale = math.sqrt((n // 2) / (n - n // 2))
    errors = {
        (i, j): scale * float((drawn[:, i] - drawn[:, j]).std(ddof=1)) for i, j in combinations(range(len(methods)), 2)
    }
    own = scale * drawn.std(axis=0, ddof=1)
    # Halves scatter around their own mean, which is biased for few rows: only the scatter is used.
    centred = full + scale * (drawn - drawn.mean(axis=0))
    return _ranking(methods, full, own, errors, centred, n, higher_is_better, alpha)


def _ranking(
    methods: Sequence[str],
    scores: NDArray[np.float64],
    own: NDArray[np.float64],
    errors: Mapping[tuple[int, int], float],
    drawn: NDArray[np.float64],
    n: int,
    higher_is_better: bool,
    alpha: float,
) -> Ranking:
    sign = 1.0 if higher_is_better else -1.0
    found = [
        _pair(methods[i], methods[j], sign * float(scores[i] - scores[j]), error, n, alpha)
        for (i, j), error in errors.items()
    ]
    adjusted = holm([pair.p for pair in found])
    pairs = tuple(
        Difference(p.first, p.second, p.better, p.low, p.high, p.p, float(h), bool(h <= alpha))
        for p, h in zip(found, adjusted, strict=True)
    )
    # Ranks of every draw, 1 for the best; equal scores share the better rank.
    ranks = 1 + (sign * drawn[:, :, None] < sign * drawn[:, None, :]).sum(axis=2)
    places = []
    for i, method in enumerate(methods):
        beaten = sum(
            p.apart and ((p.first == method and p.better < 0) or (p.second == method and p.better > 0)) for p in pairs
        )
        low, high = np.quantile(ranks[:, i], [0.025, 0.975], method="nearest")
        # `alpha / 2` on either side, as the bounds are one-sided.
        reach = t_interval(float(scores[i]), float(own[i]), n - 1, alpha=alpha / 2)
        places.append(Place(method, float(scores[i]), reach.low, reach.high, 1 + beaten, int(low), int(high)))
    places.sort(key=lambda place: (place.rank, -sign * place.score, place.method))
    return Ranking(tuple(places), pairs, n, alpha)


def _pair(first: str, second: str, better: float, error: float, n: int, alpha: float) -> Difference:
    interval = t_interval(better, error, n - 1, alpha=alpha / 2)
    # Without an error every sample differs by the same amount: by exactly nothing, or without doubt.
    certain = 1.0 if better == 0 else 0.0
    # Two-sided, from the tail on one side.
    p = 2.0 * float(special.stdtr(n - 1, -abs(better) / error)) if error > 0 else certain
    return Difference(first, second, better, interval.low, interval.high, p, p, False)


def _same_samples(by_method: Mapping[str, Mapping[Unit, object]]) -> list[Unit]:
    """Return the ids that all methods have. Raises ``ValueError`` when one has others."""
    if len(by_method) < 2:
        raise ValueError(f"a ranking needs at least 2 methods, got {len(by_method)}")
    names = sorted(by_method)
    first = by_method[names[0]]
    for name in names[1:]:
        if first.keys() != by_method[name].keys():
            apart = sorted(map(str, first.keys() ^ by_method[name].keys()))
            raise ValueError(
                f"{names[0]} and {name} have other samples: {', '.join(apart[:3])}"
                + (f" and {len(apart) - 3} more" if apart[3:] else "")
            )
    return sorted(first, key=str)
