"""Kernel distance of two feature sets: unbiased MMD with a permutation p-value and each row's influence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pytest_vidmetrics.stats.frechet import Rows, checked, checked_pair

Kernel = Callable[[Rows, Rows], Rows]
"""Maps ``(N, D)`` and ``(M, D)`` rows to their ``(N, M)`` similarities."""

_BLOCK = 250


def polynomial(a: Rows, b: Rows) -> Rows:
    """Return ``(x.y / D + 1)^3``, the kernel of KID (arXiv 1801.01401)."""
    values: Rows = a @ b.T
    values /= a.shape[1]
    values += 1.0
    values *= values * values  # many times faster than numpy's power of 3
    return values


def gaussian(bandwidth: float) -> Kernel:
    """Return the kernel ``exp(-|x - y|^2 / (2 bandwidth^2))``. Raises ``ValueError`` for a bandwidth not above 0."""
    if not bandwidth > 0.0:
        raise ValueError(f"the bandwidth must be above 0, got {bandwidth}")

    def kernel(a: Rows, b: Rows) -> Rows:
        values: Rows = np.exp(squared_distances(a, b) / (-2.0 * bandwidth**2))
        return values

    return kernel


def median_distance(rows: Rows) -> float:
    """Return the median distance of two different rows: the usual bandwidth. Raises ``ValueError`` below two rows."""
    rows = checked(rows)
    squared = squared_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    return float(np.median(np.sqrt(squared)))


def mmd(first: Rows, second: Rows, kernel: Kernel) -> float:
    """Return the unbiased squared MMD of ``(N, D)`` and ``(M, D)`` rows; it can be negative.

    Raises ``ValueError`` for fewer than two rows, other widths, or values that are not finite.
    """
    a, b = checked_pair(first, second)
    means = _off_diagonal_mean(kernel(a, a)) + _off_diagonal_mean(kernel(b, b))
    return means - 2.0 * float(kernel(a, b).mean())


def mmd_influence(first: Rows, second: Rows, kernel: Kernel) -> Rows:
    """Return the first-order influence of each row of ``first`` on :func:`mmd`, ``(N,)``, with mean zero.

    Their standard deviation over ``sqrt(N)`` is the standard error for a fixed second set.
    """
    a, b = checked_pair(first, second)
    within = kernel(a, a)
    same = (within.sum(axis=1) - np.diagonal(within)) / (len(a) - 1)
    values: Rows = 2.0 * (same - kernel(a, b).mean(axis=1))
    values -= values.mean()
    return values


def polynomial_mmd(first: Rows, second: Rows) -> float:
    """Return :func:`mmd` under the :func:`polynomial` kernel; zero in expectation for equal distributions."""
    return mmd(first, second, polynomial)


def permutation_p(
    first: Rows,
    second: Rows,
    *,
    permutations: int = 1000,
    block: int = 1,
    seed: int = 0,
    kernel: Kernel = polynomial,
) -> float:
    """Return the one-sided p-value of :func:`mmd` under exchange of rows; never zero.

    The share of ``permutations`` random relabelings with at least the observed distance, with the observed
    labeling counted among them. ``block`` consecutive rows come from one video and are exchanged together.
    """
    a, b = checked_pair(first, second)
    n, m = len(a), len(b)
    similar = kernel(*[np.concatenate([a, b])] * 2)
    np.fill_diagonal(similar, 0.0)
    generator = np.random.default_rng(seed)
    labels = np.zeros((permutations + 1, n + m))
    labels[0, :n] = 1.0
    for row in labels[1:]:
        chosen = generator.permutation((n + m) // block)[: n // block]
        row.reshape(-1, block)[chosen] = 1.0
    # The dense similarities are multiplied a block of labelings at a time, to bound memory.
    values = np.concatenate([relabelled(similar, labels[i : i + _BLOCK], n, m) for i in range(0, len(labels), _BLOCK)])
    # The observed labeling ties with itself and its mirror, whatever the rounding of the product.
    tolerance = 1e-12 * max(1.0, float(np.abs(similar).max()))
    return float((values >= values[0] - tolerance).mean())


def relabelled(kernel: Rows, labels: Rows, n: Rows | int, m: Rows | int) -> Rows:
    """Return the distance under each of ``(P, K)`` labelings, ``(P,)``: 1 for what counts to the first set.

    ``kernel`` holds the similarities of ``K`` rows, or sums over groups of rows, those of a row with itself as zero;
    ``n`` and ``m`` are how many rows either set has, ``(P,)`` where labelings differ in that.
    """
    within = labels @ kernel
    same = np.einsum("pi,pi->p", within, labels)
    touching = within.sum(axis=1)
    # The three kinds of pairs add up to all of them: only one product with the kernel is needed.
    total = kernel.sum()
    across = touching - same
    other = total - same - 2.0 * across
    # The diagonal is zero, but a pair split across the sets counts all n*m products.
    values: Rows = same / (n * (n - 1)) + other / (m * (m - 1)) - 2.0 * across / (n * m)
    return values


def squared_distances(a: Rows, b: Rows) -> Rows:
    """Return ``|x - y|^2`` of ``(N, D)`` and ``(M, D)`` rows, ``(N, M)``."""
    # Rows are centred first: distances of far-off rows would lose their digits in the difference of squares.
    centre = b.mean(axis=0)
    a, b = a - centre, b - centre
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    nearest: Rows = np.maximum(squares, 0.0)
    return nearest


def _off_diagonal_mean(kernel: Rows) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))
