"""What a metric may return, and what an exception that it raises means."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import NoAudioStreamError, UnavailableError, VidmetricsError
from pytest_vidmetrics.core.types import MetricResult

if TYPE_CHECKING:
    import numpy as np

_TIME_LIMIT = "pytest_timeout"
"""The module whose signal handler raises, in the middle of whatever runs, when a test took too long."""


def fault(name: str, error: BaseException) -> MetricResult:
    """Return the result that says why a metric has no score: unavailable, skipped or failed."""
    if isinstance(error, UnavailableError | ImportError):
        return MetricResult.unavailable(name, str(error))
    if isinstance(error, NoAudioStreamError):
        return MetricResult.skipped(name, str(error))
    if isinstance(error, VidmetricsError):
        return MetricResult.failed(name, str(error))
    details = {"reason": f"{type(error).__name__}: {error}", "traceback": "".join(traceback.format_exception(error))}
    return MetricResult(name, None, details, "failed")


def ends_run(error: BaseException) -> bool:
    """Whether an exception is not the fault of the metric that it came out of: an interruption, or a time limit.

    Everything else is, ``sys.exit()`` and ``pytest.skip()`` included: the other metrics and clips go on.
    """
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == _TIME_LIMIT:
            return True
        trace = trace.tb_next
    return False


def checked_rows(rows: np.ndarray) -> np.ndarray:
    """Return a clip's feature rows as a finite ``(k, D)`` array with ``k >= 1``.

    Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for any other: a clip without rows would be counted
    among those of a set without being in its score.
    """
    import numpy as np

    found = np.atleast_2d(rows)
    if found.ndim != 2:
        raise VidmetricsError(f"the features of this clip have the shape {found.shape}: expected (rows, D)")
    if not found.size:
        raise VidmetricsError(f"this clip has no features: they have the shape {found.shape}")
    if not np.isfinite(found).all():
        raise VidmetricsError("the features of this clip are not finite")
    return found


def checked_result(result: Any) -> MetricResult:
    """Return what a metric returned as it can be stored: its details are JSON values, tuples are lists.

    Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for what is not a result, and for details that JSON
    has no form for: they cross processes and are stored.
    """
    if not isinstance(result, MetricResult):
        raise VidmetricsError(f"the metric returned {_a(result)}, not a MetricResult")
    if wrong := _no_json(result.details, "details"):
        raise VidmetricsError(f"details must hold JSON values: {wrong}")
    return replace(result, details=_builtin(result.details))


def _builtin(value: Any) -> Any:
    """Return a JSON value as it comes back from a store."""
    if isinstance(value, Mapping):
        return {key: _builtin(one) for key, one in value.items()}
    return [_builtin(one) for one in value] if isinstance(value, list | tuple) else value


def _no_json(value: Any, where: str) -> str:
    """Return what in ``value`` JSON has no form for; empty when there is nothing."""
    if value is None or isinstance(value, str | bool | int):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{where} is {value}, not a finite number"
    if isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                return f"{where} has the key {key!r}, {_a(key)}"
            if wrong := _no_json(one, f"{where}[{key!r}]"):
                return wrong
        return ""
    if isinstance(value, list | tuple):
        return next((wrong for i, one in enumerate(value) if (wrong := _no_json(one, f"{where}[{i}]"))), "")
    return f"{where} is {_a(value)}"


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"
