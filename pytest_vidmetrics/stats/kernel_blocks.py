"""Kernel distance of sets that do not fit into memory: all pairs of rows, one block of them at a time.

The estimator is that of :mod:`~pytest_vidmetrics.stats.kernel`. Two blocks of rows and their similarities are held for
each thread, and one sum for each row. A block is worked on by one thread and sums are added in the order of the
blocks: the same bits for any number of threads, given matrix products on one thread. Several in one product would not
do: OpenBLAS rounds the edges of a block otherwise then. The work grows with the square of the rows: ``(n + m)^2 D``
operations for ``D`` features.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pytest_vidmetrics.stats.frechet import Rows
from pytest_vidmetrics.stats.kernel import Kernel, relabelled

BLOCK = 1024
"""Rows of a block: similarities of two blocks are 8 MB, which a processor's cache holds."""
GROUPS = 64
_PERMUTATIONS = 1000


class Blocks(Protocol):
    """The rows of a set in blocks: a list of ``(k, D)`` arrays, or what reads them from a file."""

    def __len__(self) -> int:
        """Return the number of blocks."""

    def __getitem__(self, index: int, /) -> Rows:
        """Return a block, ``(k, D)`` float64."""


@dataclass(frozen=True)
class KernelDistance:
    """What :func:`mmd_of_blocks` finds of ``n`` and ``m`` rows."""

    distance: float
    influence: Rows
    """``(n,)``, of each row of the first set, as :func:`~pytest_vidmetrics.stats.kernel.mmd_influence`."""
    p_value: float


def mmd_of_blocks(
    first: Blocks, second: Blocks, kernel: Kernel, *, block: int = 1, seed: int = 0, threads: int = 1
) -> KernelDistance:
    """Return the unbiased squared MMD of two sets of rows, its influences, and a one-sided p-value.

    Distance and influences are those of :func:`~pytest_vidmetrics.stats.kernel.mmd` and ``mmd_influence`` but for
    rounding. ``block`` consecutive rows come from one video. For the p-value the videos of both sets are dealt in turn
    to some 64 groups of equal size, which 1000 random relabelings exchange whole: of single rows each would need the
    similarities of all pairs again. Raises ``ValueError`` for fewer than two rows on either side, and other widths.
    """
    spans = [_spans(one) for one in (first, second)]
    n, m = (one[-1].stop if one else 0 for one in spans)
    if min(n, m) < 2:
        raise ValueError(f"at least 2 rows of features are needed on either side, got {n} and {m}")
    if (widths := (first[0].shape[1], second[0].shape[1]))[0] != widths[1]:
        raise ValueError(f"the sets have {widths[0]} and {widths[1]} features a row: not one extractor")
    dealt = _dealt(n // block, m // block)
    one, two = (_Side(*side, block) for side in zip((first, second), spans, dealt, strict=True))
    with ThreadPoolExecutor(threads) as pool:
        within, same = _within(one, kernel, pool)
        _, other = _within(two, kernel, pool)
        across, apart = _across(one, two, kernel, pool)
    influence = 2.0 * (within / (n - 1) - across / m)
    influence -= influence.mean()
    distance = math.fsum(within) / (n * (n - 1)) + other.sum() / (m * (m - 1)) - 2.0 * math.fsum(across) / (n * m)
    sizes = np.concatenate([one.sizes(), two.sizes()])
    return KernelDistance(
        float(distance), influence, _p_value(np.block([[same, apart], [apart.T, other]]), sizes, dealt[0], seed)
    )


@dataclass(frozen=True)
class _Side:
    """One of the two sets: its blocks, the rows of each, and how its videos are dealt to groups."""

    blocks: Blocks
    spans: list[slice]
    groups: int
    block: int

    def members(self, span: slice) -> Rows:
        """Return which group the rows of a span belong to, ``(k, groups)`` of ones and zeros."""
        found: Rows = np.eye(self.groups)[np.arange(span.start, span.stop) // self.block % self.groups]
        return found

    def sizes(self) -> Rows:
        """Return how many rows each group has, ``(groups,)``."""
        found: Rows = np.sum([self.members(span).sum(axis=0) for span in self.spans], axis=0)
        return found


def _within(side: _Side, kernel: Kernel, pool: Executor) -> tuple[Rows, Rows]:
    """Return the similarities of each row with the others of its set, ``(N,)``, and those of all pairs by groups.

    Every pair of blocks is taken once, for both of its orders.
    """
    by_row, by_group = np.zeros(side.spans[-1].stop), np.zeros((side.groups, side.groups))
    for i, at in enumerate(side.spans):
        rows, members = side.blocks[i], side.members(at)

        def pair(j: int, i: int = i, rows: Rows = rows) -> tuple[Rows, Rows]:
            similar = kernel(rows, rows if i == j else side.blocks[j])
            if i == j:
                np.fill_diagonal(similar, 0.0)
            return similar @ side.members(side.spans[j]), similar.sum(axis=0)

        for j, (sums, below) in enumerate(pool.map(pair, range(i, len(side.spans))), i):
            by_row[at] += sums.sum(axis=1)
            # (groups of i, groups of j)
            pairs = members.T @ sums
            by_group += pairs
            if i != j:
                # The block stands for its transpose too: its column sums belong to the rows of block j.
                by_row[side.spans[j]] += below
                by_group += pairs.T
    return by_row, by_group


def _across(first: _Side, second: _Side, kernel: Kernel, pool: Executor) -> tuple[Rows, Rows]:
    """Return the similarities of each row of the first set with the second, and those of all pairs by groups."""
    by_row, by_group = np.zeros(first.spans[-1].stop), np.zeros((first.groups, second.groups))
    for i, at in enumerate(first.spans):

        def pair(j: int, rows: Rows = first.blocks[i]) -> Rows:
            sums: Rows = kernel(rows, second.blocks[j]) @ second.members(second.spans[j])
            return sums

        for sums in pool.map(pair, range(len(second.spans))):
            by_row[at] += sums.sum(axis=1)
            by_group += first.members(at).T @ sums
    return by_row, by_group


def _p_value(similar: Rows, sizes: Rows, count: int, seed: int) -> float:
    """Return the share of relabelings of the groups, the first ``count`` of them the first set, at least as far."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros((_PERMUTATIONS + 1, len(sizes)))
    chosen[0, :count] = 1.0
    for row in chosen[1:]:
        row[generator.permutation(len(sizes))[:count]] = 1.0
    n = chosen @ sizes
    values = relabelled(similar, chosen, n, sizes.sum() - n)
    # In units of one pair, as the sums of large groups are larger.
    tolerance = 1e-12 * max(1.0, float((np.abs(similar) / np.outer(sizes, sizes)).max()))
    return float((values >= values[0] - tolerance).mean())


def _dealt(n: int, m: int) -> tuple[int, int]:
    """Return into how many groups the videos of either set are dealt: in proportion to their number."""
    total = min(GROUPS, n + m)
    # At least one group on either side.
    share = min(max(round(total * n / (n + m)), 1), total - 1)
    return min(share, n), min(total - share, m)


def _spans(blocks: Blocks) -> list[slice]:
    """Return which rows of the set each block holds."""
    ends = [int(end) for end in np.cumsum([len(blocks[i]) for i in range(len(blocks))])]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
