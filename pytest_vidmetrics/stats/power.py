"""How many samples settle a question, and how far a further run may lie from earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable

from pytest_vidmetrics.stats.student import t_quantile

_MOST = 10_000_000
_CERTAIN = 30.0
"""Standard errors beyond a critical value at which nothing is left to chance."""


def paired_power(n: float, sd: float, effect: float, *, alpha: float = 0.05) -> float:
    """Return the chance that a one-sided paired t-test at ``alpha`` sees a mean difference of ``effect``.

    ``n`` pairs whose differences have standard deviation ``sd``; ``n`` may be a fraction above 1. ``effect`` is
    the margin when the candidate is in truth as good as the baseline.
    """
    _check(sd, effect, alpha)
    if not n > 1:
        raise ValueError(f"a t-test needs more than 1 pair, got {n}")
    from scipy import special  # slow to import, and few runs plan a size

    critical = -t_quantile(alpha, n - 1)
    # The noncentrality of Student's t under the effect.
    distance = math.sqrt(n) * effect / sd
    if distance > critical + _CERTAIN:  # where the noncentral t underflows
        return 1.0
    return 1.0 - float(special.nctdtr(n - 1, distance, critical))


def samples_needed(sd: float, effect: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the number of pairs from which :func:`paired_power` reaches ``power``; round it up to act on it.

    ``sd`` is the standard deviation of the paired differences, in the unit of ``effect``; both above 0. Raises
    ``ValueError`` when more than ten million pairs would be needed.
    """
    _check(sd, effect, alpha)
    _check_share("power", power)

    def shortfall(n: float) -> float:
        return paired_power(n, sd, effect, alpha=alpha) - power

    fewest, most = 2.0, 4.0
    if shortfall(fewest) >= 0:
        return fewest
    while shortfall(most) < 0:
        most *= 2
        if most > _MOST:
            raise ValueError(f"more than {_MOST} pairs are needed to see {effect} at a deviation of {sd}")
    return _root(shortfall, fewest, most)


def detectable_effect(n: int, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest mean difference that ``n`` pairs show with the given chance; the inverse in ``effect``."""
    _check(sd, sd, alpha)
    _check_share("power", power)
    if n < 2:
        raise ValueError(f"a t-test needs at least 2 pairs, got {n}")
    most = sd
    while paired_power(n, sd, most, alpha=alpha) < power:
        most *= 2
    # Relative, as effects have any unit.
    least = sd * 1e-9

    def shortfall(effect: float) -> float:
        return paired_power(n, sd, effect, alpha=alpha) - power

    return least if shortfall(least) >= 0 else _root(shortfall, least, most)


def smallest_harm(rule: str, se: float, df: float, margin: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true harm at which a gate fails with the chance ``power``: its detection limit, at least 0.

    ``se`` is the standard error of the harm and ``df`` its degrees of freedom. A gate fails when the estimate is
    above ``margin`` (``"point"``), unless the upper bound is within it (``"strict"``), or only when the lower bound is
    above it (``"lenient"``); bounds are one-sided at ``1 - alpha``. Without an error (``se = 0``) every rule sees what
    is above the margin. Raises ``ValueError`` for another rule, and for an error or margin that is negative.
    """
    _check_share("alpha", alpha)
    _check_share("power", power)
    if not (se >= 0 and margin >= 0 and df > 0):
        raise ValueError(f"an error and a margin are at least 0 and df above it, got {se}, {margin} and {df}")
    # By how many reaches of the bound the estimate must lie beyond the margin for a gate to fail.
    sides = {"point": 0.0, "strict": -1.0, "lenient": 1.0}
    if rule not in sides:
        raise ValueError(f"the rule is one of {', '.join(sides)}; got {rule!r}")
    if se == 0:
        return margin
    # The estimate scatters around the true harm as Student's t does, and the bound lies `reach` errors from it.
    reach = sides[rule] * -t_quantile(alpha, df)
    return max(0.0, margin + (reach + t_quantile(power, df)) * se)


def tolerance_factor(runs: int, *, content: float = 0.95, confidence: float = 0.95) -> float:
    """Return ``k`` so that ``mean - k * sd`` of ``runs`` runs lies below a share ``content`` of all further runs.

    One-sided normal tolerance bound (noncentral t), held with ``confidence``: a margin from repeated runs of the
    same generator, where the noise itself is only known from those runs.
    """
    _check_share("content", content)
    _check_share("confidence", confidence)
    if runs < 2:
        raise ValueError(f"a spread needs at least 2 runs, got {runs}")
    from scipy import special

    root = math.sqrt(runs)
    return float(special.nctdtrit(runs - 1, root * special.ndtri(content), confidence)) / root


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function passes 0, to 12 digits: ``scipy.optimize`` would take a second to import."""
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) >= 0 else (middle, high)
    return (low + high) / 2


def _check(sd: float, effect: float, alpha: float) -> None:
    if not (sd > 0 and effect > 0 and math.isfinite(sd) and math.isfinite(effect)):
        raise ValueError(f"the deviation and the effect are finite and above 0, got {sd} and {effect}")
    _check_share("alpha", alpha)


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} lies between 0 and 1, got {value}")
