from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline, Noise
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.gates.margin import blind, margin_of, widened
from pytest_vidmetrics.gates.recorder import Recorder

FLICKER = NeutralShift(0.001, common=0.0001)
N = 19


def scores(values: list[float], **facts: Any) -> CorpusScore:
    usual: dict[str, Any] = {
        "metric": {"name": "m", "version": "1"},
        "higher_is_better": True,
        "score": sum(values) / len(values),
        "samples": {f"s{i:02}": value for i, value in enumerate(values)},
        "paths": {f"s{i:02}": f"{i}.mp4" for i in range(len(values))},
        "sample_ids": "ids",
        "reference": None,
        "is_mean": True,
    }
    return CorpusScore(**{**usual, **facts})


def recorded(observed: CorpusScore, policy: Policy | None = None, noise: Noise | None = None) -> Baseline:
    return Baseline.of(observed, Recorder("manifest", "b.vidmetrics.toml", "c", "m"), {}, noise, policy)


def gate(**policy: Any) -> MetricConfig:
    return MetricConfig("m", "m", {}, Policy(**policy))


OLD = [0.98 + 0.0001 * (i % 5) for i in range(N)]
SCATTERED = [value + (0.02 if i % 2 else -0.02) for i, value in enumerate(OLD)]


def test_without_a_margin_it_is_what_neutral_changes_need_at_this_n() -> None:
    observed = scores(OLD, neutral_shift=FLICKER)
    chosen = margin_of(Policy(), observed, recorded(observed))
    assert chosen.value == pytest.approx(FLICKER.at(N))
    assert "n = 19" in chosen.source
    assert "docs/margins.md" in chosen.source


def test_clusters_count_once() -> None:
    observed = scores(OLD, neutral_shift=FLICKER, clusters={f"s{i:02}": f"p{i % 4}" for i in range(N)})
    assert margin_of(Policy(), observed, recorded(observed)).value == pytest.approx(FLICKER.at(4))


@pytest.mark.parametrize(
    ("policy", "noise", "expected", "source"),
    [
        ({"abs": 0.0}, None, 0.0, "abs = 0"),
        ({"abs": 0.02}, None, 0.02, "abs = 0.02"),
        ({"rel": 0.5}, None, 0.4901, "rel = 0.5"),
        ({}, Noise(0.01, 5, "scoring"), 0.03, "3 sigma"),
        ({"abs": 0.001}, Noise(0.01, 5, "scoring"), 0.03, "3 sigma"),
    ],
)
def test_what_is_given_or_measured_takes_the_place_of_the_default(
    policy: dict[str, float], noise: Noise | None, expected: float, source: str
) -> None:
    observed = scores(OLD, neutral_shift=FLICKER)
    chosen = margin_of(Policy(**policy), observed, recorded(observed, noise=noise))
    assert chosen.value == pytest.approx(expected, abs=1e-4)
    assert chosen.source.startswith(source)


def test_a_metric_that_says_nothing_of_its_noise_is_not_red_at_rounding() -> None:
    was, now = scores([10.0] * 4, floor_known=False), scores([10.0 - 1.7e-5] * 4, floor_known=False)
    verdict = judge(gate(), now, recorded(was))
    assert verdict.status == "PASS"
    assert "declares no noise floor" in verdict.margin_from
    assert judge(gate(), scores([9.9] * 4, floor_known=False), recorded(was)).status == "REGRESSED"


def test_three_percent_flicker_is_red_with_defaults_and_green_but_named_with_a_wide_margin() -> None:
    was = scores(OLD, neutral_shift=FLICKER)
    now = scores([value - 0.012 for value in OLD], neutral_shift=FLICKER)
    assert judge(gate(), now, recorded(was)).status == "REGRESSED"
    wide = judge(gate(rel=0.02), now, recorded(was))
    assert wide.status == "PASS"
    assert any("times what neutral changes need at n = 19" in note for note in wide.notes)
    assert judge(gate(), scores([v - 0.0002 for v in OLD], neutral_shift=FLICKER), recorded(was)).status == "PASS"


def test_a_margin_near_the_neutral_shift_is_not_named() -> None:
    observed = scores(OLD, neutral_shift=FLICKER)
    assert blind(margin_of(Policy(), observed, recorded(observed)), observed) == ""
    assert blind(margin_of(Policy(abs=0.0005), observed, recorded(observed)), observed) == ""


