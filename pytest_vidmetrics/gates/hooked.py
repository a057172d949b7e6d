"""What ``pytest_vidmetrics_judge`` may return. Anything else is an error of the gate, never a green one."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from pytest_vidmetrics.core.verdict import ClipChange, Verdict

_STATUSES = ("PASS", "IMPROVED", "REGRESSED", "STALE", "ERROR")


def checked(given: Any, usual: Verdict) -> Verdict:
    """Return the hook's verdict in builtin types, or an ``ERROR`` with the usual numbers that says what is wrong."""
    try:
        return _plain(given, usual)
    except (TypeError, ValueError) as error:
        return replace(usual, status="ERROR", reason=f"the hook pytest_vidmetrics_judge returned {error}")


def _plain(given: Any, usual: Verdict) -> Verdict:
    if not isinstance(given, Verdict):
        raise TypeError(f"{_short(given)}: expected a Verdict, or None for the usual rule")
    if given.status not in _STATUSES:
        raise ValueError(f"the verdict {_short(given.status)}: expected one of {', '.join(_STATUSES)}")
    for key in ("reason", "metric", "margin_from", "decide"):
        if not isinstance(getattr(given, key), str):
            raise TypeError(f"{key} = {_short(getattr(given, key))}: expected text")
    # Bool is an int.
    if isinstance(given.n, bool) or not isinstance(given.n, int):
        raise TypeError(f"n = {_short(given.n)}: expected a whole number")
    return replace(
        given,
        metric=given.metric or usual.metric,
        baseline=_number("baseline", given.baseline),
        now=_number("now", given.now),
        harm=_number("harm", given.harm),
        margin=_number("margin", given.margin),
        p=_number("p", given.p),
        interval=_interval(given.interval),
        notes=tuple(map(str, _sequence("notes", given.notes))),
        worst=tuple(_clip(clip) for clip in _sequence("worst", given.worst)),
        details=_json(given.details),
    )


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} = {_short(value)}: expected a finite number")
    return float(value)


def _interval(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    ends = [_number("interval", end) for end in _sequence("interval", value)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        raise ValueError(f"interval = {_short(value)}: expected two numbers")
    return ends[0], ends[1]


def _sequence(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} = {_short(value)}: expected a tuple")
    return tuple(value)


def _clip(clip: Any) -> ClipChange:
    if not isinstance(clip, ClipChange):
        raise TypeError(f"worst with {_short(clip)}: expected ClipChange")
    now, harm = _number("now", clip.now), _number("harm", clip.harm)
    if now is None or harm is None:
        raise ValueError(f"worst with {_short(clip)}: expected numbers")
    return ClipChange(str(clip.id), str(clip.path), _number("baseline", clip.baseline), now, harm)


def _json(details: Any) -> dict[str, Any]:
    try:
        # There and back: the record is JSON, and tuples or numbers of other types would differ after it.
        return dict(json.loads(json.dumps(dict(details), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"details that are not JSON: {error}") from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
