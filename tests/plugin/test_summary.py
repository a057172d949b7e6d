"""What a run tells a CI service: the summary, annotations on lines of the manifest, JUnit."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.plugin.conftest import MANIFEST, Bench

CHECK = """
def test_speed(vidmetrics_baseline):
    vidmetrics_baseline.check("speed", {score})
"""


@pytest.fixture
def red(bench: Bench) -> Bench:
    """A bench with baselines, whose clip b got worse."""
    bench.pytester.makepyfile(test_gen=CHECK.format(score=0.9))
    bench.run("--update-baselines").assert_outcomes(passed=7)
    bench.degrade("b")
    bench.pytester.makepyfile(test_gen=CHECK.format(score=0.5))
    return bench


def test_a_summary_names_gates_checks_and_clips(red: Bench) -> None:
    result = red.run("--vidmetrics-summary=out/summary.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["summary written to out/summary.md"])
    text = (red.root / "out/summary.md").read_text("utf-8")
    assert text.startswith("### Video metrics: ")
    rows = [line for line in text.splitlines() if line.startswith("| **REGRESSED**")]
    assert any("common.psnr" in row and " dB |" in row for row in rows)
    assert any("'speed'" in row for row in rows)
    assert "- `b`: " in text
    assert str(red.root) not in text


def test_the_summary_of_a_step_is_appended_to(red: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    step = red.root / "step.md"
    step.write_text("what another command said\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    red.run("--vidmetrics-judge", selection="common.psnr")
    assert step.read_text("utf-8").startswith("what another command said\n### Video metrics: ")
    # A file that was named takes its place, and an ini file can name it.
    before = step.read_bytes()
    red.run("-o", "vidmetrics_summary=named.md", "--vidmetrics-judge", selection="common.psnr")
    assert step.read_bytes() == before
    assert (red.root / "named.md").exists()


def test_a_step_without_a_summary_file_judges_all_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.record()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(bench.root / "gone" / "step.md"))
    result = bench.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["cannot write the summary of this step *step.md: No such file or directory"])
    # A run that has nothing to do with metrics writes nothing.
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(bench.root / "step.md"))
    bench.run(selection=None)
    assert not (bench.root / "step.md").exists()


def test_a_summary_that_cannot_be_written_is_red(bench: Bench) -> None:
    bench.record()
    (bench.root / "taken").mkdir()
    result = bench.run("--vidmetrics-summary=taken")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: cannot write the summary *taken: Is a directory"])


def test_a_workflow_marks_the_line_of_the_manifest(red: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(line.startswith("::error") for line in red.run("--vidmetrics-judge").outlines)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(red.root.parent))
    red.run()  # scores what is new
    found = [line for line in red.run("--vidmetrics-judge").outlines if line.startswith("::")]
    here = red.root.name
    line_of_case = MANIFEST.splitlines().index("[case.demo]") + 1
    psnr = next(line for line in found if "common.psnr" in line)
    assert psnr.startswith(f"::error file={here}/bench.vidmetrics.toml,line={line_of_case},title=REGRESSED%3A ")
    assert "worse by " in psnr
    assert " dB (−" in psnr
    check = next(line for line in found if "speed" in line)
    assert check.startswith(f"::error file={here}/test_gen.py,line=1,title=REGRESSED%3A ")


def test_junit_has_the_numbers_of_gates_and_of_checks(red: Bench) -> None:
    red.run("--junitxml=out.xml", "-o", "junit_family=xunit2")
    cases = ElementTree.parse(red.root / "out.xml").getroot().iter("testcase")
    found = {case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")} for case in cases}
    gate, check = found["common.psnr"], found["test_speed"]
    assert gate["vidmetrics.verdict"] == check["vidmetrics.speed.verdict"] == "REGRESSED"
    assert (check["vidmetrics.speed.baseline"], check["vidmetrics.speed.now"]) == ("0.9", "0.5")
    assert float(gate["vidmetrics.harm"]) > float(gate["vidmetrics.margin"])


@pytest.mark.parametrize("budget", ["many", "-1", "5000"])
def test_a_budget_that_is_none_is_refused(bench: Bench, budget: str) -> None:
    result = bench.run("-o", f"vidmetrics_report_budget={budget}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--vidmetrics-report-budget={budget}: expected a number of MiB from 0 to 4096"])


def test_the_budget_of_the_ini_file_is_that_of_the_page(bench: Bench) -> None:
    bench.record()
    bench.run("--vidmetrics-report=run.html", "-o", "vidmetrics_report_budget=0").assert_outcomes(passed=6)
    page = Path(bench.root / "run.html").read_text("utf-8")
    assert "0 of 4 clips can be played here" in page
    assert "budget 0 MiB" in page
