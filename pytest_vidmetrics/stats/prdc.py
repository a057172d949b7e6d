"""Precision, recall, density and coverage of a generated feature set (arXiv 1904.06991, 2002.09797)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_vidmetrics.stats.frechet import Rows, checked_pair


@dataclass(frozen=True)
class PRDC:
    """Shares in [0, 1], except ``density``, which may exceed 1; higher is better for all four."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(generated: Rows, reference: Rows, *, k: int = 5) -> PRDC:
    """Return the four numbers for ``(N, D)`` and ``(M, D)`` rows, balls reaching to the k-th neighbour.

    A point counts when it lies strictly inside a ball. Raises ``ValueError`` when a set has ``k`` rows or fewer.
    """
    fake, real = checked_pair(generated, reference)
    _check_neighbours(k, fake, real)
    real_radius, fake_radius = _radii(real, k), _radii(fake, k)
    between = _distances(real, fake)
    inside_real = between < real_radius[:, None]
    return PRDC(
        # A generated point is precise in any ball of the reference, a real one recalled in any ball of the generated
        # set.
        precision=float(inside_real.any(axis=0).mean()),
        recall=float((between < fake_radius[None, :]).any(axis=1).mean()),
        density=float(inside_real.sum(axis=0).mean() / k),
        coverage=float((between.min(axis=1) < real_radius).mean()),
    )


def coverage_influence(generated: Rows, reference: Rows, *, k: int = 5) -> Rows:
    """Return the influence of each generated row on the coverage, ``(N,)``, with mean zero: the jackknife's.

    ``(N - 1) / M`` times the reference points that only this row covers. The standard error that follows is on
    average too large rather than too small (Efron & Stein 1981). Raises ``ValueError`` as :func:`prdc` does.
    """
    fake, real = checked_pair(generated, reference)
    _check_neighbours(k, fake, real)
    inside = _distances(real, fake) < _radii(real, k)[:, None]
    # Covered by a single row: without it the reference point is not covered.
    alone = inside[inside.sum(axis=1) == 1].sum(axis=0)
    values: Rows = (len(fake) - 1) / len(real) * (alone - alone.mean())
    return values


def _check_neighbours(k: int, fake: Rows, real: Rows) -> None:
    if not 1 <= k < min(len(fake), len(real)):
        raise ValueError(f"k={k} neighbours need more than {k} clips on either side, got {len(fake)} and {len(real)}")


def _distances(a: Rows, b: Rows) -> Rows:
    # The square of a difference by one matrix product; rounding may take it below zero.
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None, :] - 2.0 * a @ b.T
    distances: Rows = np.sqrt(np.maximum(squares, 0.0))
    return distances


def _radii(rows: Rows, k: int) -> Rows:
    distances = _distances(rows, rows)
    # Rounding leaves a row a little away from itself, which would push its k-th neighbour out.
    np.fill_diagonal(distances, 0.0)
    # Index 0 is the row itself.
    radii: Rows = np.partition(distances, k, axis=1)[:, k]
    return radii
