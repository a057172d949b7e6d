"""The median distance by blocks: that of all rows at once, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from pytest_vidmetrics.stats import median_blocks
from pytest_vidmetrics.stats.kernel import median_distance
from pytest_vidmetrics.stats.median_blocks import median_distance_of_blocks
from tests.support.oracle_inputs import feature_set

whole = st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=2, max_size=14)


@given(whole, st.integers(1, 5), st.sampled_from([0.0, 100.0]))
@settings(max_examples=80, deadline=None)
def test_any_rows_in_any_blocks_have_their_median(rows: list[list[int]], size: int, offset: float) -> None:
    values = np.array(rows, dtype=np.float64) + offset
    found = median_distance_of_blocks(np.split(values, range(size, len(values), size)))
    assert found == pytest.approx(median_distance(values), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("kind", ["even", "ends", "equal", "near", "two", "outlier"])
def test_the_median_of_many_rows(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = feature_set(700, 6, 1, offset=20.0)
    if kind == "ends":  # the first rows, by which an interval is looked for, are unlike the others
        rows[::10] *= 1e-3
        monkeypatch.setattr(median_blocks, "_SOME", 70)
    elif kind == "equal":
        rows[50:] = rows[0]
    elif kind == "near":  # two clouds: most distances differ by a millionth
        rows = rows * 1e-6
        rows[::2] += 1.0
    elif kind == "two":  # half of the distances are the same number, the other half another
        rows = np.repeat([[0.0], [1.0]], [210, 190], axis=0)
    elif kind == "outlier":
        rows[3] *= 1e4
    monkeypatch.setattr(median_blocks, "_FEW", 500)
    blocks = np.split(rows, range(128, len(rows), 128))
    with threadpool_limits(1):
        found, again = (median_distance_of_blocks(blocks, threads=threads) for threads in (1, 3))
    assert found == again
    assert found == pytest.approx(median_distance(rows), rel=1e-9, abs=1e-6)


def test_a_set_of_one_row_has_none() -> None:
    with pytest.raises(ValueError, match="got 1"):
        median_distance_of_blocks([np.ones((1, 3))])
