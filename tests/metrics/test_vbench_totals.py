from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.vbench import totals as vb

DATA = Path(__file__).parents[1] / "data" / "vbench"
CASES = json.loads((DATA / "aggregation.json").read_text())["expected"]["cases"]
ROWS = json.loads((DATA / "vbench_totals.json").read_text())["rows"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_scores_match_upstream(case):
    found = vb.totals(case["raw"])
    assert found.normalised == pytest.approx(case["normalised_weighted"], abs=1e-12)
    assert found.quality == pytest.approx(case["quality"], abs=1e-12)
    assert found.semantic == pytest.approx(case["semantic"], abs=1e-12)
    assert found.total == pytest.approx(case["total"], abs=1e-12)
    assert set(found.missing) == set(vb.DIMENSIONS) - set(case["raw"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_published_totals_are_reproduced(row):
    found = vb.totals(row["dims"])
    for name in ("quality", "semantic", "total"):
        assert round(100 * getattr(found, name), 3) == pytest.approx(row["computed"][name], abs=1.5e-3)
        assert 100 * getattr(found, name) == pytest.approx(row["published"][name], abs=0.015)


def test_a_sum_that_misses_a_dimension_is_not_a_number_when_fixed():
    raw = dict.fromkeys(vb.QUALITY, 0.9)
    found = vb.totals({f"vbench.{name}": value for name, value in raw.items()}, compat="fixed")
    assert found.quality is not None
    assert (found.semantic, found.total) == (None, None)
    assert found.missing == vb.SEMANTIC
    assert found.quality == vb.totals(raw).quality


def test_unknown_dimensions_are_named():
    with pytest.raises(ValueError, match="did you mean 'dynamic_degree'"):
        vb.totals({"dynamic_degre": 0.5})


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(vb.DIMENSIONS), st.floats(-1, 2), st.floats(0.001, 1))
def test_a_better_dimension_never_lowers_the_total(name, value, more):
    raw = dict.fromkeys(vb.DIMENSIONS, 0.5)
    low, high = vb.totals({**raw, name: value}), vb.totals({**raw, name: value + more})
    assert low.total is not None
    assert high.total is not None
    assert high.total > low.total
    assert vb.normalise(name, vb.BOUNDS[name][1]) == pytest.approx(vb.WEIGHTS[name])


def test_aggregates_follow_upstreams_weights_in_any_order():
    results = [
        MetricResult("x", 0.5, {"video_sim": 0.5 * n, "cnt_per_video": n, "frame_results": [0.1] * n})
        for n in (1, 2, 7)
    ] + [MetricResult("x", 1.0, {"video_sim": 10.0, "cnt_per_video": 10, "frame_results": [0.2] * 10})]
    for name, expected in (
        ("subject_consistency", 0.75),
        ("vbench.background_consistency", 0.75),
        ("appearance_style", 0.15),
        ("motion_smoothness", 0.625),
    ):
        found = vb.aggregate(name, results)
        assert found == pytest.approx(expected)
        shuffled = random.Random(3).sample(results, len(results))
        assert vb.aggregate(name, shuffled) == found
        assert vb.aggregate(name, results, compat="fixed") == pytest.approx(0.625)


def test_clips_without_a_score_are_not_dropped():
    results = [MetricResult("x", 1.0), MetricResult.skipped("x", "too short")]
    with pytest.raises(ValueError, match=r"1 of 2 clips have no score: \['too short'\]"):
        vb.aggregate("motion_smoothness", results)
    with pytest.raises(ValueError, match="0 of 0"):
        vb.aggregate("motion_smoothness", [])


def test_weights_are_the_leaderboards():
    assert math.fsum(vb.WEIGHTS[name] for name in vb.QUALITY) == 6.5
    assert len(vb.SEMANTIC) == 9
    assert len(set(vb.DIMENSIONS)) == 16
