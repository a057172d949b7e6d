"""The interval of a score that a baseline records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.baseline_text import parse_baseline
from pytest_vidmetrics.gates.spread import score_interval
from tests.support.baselines import OWNER

SCORES = {"a": 0.2, "b": 0.5, "c": 0.4, "d": 0.7}
PLAIN = CorpusScore(
    metric={"name": "m"},
    higher_is_better=True,
    score=0.45,
    samples=SCORES,
    paths={},
    sample_ids="ids",
    reference=None,
    is_mean=True,
)


def test_it_is_students_interval_of_the_mean() -> None:
    values = np.array(list(SCORES.values()))
    expected = stats.t.interval(0.95, 3, loc=0.45, scale=values.std(ddof=1) / 2)
    assert score_interval(PLAIN) == pytest.approx(expected)


def test_clips_of_one_prompt_are_not_independent() -> None:
    alike = replace(PLAIN, samples={"a": 0.2, "b": 0.2, "c": 0.7, "d": 0.7})
    alone = score_interval(alike)
    grouped = score_interval(replace(alike, clusters={"a": "p", "b": "p", "c": "q", "d": "q"}))
    assert alone is not None
    assert grouped is not None
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


def test_a_set_metric_has_the_spread_of_its_influences() -> None:
    influences = {"a": 0.01, "b": -0.03, "c": 0.02, "d": 0.0}
    found = score_interval(replace(PLAIN, samples=influences, is_set=True, is_mean=False, score=3.0))
    error = np.std(list(influences.values()), ddof=1) * 4 / 2
    assert found == pytest.approx(stats.t.interval(0.95, 3, loc=3.0, scale=error))
    assert score_interval(replace(PLAIN, samples=dict.fromkeys("abcd", 0.0), is_set=True)) is None


@pytest.mark.parametrize("lost", [{"samples": {"a": 0.2}}, {"score": None}, {"clusters": dict.fromkeys("abcd", "p")}])
def test_where_there_is_none(lost: dict[str, object]) -> None:
    assert score_interval(replace(PLAIN, **lost)) is None  # type: ignore[arg-type]


def test_the_baseline_carries_it() -> None:
    baseline = Baseline.of(PLAIN, OWNER)
    assert baseline.interval == pytest.approx(score_interval(PLAIN), rel=1e-9)  # the digits that a file keeps
    assert parse_baseline(baseline.to_json(), "a file").interval == baseline.interval
