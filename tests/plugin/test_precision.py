"""A gate whose score moves with the precision of products: GPU and CPU are told apart, and neither is judged as both.

The GPU is a device whose numbers lie on the processor; the metric rounds as TF32 does where that is switched on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from tests.plugin.conftest import Bench, verdicts
from tests.support.second_device import second_device

CONFTEST = """
import sys
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

class Mean(BaseMetric):
    requires_reference = False
    pixels = "uint8"
    noise_floor = 1e-9
    tf32_change = 1e-3

    def compute(self, sample):
        import torch

        mean = sample["video"].double().mean().item() / 255
        return MetricResult(self.name, round(mean * 1024) / 1024 if torch.backends.cudnn.allow_tf32 else mean)

def pytest_vidmetrics_register_metrics(registry):
    registry.register("mine.mean")(Mean)

def pytest_unconfigure():
    print("torch is loaded:", "torch" in sys.modules)
"""
MANIFEST = """\
schema = 1

[case.demo]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "candidate"
metrics = ["mine.mean"]

[case.demo.gate.default]
abs = 0.5
"""


@pytest.fixture
def mean(bench: Bench) -> Bench:
    bench.manifest(MANIFEST)
    bench.pytester.makeconftest(CONFTEST)
    return bench


@contextmanager
def gpu() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, second_device():
        patch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
        yield


def judged(bench: Bench, *args: str) -> tuple[str, str]:
    result = bench.run(*args)
    return verdicts(result)["mine.mean"], result.stdout.str()


def test_a_baseline_of_a_cpu_is_not_compared_with_tf32(mean: Bench) -> None:
    mean.run("--update-baselines").assert_outcomes(passed=5)
    assert "precision" not in mean.baseline("mine.mean")["metric"]
    with gpu():
        status, text = judged(mean)
        assert status == "STALE"
        assert "recorded in fp32, now in tf32" in text
        assert "--vidmetrics-precision=fp32, or record again with --vidmetrics-precision=tf32" in text
        assert "4 computed" in text  # what the CPU left in the store is not taken for it
        status, text = judged(mean, "--vidmetrics-precision=fp32")
        assert (status, "0 computed" in text) == ("PASS", True)
    assert judged(mean, "--vidmetrics-judge")[0] == "PASS"  # of both that the store holds, the baseline's
    assert judged(mean, "--vidmetrics-judge", "--vidmetrics-precision=tf32")[0] == "STALE"


def test_a_judge_without_a_gpu_finds_what_one_left(mean: Bench) -> None:
    with gpu():
        mean.run("--update-baselines").assert_outcomes(passed=5)
    assert mean.baseline("mine.mean")["metric"]["precision"] == "tf32"
    status, text = judged(mean, "--vidmetrics-judge")
    assert (status, "0 decoded, 0 computed" in text) == ("PASS", True)
    shutil.move(mean.root / "baselines", mean.root / "others")
    recorded = mean.run("--vidmetrics-judge", "--update-baselines")
    assert verdicts(recorded)["mine.mean"] == "RECORDED"
    assert mean.baseline("mine.mean")["metric"]["precision"] == "tf32"
    status, text = judged(mean)  # here it is computed anew, in fp32
    assert (status, "recorded in tf32, now in fp32" in text) == ("STALE", True)
    assert "--vidmetrics-precision=tf32 on a GPU, or record again with --vidmetrics-precision=fp32" in text


@pytest.mark.parametrize("args", [(), ("--vidmetrics-judge",)], ids=["cached", "judge"])
def test_a_run_that_computes_nothing_asks_no_torch_for_the_device(
    mean: Bench, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    mean.run("--update-baselines").assert_outcomes(passed=5)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    again = mean.spawn("-s", *args)
    again.stdout.fnmatch_lines(["*0 decoded, 0 computed*", "torch is loaded: False"])
    assert verdicts(again)["mine.mean"] == "PASS"


def test_clips_scored_partly_in_each_are_no_gate(mean: Bench) -> None:
    shutil.move(mean.candidate("d"), mean.root / "d.mp4")
    mean.run("--update-baselines")
    for name in "ab":
        mean.candidate(name).rename(mean.root / f"{name}.mp4")
    shutil.move(mean.root / "d.mp4", mean.candidate("d"))
    with gpu():
        mean.run()
    for name in "ab":
        (mean.root / f"{name}.mp4").rename(mean.candidate(name))
    status, text = judged(mean, "--vidmetrics-judge")
    assert status == "ERROR"
    assert "the store holds 3 in fp32 and 2 in tf32" in text
    assert "--vidmetrics-precision=fp32 on every machine" in text


def test_a_device_that_the_driver_does_not_know_is_not_taken_for_another(
    mean: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_vidmetrics.plugin.session.likely_device", lambda settings: "cpu")
    with gpu():
        result = mean.run("--update-baselines")
    result.stdout.fnmatch_lines(["*computes in tf32 on cuda:0*as those of fp32*--vidmetrics-device=cuda:0*"])
    assert not mean.baselines.exists()
