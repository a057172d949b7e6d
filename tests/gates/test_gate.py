"""Verdicts: order of doubt, margins, and the three rules of decision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.verdict import PASSING
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.confidence import harm_interval
from pytest_vidmetrics.gates.judge import judge
from tests.support.baselines import OWNER

METRIC = {"name": "m", "version": "1", "params": {}, "weights": {}, "decoder": "d"}


def observed(scores: dict[str, float], *, higher: bool = True, clusters: dict[str, str] | None = None) -> CorpusScore:
    return CorpusScore(
        metric=METRIC,
        higher_is_better=higher,
        score=sum(scores.values()) / len(scores) if scores else None,
        samples=scores,
        paths=dict.fromkeys(scores, "clip.mp4"),
        sample_ids="ids",
        reference=None,
        clusters=clusters or {},
    )


def config(**policy: object) -> MetricConfig:
    return MetricConfig("m", "m", {}, Policy(**policy))


def recorded(scores: dict[str, float], **facts: object) -> Baseline:
    return Baseline.of(observed(scores, **facts), OWNER)


OLD = {"a": 0.80, "b": 0.82, "c": 0.84, "d": 0.86, "e": 0.88, "f": 0.90}


def shifted(*changes: float) -> dict[str, float]:
    return {id: value - change for (id, value), change in zip(OLD.items(), changes, strict=True)}


@pytest.mark.parametrize(
    ("changes", "point", "strict", "lenient"),
    [
        ((0.0,) * 6, "PASS", "PASS", "PASS"),
        ((0.05,) * 6, "REGRESSED", "REGRESSED", "REGRESSED"),
        ((0.3, -0.25, 0.02, 0.0, 0.01, 0.02), "REGRESSED", "REGRESSED", "PASS"),
        ((0.2, -0.2, 0.0, 0.0, 0.01, 0.0), "PASS", "REGRESSED", "PASS"),
        ((-0.05,) * 6, "IMPROVED", "IMPROVED", "IMPROVED"),
    ],
)
def test_the_three_rules_look_at_the_estimate_and_at_either_end(changes, point, strict, lenient) -> None:
    words = [
        judge(config(abs=0.01, decide=rule), observed(shifted(*changes)), recorded(OLD)).status
        for rule in ("point", "strict", "lenient")
    ]
    assert words == [point, strict, lenient]


def test_an_undecided_gate_says_how_many_samples_would_settle_it() -> None:
    verdict = judge(config(abs=0.01, decide="strict"), observed(shifted(0.2, -0.2, 0, 0, 0.01, 0)), recorded(OLD))
    assert "samples would settle it" in verdict.notes[0]
    assert verdict.interval[0] < 0.01 < verdict.interval[1]


def test_an_interval_needs_two_independent_samples() -> None:
    one = {"a": 0.5}
    assert judge(config(decide="strict"), observed(one), recorded(one)).status == "ERROR"
    clusters = dict.fromkeys(OLD, "one prompt")
    assert judge(config(decide="lenient"), observed(OLD, clusters=clusters), recorded(OLD)).status == "ERROR"


def test_clusters_widen_the_interval() -> None:
    now = shifted(0.1, 0.1, 0.1, -0.05, -0.05, -0.05)
    alone = judge(config(), observed(now), recorded(OLD)).interval
    labels = dict(zip(OLD, "xxxyyy", strict=True))
    together = judge(config(), observed(now, clusters=labels), recorded(OLD)).interval
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_direction_of_a_metric_where_lower_is_better() -> None:
    worse = {id: value + 0.1 for id, value in OLD.items()}
    verdict = judge(config(abs=0.01), observed(worse, higher=False), recorded(OLD, higher=False))
    assert verdict.status == "REGRESSED"
    assert verdict.harm == pytest.approx(0.1)
    assert [clip.harm for clip in verdict.worst] == pytest.approx([0.1] * 6)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"metric": {**METRIC, "version": "2"}}, "STALE"),
        ({"metric": {**METRIC, "weights": {"net": "other"}}}, "STALE"),
        ({"metric": {**METRIC, "decoder": "other"}}, "STALE"),
        ({"sample_ids": "other"}, "STALE"),
        ({"reference": "other"}, "STALE"),
        ({"higher_is_better": False}, "STALE"),
        ({"problems": (Problem("a", "failed", "boom"),)}, "ERROR"),
        ({"problems": (Problem("a", "skipped", "no prompt"),)}, "ERROR"),
        ({"problems": (Problem("a", "unavailable", "no weights"),)}, "UNAVAILABLE"),
        ({"score": None}, "ERROR"),
        ({"min_n": 7}, "ERROR"),
    ],
)
def test_a_doubt_outranks_equal_numbers(change, status) -> None:
    assert judge(config(abs=1.0), replace(observed(OLD), **change), recorded(OLD)).status == status


def test_a_baseline_that_is_no_share_of_failures_is_an_error() -> None:
    verdict = judge(
        config(), replace(observed(OLD), counts_failures=True, is_mean=False), recorded(dict.fromkeys(OLD, 1.5))
    )
    assert verdict.status == "ERROR"
    assert verdict.reason.startswith("the baseline contradicts itself: its score is 1.5, which is not a share of clips")


@pytest.mark.parametrize(
    ("policy", "margin"),
    [({"abs": 0.5}, 0.5), ({"rel": 0.5}, 0.425), ({}, 0.02), ({"abs": 0.001, "rel": 0.001}, 0.02)],
)
def test_the_largest_margin_counts(policy, margin) -> None:
    now = replace(observed(OLD), noise_floor=0.02)
    assert judge(config(**policy), now, recorded(OLD)).margin == pytest.approx(margin)


def test_a_set_metric_pairs_influences() -> None:
    shares = {id: 0.001 * i - 0.0025 for i, id in enumerate(OLD)}
    old = replace(observed(shares, higher=False), score=10.0, is_set=True)
    new = replace(old, score=10.5)
    verdict = judge(config(abs=0.2, decide="strict"), new, Baseline.of(old, OWNER))
    assert verdict.status == "REGRESSED"
    assert verdict.interval == pytest.approx((0.5, 0.5))


scores = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1e6, 1e6), min_size=1)


@settings(max_examples=60, deadline=None)
@given(old=scores, new=scores, abs=st.floats(0, 10), rule=st.sampled_from(["point", "strict", "lenient"]))
def test_a_gate_passes_only_within_its_margin(old, new, abs, rule) -> None:
    new = {id: new.get(id, value) for id, value in old.items()}
    verdict = judge(config(abs=abs, decide=rule), observed(new), recorded(old))
    if verdict.status in PASSING and rule == "point":
        assert verdict.harm <= verdict.margin
    if verdict.status in PASSING and rule == "strict":
        assert verdict.interval[1] <= verdict.margin
    if verdict.status == "REGRESSED" and rule == "lenient":
        assert verdict.interval[0] > verdict.margin


def test_runs_that_count_other_clips_are_compared_without_pairs() -> None:
    was = {"a": 0.90, "b": 0.92, "c": 0.91}
    same, other = {"a": 0.80, "b": 0.82, "c": 0.81}, {"a": 0.80, "b": 0.82, "d": 0.81}
    paired = harm_interval(replace(observed(same), is_mean=True), recorded(was), 0.05)
    unpaired = harm_interval(replace(observed(other), is_mean=True), recorded(was), 0.05)
    assert paired is not None
    assert unpaired is not None
    assert (paired.kind, unpaired.kind) == ("paired", "welch")
    assert paired.estimate == pytest.approx(0.1)
    assert unpaired.estimate == pytest.approx(0.1)
    assert unpaired.high > unpaired.estimate > unpaired.low > 0


def test_other_clips_are_stale_unless_the_metric_chose_them() -> None:
    now = replace(observed({**OLD, "g": 0.9}), is_mean=True)
    assert judge(config(abs=0.5), now, recorded(OLD)).status == "STALE"
    verdict = judge(config(abs=0.5), replace(now, chooses=True), recorded(OLD))
    assert verdict.status == "PASS"
    assert verdict.interval is not None
    assert "7 clips count, 6 in the baseline: g count now" in verdict.notes


def test_remarks_stand_beside_the_verdict() -> None:
    seen = replace(observed(OLD), remarks=("two prompts lack clips",))
    for baseline in (recorded(OLD), None):
        assert "two prompts lack clips" in judge(config(abs=0.01), seen, baseline).notes


def test_a_harm_just_beyond_the_margin_does_not_read_like_the_margin() -> None:
    verdict = judge(config(abs=0.0999999), observed({"a": 0.9, "b": 0.9}), recorded({"a": 1.0, "b": 1.0}))
    assert verdict.reason.startswith("worse by 0.1, more than the margin of 0.0999999 (")
    verdict = judge(config(abs=0.05), observed({"a": 0.9, "b": 0.9}), recorded({"a": 1.01234567, "b": 1.0}))
    assert verdict.reason.startswith("worse by 0.10617, more than the margin of 0.05 (")
