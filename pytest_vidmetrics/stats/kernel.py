"""Kernel distance of two feature sets: unbiased polynomial MMD with a permutation p-value."""

from __future__ import annotations

import numpy as np

from pytest_vidmetrics.stats.frechet import Rows, checked_pair

_BLOCK = 250


def polynomial_mmd(first: Rows, second: Rows) -> float:
    """Return the unbiased squared MMD under ``(x.y / D + 1)^3`` (KID, arXiv 1801.01401).

    ``(N, D)`` and ``(M, D)``; zero in expectation for equal distributions, so it can be negative. Raises
    ``ValueError`` for fewer than two rows, other widths, or values that are not finite.
    """
    a, b = checked_pair(first, second)
    means = _off_diagonal_mean(_kernel(a, a)) + _off_diagonal_mean(_kernel(b, b))
    return means - 2.0 * float(_kernel(a, b).mean())


def permutation_p(first: Rows, second: Rows, *, permutations: int = 1000, block: int = 1, seed: int = 0) -> float:
    """Return the one-sided p-value of :func:`polynomial_mmd` under exchange of rows; never zero.

    The share of ``permutations`` random relabelings with at least the observed distance, with the observed
    labeling counted among them. ``block`` consecutive rows come from one video and are exchanged together.
    """
    a, b = checked_pair(first, second)
    n, m = len(a), len(b)
    kernel = _kernel(*[np.concatenate([a, b])] * 2)
    np.fill_diagonal(kernel, 0.0)
    generator = np.random.default_rng(seed)
    labels = np.zeros((permutations + 1, n + m))
    labels[0, :n] = 1.0
    for row in labels[1:]:
        chosen = generator.permutation((n + m) // block)[: n // block]
        row.reshape(-1, block)[chosen] = 1.0
    values = np.concatenate([_relabelled(kernel, labels[i : i + _BLOCK], n, m) for i in range(0, len(labels), _BLOCK)])
    tolerance = 1e-12 * max(1.0, float(np.abs(kernel).max()))
    return float((values >= values[0] - tolerance).mean())


def _relabelled(kernel: Rows, labels: Rows, n: int, m: int) -> Rows:
    within = labels @ kernel
    same = np.einsum("pi,pi->p", within, labels)
    touching = within.sum(axis=1)
    total = kernel.sum()
    across = touching - same
    other = total - same - 2.0 * across
    # The diagonal is zero, but a pair split across the sets counts all n*m products.
    values: Rows = same / (n * (n - 1)) + other / (m * (m - 1)) - 2.0 * across / (n * m)
    return values


def _kernel(a: Rows, b: Rows) -> Rows:
    values: Rows = (a @ b.T / a.shape[1] + 1.0) ** 3
    return values


def _off_diagonal_mean(kernel: Rows) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))
