"""Gates on scores that are made of other gates' scores."""

from __future__ import annotations

import json

import pytest

from pytest_vidmetrics.metrics.vbench import totals
from pytest_vidmetrics.networks import shared
from tests.plugin.conftest import Bench, verdicts
from tests.support.clips import write_clip
from tests.support.oracle_fill import clip_uint8
from tests.support.vbench_weights import shallow_weights

CONFTEST = """
from pytest_vidmetrics.metrics.composite import CompositeMetric

class Both(CompositeMetric):
    requires_reference = True
    parts = ("common.ssim", "vbench.temporal_flickering")

    def combine(self, scores):
        return scores["common.ssim"] + scores["vbench.temporal_flickering"]

class Half(Both):
    parts = ("common.ssim", "mine.gone")

    def combine(self, scores):
        return sum(scores.values())

def pytest_vidmetrics_register_metrics(registry):
    registry.register("mine.both")(Both)
    registry.register("mine.half")(Half)
"""
MANIFEST = """\
schema = 1

[case.demo]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "candidate"
reference = "clips/reference/*.mp4"
metrics = ["mine.both"]

[case.demo.gate.default]
abs = 0.001
"""


@pytest.fixture
def both(bench: Bench) -> Bench:
    bench.manifest(MANIFEST)
    bench.pytester.makeconftest(CONFTEST)
    return bench


def test_a_composite_is_recorded_compared_and_names_the_clip(both: Bench) -> None:
    both.run("--update-baselines").assert_outcomes(passed=5)
    both.run().stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *"])
    both.degrade("c")
    result = both.run()
    assert verdicts(result) == {"mine.both": "REGRESSED"}
    result.stdout.fnmatch_lines(["*clips that got worse, worst first:*", "* c *candidate/c.mp4"])
    stored = both.baseline("mine.both")
    assert set(stored["metric"]["parts"]) == {"common.ssim", "vbench.temporal_flickering"}


def test_a_composite_shares_the_work_of_its_parts(both: Bench) -> None:
    both.manifest(MANIFEST.replace('["mine.both"]', '["mine.both", "common.ssim", "vbench.temporal_flickering"]'))
    both.run().stdout.fnmatch_lines(["work: 8 decoded, 8 computed, *"])


def test_parameters_of_a_part_are_those_of_the_case(both: Bench) -> None:
    both.run("--update-baselines").assert_outcomes(passed=5)
    both.manifest(MANIFEST + '\n[case.demo.metric."common.ssim"]\nchannels = "luma"\n')
    result = both.run()
    assert verdicts(result) == {"common.ssim": "MISSING", "mine.both": "STALE"}
    result.stdout.fnmatch_lines(["*channels*rgb*luma*"])


def test_a_broken_clip_is_an_error_of_the_composite(both: Bench) -> None:
    both.run("--update-baselines")
    both.candidate("b").write_bytes(b"not a clip")
    assert verdicts(both.run()) == {"mine.both": "ERROR"}


@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("mine.half", "UNAVAILABLE", "mine.half needs mine.gone, which this version does not have"),
        ("vbench.quality", "UNAVAILABLE", "vbench.aesthetic_quality: a and 3 more"),
        ("vbench.semantic", "ERROR", "vbench.object_class: a and 19 more: skipped: the sample has no auxiliary_info"),
    ],
)
def test_a_total_that_cannot_be_given_says_why_and_is_red(both: Bench, name: str, verdict: str, reason: str) -> None:
    both.manifest(MANIFEST.replace("mine.both", name))
    result = both.run()
    assert verdicts(result) == {name: verdict}, result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{reason}*"])
    if name != "vbench.quality":
        result.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *"])


def test_a_whole_group_says_how_much_of_it_was_not_judged(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace('metrics = ["mine.both"]\n', ""))
    result = bench.run("-rs", selection="vbench")
    assert verdicts(result)["vbench.total"] == "SKIPPED"
    result.stdout.fnmatch_lines(
        [
            "skipped: 18 of 19 gates were NOT JUDGED; -rs prints the reasons",
            "SKIPPED*weights dino-vitb16 *",
        ]
    )


@pytest.mark.slow
def test_the_quality_score_of_vbench_from_clips_to_verdict(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, path in shallow_weights().items():
        monkeypatch.setenv(variable, path)
    for seed, name in enumerate("ab"):
        write_clip(bench.root / "large" / f"{name}.mp4", clip_uint8(3, 128, 136, seed))
    bench.manifest('schema = 1\n[case.demo]\nvideo = "large/*.mp4"\nmetrics = ["vbench.quality"]\n')
    bench.run("--update-baselines").stdout.fnmatch_lines(["work: 2 decoded, 14 computed, *"])
    result = bench.run("--vidmetrics-report=run.json")
    assert verdicts(result) == {"vbench.quality": "PASS"}
    result.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *"])
    (gate,) = json.loads((bench.root / "run.json").read_text())["gates"]
    details = gate["verdict"]["details"]
    assert set(details["raw"]) == {f"vbench.{name}" for name in totals.QUALITY}
    expected = totals.totals(details["raw"]).quality
    assert gate["verdict"]["now"] == pytest.approx(expected)
    assert set(bench.baseline("vbench.quality")["samples"]) == {"a", "b"}
    shared.clear()
