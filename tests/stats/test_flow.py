"""The blockwise flow statistics against plain numpy."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.flow import fields, plain
from pytest_vidmetrics.stats import flow as module
from pytest_vidmetrics.stats.float32_log import log10_avx512
from pytest_vidmetrics.stats.flow import FlowOptions, compare_flows
from pytest_vidmetrics.stats.flow_histogram import Histogram, exact_edges

FEATURES = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
# What numpy goes by, which a variable can switch off: the level, or before numpy 2.4 the instructions.
AVX512 = bool(FEATURES.get("X86_V4", FEATURES.get("AVX512_SKX")))
# On the edges of bins: axes, diagonals, the slowest speed that counts, powers of it.
COMPONENTS = st.sampled_from(
    [1e-12, -1e-12, 2e-30, -2e-30, 1e-45, -1e-45, 0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 0.3, -0.4, 1.5, 40.0]
) | st.floats(-60, 60, width=32)


@given(st.lists(st.tuples(COMPONENTS, COMPONENTS), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_every_pixel_is_in_the_bin_of_its_exact_direction_and_speed(pixels) -> None:
    flow = np.array(pixels, np.float32)
    speed = np.sqrt(flow[:, 0] ** 2 + flow[:, 1] ** 2)
    top = float(speed.max())
    histogram = Histogram(exact_edges(top))
    u, v = np.ascontiguousarray(flow.T)
    histogram.add(np.arctan2(v, u, dtype=np.float64), speed, (u, v))
    counts = np.ones((36, 20))
    for (u, v), pixel in zip(flow.tolist(), speed.tolist(), strict=True):
        if pixel >= 0.5:
            counts[exact_direction(u, v), exact_speed(pixel, max(top, 1.5))] += 1
    np.testing.assert_array_equal(histogram.shares(), (counts / counts.sum()).ravel())
    assert histogram.moving() == (speed >= 0.5).sum()


def exact_direction(u: float, v: float) -> int:
    """The bin of 10 degrees. Signs tell the quadrant; the left half of the horizontal axis is the end of the last."""
    if v == 0 and u < 0:
        return 0 if math.copysign(1, v) < 0 else 35
    first = (0 if u < 0 else 9) if v < 0 else (18 if u > 0 else 27)
    return min(max(math.floor((math.degrees(math.atan2(v, u)) + 180) / 10), first), first + 8)


def exact_speed(speed: float, top: float) -> int:
    """How many of the edges ``0.5 * (2 * top) ** (i / 20)`` it has reached, found without rounding."""
    ratio, whole = Fraction(2 * speed) ** 20, Fraction(2 * top)
    return max(i for i in range(20) if ratio >= whole**i)


def test_an_edge_that_is_a_float_belongs_to_the_bin_above() -> None:
    edges = exact_edges(8.0)  # sixteen to the power of i / 20: every fifth edge doubles
    assert edges[[0, 5, 10, 15]].tolist() == [0.5, 1.0, 2.0, 4.0]
    assert edges[20] == np.inf
    assert exact_edges(0.7).tolist() == exact_edges(1.5).tolist()


@given(st.floats(2**-20, 2**20, width=32))
@settings(deadline=None)
def test_the_logarithm_is_the_exact_one_but_for_its_last_bits(number: float) -> None:
    exact = float(Decimal(number).log10())
    found = float(log10_avx512(np.float32(number)))
    assert abs(found - exact) <= 2 * float(np.spacing(np.float32(abs(exact)))) + 2.0**-30


@pytest.mark.skipif(not AVX512, reason="this CPU has no AVX-512")
def test_the_logarithm_is_numpys_with_avx512() -> None:
    rng = np.random.default_rng(0)
    numbers = np.exp(rng.uniform(-3, 9, 20_000)).astype(np.float32)
    numbers = np.append(numbers, [np.float32(x) for x in (0.5, 0.75, 1.0, 1.5, 8.0, 10.0, 80.0)])
    found = np.array([log10_avx512(number) for number in numbers])
    np.testing.assert_array_equal(found, np.log10(numbers))


@pytest.mark.parametrize("size", [(96, 128), (71, 93)])
def test_fastvideos_protocol_is_plain_numpy(size) -> None:
    a, b = fields(*size, seed=1)
    found, expected = compare_flows(a, b, FlowOptions("fastvideo")), plain(a, b)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("protocol", ["v2", "fastvideo"])
def test_blocks_do_not_change_the_values(monkeypatch, protocol) -> None:
    a, b = fields(71, 93, seed=2)
    whole = compare_flows(a, b, FlowOptions(protocol))
    for block in (1, 300, 1000):
        monkeypatch.setattr(module, "_BLOCK", block)
        assert compare_flows(a, b, FlowOptions(protocol)) == pytest.approx(whole, rel=1e-12)


def test_half_precision_fields_are_compared_as_they_are() -> None:
    a, b = (field.astype(np.float16) for field in fields(64, 80, seed=3))
    half, single = (compare_flows(a.astype(kind), b.astype(kind), FlowOptions()) for kind in (np.float16, np.float32))
    assert half == single


def test_fields_that_cannot_be_compared() -> None:
    a, b = fields(16, 16, seed=0)
    with pytest.raises(ValueError, match="not finite"):
        compare_flows(a, np.where(np.arange(16)[:, None, None] == 3, np.nan, b), FlowOptions())
    with pytest.raises(ValueError, match="a 7x16 flow has no 8x8 grid"):
        compare_flows(a[:7], b[:7], FlowOptions())
