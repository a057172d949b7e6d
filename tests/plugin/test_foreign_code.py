"""Metrics and hooks of other people: what they raise or return never removes a gate from the run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_vidmetrics.gates.baseline import Noise
from pytest_vidmetrics.gates.folder import BaselineFolder
from tests.plugin.conftest import MANIFEST, Bench, verdicts

LISTED = '"common.psnr", "vbench.temporal_flickering"'
METRIC = """
import sys
import pytest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

class Probe(BaseMetric):
    requires_reference = False

    def __init__(self):
        {init}
        super().__init__()

    def setup(self):
        {setup}

    def compute(self, sample):
        {compute}
        return MetricResult(self.name, 1.0)

    def corpus_score(self, results):
        {reduce}
        return 1.0

def pytest_vidmetrics_register_metrics(registry):
    Probe.__qualname__ = "{name}"
    registry.register("probe.{name}")(Probe)
"""
OUTCOMES = {
    "skip": 'pytest.skip("no library")',
    "importorskip": 'pytest.importorskip("no_such_library")',
    "xfail": 'pytest.xfail("known")',
    "fail": 'pytest.fail("never")',
    "exit": "sys.exit(0)",
}


def _probe(bench: Bench, name: str, place: str, code: str) -> str:
    empty = dict.fromkeys(("init", "setup", "compute", "reduce"), "pass")
    bench.pytester.makeconftest(METRIC.format(name=name, **(empty | {place: code})))
    bench.manifest(MANIFEST.replace(LISTED, f'"common.psnr", "probe.{name}"'))
    return f"probe.{name}"


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("place", ["compute", "setup"])
def test_a_metric_that_skips_is_an_error(bench: Bench, place: str, outcome: str) -> None:
    gate = _probe(bench, f"{outcome}_{place}", place, OUTCOMES[outcome])
    result = bench.run("--update-baselines")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result) == {"common.psnr": "RECORDED", gate: "ERROR"}
    result.assert_outcomes(passed=1, failed=5)
    assert "Traceback" not in result.stdout.str().split("= FAILURES =")[0]


@pytest.mark.parametrize("place", ["init", "reduce"])
def test_a_metric_that_skips_elsewhere_is_an_error(bench: Bench, place: str) -> None:
    gate = _probe(bench, f"skip_{place}", place, OUTCOMES["skip"])
    result = bench.run("--update-baselines")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result) == {"common.psnr": "RECORDED", gate: "ERROR"}
    result.stdout.fnmatch_lines(["*Skipped: no library*"])


def test_a_metric_that_skips_leaves_the_others_their_scores(bench: Bench) -> None:
    _probe(bench, "skip_beside", "compute", OUTCOMES["skip"])
    bench.run("-k", "score").assert_outcomes(failed=4, deselected=2)
    bench.run("-k", "psnr").stdout.fnmatch_lines(["work: 0 decoded, 0 computed, 4 reused"])


JUDGE = """
from pytest_vidmetrics.core.verdict import Verdict

def pytest_vidmetrics_judge(config, gate, observed, baseline):
    return {verdict}
