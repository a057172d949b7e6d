"""Odd options, ini values and variables: a run, or one usage error that names what was given. Never a traceback."""

from __future__ import annotations

import os
import random
import re

import pytest

from pytest_vidmetrics.plugin.options import SWITCHES, TEXTS
from tests.plugin.conftest import Bench, bench, clip_folder

__all__ = ["bench", "clip_folder"]

FLAGS = {flag: dest for flag, dest, *_ in (*TEXTS, *SWITCHES)}
WITHOUT_VALUE = {flag for flag, *_ in SWITCHES}
VARIABLES = (
    *("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "PYTEST_ADDOPTS"),
    *("SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "CI_NODE_INDEX", "CI_NODE_TOTAL"),
    *("VIDMETRICS_CACHE", "FASTVIDEO_EVAL_CACHE", "FASTVIDEO_CACHE_ROOT", "XDG_CACHE_HOME", "HOME"),
    *("PYTEST_XDIST_AUTO_NUM_WORKERS", "PYTEST_XDIST_WORKER_COUNT", "CUDA_VISIBLE_DEVICES", "VIDMETRICS_GPU"),
    *("VIDMETRICS_OFFLINE", "VIDMETRICS_MIRROR", "FUZZ", "OMP_WAIT_POLICY", "NO_COLOR", "COLUMNS"),
)
ODD = (
    *("", " ", ",", "0", "1", "2", "-1", "1/2", "0/0", "2/1", "1/1", "²", "²/4", "٣", "9" * 5000, f"1/{'9' * 5000}"),
    *("nan", "inf", "1e999", "true", "false", "all", "none", "cpu", "cuda:0", "cuda:99", "cuda:²", "fp32", ".."),
    *("~", "~nobody-of-this-name/x", "x" * 5000, "a\nb", "\x1b[31m", "\udc80", "猫", "a b", "'", '"', "`", "$HOME"),
    *("s3://", "file:///dev/null/x", "memory://", "ftp://x", "://", "pipe", "/dev/null/x", "/proc/x"),
    *("out.json", "out.html", "out", "out.md", "bench.vidmetrics.toml", "clips", "common.psnr", "candidate,reference"),
)
MANIFEST = """schema = 1
[case.demo]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "candidate"
reference = "clips/{env:FUZZ}/*.mp4"
metrics = ["common.psnr"]
[case.demo.gate.default]
abs = 0.001
"""
ENDS = (0, 1, 4, 5)
"""Green, red, a usage error, no tests."""
FAULT = re.compile(r"INTERNALERROR|Traceback \(most recent call last\)|^E   |^_{3,} ERROR", re.MULTILINE)


def _given(draw: random.Random) -> tuple[list[str], dict[str, str]]:
    """Return the words of a command line and variables, of which one to three are odd."""
    words, variables = [], {"FUZZ": "reference"}
    for _ in range(draw.choice((1, 1, 2, 3))):
        value = draw.choice(ODD)
        if draw.random() < 0.4:
            variables[draw.choice(VARIABLES)] = value
            continue
        flag = draw.choice(sorted(FLAGS))
        if draw.random() < 0.3:
            words += ["-o", f"{FLAGS[flag]}={value}"]
        else:
            words.append(flag if flag in WITHOUT_VALUE else f"{flag}={value}")
    return words, variables


def check(bench: Bench, patch: pytest.MonkeyPatch, rounds: int) -> None:
    """Every run ends by an exit status of tests or of usage, and says in words what was wrong."""
    bench.manifest(MANIFEST)
    patch.setenv("FUZZ", "reference")
    patch.setenv("HOME", str(bench.root / "home"))
    bench.run("--update-baselines").assert_outcomes(passed=5)
    os.mkfifo(bench.root / "pipe")
    faults = list[str]()
    ends = dict.fromkeys(pytest.ExitCode, 0)
    for number in range(rounds):
        words, variables = _given(random.Random(f"options {number}"))
        with patch.context() as own:
            for name, value in variables.items():
                own.setenv(name, value.replace("\0", ""))
            result = bench.run("-p", "no:cacheprovider", "--vidmetrics-device=cpu", *words)
        text = result.stdout.str() + result.stderr.str()
        ends[result.ret] += 1
        if result.ret not in ENDS or FAULT.search(text) or "\x1b[31m" in text:
            faults.append(f"round {number} ended with {result.ret}: {words} {variables}\n{text[-3000:]}")
    assert faults == []
    assert ends[pytest.ExitCode.OK]
    assert ends[pytest.ExitCode.USAGE_ERROR]


def test_odd_options_and_variables_end_in_words(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    check(bench, monkeypatch, 25)


@pytest.mark.slow
def test_a_thousand_odd_options_and_variables(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    check(bench, monkeypatch, 1000)
