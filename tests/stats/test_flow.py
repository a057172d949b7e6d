"""The blockwise flow statistics against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.flow import fields, plain
from pytest_vidmetrics.stats import flow as module
from pytest_vidmetrics.stats.flow import FlowOptions, compare_flows
from pytest_vidmetrics.stats.flow_histogram import Histogram

# On the edges of bins: axes, diagonals, the slowest speed that counts, powers of it.
COMPONENTS = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 0.3, -0.4, 1.5, 40.0]) | st.floats(-60, 60, width=32)


@given(st.lists(st.tuples(COMPONENTS, COMPONENTS), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_counts_are_those_of_numpys_histogram(pixels) -> None:
    flow = np.array(pixels, np.float32)
    speed = np.sqrt(flow[:, 0] ** 2 + flow[:, 1] ** 2)
    angle = np.arctan2(flow[:, 1], flow[:, 0], dtype=np.float64)
    top = float(speed.max())
    histogram = Histogram(top)
    histogram.add(angle, speed)
    moving = speed >= 0.5
    edges = np.linspace(-np.pi, np.pi, 37), np.logspace(np.log10(0.5), np.log10(max(top, 1.5)), 21)
    counts = np.histogram2d(angle[moving], np.minimum(speed[moving], edges[1][-1]), bins=edges)[0] + 1
    np.testing.assert_array_equal(histogram.shares(overflow=True), (counts / counts.sum()).ravel())
    assert histogram.moving() == moving.sum()


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
