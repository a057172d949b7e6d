"""Gates that score their clips until they are sure: how many, in two processes, after a kill, at the cap."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.plugin.conftest import PLAIN, Bench, verdicts
from tests.support.clips import noisy, scene, write_clip

LIGHT = """
import os, pathlib
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

CALLS = pathlib.Path(__file__).with_name("calls")

class Light(BaseMetric):
    requires = ("video",)
    requires_reference = False

    def compute(self, sample):
        with CALLS.open("a") as calls:
            calls.write("x")
        if CALLS.stat().st_size == int(os.environ.get("KILLED_AT", "-1")):
            raise KeyboardInterrupt
        return MetricResult(self.name, 255 * sample["video"].mean().item())

def pytest_vidmetrics_register_metrics(registry):
    registry.register("probe.light")(Light)
"""
SEQUENTIAL = """
schema = 1

[case.demo]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "candidate"
metrics = ["probe.light"]

[case.demo.gate."probe.light"]
abs = 1.0
decide = "sequential"
"""
CLIPS = 48


@pytest.fixture
def many(bench: Bench) -> Bench:
    """Return a bench of 48 small clips whose brightness is gated and recorded."""
    bench.pytester.makeconftest(LIGHT)
    bench.manifest(SEQUENTIAL)
    shutil.rmtree(bench.root / "clips")
    _write(bench, 0)
    bench.run("--update-baselines").assert_outcomes(passed=CLIPS + 1)
    (bench.root / "calls").unlink()
    return bench


def _write(bench: Bench, darker: int) -> None:
    for i in range(CLIPS):
        frames = noisy(scene(i, frames=2, height=16, width=16), 3.0, seed=i + darker) - min(darker, 1) * darker
        write_clip(bench.candidate(f"c{i:02}"), frames.clip(0, 255).astype("uint8"))


def _calls(bench: Bench) -> int:
    return (bench.root / "calls").stat().st_size


def _said(result: pytest.RunResult) -> list[str]:
    return sorted({found for line in result.outlines for found in re.findall(r"sure after .*|seed \w+.*", line)})


def test_a_clear_case_leaves_clips_unscored(many: Bench) -> None:
    assert len(many.baseline("probe.light")["order"]) == 16
    _write(many, 40)
    result = many.run("-v")
    assert verdicts(result) == {"probe.light": "REGRESSED"}
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*sure after 3? samples of 48*"])
    assert 30 <= _calls(many) <= 35
    assert "missing" not in result.stdout.str()


def test_the_same_decision_after_a_kill_and_with_workers(many: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(many, 40)
    whole = _said(many.run("-v", "--vidmetrics-cache=one"))
    assert whole
    needed = _calls(many)
    (many.root / "calls").unlink()
    monkeypatch.setenv("KILLED_AT", "12")
    options = (*PLAIN, "--vidmetrics=all", "--vidmetrics-cache=two")
    killed = many.pytester.inline_run(*options, no_reraise_ctrlc=True)
    assert killed.ret == pytest.ExitCode.INTERRUPTED
    assert _calls(many) == 12
    monkeypatch.delenv("KILLED_AT")
    assert _said(many.run("-v", "--vidmetrics-cache=two")) == whole
    assert _calls(many) == needed + 1  # the clip that was being scored
    assert _said(many.run("-v", "-n", "2", "--vidmetrics-cache=three")) == whole


def test_undecided_at_the_cap_fails_and_says_so(many: Bench) -> None:
    many.manifest(SEQUENTIAL + "max_n = 20\n")
    result = many.run()
    assert verdicts(result) == {"probe.light": "ERROR"}
    result.stdout.fnmatch_lines(["*undecided after 20 samples of 48*raise max_n*"])


def test_two_keys_that_do_not_go_together_are_named_with_their_line(many: Bench) -> None:
    many.manifest(SEQUENTIAL.replace("sequential", "point") + "max_n = 20\n")
    many.run().stdout.fnmatch_lines(["*bench.vidmetrics.toml:9: max_n is for decide = 'sequential'*"])
