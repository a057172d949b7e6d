"""The median distance of two rows of a set that does not fit into memory: exact, one block of pairs at a time.

A first pass over all pairs counts squared distances in narrow bins around the median of some rows, the next one
collects those of the bin with the median. More passes follow only where that bin still holds too many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pytest_vidmetrics.stats.frechet import Rows
from pytest_vidmetrics.stats.kernel import squared_distances
from pytest_vidmetrics.stats.kernel_blocks import Blocks

T = TypeVar("T")

_SOME = 1024
"""Rows among which the first interval is looked for."""
_BINS = 1 << 16
_FEW = 1 << 20
"""Distances that are held and sorted: 8 MB."""
_EQUAL = 8
"""Units in the last place within which distances are the same number."""
_QUANTILES = (0.4, 0.6)


def median_distance_of_blocks(blocks: Blocks, *, threads: int = 1) -> float:
    """Return :func:`~pytest_vidmetrics.stats.kernel.median_distance` of all rows but for rounding.

    Matrix products should have one thread: the same bits for any number of ``threads`` then. Raises ``ValueError`` for
    fewer than two rows.
    """
    n = sum(len(blocks[i]) for i in range(len(blocks)))
    if n < 2:
        raise ValueError(f"at least 2 rows of features are needed, got {n}")
    pairs = n * (n - 1) // 2
    lower, upper = (pairs - 1) // 2, pairs // 2
    with ThreadPoolExecutor(threads) as pool:
        every = _Pairs(blocks, pool)
        below, values = _around(every, lower, _interval(blocks, n))
        first = values[lower - below]
        if upper - below < len(values):
            second = values[upper - below]
        else:
            below, values = _around(every, upper, (float(values[-1]), math.nextafter(values[-1], math.inf)))
            second = values[upper - below]
    return (math.sqrt(first) + math.sqrt(second)) / 2.0


@dataclass(frozen=True)
class _Pairs:
    """The squared distances of all pairs, block by block, in one order."""

    blocks: Blocks
    pool: Executor

    def map(self, found: Callable[[Rows], T]) -> Iterator[T]:
        """Yield what ``found`` makes of the distances of each pair of blocks."""
        for i in range(len(self.blocks)):

            def pair(j: int, i: int = i, rows: Rows = self.blocks[i]) -> T:
                squared = squared_distances(rows, rows if i == j else self.blocks[j])
                return found(squared[np.triu_indices(len(rows), 1)] if i == j else squared.ravel())

            yield from self.pool.map(pair, range(i, len(self.blocks)))


def _around(pairs: _Pairs, rank: int, interval: tuple[float, float]) -> tuple[int, Rows]:
    """Return the sorted squared distances next to one of a rank, counted from 0, and how many are below them.

    ``interval`` is where the one of that rank is likely to be.
    """
    low, high = interval
    while True:
        below, counts, largest = _counted(pairs, low, high)
        ends = below + np.cumsum(counts)
        if rank < below:
            low, high = 0.0, low
        elif rank >= ends[-1]:
            low, high = high, math.nextafter(largest, math.inf)
        else:
            at = int(np.searchsorted(ends, rank, side="right"))
            if high - low <= _EQUAL * math.ulp(high):
                return below, np.full(int(ends[-1]) - below, (low + high) / 2.0)
            if high <= math.ulp(largest):  # of equal rows: what is left is rounding
                return below, np.zeros(int(ends[-1]) - below)
            # One bin more on either side, and what the last bits of a number hold: its edges are rounded.
            width, bit = (high - low) / _BINS, math.ulp(high)
            low, high = max(low + (at - 1) * width - bit, 0.0), low + (at + 2) * width + bit
            if counts[max(at - 2, 0) : at + 3].sum() <= _FEW:
                break
    inside = list(pairs.map(lambda squared: (int((squared < low).sum()), squared[(squared >= low) & (squared < high)])))
    return sum(count for count, _ in inside), np.sort(np.concatenate([found for _, found in inside]))


def _counted(pairs: _Pairs, low: float, high: float) -> tuple[int, NDArray[np.int64], float]:
    """Return how many distances lie below an interval and in each of its bins, and the largest of all."""

    def counted(squared: Rows) -> tuple[int, NDArray[np.int64], float]:
        inside = squared[(squared >= low) & (squared < high)]
        bins = np.minimum(((inside - low) / (high - low) * _BINS).astype(np.int64), _BINS - 1)
        largest = float(squared.max(initial=0.0))
        return int((squared < low).sum()), np.bincount(bins, minlength=_BINS), largest

    below, counts, largest = 0, np.zeros(_BINS, dtype=np.int64), 0.0
    for under, found, most in pairs.map(counted):
        below, largest = below + under, max(largest, most)
        counts += found
    return below, counts, largest


def _interval(blocks: Blocks, n: int) -> tuple[float, float]:
    """Return squared distances between which the median lies, going by evenly spread rows."""
    step = max(1, n // _SOME)
    some = np.concatenate([blocks[i][::step] for i in range(len(blocks))])
    squared = squared_distances(some, some)[np.triu_indices(len(some), 1)]
    low, high = (float(value) for value in np.quantile(squared, _QUANTILES)) if len(squared) else (0.0, 0.0)
    return low, math.nextafter(high, math.inf)
