"""The paired gate of set metrics: what the recorded influences say is what both feature sets would say."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.baseline_text import parse_baseline
from pytest_vidmetrics.gates.confidence import harm_interval
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.metrics.common.fvd import FVD
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.stats.influence import influence, paired_se, standard_error
from tests.support.baselines import OWNER

WIDTH = 37
SCALE = np.arange(1, WIDTH + 1) ** -0.5
REFERENCE = np.random.default_rng(7).standard_normal((256, WIDTH)) * SCALE
METRIC = FVD("motion_energy", cache_mode="off")


def observe(rows: np.ndarray) -> CorpusScore:
    ids = tuple(f"c{i:03d}" for i in range(len(rows)))
    reference = FeatureSet(REFERENCE, tuple(f"r{i:03d}" for i in range(len(REFERENCE))))
    result = METRIC.score_sets(FeatureSet(rows, ids), reference)
    return CorpusScore(
        metric=METRIC.identity(),
        higher_is_better=False,
        score=result.score,
        samples=result.details["influence"],
        paths=dict.fromkeys(ids, "clip.mp4"),
        sample_ids="ids",
        reference="r",
        is_set=True,
    )


def recorded(observed: CorpusScore) -> Baseline:
    """Return the baseline as it comes back from its file."""
    return parse_baseline(json.loads(json.dumps(Baseline.of(observed, OWNER).to_json())), "a file")


def pair(generator: np.random.Generator, count: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of two checkpoints with the same prompts and seeds; the second is ``shift`` further away."""
    common = np.sqrt(0.9) * generator.standard_normal((count, WIDTH))
    rows = [common + np.sqrt(0.1) * generator.standard_normal((count, WIDTH)) + 0.5 for _ in range(2)]
    rows[1][:, :5] += shift
    return rows[0] * SCALE, rows[1] * SCALE


def test_recorded_influences_say_what_stored_features_would() -> None:
    before, after = pair(np.random.default_rng(0), 64, 0.2)
    interval = harm_interval(observe(after), recorded(observe(before)), 0.05)
    assert interval is not None
    change, error = paired_se(after, before, REFERENCE)
    assert (interval.estimate, interval.se) == pytest.approx((change, error), rel=1e-9)
    assert interval.kind == "paired influence"
    apart = np.hypot(*(standard_error(influence(rows, REFERENCE)) for rows in (before, after)))
    assert interval.se < 0.5 * apart


RUNS = [100, pytest.param(300, marks=pytest.mark.slow)]


@pytest.mark.parametrize("runs", RUNS)
def test_the_gate_raises_few_false_alarms_and_sees_a_change(runs: int) -> None:
    generator = np.random.default_rng(1)
    config = MetricConfig("common.fvd", "fvd", {}, Policy(decide="lenient"))
    words = []
    for _ in range(runs):
        before, after = pair(generator, 64)
        words.append(judge(config, observe(after), recorded(observe(before))).status)
    assert 0.02 <= words.count("REGRESSED") / runs <= 0.06
    before, after = pair(generator, 64, 0.3)
    verdict = judge(config, observe(after), recorded(observe(before)))
    assert verdict.status == "REGRESSED"
    assert verdict.interval is not None
    assert verdict.interval[0] > 0


@pytest.mark.parametrize("runs", RUNS)
def test_two_sided_intervals_hold_the_change_as_often_as_they_say(runs: int) -> None:
    generator = np.random.default_rng(2)
    intervals = [
        harm_interval(observe(after), recorded(observe(before)), 0.025)
        for before, after in (pair(generator, 96, 0.1) for _ in range(runs))
    ]
    mean = np.mean([interval.estimate for interval in intervals if interval])
    held = np.mean([interval.low <= mean <= interval.high for interval in intervals if interval])
    assert 0.92 <= held <= 0.97


def test_a_regression_names_the_clips_that_hurt_most() -> None:
    before, _ = pair(np.random.default_rng(4), 64)
    after = before.copy()
    after[[5, 40]] += 4 * SCALE
    verdict = judge(MetricConfig("common.fvd", "fvd", {}, Policy()), observe(after), recorded(observe(before)))
    assert verdict.status == "REGRESSED"
    assert {clip.id for clip in verdict.worst[:2]} == {"c005", "c040"}
    assert verdict.worst[0].harm > 0


def test_another_protocol_is_stale_and_not_compared() -> None:
    before, after = (observe(rows) for rows in pair(np.random.default_rng(5), 16))
    other = replace(before, metric=FVD("motion_energy", {"frames": 8}).identity())
    verdict = judge(MetricConfig("common.fvd", "fvd", {}, Policy()), after, recorded(other))
    assert verdict.status == "STALE"
    assert verdict.harm is None


def test_a_metric_without_influences_has_no_interval() -> None:
    before, after = (observe(rows) for rows in pair(np.random.default_rng(3), 16))
    blank = replace(after, samples=dict.fromkeys(after.samples, 0.0))
    assert harm_interval(blank, recorded(before), 0.05) is None
    assert harm_interval(after, recorded(replace(before, samples=blank.samples)), 0.05) is None
    assert harm_interval(after, recorded(after), 0.05) is not None
