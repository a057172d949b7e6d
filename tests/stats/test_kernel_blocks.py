"""The kernel distance by blocks: that of all rows at once, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from pytest_vidmetrics.stats.kernel import gaussian, mmd, mmd_influence, permutation_p, polynomial
from pytest_vidmetrics.stats.kernel_blocks import BLOCK, mmd_of_blocks
from tests.support.oracle_inputs import feature_set

KERNELS = [polynomial, gaussian(4.0)]
sizes = st.lists(st.integers(1, 9), min_size=2, max_size=6)


def parted(rows: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return np.split(rows, np.cumsum(sizes)[:-1])


@given(sizes, sizes, st.sampled_from(KERNELS))
@settings(max_examples=40, deadline=None)
def test_any_blocks_give_the_distance_and_influences_of_all_rows(n: list[int], m: list[int], kernel) -> None:
    first, second = feature_set(sum(n), 7, 1, offset=3.0), feature_set(sum(m), 7, 2, offset=3.5)
    found = mmd_of_blocks(parted(first, n), parted(second, m), kernel)
    assert found.distance == pytest.approx(mmd(first, second, kernel), rel=1e-9)
    expected = mmd_influence(first, second, kernel)
    np.testing.assert_allclose(found.influence, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_many_rows_in_fixed_blocks_give_the_same_bits_whatever_the_number_of_threads() -> None:
    first, second = feature_set(2 * BLOCK + 137, 24, 1), feature_set(BLOCK + 41, 24, 2, offset=0.2)
    blocks = [np.split(rows, range(BLOCK, len(rows), BLOCK)) for rows in (first, second)]
    with threadpool_limits(1):
        found = [mmd_of_blocks(*blocks, polynomial, threads=threads) for threads in (1, 3)]
    assert len({(one.distance, one.p_value, one.influence.tobytes()) for one in found}) == 1
    assert found[0].distance == pytest.approx(mmd(first, second, polynomial), rel=1e-9)


def test_the_p_value_is_small_for_a_shift_and_uniform_without_one() -> None:
    def p(first: np.ndarray, second: np.ndarray, block: int = 1) -> float:
        return mmd_of_blocks([first], [second], polynomial, block=block).p_value

    assert p(feature_set(300, 6, 1), feature_set(200, 6, 2, offset=0.5)) == pytest.approx(1 / 1001)
    null = [p(feature_set(130, 3, i), feature_set(90, 3, 500 + i)) for i in range(120)]
    assert 0.015 <= np.mean(np.array(null) <= 0.05) <= 0.10
    assert 0.4 < np.mean(null) < 0.6
    # Rows of one video go together: copies of one are no evidence.
    copies = [np.repeat(feature_set(60, 3, seed), 4, axis=0) for seed in (1, 2)]
    assert p(*copies, block=4) > 0.05


def test_the_p_value_of_few_rows_is_that_of_single_rows() -> None:
    first, second = feature_set(20, 4, 1), feature_set(25, 4, 2, offset=0.4)
    found = mmd_of_blocks([first[:7], first[7:]], [second], polynomial).p_value
    assert found == pytest.approx(permutation_p(first, second), abs=0.03)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ([np.ones((1, 3))], [np.ones((2, 3))], "got 1 and 2"),
        ([np.ones((2, 3))], [], "got 2 and 0"),
        ([np.ones((2, 3))], [np.ones((2, 4))], "3 and 4 features"),
    ],
)
def test_what_has_no_distance_is_one_clear_error(first, second, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        mmd_of_blocks(first, second, polynomial)
