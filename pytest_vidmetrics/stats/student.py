"""Student's t in plain Python: most runs need two quantiles of it, and ``scipy.special`` takes 0.2 s to import.

Eleven digits up to a thousand degrees of freedom, nine up to a million.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_TINY = 1e-300
_NORMAL = NormalDist()


def t_cdf(x: float, df: float) -> float:
    """Return the chance of a value up to ``x`` with ``df > 0`` degrees of freedom, which may be infinite."""
    if not df > 0 or math.isnan(x):
        raise ValueError(f"degrees of freedom are above 0 and x is a number, got df={df} and x={x}")
    if math.isinf(x):
        return float(x > 0)
    return _tail(-x, df) if x <= 0 else 1.0 - _tail(x, df)


def t_quantile(p: float, df: float) -> float:
    """Return ``x`` with ``t_cdf(x, df) = p``, for ``0 < p < 1``."""
    if not (0.0 < p < 1.0 and df > 0):
        raise ValueError(f"a share lies between 0 and 1 and degrees of freedom above 0, got p={p} and df={df}")
    if p > 0.5:
        return -t_quantile(1.0 - p, df)
    if math.isinf(df):
        return _NORMAL.inv_cdf(p)
    if p == 0.5:
        return 0.0
    low, high = 0.0, 1.0
    # An upper bound by doubling: Newton's steps need a bracket.
    while _tail(high, df) > p:
        low, high = high, 2.0 * high
    # Newton's steps, and a halving wherever one would leave the bracket.
    x = min(max(-_NORMAL.inv_cdf(p), low), high)
    for _ in range(200):
        excess = _tail(x, df) - p
        low, high = (x, high) if excess > 0 else (low, x)
        step = x + excess / _density(x, df)
        step = step if low < step < high else (low + high) / 2.0
        if abs(step - x) <= 1e-15 * step:
            break
        x = step
    return -step


def _tail(x: float, df: float) -> float:
    """Return the chance of more than ``x >= 0``: half of a regularised incomplete beta function."""
    if math.isinf(df):
        return math.erfc(x / math.sqrt(2.0)) / 2.0
    square, a = x * x, df / 2.0
    if square == 0.0:  # below 1e-150
        return 0.5
    # What both ways of the function have before the fraction, in logarithms that keep their digits for large df.
    front = math.exp(_log_scale(df) + (math.log(square) - math.log(df + square) - math.log(math.pi)) / 2.0)
    front *= math.exp(-a * math.log1p(square / df))
    share = square / (df + square)
    # The continued fraction converges fast below this point; above it the other tail's does.
    if share < 1.5 / (a + 2.5):
        return 0.5 - front * _fraction(0.5, a, share)
    return front * _fraction(a, 0.5, df / (df + square)) / df


def _density(x: float, df: float) -> float:
    return math.exp(_log_scale(df) - (df + 1.0) / 2.0 * math.log1p(x * x / df)) / math.sqrt(df * math.pi)


def _log_scale(df: float) -> float:
    """Return ``log(gamma((df + 1) / 2) / gamma(df / 2))``; their difference loses digits where ``df`` is large."""
    a = df / 2.0
    if a < 20.0:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    # The asymptotic series of the ratio: from a = 20 on it is right to 1e-14.
    return math.log(a) / 2.0 - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function (DLMF 8.17.22), by the method of Lentz."""
    # Lentz's method must not divide by zero.
    c, d = 1.0, 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or _TINY)
    value = d
    for m in range(1, 100_000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1.0 + term * d) or _TINY)
            c = (1.0 + term / c) or _TINY
            value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value
