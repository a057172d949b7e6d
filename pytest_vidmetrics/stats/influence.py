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
    # Directions without variance have no transport map; dividing by their singular value would be noise.
    keep = singular > _RANK * singular.max(initial=0.0)
    # T = root root^T, so that x^T T x is a sum of squares and no (D, D) map is made.
    root = target.T @ (right[keep].T / np.sqrt(singular[keep]))
    values: Rows = 2.0 * centred @ gap + np.square(centred).sum(axis=1) - np.square(centred @ root).sum(axis=1)
    values -= values.mean()
    return values


def standard_error(values: Rows, *, block: int = 1) -> float:
    """Return the standard error of a distance for a fixed reference, from its influence values.

    ``block`` consecutive rows come from one video and are not independent.
    """
    # Rows of one video are averaged first: only videos are independent.
    means = values.reshape(-1, block).mean(axis=1)
    return float(means.std(ddof=1)) / math.sqrt(len(means))


def paired_se(candidate: Rows, baseline: Rows, reference: Rows) -> tuple[float, float]:
    """Return the change of the distance from ``baseline`` to ``candidate`` and its standard error.

    Row ``i`` of both sets is the same prompt and seed; ``reference`` is fixed. Raises ``ValueError`` for sets of
    different sizes.
    """
    if np.shape(candidate) != np.shape(baseline):
        # A paired row has the same reference, so that its influence on the change is the difference of the two.
        raise ValueError(f"paired sets differ in shape: {np.shape(candidate)} and {np.shape(baseline)}")
    change = frechet(candidate, reference).distance - frechet(baseline, reference).distance
    return change, standard_error(influence(candidate, reference) - influence(baseline, reference))


def null_floor(reference: Rows, count: int, *, ddof: int = 1, block: int = 1, seed: int = 0) -> tuple[float, int]:
    """Return the mean distance of two disjoint halves of the reference, and the videos in a half.

    Halves have ``count`` videos where the reference holds twice as many, else half of it; a video has ``block``
    consecutive rows. Raises ``ValueError`` for fewer than four reference videos.
    """
    videos = _by_video(reference, block)
    size = min(count, len(videos) // 2)
    if size < 2:
        raise ValueError(f"a split of the reference needs at least 4 clips, got {len(videos)}")
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(videos)) for _ in range(_SPLITS)]
    halves = [(_rows(videos[order[:size]]), _rows(videos[order[size : 2 * size]])) for order in orders]
    return float(np.mean([frechet(*pair, ddof=ddof).distance for pair in halves])), size


def at_infinity(first: Rows, second: Rows, *, ddof: int = 1, block: int = 1, seed: int = 0) -> float | None:
    """Return the distance extrapolated to infinitely many clips, linear in 1/N (Chong & Forsyth 2020).

    ``None`` below 1.25 videos per dimension on either side, where the bias is not yet linear in 1/N. A video has
    ``block`` consecutive rows.
    """
    a, b = (_by_video(rows, block) for rows in checked_pair(first, second))
    total, dimension = min(len(a), len(b)), a.shape[-1]
    # Half of what the linear regime needs, so that the fit spans a factor of two in 1/N or more.
    smallest = max(2, math.ceil(INFINITY_RATIO * dimension / 2))
    if total < INFINITY_RATIO * dimension or total <= smallest:
        return None
    generator = np.random.default_rng(seed)
    sizes = np.unique(np.linspace(smallest, total, 6).astype(int))
    if len(sizes) < 2:
        return None
    values = [
        frechet(*(_rows(v[generator.permutation(len(v))[:n]]) for v in (a, b)), ddof=ddof).distance
        for n in sizes
        # A new order for each size: nested subsets would repeat the same accident.
    ]
    return float(np.polyfit(1.0 / sizes, values, 1)[1])


def _by_video(rows: Rows, block: int) -> Rows:
    """Return ``(videos, block, D)``."""
    return rows.reshape(-1, block, rows.shape[1])


def _rows(videos: Rows) -> Rows:
    return videos.reshape(-1, videos.shape[-1])
