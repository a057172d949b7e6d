from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.stats.multiplicity import holm

TABLES = json.loads((Path(__file__).parents[1] / "data" / "stats" / "gate_tables.json").read_text())["expected"]


@pytest.mark.parametrize("row", TABLES["multiple_tests"], ids=lambda row: str(row["p"]))
def test_matches_the_reference(row):
    found = holm([math.nan if p is None else p for p in row["p"]])
    made = [value for value in found if not math.isnan(value)]
    assert made == pytest.approx(row["holm"]["adjusted"], rel=1e-9, abs=1e-12)
    assert [value <= 0.05 for value in made] == row["holm"]["reject_at_0.05"]
    assert [math.isnan(value) for value in found] == [p is None for p in row["p"]]


def test_no_tests_are_fine_and_wrong_values_are_refused():
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"1\.2"):
        holm([0.1, 1.2])


@settings(deadline=None, max_examples=80)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_between_the_raw_value_and_bonferroni_and_monotone(values):
    found = holm(values)
    for raw, adjusted in zip(values, found, strict=True):
        assert raw <= adjusted <= min(1.0, raw * len(values))
    assert [adjusted for _, adjusted in sorted(zip(values, found, strict=True))] == sorted(found)
