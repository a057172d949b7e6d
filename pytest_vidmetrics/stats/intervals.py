"""Intervals and exact tests for the difference between a candidate and a baseline.

Every difference is oriented by the caller so that positive is better for the candidate.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_vidmetrics.stats.student import t_cdf, t_quantile

Verdict = Literal["superior", "non_inferior", "inferior", "inconclusive"]
_EXACT_LIMIT = 20
_SLACK = 1e-12


@dataclass(frozen=True)
class Interval:
    """A mean with the bounds between which it lies.

    ``low`` and ``high`` are one-sided bounds: each alone holds with confidence ``level``, so that together they
    make a two-sided interval of ``2 * level - 1``. ``se`` is the standard error, ``df`` the degrees of freedom of
    Student's t, ``kind`` the method (``"paired"``, ``"clustered"`` or ``"welch"``).
    """

    estimate: float
    low: float
    high: float
    se: float
    df: float
    level: float
    kind: str


def t_interval(estimate: float, se: float, df: float, *, alpha: float = 0.05, kind: str = "t") -> Interval:
    """Return ``estimate -/+ t(1 - alpha, df) * se``.

    A standard error of zero gives an interval of no width: every difference was the same. Raises ``ValueError``
    for values that are not finite, a negative ``se``, ``df`` not above 0, or ``alpha`` outside (0, 0.5].
    """
    if not (math.isfinite(estimate) and math.isfinite(se) and se >= 0):
        raise ValueError(f"an interval needs a finite estimate and standard error, got {estimate} and {se}")
    if not df > 0:
        raise ValueError(f"an interval needs degrees of freedom above 0, got {df}")
    reach = -t_quantile(_checked_alpha(alpha), df) * se if se > 0 else 0.0
    return Interval(estimate, estimate - reach, estimate + reach, se, df, 1.0 - alpha, kind)


def paired_interval(
    differences: ArrayLike, clusters: Sequence[Hashable] | None = None, *, alpha: float = 0.05
) -> Interval:
    """Return the interval of the mean of paired differences, shape ``(n,)``.

    Without ``clusters``: Student's t, ``n - 1`` degrees of freedom. With one label per difference: the
    cluster-robust error of an intercept-only regression with the small-sample factor ``G / (G - 1)`` (CR1) and
    ``G - 1`` degrees of freedom for ``G`` clusters; samples of one prompt are one cluster. Clusters may differ
    in size; the mean stays that of the differences.

    Raises ``ValueError`` for fewer than two differences or clusters, other lengths, or values that are not finite.
    """
    values = _checked_values(differences, "differences")
    mean = float(values.mean())
    if clusters is None:
        se = float(values.std(ddof=1)) / math.sqrt(len(values))
        return t_interval(mean, se, len(values) - 1, alpha=alpha, kind="paired")
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} differences but {len(clusters)} cluster labels")
    sums: dict[Hashable, float] = {}
    for label, residual in zip(clusters, values - mean, strict=True):
        # Residuals of a cluster are summed before they are squared: that is what lets them be correlated.
        sums[label] = sums.get(label, 0.0) + float(residual)
    count = len(sums)
    if count < 2:
        raise ValueError("all differences are in one cluster: an interval needs at least 2")
    se = math.sqrt(math.fsum(s * s for s in sums.values()) * count / (count - 1)) / len(values)
    return t_interval(mean, se, count - 1, alpha=alpha, kind="clustered")


def welch_interval(candidate: ArrayLike, baseline: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Return the interval of ``mean(candidate) - mean(baseline)`` for samples that are not paired.

    Unequal variances, degrees of freedom after Welch (1947) and Satterthwaite (1946). Prefer
    :func:`paired_interval` where the samples have partners: it is usually far narrower. Raises ``ValueError``
    for fewer than two values on either side, or values that are not finite.
    """
    a, b = _checked_values(candidate, "candidate scores"), _checked_values(baseline, "baseline scores")
    va, vb = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    total = va + vb
    # Fractions, not squares of the variances: those underflow to 0/0 for tiny scores.
    fa, fb = (va / total, vb / total) if total > 0 else (1.0, 0.0)
    df = 1.0 / (fa**2 / (len(a) - 1) + fb**2 / (len(b) - 1))
    return t_interval(float(a.mean() - b.mean()), math.sqrt(total), df, alpha=alpha, kind="welch")


