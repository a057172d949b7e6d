"""How many digits of a score mean anything: what its metric's noise floor justifies, ten at most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from pytest_vidmetrics.core.scores import CorpusScore

_ALL = 300
"""Places behind the point that no rounding is needed for."""

_MOST = 10
"""Significant digits: a float has 15 to 17, of which the last ones differ between processors."""


def rounded(observed: CorpusScore) -> CorpusScore:
    """Return an observation with the digits that baselines keep, so that what did not change compares as equal.

    The influences of a set metric keep more digits: each is about a share ``1 / n`` of the score.
    """
    if observed.score is None:
        return observed
    floor = observed.noise_floor
    share = floor / max(1, observed.n) if observed.is_set else floor
    samples = {id: digits(value, share) for id, value in observed.samples.items()}
    return replace(observed, score=digits(observed.score, floor), samples=samples)


def digits(value: float, floor: float) -> float:
    """Return ``value`` to a thousandth of ``floor`` or finer, and to ten significant digits at most."""
    if not math.isfinite(value):
        return value
    places = _places(floor)
    # Through text, which rounds in decimal: the same digits on every processor.
    return float(f"{value if places >= _ALL else round(value, places):.{_MOST}g}")


def step(value: float, floor: float) -> float:
    """Return the distance of two neighbouring numbers of this size that :func:`digits` can give."""
    # The step of the last of ten significant digits.
    fine = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - _MOST) if value else 0.0
    return max(fine, 10.0 ** -_places(floor))


def _places(floor: float) -> int:
    """Return how many places behind the point numbers with this noise floor keep."""
    if not (0.0 < floor < math.inf):
        return _ALL
    # A thousandth of the floor: of 0.05 the exponent is -2, and 5 places stay.
    return min(_ALL, 3 - math.floor(math.log10(floor)))


def close(old: Mapping[str, float], new: Mapping[str, float], floor: float) -> bool:
    """Whether two sets of rounded numbers are the same up to one step in the last digit of each."""
    return old.keys() == new.keys() and all(
        # A value at the edge may be rounded to either side: one step, and half a step for the float itself.
        abs(value - new[key]) <= 1.5 * step(max(abs(value), abs(new[key])), floor)
        for key, value in old.items()
    )
