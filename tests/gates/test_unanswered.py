"""Gates of judges: pairs without an answer are left out on both sides, and failures are judged by an exact bound."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.engine.reduce import Outcomes, reduce
from pytest_vidmetrics.engine.work import Outcome
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.stats.binary import allowed_share


class Scores(BaseMetric):
    name = "scores"
    requires = ("text_prompt",)
    requires_reference = False

    def __init__(self, max_missing: float = 0.25) -> None:
        self.max_missing = max_missing


class Failures(Scores):
    name = "failures"
    higher_is_better = False
    binary = True
    counts_failures = True


def seen(metric: BaseMetric, *scores: float | None) -> Any:
    samples = tuple(Sample(f"clip{i:02}", {"text_prompt": "x"}) for i in range(len(scores)))
    results = {
        one.id: Outcome(
            MetricResult.unanswered(metric.name, "unparsed: nothing")
            if score is None
            else MetricResult(metric.name, score)
        )
        for one, score in zip(samples, scores, strict=True)
    }
    return reduce(metric, Corpus(samples), Outcomes(results))


def verdict(metric: BaseMetric, was: Any, now: Any, **policy: Any) -> Verdict:
    config = MetricConfig(metric.name, metric.name, policy=Policy(**policy))
    return judge(config, now, Baseline.of(was, {}))


def test_a_pair_without_an_answer_is_left_out_on_both_sides() -> None:
    metric = Scores()
    was = seen(metric, 1.0, 2.0, 3.0, 4.0, 5.0)
    now = seen(metric, 1.0, 2.0, 3.0, 4.0, None)
    found = verdict(metric, was, now, abs=0.001)
    assert found.status == "PASS"
    assert found.harm == pytest.approx(0.0)
    assert found.n == 4
    assert any("1 of 5 clips have no score and are missing; first: clip04: unparsed" in note for note in found.notes)
    back = verdict(metric, now, was, abs=0.001)
    assert (back.status, back.n) == ("PASS", 4)


def test_more_than_the_share_is_no_verdict() -> None:
    metric = Scores(0.05)
    was, now = seen(metric, *[3.0] * 10), seen(metric, *[3.0] * 8, None, None)
    found = verdict(metric, was, now)
    assert found.status == "ERROR"
    assert "2 of 10 samples have no score" in found.reason


@pytest.mark.parametrize(
    ("before", "after", "status"), [(0, 0, "PASS"), (0, 1, "REGRESSED"), (1, 3, "PASS"), (1, 4, "REGRESSED")]
)
def test_failures_are_allowed_as_far_as_the_bound_goes(before: int, after: int, status: str) -> None:
    metric = Failures()
    was = seen(metric, *[1.0] * before, *[0.0] * (10 - before))
    now = seen(metric, *[1.0] * after, *[0.0] * (10 - after))
    assert verdict(metric, was, now).status == status


def test_the_bound_is_the_exact_one() -> None:
    # P(X >= 4 | n = 10, p = 0.1) = 0.0128 and P(X >= 3) = 0.0702.
    assert allowed_share(0.1, 10) == 0.3
    assert allowed_share(0.0, 10) == 0.0
    assert allowed_share(1.0, 10) == 1.0
    with pytest.raises(ValueError, match="expected a share"):
        allowed_share(1.1, 10)