"""


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        ("'PASS'", "'PASS': expected a Verdict, or None for the usual rule"),
        ("True", "True: expected a Verdict*"),
        ("0", "0: expected a Verdict*"),
        ("{'status': 'PASS'}", "{'status': 'PASS'}: expected a Verdict*"),
        ("Verdict('RECORDED', 'fine')", "the verdict 'RECORDED': expected one of PASS, IMPROVED, REGRESSED*"),
        ("Verdict('SKIPPED', 'fine')", "the verdict 'SKIPPED': expected*"),
        ("Verdict('GREEN', 'fine')", "the verdict 'GREEN': expected*"),
        ("Verdict('PASS', 'fine', harm=float('nan'))", "harm = nan: expected a finite number"),
        ("Verdict('PASS', 'fine', margin='1')", "margin = '1': expected a finite number"),
        ("Verdict('PASS', 'fine', interval=(0.0,))", "interval = (0.0,): expected two numbers"),
        ("Verdict('PASS', 'fine', interval=5)", "interval = 5: expected a tuple"),
        ("Verdict('PASS', 'fine', n='4')", "n = '4': expected a whole number"),
        ("Verdict('PASS', None)", "reason = None: expected text"),
        ("Verdict('PASS', 'fine', worst=('a',))", "worst with 'a': expected ClipChange"),
        ("Verdict('PASS', 'fine', details={'a': object()})", "details that are not JSON: *"),
        ("Verdict('PASS', 'fine', details={'a': float('nan')})", "details that are not JSON: *"),
    ],
)
def test_a_hook_that_returns_no_usable_verdict_is_an_error(bench: Bench, verdict: str, message: str) -> None:
    bench.record()
    bench.degrade("a")
    bench.pytester.makeconftest(JUDGE.format(verdict=verdict))
    result = bench.run("-k", "psnr", "--vidmetrics-report=run.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result) == {"common.psnr": "ERROR"}
    result.stdout.fnmatch_lines([f"*ERROR: the hook pytest_vidmetrics_judge returned {message}"])
    assert "Traceback" not in result.stdout.str()
    (gate,) = json.loads((bench.root / "run.json").read_text())["gates"]
    assert gate["verdict"]["status"] == "ERROR"
    assert gate["verdict"]["harm"] > 0


@pytest.mark.parametrize(
    ("status", "workers"),
    [("PASS", ()), ("PASS", ("-n1",)), ("IMPROVED", ()), ("REGRESSED", ()), ("STALE", ()), ("ERROR", ())],
)
def test_a_hook_may_give_these_verdicts(bench: Bench, status: str, workers: tuple[str, ...]) -> None:
    bench.record()
    text = f"Verdict('{status}', 'as the hook says', harm=np.float64(0.5), notes=['mind the gap'])"
    bench.pytester.makeconftest("import numpy as np\n" + JUDGE.format(verdict=text))
    result = bench.run("-k", "psnr", "--vidmetrics-report=run.json", *workers)
    assert verdicts(result) == {"common.psnr": status}
    assert result.ret == (0 if status in ("PASS", "IMPROVED") else 1)
    (gate,) = json.loads((bench.root / "run.json").read_text())["gates"]
    assert (gate["verdict"]["harm"], gate["verdict"]["metric"]) == (0.5, "common.psnr")


def test_a_hook_that_skips_is_an_error(bench: Bench) -> None:
    bench.record()
    bench.pytester.makeconftest("import pytest\n" + JUDGE.format(verdict="pytest.skip('not today')"))
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert set(verdicts(result).values()) == {"ERROR"}


def test_notes_of_gates_that_pass_are_shown(bench: Bench) -> None:
    bench.record()
    bench.pytester.makeconftest(JUDGE.format(verdict="Verdict('PASS', 'fine', notes=('one', 'two', 'three'))"))
    result = bench.run()
    assert result.ret == 0
    gates = [f"bench.vidmetrics.toml::demo::{name}" for name in ("common.psnr", "vbench.temporal_flickering")]
    shown = [f"note: {gates[0]}: {text}" for text in ("one", "two", "three")]
    shown += [f"note: {gates[1]}: {text}" for text in ("one", "two")]
    start = result.outlines.index(shown[0])
    assert result.outlines[start : start + 6] == [*shown, "and 1 more; the report has all"]


def test_notes_of_red_gates_stand_with_their_failures_only(bench: Bench) -> None:
    bench.record()
    bench.pytester.makeconftest(JUDGE.format(verdict="Verdict('REGRESSED', 'bad', notes=('one',))"))
    result = bench.run("-k", "psnr")
    result.stdout.fnmatch_lines(["*  - one"])
    assert "note: " not in result.stdout.str()


def test_noise_above_the_margin_given_is_noted_on_a_green_run(bench: Bench) -> None:
    bench.record()
    folder, key = BaselineFolder(bench.root / "baselines", bench.root), "bench/demo/common.psnr.json"
    recorded = folder.read(key)
    assert recorded is not None
    folder.write(key, replace(recorded, noise=Noise(100.0, 3, "scoring")))
    bench.degrade("a")
    result = bench.run("-k", "psnr")
    assert verdicts(result) == {"common.psnr": "PASS"}
    result.stdout.fnmatch_lines(
        ["note: bench.vidmetrics.toml::demo::common.psnr: the margin given, 0.001, lies below *"]
    )


@pytest.mark.parametrize("body", ["pytest.skip('no')", "raise SystemExit(0)", "raise ValueError('no')", "return [1]"])
def test_a_hook_that_lists_no_samples_makes_the_gates_red(bench: Bench, body: str) -> None:
    bench.record()
    bench.pytester.makeconftest(f"import pytest\n\ndef pytest_vidmetrics_load_samples(config, case):\n    {body}\n")
    result = bench.run()
    assert verdicts(result) == {"common.psnr": "ERROR", "vbench.temporal_flickering": "ERROR"}
    assert result.ret == 1


TAKES = """
import json, pathlib
def pytest_vidmetrics_report(config, record):
    facts = [[one.kind, one.verdict.status, sorted(one.scores.samples)] for one in record.gates]
    with pathlib.Path("taken.jsonl").open("a") as stream:
        stream.write(json.dumps([facts, record.to_wire()["gates"][0]["gate"]]) + "\\n")
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_hook_takes_the_record_of_a_run_once(bench: Bench, workers: tuple[str, ...]) -> None:
    """Also without any option that asks for a report, and with every clip's score."""
    bench.record()
    bench.pytester.makeconftest(TAKES)
    run = bench.spawn if workers else bench.run
    assert run("-k", "psnr", *workers).ret == 0
    (line,) = (bench.root / "taken.jsonl").read_text().splitlines()
    assert json.loads(line) == [[["gate", "PASS", ["a", "b", "c", "d"]]], "bench.vidmetrics.toml::demo::common.psnr"]
    assert bench.run("--collect-only").ret == 0
    assert bench.run("-k", "score").ret == 0
    assert len((bench.root / "taken.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("body", ["raise ValueError('no room')", "import sys; sys.exit(0)", "pytest.skip('no')"])
def test_a_hook_that_takes_no_record_makes_the_run_red(bench: Bench, body: str) -> None:
    bench.record()
    bench.pytester.makeconftest(f"import pytest\n\ndef pytest_vidmetrics_report(config, record):\n    {body}\n")
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert set(verdicts(result).values()) == {"PASS"}
    result.stdout.fnmatch_lines(["ERROR: the hook pytest_vidmetrics_report raised *"])