def non_inferiority(interval: Interval, margin: float) -> Verdict:
    """Return what an interval of ``candidate - baseline`` says against a margin of at least 0.

    ``"superior"`` when ``low > 0``, else ``"non_inferior"`` when ``low > -margin``, else ``"inferior"`` when
    ``high < -margin``, else ``"inconclusive"``. Each word is wrong with probability at most ``1 - level``.
    Comparisons are strict; with a margin of 0 a worse candidate can only be ``"inferior"`` or undecided.
    """
    if not margin >= 0:
        raise ValueError(f"a margin is at least 0, got {margin}")
    if interval.low > 0:
        return "superior"
    if interval.low > -margin:
        return "non_inferior"
    return "inferior" if interval.high < -margin else "inconclusive"


def p_inferior(interval: Interval, margin: float) -> float:
    """Return the p-value against "not worse by more than the margin": small means that the candidate is worse."""
    return _p_at_most(interval.estimate + margin, interval)


def p_non_inferior(interval: Interval, margin: float) -> float:
    """Return the p-value against "worse by the margin or more": small means that it is not."""
    return _p_at_most(-(interval.estimate + margin), interval)


def mcnemar(wins: int, losses: int) -> float:
    """Return the exact two-sided p-value of McNemar's test, for pairs of 0/1 scores.

    ``wins`` counts pairs where only the candidate scored 1, ``losses`` those where only the baseline did; pairs
    that agree carry no information. It is also the sign test. No discordant pair gives 1. Raises ``ValueError``
    for negative counts.
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"counts cannot be negative, got {wins} and {losses}")
    from scipy import special  # slow to import, and few runs have pairs of zeros and ones

    total = wins + losses
    # The smaller count doubles; at an even split that is above 1.
    return min(1.0, 2.0 * float(special.bdtr(min(wins, total - wins), total, 0.5))) if total else 1.0


def sign_flip(differences: ArrayLike, alternative: Literal["two-sided", "greater", "less"] = "two-sided") -> float:
    """Return the exact p-value of the sign-flip (paired permutation) test of a zero mean.

    All ``2^n`` sign patterns of up to 20 differences are counted; sums within 1e-12 are ties. ``"greater"`` asks
    whether the mean is above 0. Raises ``ValueError`` for more differences, or values that are not finite.
    """
    values = _checked_values(differences, "differences", fewest=1)
    if len(values) > _EXACT_LIMIT:
        raise ValueError(f"the exact test takes up to {_EXACT_LIMIT} differences, got {len(values)}")
    sums = np.zeros(1)
    # All 2^n sums, doubled by one difference at a time.
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    # Sums that are equal in theory differ by rounding: the slack keeps ties on the observed side.
    observed, slack = float(values.sum()), _SLACK * max(1.0, float(np.abs(values).sum()))
    if alternative == "two-sided":
        return float(np.mean(np.abs(sums) >= abs(observed) - slack))
    if alternative == "less":
        return float(np.mean(sums <= observed + slack))
    return float(np.mean(sums >= observed - slack))


def _p_at_most(distance: float, interval: Interval) -> float:
    # Without scatter there is no doubt on either side.
    if interval.se == 0:
        return 0.0 if distance < 0 else 1.0
    return t_cdf(distance / interval.se, interval.df)


def _checked_values(values: ArrayLike, what: str, fewest: int = 2) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < fewest:
        raise ValueError(f"at least {fewest} {what} are needed, in one dimension; got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} are not finite at {np.flatnonzero(~np.isfinite(array))[:5].tolist()}")
    return array


def _checked_alpha(alpha: float) -> float:
    if not 0 < alpha <= 0.5:
        raise ValueError(f"alpha is the error of one bound, above 0 and up to 0.5; got {alpha}")
    return alpha
