"""Deciding clip by clip: tests that stay right however often one looks, of a mean against a margin.

Both tests start from "the mean lies at the margin" and collect evidence on either side. A test statistic of the kind
used here, an e-value, is a nonnegative martingale with mean 1 at the margin, so that the chance that it *ever* reaches
``1 / alpha`` is at most ``alpha`` (Ville's inequality): looking after each clip costs nothing.

Sources: the t-test with a mixture over effect sizes and the right Haar prior on the deviation, whose e-value is exact
at any stopping time for normal differences (de Heide and Grünwald 2021; Wang and Ramdas 2025); betting on bounded
means (Waudby-Smith and Ramdas 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Side = Literal["above", "below", "undecided"]

FEWEST = 30
"""The t-mixture decides from this many differences on, and from this many times their squared skewness: before that
the mean of skewed differences is not close to normal, and the error on their short side is above ``alpha``."""

_EFFECTS = 0.03
"""Variance of the effect sizes that the mixture expects: most of them lie within a third of a standard deviation."""

_BOLDEST = 0.75
"""Largest share of the wealth that is put on one clip: a bet that can lose everything can never win it back."""


@dataclass(frozen=True)
class Decision:
    """Where the mean of the differences lies relative to the margin, and after how many of them this was sure.

    ``evidence`` is the larger e-value at the end: the bets for the side of the data paid this many times the stake.
    ``used`` counts the differences that were looked at: all of them when ``side`` is ``"undecided"``.
    """

    side: Side
    used: int
    evidence: float


def mixture_t(values: ArrayLike, margin: float, *, alpha: float = 0.05, fewest: int = FEWEST) -> Decision:
    """Decide whether the mean of ``values``, shape ``(n,)`` in their order of arrival, lies above or below ``margin``.

    For normal differences the chance to decide at all, at whatever look, is at most ``alpha`` when the mean is the
    margin itself. Differences that are all the same are decided at ``fewest``, by the side of the margin on which
    they lie. Raises ``ValueError`` for values that are not finite.
    """
    shifted = _checked(values) - margin
    if fewest < 2:
        raise ValueError(f"a deviation needs at least 2 differences, got fewest = {fewest}")
    needed = -math.log(_checked_alpha(alpha))
    if not len(shifted):
        return Decision("undecided", 0, 1.0)
    # Scores of any unit: cubes of 1e-120 or 1e120 would leave the range of floats.
    scale = float(np.abs(shifted).max()) or 1.0
    shifted = shifted / scale
    logs, earliest, means = _log_evidence(shifted, fewest)
    n = np.arange(1, len(shifted) + 1)
    # A mean that is exactly the margin has no side.
    sure = np.flatnonzero((logs >= needed) & (n >= earliest) & (means != 0.0))
    if len(sure):
        at = int(sure[0])
        return Decision("above" if means[at] > 0 else "below", at + 1, _exp(logs[at]))
    return Decision("undecided", len(shifted), _exp(logs[-1]))


def _log_evidence(shifted: NDArray[np.float64], fewest: int) -> tuple[NDArray[np.float64], ...]:
    """Return, after each difference: the logarithm of the e-value, how many must have been seen, and the mean."""
    n = np.arange(1, len(shifted) + 1, dtype=np.float64)
    # Sums of powers are all that the e-value and the skewness need: one pass, whatever the look.
    sums, squares, cubes = (np.cumsum(shifted**power) for power in (1, 2, 3))
    mean = sums / n
    explained = n * mean * mean
    # Rounding must not make a sum of squares smaller than the part of it that the mean explains.
    rest = np.maximum(squares - explained, 0.0)
    # 1 + n times the variance of the mixed effects.
    spread = 1.0 + n * _EFFECTS
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # t^2 / (n - 1) = n mean^2 / rest, so that the e-value needs neither t nor the deviation.
        ratio = np.where(explained > 0, (rest + explained) / (rest + explained / spread), 1.0)
        third = cubes / n - 3 * mean * squares / n + 2 * mean**3
        skewness = np.where(rest > 0, third / (rest / n) ** 1.5, 0.0)
    logs = -0.5 * np.log(spread) + 0.5 * n * np.log(ratio)
    logs[0] = 0.0  # a single difference says nothing: it has no deviation
    return logs, fewest * np.maximum(1.0, skewness**2), mean


def _exp(log: float) -> float:
    # e^700 is close to the largest float.
    return math.exp(min(float(log), 700.0))


def betting(
    values: ArrayLike, margin: float, *, alpha: float = 0.05, low: float = -1.0, high: float = 1.0, fewest: int = 1
) -> Decision:
    """Decide whether the mean of ``values``, shape ``(n,)`` within ``[low, high]``, lies above or below ``margin``.

    Right for any distribution and from the first difference on, or from the ``fewest`` that are to be seen: each side
    is claimed wrongly with a chance of at most ``alpha``. A gambler bets on each clip before seeing it, with a stake
    that follows the mean and the variance of the clips before. Raises ``ValueError`` for values outside of the range,
    and for a margin that is not inside it.
    """
    found = _checked(values)
    if not low < margin < high:
        raise ValueError(f"the margin {margin} does not lie between {low} and {high}")
    if len(found) and not (low <= found.min() and found.max() <= high):
        raise ValueError(f"differences lie between {low} and {high}, got {found.min()} to {found.max()}")
    needed = -math.log(_checked_alpha(alpha))
    up = down = 0.0
    # As if one difference at either end of the range had been seen: no bet before there is anything to go by.
    count, mean, square = 1.0, margin, ((high - low) / 2) ** 2
    for i, value in enumerate(map(float, found), start=1):
        gap = mean - margin
        # The bet that grows fastest for this mean and variance (Kelly's, to second order).
        stake = gap / (square / count + gap * gap)
        # Each side bets only its own way.
        up += math.log1p(min(max(stake, 0.0), _BOLDEST / (margin - low)) * (value - margin))
        down += math.log1p(max(min(stake, 0.0), -_BOLDEST / (high - margin)) * (value - margin))
        # The two sides are tests of their own, each with its own alpha.
        if i >= fewest and max(up, down) >= needed:
            return Decision("above" if up > down else "below", i, _exp(max(up, down)))
        # Welford's update: the mean and the sum of squared deviations so far.
        count += 1.0
        step = value - mean
        mean += step / count
        square += step * (value - mean)
    return Decision("undecided", len(found), _exp(max(up, down)))


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(f"differences are finite numbers in one dimension; got the shape {array.shape}")
    return array


def _checked_alpha(alpha: float) -> float:
    if not 0 < alpha <= 0.5:
        raise ValueError(f"alpha is the error of one side, above 0 and up to 0.5; got {alpha}")
    return alpha
