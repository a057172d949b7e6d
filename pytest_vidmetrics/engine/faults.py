"""What a metric may return: rows of features that a set can use, and details that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.types import MetricResult

if TYPE_CHECKING:
    import numpy as np


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
    """Return what a metric returned when it can be stored.

    Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for what is no result, and for details that JSON has
    no form for: they cross processes and are stored.
    """
    if not isinstance(result, MetricResult):
        raise VidmetricsError(f"the metric returned {_a(result)}, not a MetricResult")
    if fault := _no_json(result.details, "details"):
        raise VidmetricsError(f"details must hold JSON values: {fault}")
    return result


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
            if fault := _no_json(one, f"{where}[{key!r}]"):
                return fault
        return ""
    if isinstance(value, list | tuple):
        return next((fault for i, one in enumerate(value) if (fault := _no_json(one, f"{where}[{i}]"))), "")
    return f"{where} is {_a(value)}"


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"
