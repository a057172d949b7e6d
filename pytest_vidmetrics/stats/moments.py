"""Count, mean and scatter of feature rows, merged exactly: a Fréchet distance without keeping the features.

For ``D`` features a set of any size is ``8 (D^2 + D + 1)`` bytes: 8 MB for 1024, however many clips. Parts may be
merged in any order and grouping (Chan, Golub and LeVeque 1979); sums are float64 around a mean of their own, so that
nothing is lost to large offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from pytest_vidmetrics.stats.frechet import Frechet

_BLOCK = 512
_DIRECTIONS = 1e-10
_RANK = 1e-12
"""Eigenvalues below this share of the largest are rounding of zeros: the set has fewer directions than features."""


@dataclass(frozen=True)
class Moments:
    """``n`` rows of ``D`` features: their mean, ``(D,)``, and scatter ``sum (x - mean)(x - mean)^T``, ``(D, D)``."""

    n: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, rows: ArrayLike) -> Self:
        """Return the moments of ``(N, D)`` rows, ``N >= 1``. Raises ``ValueError`` for others, or not finite ones."""
        values = np.asarray(rows, dtype=np.float64)
        if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
            raise ValueError(f"moments need finite rows of the shape (N, D), N at least 1; got {values.shape}")
        mean = values.mean(axis=0)
        centred = values - mean
        return cls(len(values), mean, centred.T @ centred)

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both sets together. Raises ``ValueError`` for another number of features."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"the sets have {self.mean.shape[0]} and {other.mean.shape[0]} features a row")
        n = self.n + other.n
        apart = other.mean - self.mean
        # Weighted from either side, so that the order of the two does not matter to the last bit but one.
        mean = (self.n * self.mean + other.n * other.mean) / n
        # Between the two means lies a scatter of its own (Chan's update).
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, mean, scatter)

    def covariance(self, ddof: int = 1) -> NDArray[np.float64]:
        """Return the covariance with the denominator ``n - ddof``. Raises ``ValueError`` for too few rows."""
        if self.n <= ddof:
            raise ValueError(f"a covariance with ddof {ddof} needs more than {ddof} rows, there are {self.n}")
        covariance: NDArray[np.float64] = self.scatter / (self.n - ddof)
        return covariance


class Growing:
    """The moments of rows that come a few at a time: blocks of 512 rows, merged in pairs as :func:`merged` does.

    The same for the same rows in the same order, however they are handed over.
    """

    def __init__(self) -> None:
        self._open: list[NDArray[np.float64]] = []
        self._levels: list[tuple[int, Moments]] = []

    def add(self, rows: ArrayLike) -> None:
        """Add ``(k, D)`` rows."""
        for row in np.asarray(rows, dtype=np.float64):
            self._open.append(row)
            if len(self._open) == _BLOCK:
                self._close(_BLOCK)

    def moments(self) -> Moments:
        """Return the moments of all rows. Raises ``ValueError`` when there are none, or other numbers of features."""
        if self._open:
            self._close(len(self._open))
        return merged([one for _, one in self._levels])

    def _close(self, size: int) -> None:
        new = Moments.of(np.stack(self._open))
        self._open = []
        # Blocks of equal size merge as carries of a binary counter do: the tree is the same however rows arrive.
        while self._levels and self._levels[-1][0] == size:
            new = self._levels.pop()[1].merged(new)
            size *= 2
        self._levels.append((size, new))


def merged(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all parts, merged in pairs so that errors grow with the logarithm of their number."""
    level = list(parts)
    if not level:
        raise ValueError("there are no moments to merge")
    while len(level) > 1:
        pairs = [a.merged(b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + ([level[-1]] if len(level) % 2 else [])
    return level[0]


def frechet_of(first: Moments, second: Moments, *, ddof: int = 1) -> Frechet:
    """Return the Fréchet distance of two sets from their moments.

    Equal to :func:`~pytest_vidmetrics.stats.frechet.frechet` of the rows within 1e-6 relative. Directions without
    variance are left out of the product, so that sets with fewer rows than features are no special case. Raises
    ``ValueError`` for another number of features or fewer than two rows.
    """
    if first.mean.shape != second.mean.shape:
        raise ValueError(f"the sets have {first.mean.shape[0]} and {second.mean.shape[0]} features a row")
    if min(first.n, second.n) < 2:
        raise ValueError(f"at least 2 rows of features are needed on either side, got {first.n} and {second.n}")
    mean_term = float(np.square(first.mean - second.mean).sum())
    one, two = first.covariance(ddof), second.covariance(ddof)
    # The nuclear norm of F1 F2^T with factors from eigenvectors: no root of a product that is not symmetric.
    crossed = _factor(one) @ _factor(two).T
    nuclear = float(np.linalg.svd(crossed, compute_uv=False).sum()) if crossed.size else 0.0
    term = float(np.trace(one) + np.trace(two)) - 2.0 * nuclear
    # Rounding may leave a distance of equal sets a little below zero.
    return Frechet(mean_term, max(term, 0.0))


def influence_of(first: Moments, second: Moments) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return what maps ``(N, D)`` rows of the first set to their influence on the distance, ``(N,)``.

    That of :func:`~pytest_vidmetrics.stats.influence.influence`: over all rows of the set its mean is zero.
    """
    target = _factor(second.covariance())
    _, singular, right = np.linalg.svd(_factor(first.covariance()) @ target.T, full_matrices=False)
    # Directions without variance have no transport map.
    keep = singular > _DIRECTIONS * singular.max(initial=0.0)
    root = target.T @ (right[keep].T / np.sqrt(singular[keep]))
    gap = first.mean - second.mean
    # The mean of x^T (I - T) x over the first set, from its scatter alone.
    mean = float(np.trace(first.scatter) - np.sum((first.scatter @ root) * root)) / first.n

    def influence(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        centred = rows - first.mean
        values: NDArray[np.float64] = 2.0 * centred @ gap + np.square(centred).sum(axis=1)
        values -= np.square(centred @ root).sum(axis=1) + mean
        return values

    return influence


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``F``, ``(rank, D)``, with ``F^T F`` the covariance."""
    values, vectors = eigh(covariance, check_finite=False)
    # The square root of an eigenvalue that is rounding would be far larger than the rounding.
    kept = values > _RANK * max(float(values[-1]), 0.0)
    factor: NDArray[np.float64] = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    return factor
