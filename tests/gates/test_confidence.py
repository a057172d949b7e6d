"""How sure a verdict is: clusters, exact tests, samples that would settle it, and how often a gate cries wolf."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.power import World, alarms
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.confidence import harm_interval, regression_p, settling_size
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.stats.intervals import mcnemar, t_interval
from pytest_vidmetrics.stats.power import paired_power
from tests.support.baselines import OWNER

TABLES = json.loads((Path(__file__).parents[1] / "data" / "stats" / "gate_tables.json").read_text())["expected"]


def observed(scores: list[float], clusters: list[object] | None = None, *, binary: bool = False) -> CorpusScore:
    ids = [f"clip_{index:03}" for index in range(len(scores))]
    return CorpusScore(
        metric={"name": "m"},
        higher_is_better=True,
        score=math.fsum(scores) / len(scores),
        samples=dict(zip(ids, map(float, scores), strict=True)),
        paths=dict.fromkeys(ids, "clip.mp4"),
        sample_ids="ids",
        reference=None,
        binary=binary,
        is_mean=True,
        clusters=dict(zip(ids, map(str, clusters), strict=True)) if clusters else {},
    )


def recorded(scores: list[float]) -> Baseline:
    return Baseline.of(observed(scores), OWNER)


def near(value: float | tuple[float, ...]) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_paired_interval_is_that_of_the_reference() -> None:
    table = TABLES["paired"]
    found = harm_interval(observed(table["candidate"]), recorded(table["baseline"]), 0.05)
    assert found is not None
    gain = table["t_test"]  # of the difference candidate - baseline: harm is its negative
    assert (found.low, found.high) == near((-gain["upper95_one_sided"], -gain["lower95_one_sided"]))


def test_the_clustered_interval_is_that_of_the_reference() -> None:
    table, alpha = TABLES["clustered"], 0.025
    before = [0.9] * len(table["difference"])
    now = [0.9 + difference for difference in table["difference"]]
    found = harm_interval(observed(now, table["cluster"]), recorded(before), alpha)
    assert found is not None
    low, high = table["CR1"]["ci95"]
    assert (found.low, found.high, found.df) == (near(-high), near(-low), table["CR1"]["df"])
    alone = harm_interval(observed(now), recorded(before), alpha)
    assert alone is not None
    assert found.high - found.low > 2 * (alone.high - alone.low)


@pytest.mark.parametrize("row", TABLES["verdicts"])
def test_p_values_are_those_of_the_reference(row: dict) -> None:
    harm = t_interval(-row["mean"], row["se"], row["df"], alpha=row["alpha_one_sided"])
    scores = [0.5, 0.6]
    found = regression_p(observed(scores), recorded(scores), harm, row["margin"])
    assert found == near(row["p_inferior"])


def test_a_metric_of_zeros_and_ones_has_mcnemars_exact_test() -> None:
    before, now = [1] * 12 + [0] * 28, [1] * 3 + [0] * 36 + [1]  # nine clips lost, one won
    assert regression_p(observed(now, binary=True), recorded(before), None, 0.0) == near(11 / 1024)
    assert regression_p(observed(before, binary=True), recorded(now), None, 0.0) == near(1023 / 1024)
    assert mcnemar(1, 9) == near(2 * 11 / 1024)


@settings(max_examples=60, deadline=None)
@given(lost=st.integers(0, 12), won=st.integers(0, 12), same=st.integers(2, 40))
def test_a_lenient_gate_of_zeros_and_ones_fails_only_with_the_exact_test(lost: int, won: int, same: int) -> None:
    before, now = [1] * lost + [0] * won + [1] * same, [0] * lost + [1] * won + [1] * same
    config = MetricConfig("m", "m", {}, Policy(decide="lenient"))
    verdict = judge(config, observed(now, binary=True), recorded(before))
    assert verdict.p is not None
    if verdict.status == "REGRESSED":
        assert verdict.p <= 0.05
    if verdict.notes:
        assert f"{lost} clips got worse and {won} better" in verdict.notes


def test_three_lost_clips_of_twenty_are_no_proof() -> None:
    """Student's t would call it one (t = 1.83, above 1.73); the exact p-value is 1/8."""
    before, now = [1] * 20, [0] * 3 + [1] * 17
    config = MetricConfig("m", "m", {}, Policy(decide="lenient"))
    verdict = judge(config, observed(now, binary=True), recorded(before))
    assert (verdict.status, verdict.p) == ("PASS", near(0.125))


