"""How the pixels of a flow field spread over directions and speeds, counted as ``numpy.histogram2d`` counts.

Every count is the same on every CPU: a speed is compared with an edge exactly, or with one that was computed exactly.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.stats.float32_log import log10_avx512

Array = npt.NDArray[Any]
MOVING = 0.5
"""Pixels per frame above which a direction means something."""
FEW = 10
"""Fewest moving pixels that say something about a distribution."""
_ANGLES, _SPEEDS = 36, 20
_WIDTH = _SPEEDS + 2
"""Columns of the table: slow pixels, the bins of speed, pixels beyond the last edge."""
_DROP = 18
"""Low bits of a float32 without which it is known to 1/32; a bin of speeds is at least 1/18 wide."""
_INFINITE = 0x7F800000
"""Infinity as the bits of a float32."""
_EDGES = np.array(
    [[round(f(math.radians(10 * i - 180)), 15) for i in range(_ANGLES + 1)] for f in (math.cos, math.sin)]
)
"""Cosine and sine of the edges between directions; those of the axes are exact."""
_SLOWEST_TOP = 1.5
"""Least top of the bins."""
_EXACT = Context(prec=40)
"""Logarithms and powers in decimal digits, which no CPU rounds otherwise."""


class Histogram:
    """36 directions by 20 speeds, of which bin ``i`` holds those from ``edges[i]`` to below ``edges[i + 1]``.

    Many times faster than searching the edges, with the same counts: the leading bits of a speed say which edge it
    may have passed, and one comparison decides.
    """

    def __init__(self, edges: Array) -> None:
        # Every float32 with its low bits cleared, in ascending order: the table is indexed by the bits that are left.
        lowest = (np.arange(_INFINITE >> _DROP, dtype=np.int32) << _DROP).view(np.float32)
        self._columns = np.searchsorted(edges, lowest, side="right")
        # NaN compares false: what lies beyond the last edge is never moved on.
        self._limits = np.append(edges, np.nan)
        self._table = np.zeros(_ANGLES * _WIDTH, np.int64)

    def add(self, angle: Array, speed: Array, planes: tuple[Array, Array]) -> None:
        """Count some pixels: float64 radians, and speed and motion ``(u, v)`` in float32, all finite, of one shape."""
        # The bits of positive floats ascend as the floats do, so that a shift is a bucket.
        cells: Array = self._columns[speed.view(np.int32) >> _DROP]
        # The bucket may straddle one edge; this comparison is the exact one.
        cells += speed >= self._limits[cells]
        cells += _WIDTH * _directions(angle, *planes)
        self._table += np.bincount(cells.ravel(), minlength=len(self._table))

    def moving(self) -> int:
        """Return how many pixels moved."""
        return int(self._table.reshape(_ANGLES, _WIDTH)[:, 1:].sum())

    def shares(self) -> Array:
        """Return the share of each bin, with one more pixel in each; pixels beyond the last edge are left out."""
        counts = self._table.reshape(_ANGLES, _WIDTH)[:, 1:-1] + 1.0
        shares: Array = counts.ravel() / counts.sum()
        return shares


def exact_edges(top: float) -> Array:
    """Return 21 edges from 0.5 to ``top``, at least 1.5, each ``(2 * top) ** (1 / 20)`` times the one before it.

    An edge is the smallest float32 that is not below the exact value, which is found in whole numbers. The last one
    is infinite: no speed up to ``top`` is left out.
    """
    numerator, denominator = (2 * max(top, _SLOWEST_TOP)).as_integer_ratio()
    edges = np.full(_SPEEDS + 1, np.inf)
    edges[0] = MOVING
    # The estimate may be off by some ulps, and the loops below walk to the exact edge.
    for i in range(1, _SPEEDS):
        edge = np.float32(MOVING * (numerator / denominator) ** (i / _SPEEDS))
        while _reaches(np.nextafter(edge, np.float32(0)), numerator, denominator, i):
            edge = np.nextafter(edge, np.float32(0))
        while not _reaches(edge, numerator, denominator, i):
            edge = np.nextafter(edge, np.float32(np.inf))
        edges[i] = edge
    return edges


def _reaches(speed: np.float32, numerator: int, denominator: int, i: int) -> bool:
    """Whether ``(2 * speed) ** 20 >= (numerator / denominator) ** i``."""
    # Floats are fractions of whole numbers: both sides of the inequality are exact integers.
    n, d = (2 * float(speed)).as_integer_ratio()
    return bool(n**_SPEEDS * denominator**i >= numerator**i * d**_SPEEDS)


def fastvideo_edges(top: np.float32) -> Array:
    """Return FastVideo's edges: equal steps of the decimal logarithm up to that of ``top`` as a float32.

    That logarithm is rounded, after which the fastest pixels may lie beyond the last edge and are in no bin.
    """
    first = float(_EXACT.log10(Decimal(MOVING)))
    last = float(log10_avx512(max(top, np.float32(_SLOWEST_TOP))))
    steps = first + np.arange(_SPEEDS + 1) * ((last - first) / _SPEEDS)
    steps[-1] = last
    edges = np.array([float(_EXACT.power(Decimal(10), Decimal(float(step)))) for step in steps])
    edges[0] = MOVING
    edges[-1] = np.nextafter(edges[-1], np.inf)  # the topmost edge belongs to the last bin
    return edges


def divergence(first: Histogram, second: Histogram, *, shared_bins: bool) -> float:
    """Return the Kullback-Leibler divergence of the second histogram from the first, in nats.

    0 when fewer than ten pixels move in both; without ``shared_bins``, as in FastVideo, when they do in either.
    """
    few = [histogram.moving() < FEW for histogram in (first, second)]
    if all(few) if shared_bins else any(few):
        return 0.0
    p, q = first.shares(), second.shares()
    return float((p * np.log(p / q)).sum())


def _directions(angle: Array, u: Array, v: Array) -> Array:
    """Return which of 36 equal bins from -pi to pi each angle is in; the last one holds pi.

    Angles on an edge are common (nothing moves up or down), and rounding may put them on either side of it: there the
    side follows from the motion itself, whose product with an axis is exact.
    """
    turns = (angle + np.pi) * (_ANGLES / (2 * np.pi))
    found: Array = turns.astype(np.int64)
    edge = np.rint(turns)
    turns -= edge
    # Angles within rounding of an edge, of which the integer part may be wrong by one.
    near = np.nonzero(np.abs(turns) < 1e-9)
    index = edge[near].astype(np.int64)
    cosine, sine = _EDGES[:, index]
    # The sign of the cross product of edge and motion says on which side it lies.
    found[near] = np.minimum(index - (cosine * v[near] < sine * u[near]), _ANGLES - 1)
    return found
