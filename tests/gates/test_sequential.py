"""``decide = "sequential"``: what is looked at, when it is sure, and what it says when it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore, Drawn
from pytest_vidmetrics.core.verdict import Verdict
from pytest_vidmetrics.gates.accept import acceptable
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.baseline_text import baseline_text, decode_baseline
from pytest_vidmetrics.gates.compare import compare, scores_of
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.gates.margin import widened
from pytest_vidmetrics.gates.order import first, shuffled
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.gates.recorder import Recorder

OWNER = Recorder("manifest", "b.vidmetrics.toml", "c", "m")
N = 400


def scores(values: np.ndarray, **facts: Any) -> CorpusScore:
    samples = {f"s{i:03}": float(value) for i, value in enumerate(values)}
    usual: dict[str, Any] = {
        "metric": {"name": "m", "version": "1"},
        "higher_is_better": True,
        "score": float(np.mean(values)),
        "samples": samples,
        "paths": {id: f"{id}.mp4" for id in samples},
        "sample_ids": "ids",
        "reference": None,
        "is_mean": True,
    }
    return CorpusScore(**{**usual, **facts})


def recorded(observed: CorpusScore, **policy: Any) -> Baseline:
    return Baseline.of(observed, OWNER, policy=Policy(decide="sequential", **policy))


def decided(now: CorpusScore, was: CorpusScore, **policy: Any) -> Verdict:
    return judge(MetricConfig("m", "m", {}, Policy(decide="sequential", **policy)), now, recorded(was, **policy))


def continuous(harm: float, seed: int = 0, **facts: Any) -> tuple[CorpusScore, CorpusScore]:
    rng = np.random.default_rng(seed)
    was = rng.normal(30.0, 4.0, N)
    return scores(was - harm - rng.normal(0.0, 1.0, N), **facts), scores(was, **facts)


@pytest.mark.parametrize(("harm", "status"), [(0.0, "PASS"), (1.5, "REGRESSED"), (-2.0, "IMPROVED")])
def test_clear_cases_need_a_part_of_the_samples(harm: float, status: str) -> None:
    verdict = decided(*continuous(harm), abs=0.5)
    assert verdict.status == status
    assert 30 <= verdict.n < N / 2
    assert f"sure after {verdict.n} samples of {N}" in verdict.reason
    assert verdict.harm == pytest.approx(harm, abs=0.6)
    assert verdict.interval is None
    assert verdict.sees == 0.5


def test_undecided_at_the_cap_is_no_pass_and_says_what_would_help() -> None:
    verdict = decided(*continuous(0.5), abs=0.5, max_n=60)
    assert verdict.status == "ERROR"
    assert verdict.reason.startswith("undecided after 60 samples of 400: worse by ")
    assert "raise max_n" in verdict.reason
    assert "add samples" in decided(*continuous(0.5), abs=0.5).reason


def test_zeros_and_ones_are_bet_on_from_the_first_sample() -> None:
    rng = np.random.default_rng(1)
    was = scores((rng.random(N) < 0.9).astype(float), binary=True)
    worse = scores((rng.random(N) < 0.1).astype(float), binary=True)
    verdict = decided(worse, was, abs=0.1)
    assert verdict.status == "REGRESSED"
    assert verdict.n < 30
    assert "betting on scores in [0, 1]" in verdict.notes[0]
    assert decided(was, was, abs=0.1).status == "PASS"


def test_scores_beside_the_ends_are_tested_and_many_at_an_end_are_bet_on() -> None:
    rng = np.random.default_rng(2)
    inside = rng.uniform(0.4, 0.9, N)
    assert "mixture t-test" in decided(scores(inside), scores(inside), abs=0.1).notes[0]
    clumped = np.where(rng.random(N) < 0.3, 1.0, inside)
    assert "betting" in decided(scores(clumped), scores(clumped), abs=0.1).notes[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_part_that_was_scored_decides_as_all_do(seed: int) -> None:
    now, was = continuous(0.0, seed)
    whole = decided(now, was, abs=0.5)
    ids = [id for group in shuffled(recorded(was).order or "", was.samples, {}) for id in group]
    part = {id: now.samples[id] for id in ids[: whole.n]}
    some = replace(now, samples=part, score=float(np.mean(list(part.values()))), drawn=Drawn("", N))
    assert replace(decided(some, was, abs=0.5), now=whole.now) == whole


def test_clusters_are_looked_at_as_wholes_and_count_by_their_size() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(100), 4)
    shift = rng.normal(0.0, 1.0, 100)[labels]  # the four of a cluster move together
    was = rng.normal(30.0, 4.0, N)
    clusters = {f"s{i:03}": f"p{label}" for i, label in enumerate(labels)}
    verdict = decided(scores(was + shift, clusters=clusters), scores(was), abs=1.0)
    assert verdict.status == "PASS"
    assert verdict.n % 4 == 0
    assert verdict.n >= 120  # thirty clusters, where thirty samples would do without them
    assert decided(scores(was + shift), scores(was), abs=1.0).n < 120


def test_the_margin_is_that_of_all_samples_that_may_be_looked_at() -> None:
    now, was = continuous(0.0, neutral_shift=NeutralShift(10.0))
    assert decided(now, was).margin == pytest.approx(0.5)
    assert decided(now, was, max_n=100).margin == pytest.approx(1.0)


def test_a_score_that_is_no_mean_is_refused() -> None:
    now, was = continuous(0.0, is_mean=False)
    verdict = decided(now, was, abs=1.0)
    assert (verdict.status, "mean over its samples" in verdict.reason) == ("ERROR", True)


def test_min_n_holds_for_both_tests() -> None:
    same = scores(np.random.default_rng(4).uniform(0.4, 0.9, N))
    assert decided(same, same, abs=0.5, min_n=77).n == 77
    zeros = scores(np.zeros(N), binary=True)
    assert decided(zeros, zeros, abs=0.5, min_n=77).n == 77


def test_a_baseline_keeps_the_seed_of_the_order() -> None:
    was = continuous(0.0)[1]
    base = recorded(was, max_n=50)
    again = decode_baseline(baseline_text(base).encode(), "x")
    assert again.order == base.order
    assert again.policy == Policy(decide="sequential", max_n=50)
    assert base.order in decided(was, was, abs=1.0).notes[0]
    assert '"order"' not in baseline_text(Baseline.of(was, OWNER, policy=Policy()))


def test_the_order_of_a_sample_does_not_depend_on_the_others() -> None:
    ids = [f"s{i}" for i in range(50)]
    order = [id for (id,) in shuffled("seed", ids, {})]
    assert order != ids
    assert [id for (id,) in shuffled("seed", ids[:30], {})] == [id for id in order if id in ids[:30]]
    assert order != [id for (id,) in shuffled("other", ids, {})]
    assert first([["a", "b"], ["c"], ["d"]], 2) == [["a", "b"]]
    assert first([["a", "b"]], 1) == []


def test_going_back_to_point_needs_a_reason() -> None:
    was = continuous(0.0)[1]
    assert "decide was 'sequential'" in widened(Policy(), was, recorded(was))
    assert widened(Policy(decide="strict"), was, recorded(was)) == ""


def test_max_n_is_for_this_rule_only() -> None:
    with pytest.raises(ValueError, match="max_n is for decide = 'sequential'"):
        Policy(max_n=5)


def test_a_part_of_the_samples_becomes_neither_baseline_nor_side_of_a_comparison() -> None:
    now = replace(continuous(0.0)[0], drawn=Drawn("9c1f", 1000))
    gate = GateRecord("b::c::m", "b/c/m.json", Verdict("REGRESSED", "worse"), scores=now, recorded_by=OWNER)
    assert acceptable(gate) == "only 400 of 1000 samples were scored; record all: --update-baselines"
    side = scores_of(RunRecord((gate,)))
    assert compare(side, side, {})["b/c/m.json"].status == "ERROR"
