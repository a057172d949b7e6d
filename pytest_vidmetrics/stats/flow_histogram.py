"""How the pixels of a flow field spread over directions and speeds, counted as ``numpy.histogram2d`` counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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
_DIRECTIONS = np.linspace(-np.pi, np.pi, _ANGLES + 1)


class Histogram:
    """36 directions by 20 speeds, whose bins grow geometrically from 0.5 pixels to ``top``, at least 1.5.

    Many times faster than searching the edges, with the same counts: the leading bits of a speed say which edge it
    may have passed, and one comparison decides.
    """

    def __init__(self, top: float | np.float32) -> None:
        edges = np.logspace(np.log10(MOVING), np.log10(np.maximum(top, type(top)(1.5))), _SPEEDS + 1)
        edges[0] = MOVING
        edges[-1] = np.nextafter(edges[-1], np.inf)  # the topmost edge belongs to the last bin
        lowest = (np.arange(_INFINITE >> _DROP, dtype=np.int32) << _DROP).view(np.float32)
        self._columns = np.searchsorted(edges, lowest, side="right")
        self._limits = np.append(edges, np.nan)
        self._table = np.zeros(_ANGLES * _WIDTH, np.int64)

    def add(self, angle: Array, speed: Array) -> None:
        """Count some pixels, given float64 radians and float32 pixels of any one shape. Both must be finite."""
        cells: Array = self._columns[speed.view(np.int32) >> _DROP]
        cells += speed >= self._limits[cells]
        cells += _WIDTH * _directions(angle)
        self._table += np.bincount(cells.ravel(), minlength=len(self._table))

    def moving(self) -> int:
        """Return how many pixels moved."""
        return int(self._table.reshape(_ANGLES, _WIDTH)[:, 1:].sum())

    def shares(self, *, overflow: bool) -> Array:
        """Return the share of each bin, with one more pixel in each.

        ``overflow`` counts what rounding puts beyond the last edge in the last bin; else it is left out.
        """
        table = self._table.reshape(_ANGLES, _WIDTH)
        counts = table[:, 1:-1] + 1.0
        if overflow:
            counts[:, -1] += table[:, -1]
        shares: Array = counts.ravel() / counts.sum()
        return shares


def divergence(first: Histogram, second: Histogram, *, shared_bins: bool) -> float:
    """Return the Kullback-Leibler divergence of the second histogram from the first, in nats.

    0 when fewer than ten pixels move in both; without ``shared_bins``, as in FastVideo, when they do in either.
    """
    few = [histogram.moving() < FEW for histogram in (first, second)]
    if all(few) if shared_bins else any(few):
        return 0.0
    p, q = first.shares(overflow=shared_bins), second.shares(overflow=shared_bins)
    return float((p * np.log(p / q)).sum())


def _directions(angle: Array) -> Array:
    """Return which of 36 equal bins from -pi to pi each angle is in; the last one holds pi."""
    turns = (angle + np.pi) * (_ANGLES / (2 * np.pi))
    found: Array = turns.astype(np.int64)
    # Angles on an edge are common (nothing moves up or down), and rounding may put them on either side of it.
    turns -= np.rint(turns)
    near = np.nonzero(np.abs(turns) < 1e-9)
    found[near] = np.searchsorted(_DIRECTIONS[1:-1], angle[near], side="right")
    return found
