"""Feature sets that an oracle file names by the call that makes them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from tests.support.oracle_inputs import feature_set


def recorded(text: str) -> np.ndarray:
    """Return the rows of ``feature_set(200, 16, 0, scale=1.2)``."""
    found = re.fullmatch(r"feature_set\((.*)\)", text)
    assert found is not None, text
    parts = found[1].split(", ")
    named: dict[str, Any] = dict(part.split("=") for part in parts if "=" in part)
    numbers = {key: int(value) if key == "rank" else float(value) for key, value in named.items()}
    return feature_set(*(int(part) for part in parts if "=" not in part), **numbers)