def test_a_verdict_says_what_the_gate_sees() -> None:
    was = scores(OLD)
    now = scores([value + (0.001 if i % 2 else -0.001) for i, value in enumerate(OLD)])
    point, strict, lenient = (
        judge(gate(abs=0.01, decide=rule), now, recorded(was)) for rule in ("point", "strict", "lenient")
    )
    assert strict.sees is not None
    assert point.sees is not None
    assert lenient.sees is not None
    assert strict.sees < 0.01 < point.sees < lenient.sees
    assert judge(gate(abs=0.01), was, recorded(was)).sees == 0.01


def test_measured_noise_limits_sight_where_the_clips_are_the_same() -> None:
    was = scores(OLD)
    verdict = judge(gate(abs=0.05), was, recorded(was, noise=Noise(0.01, 9, "generation")))
    assert verdict.sees == pytest.approx(0.05 + 0.889 * 2**0.5 * 0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("policy", "values", "text"),
    [
        ({"abs": 0.05, "sees": 0.01}, OLD, "the margin alone is 0.05"),
        (
            {"abs": 0.009, "sees": 0.0095},
            [v + (0.02 if i % 2 else -0.02) for i, v in enumerate(OLD)],
            "scatter too much",
        ),
    ],
)
def test_a_gate_that_does_not_see_what_is_asked_is_red(
    policy: dict[str, float], values: list[float], text: str
) -> None:
    verdict = judge(gate(**policy), scores(values), recorded(scores(OLD)))
    assert verdict.status == "ERROR"
    assert text in verdict.reason
    assert judge(gate(abs=0.005, sees=0.01), scores(OLD), recorded(scores(OLD))).status == "PASS"


def test_a_single_sample_sees_nothing_that_is_known() -> None:
    verdict = judge(gate(abs=0.05, sees=0.1), scores([0.9]), recorded(scores([0.9])))
    assert verdict.status == "ERROR"
    assert "not known" in verdict.reason


@pytest.mark.parametrize(
    ("was", "now", "text"),
    [
        ({"abs": 0.01}, {"abs": 0.02}, "the margin was 0.01 when the baseline was recorded and is 0.02 now"),
        ({"abs": 0.01, "decide": "strict"}, {"abs": 0.01}, "decide was 'strict'"),
        ({"abs": 0.01, "sees": 0.1}, {"abs": 0.01}, "sees was 0.1"),
        ({"abs": 0.01, "sees": 0.1}, {"abs": 0.01, "sees": 0.2}, "is 0.2 now"),
        ({"abs": 0.01, "min_n": 10}, {"abs": 0.01}, "min_n was 10"),
    ],
)
def test_a_gate_that_sees_less_than_before_needs_a_reason(was: dict, now: dict, text: str) -> None:
    observed = scores(OLD)
    baseline = recorded(observed, Policy(**was))
    assert text in widened(Policy(**now), observed, baseline)
    verdict = judge(gate(**now), observed, baseline)
    assert verdict.status == "ERROR"
    assert "reason" in verdict.reason
    excused = judge(gate(**now, reason="H100 to H200, see the run of May"), observed, baseline)
    assert excused.status == "PASS"
    assert any("H100 to H200" in note for note in excused.notes)
    assert widened(Policy(**was), observed, recorded(observed, Policy(**now))) == ""


def test_a_narrower_margin_and_an_old_baseline_need_no_reason() -> None:
    observed = scores(OLD)
    assert judge(gate(abs=0.001), observed, recorded(observed, Policy(abs=0.01))).status == "PASS"
    assert judge(gate(abs=0.5), observed, recorded(observed)).status == "PASS"


def test_a_regression_is_called_one_whatever_the_margin_was() -> None:
    worse = scores([value - 0.5 for value in OLD])
    assert judge(gate(abs=0.02), worse, recorded(scores(OLD), Policy(abs=0.01))).status == "REGRESSED"


def test_the_policy_survives_the_file() -> None:
    from pytest_vidmetrics.gates.baseline_text import baseline_text, decode_baseline

    first = recorded(scores(OLD), Policy(abs=0.25, decide="strict", sees=0.5, reason="not kept"))
    again = decode_baseline(baseline_text(first).encode(), "x.json")
    assert again.policy == Policy(abs=0.25, decide="strict", sees=0.5)
    assert decode_baseline(baseline_text(recorded(scores(OLD))).encode(), "x.json").policy is None
    assert replace(again, policy=Policy(abs=0.3)) != again


@pytest.mark.parametrize("policy", [{"sees": 0}, {"sees": -1.0}, {"reason": ""}, {"reason": 3}, {"abs": "x"}])
def test_a_policy_that_means_nothing_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(policy))):
        Policy(**policy)
