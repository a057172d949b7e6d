"""Many gates in one run: p-values that keep the chance of any false alarm below alpha."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values (Holm 1979), in the order given.

    Rejecting where the adjusted value is at most alpha keeps the family-wise error at alpha under any
    dependence. Values are monotone in the p-values and at most 1. NaN marks a test that could not be made: it
    stays NaN and is not counted. Raises ``ValueError`` for values outside [0, 1].
    """
    if wrong := [p for p in p_values if not (math.isnan(p) or 0 <= p <= 1)]:
        raise ValueError(f"p-values lie in [0, 1], got {wrong[0]}")
    adjusted = [math.nan] * len(p_values)
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    floor = 0.0
    for rank, index in enumerate(order):
        # Never below the one before it: adjusted values keep the order of the p-values.
        floor = max(floor, min(1.0, p_values[index] * (len(order) - rank)))
        adjusted[index] = floor
    return adjusted