def test_clusters_of_zeros_and_ones_count_as_clusters() -> None:
    before, now = [1.0] * 20, [0.0] * 10 + [1.0] * 10
    prompts = [index // 5 for index in range(20)]
    alone = harm_interval(observed(now, binary=True), recorded(before), 0.05)
    together = harm_interval(observed(now, prompts, binary=True), recorded(before), 0.05)
    assert alone is not None
    assert together is not None
    assert alone.low > 0.2
    assert together.low < 0 < together.high
    p = regression_p(observed(now, prompts, binary=True), recorded(before), together, 0.0)
    assert p is not None
    assert p > 0.05


@pytest.mark.parametrize("row", [row for row in TABLES["sample_size"] if row["power"] == 0.8])
def test_the_samples_that_would_settle_it_are_those_of_the_reference(row: dict) -> None:
    n = 5
    harm = t_interval(0.0, row["sd_of_difference"] / math.sqrt(n), n - 1, alpha=row["alpha_one_sided"])
    assert settling_size(harm, row["margin"], n) == math.ceil(row["pairs"])


@settings(max_examples=30, deadline=None)
@given(spread=st.floats(0.001, 1.0), gap=st.floats(0.01, 1.0), n=st.integers(2, 200))
def test_that_many_samples_do_settle_it(spread: float, gap: float, n: int) -> None:
    harm = t_interval(0.0, spread / math.sqrt(n), n - 1)
    enough = settling_size(harm, gap, n)
    assert enough is not None
    assert enough > n
    assert paired_power(enough, spread, gap) >= 0.8 - 1e-6


def test_what_no_number_of_samples_settles_names_none() -> None:
    assert settling_size(t_interval(0.1, 0.02, 9), 0.1, 10) is None
    assert settling_size(t_interval(0.1, 0.0, 9), 0.2, 10) is None
    assert settling_size(t_interval(0.1, 10.0, 9), 0.1 + 1e-9, 10) is None


def test_influences_of_a_set_metric_give_the_interval_of_a_mean_when_the_score_is_one() -> None:
    """A mean's influence of clip i is ``(x_i - mean) / n``: both ways must give the same error."""
    table = TABLES["paired"]
    before, now = table["baseline"], table["candidate"]

    def shares(scores: list[float]) -> CorpusScore:
        mean = math.fsum(scores) / len(scores)
        facts = observed([(value - mean) / len(scores) for value in scores])
        return replace(facts, score=mean, is_set=True, is_mean=False)

    found = harm_interval(shares(now), Baseline(shares(before), OWNER), 0.05)
    expected = harm_interval(observed(now), recorded(before), 0.05)
    assert found is not None
    assert expected is not None
    assert (found.low, found.high, found.kind) == (near(expected.low), near(expected.high), "paired influence")


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(prompts=24, clips=4), id="plain", marks=pytest.mark.slow),
        pytest.param(World(prompts=24, clips=4, skewed=True), id="skewed", marks=pytest.mark.slow),
        pytest.param(World(prompts=30, uneven=True, change=0.05), id="uneven"),
    ],
)
def test_the_clustered_gate_cries_wolf_in_six_percent_at_most(world: World) -> None:
    found = alarms(world, 0.0, 1500)
    assert found["cluster-t"] <= 0.06
    assert found["paired t"] > 0.06


def test_the_clustered_gate_sees_more_than_two_means() -> None:
    found = alarms(World(prompts=36, clips=4), 0.015, 200)
    assert found["cluster-t"] > 0.8
    assert found["two means"] < found["cluster-t"] - 0.2


def test_every_noise_floor_names_the_measurement_behind_it() -> None:
    for name in registry.list_metrics():
        cls = registry.metric_class(name)
        assert cls.noise_floor == 0.0 or cls.noise_source, f"{name} has a noise floor that nobody measured"
