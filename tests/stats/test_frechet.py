"""The Fréchet term against 50-digit values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.stats.frechet import checked, frechet
from tests.oracle_inputs import feature_set

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "fvd" / "frechet.json").read_text())


def call(text: str) -> np.ndarray:
    """Evaluate ``feature_set(200, 16, 0, scale=1.2)`` as recorded."""
    parts = re.fullmatch(r"feature_set\((.*)\)", text)[1].split(", ")  # type: ignore[index]
    named: dict[str, Any] = dict(part.split("=") for part in parts if "=" in part)
    numbers = {key: int(value) if key == "rank" else float(value) for key, value in named.items()}
    return feature_set(*(int(part) for part in parts if "=" not in part), **numbers)


@pytest.mark.parametrize("case", ORACLE["inputs"], ids=lambda case: case["case"])
@pytest.mark.parametrize("ddof", [0, 1])
def test_distance_matches_fifty_digits(case: dict[str, str], ddof: int) -> None:
    expected = ORACLE["expected"][case["case"]][f"ddof{ddof}_eps0"]["reference_value"]
    result = frechet(call(case["generated"]), call(case["reference"]), ddof=ddof).distance
    assert result == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet(np.zeros((1, 4)), np.zeros((5, 4)))


def test_non_finite_rows_are_named() -> None:
    rows = np.zeros((3, 2))
    rows[1, 0] = np.nan
    with pytest.raises(ValueError, match="not finite: beta"):
        checked(rows, ["alpha", "beta", "gamma"])


def test_widths_must_agree() -> None:
    with pytest.raises(ValueError, match="3 and 4 features"):
        frechet(np.zeros((5, 3)), np.zeros((5, 4)))
