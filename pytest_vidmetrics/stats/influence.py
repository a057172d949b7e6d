"""How much each clip moves a Fréchet distance: standard errors, the paired comparison, and the bias of few clips."""

from __future__ import annotations

import math

import numpy as np

from pytest_vidmetrics.stats.frechet import Rows, checked_pair, factor, frechet, reduced

_RANK = 1e-10
_SPLITS = 4
INFINITY_RATIO = 1.25
"""Fewest clips per feature dimension from which the extrapolation to infinitely many holds."""


def influence(first: Rows, second: Rows) -> Rows:
    """Return the first-order influence of each row of ``first`` on the distance, ``(N,)``, with mean zero.

    ``2 d.x + x^T (I - T) x - mean`` with ``x`` the centred row, ``d`` the gap of the means and ``T`` the optimal
    transport map from the first Gaussian to the second. Raises ``ValueError`` as :func:`frechet` does.
    """
    a, b = checked_pair(first, second)
    gap = a.mean(axis=0) - b.mean(axis=0)
    centred = a - a.mean(axis=0)
    target = reduced(factor(b))
    _, singular, right = np.linalg.svd(reduced(factor(a)) @ target.T, full_matrices=False)
    keep = singular > _RANK * singular.max(initial=0.0)
    root = target.T @ (right[keep].T / np.sqrt(singular[keep]))
    values: Rows = 2.0 * centred @ gap + np.square(centred).sum(axis=1) - np.square(centred @ root).sum(axis=1)
    values -= values.mean()
    return values


def standard_error(values: Rows) -> float:
    """Return the standard error of a distance for a fixed reference, from its influence values."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def paired_se(candidate: Rows, baseline: Rows, reference: Rows) -> tuple[float, float]:
    """Return the change of the distance from ``baseline`` to ``candidate`` and its standard error.

    Row ``i`` of both sets is the same prompt and seed; ``reference`` is fixed. Raises ``ValueError`` for sets of
    different sizes.
    """
    if np.shape(candidate) != np.shape(baseline):
        raise ValueError(f"paired sets differ in shape: {np.shape(candidate)} and {np.shape(baseline)}")
    change = frechet(candidate, reference).distance - frechet(baseline, reference).distance
    return change, standard_error(influence(candidate, reference) - influence(baseline, reference))


def null_floor(reference: Rows, count: int, *, seed: int = 0) -> tuple[float, int]:
    """Return the mean distance of two disjoint halves of the reference, and the size of a half.

    Halves have ``count`` rows where the reference holds twice as many, else half of it. Raises ``ValueError`` for
    fewer than four reference rows.
    """
    size = min(count, len(reference) // 2)
    if size < 2:
        raise ValueError(f"a split of the reference needs at least 4 clips, got {len(reference)}")
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(reference)) for _ in range(_SPLITS)]
    values = [frechet(reference[o[:size]], reference[o[size : 2 * size]]).distance for o in orders]
    return float(np.mean(values)), size


def at_infinity(first: Rows, second: Rows, *, seed: int = 0) -> float | None:
    """Return the distance extrapolated to infinitely many clips, linear in 1/N (Chong & Forsyth 2020).

    ``None`` below 1.25 clips per dimension on either side, where the bias is not yet linear in 1/N.
    """
    a, b = checked_pair(first, second)
    total, dimension = min(len(a), len(b)), a.shape[1]
    smallest = max(2, math.ceil(INFINITY_RATIO * dimension / 2))
    if total < INFINITY_RATIO * dimension or total <= smallest:
        return None
    generator = np.random.default_rng(seed)
    sizes = np.unique(np.linspace(smallest, total, 6).astype(int))
    if len(sizes) < 2:
        return None
    values = [
        frechet(a[generator.permutation(len(a))[:n]], b[generator.permutation(len(b))[:n]]).distance for n in sizes
    ]
    return float(np.polyfit(1.0 / sizes, values, 1)[1])
