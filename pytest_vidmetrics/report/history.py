"""The history of a gate as the page draws it: one place for each run, with the baselines between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_vidmetrics.gates.history import BASELINE, Point, first_bad
from pytest_vidmetrics.report.numbers import number


@dataclass(frozen=True)
class Place:
    """One point of the curve, from 0 to 100 to the right and to the top."""

    x: float
    y: float
    text: str
    is_baseline: bool
    is_bad: bool


@dataclass(frozen=True)
class Drawn:
    """The curve of a gate; ``text`` says what it shows, ``line`` are the coordinates of an SVG polyline."""

    places: tuple[Place, ...]
    line: str
    text: str


def drawn(points: Sequence[Point]) -> Drawn | None:
    """Return the curve of points in order of time; ``None`` for fewer than two scores."""
    scored = [(point, point.score) for point in points if point.score is not None]
    if len(scored) < 2:
        return None
    low, high = min(score for _, score in scored), max(score for _, score in scored)
    # Of all points, not only of those with a score.
    bad = first_bad(points)
    places = []
    for i, (point, score) in enumerate(scored):
        name = point.checkpoint or point.source
        text = f"{point.time[:10]} {name}: {number(score)}, {point.status}"
        # A tenth of the height stays free above and below; equal scores lie on one line.
        x, y = 100 * (i + 0.5) / len(scored), 90 - 80 * (score - low) / ((high - low) or 1.0)
        places.append(Place(round(x, 2), round(y, 2), text, point.status == BASELINE, point.status == "REGRESSED"))
    line = " ".join(f"{place.x},{place.y}" for place in places)
    said = f"{number(low)} to {number(high)} over {len(scored)} runs and baselines"
    return Drawn(tuple(places), line, said + (f"; first bad: {bad.checkpoint or bad.source}" if bad else ""))
