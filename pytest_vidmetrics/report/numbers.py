"""Numbers as people read them: five significant digits, signs, percents, and the plot of an interval."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.core.wording import share

DIGITS = 5
_EXTENT = 3.0
"""How many margins the plots reach to either side."""


def number(value: float | None) -> str:
    """Return at most five significant digits; an en dash for no value."""
    return "–" if value is None else f"{value:.{DIGITS}g}"


def signed(value: float | None) -> str:
    """Return a number with its sign; a zero has none."""
    # A true minus, as wide as a plus.
    return number(value) if not value else f"{value:+.{DIGITS}g}".replace("-", "−")


def percent(part: float | None, whole: float | None) -> str:
    """Return how much ``part`` is of ``whole`` in percent, with its sign; nothing where that means nothing."""
    return share(part, whole).replace("-", "−").replace("%", " %")


@dataclass(frozen=True)
class Plot:
    """An interval on the scale that all gates share: 0 is no harm, 1 the margin, larger is worse.

    Places run from 0 to 100, left to right; ``low`` and ``high`` are ``None`` without an interval. ``cut_low`` and
    ``cut_high`` say that an end lies outside of the plot.
    """

    harm: float
    zero: float
    margin: float
    low: float | None
    high: float | None
    cut_low: bool
    cut_high: bool
    text: str


def plot_of(verdict: Verdict, unit: str = "") -> Plot | None:
    """Return the plot of a verdict; ``None`` for one that compares nothing."""
    if verdict.harm is None or verdict.margin is None:
        return None
    ends = verdict.interval or (verdict.harm, verdict.harm)
    # Without a margin the plot reaches as far as the interval.
    scale = verdict.margin or max(abs(verdict.harm), *map(abs, ends)) or 1.0
    low, high = (end / scale for end in ends)
    has_interval = verdict.interval is not None
    text = f"harm {number(verdict.harm)}{unit and ' ' + unit}, margin {number(verdict.margin)}"
    if has_interval:
        text += f", interval {number(ends[0])} to {number(ends[1])}"
    return Plot(
        harm=_place(verdict.harm / scale),
        zero=_place(0.0),
        margin=_place(verdict.margin / scale),
        low=_place(low) if has_interval else None,
        high=_place(high) if has_interval else None,
        cut_low=has_interval and low < -_EXTENT,
        cut_high=has_interval and high > _EXTENT,
        text=text,
    )


def _place(value: float) -> float:
    # Places from 0 to 100, the middle is a harm of 0; three margins to either side.
    return round(50 + 50 * max(-1.0, min(1.0, value / _EXTENT)), 2)
