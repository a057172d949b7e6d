"""Every broken promise is found, and one that is kept is not blamed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.metric_contract import check_metric, samples_here
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from tests.support.clips import scene, write_clip

COUNTER = itertools.count()


class Honest(BaseMetric):
    higher_is_better: ClassVar[bool] = False
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    noise_source: ClassVar[str] = "sums of 8-bit pixels"

    def __init__(self, chunk_size: int = 2) -> None:
        self.chunk_size = chunk_size

    def gap(self, sample: Mapping[str, Any]) -> float:
        return float((sample["video"] - sample["reference"]).double().abs().mean())

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return MetricResult(self.name, self.gap(sample))


class Forgetful(Honest):
    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return MetricResult(self.name, self.gap(sample) + next(COUNTER) * 1e-6)


class Chunky(Honest):
    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return MetricResult(self.name, self.gap(sample) + self.chunk_size * 1e-6)


class Curious(Honest):
    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return MetricResult(self.name, self.gap(sample) * (1.0 + ("seed" in sample)))


class Wide(Honest):
    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return MetricResult(self.name, 1e4 * self.gap(sample))


class Reversed(Honest):
    higher_is_better: ClassVar[bool] = True


class Writer(Honest):
    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        sample["video"].mul_(0.5)
        return MetricResult(self.name, self.gap(sample))


class Opaque(Honest):
    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return MetricResult(self.name, self.gap(sample), {"model": object()})


class Bare(Honest):
    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return MetricResult(self.name, self.gap(sample) + 0.0 * float(torch.stack([sample["video"][1]]).mean()))


class Hidden(Honest):
    def __init__(self, chunk_size: int = 2, window: int = 3) -> None:
        self.chunk_size, self._window = chunk_size, window


FAULTS = {
    Forgetful: "deterministic",
    Chunky: "chunk_size is neutral",
    Curious: "declared keys",
    Wide: "range",
    Reversed: "direction",
    Writer: "scores",
    Opaque: "scores",
    Bare: "one frame",
    Hidden: "identity",
}


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    registry.discover()
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))


def test_an_honest_metric_has_no_fault(tmp_path: Path) -> None:
    register("tried.honest")(Honest)
    found = {one.check: one.status for one in check_metric("tried.honest", samples_here(tmp_path))}
    assert set(found.values()) == {"ok"}
    assert len(found) >= 8


@pytest.mark.parametrize("cls", FAULTS, ids=lambda cls: cls.__name__)
def test_a_broken_promise_is_named(cls: type[BaseMetric], tmp_path: Path) -> None:
    register("tried.broken")(cls)
    faults = [one for one in check_metric("tried.broken", samples_here(tmp_path)) if one.status == "fault"]
    assert FAULTS[cls] in {one.check for one in faults}
    assert all(one.text for one in faults)


def test_the_command_on_rows_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        write_clip(tmp_path / f"{seed}.mp4", scene(seed))
    rows = [{"video": f"{seed}.mp4", "reference": f"{1 - seed}.mp4"} for seed in range(2)]
    tmp_path.joinpath("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["check-metric", "common.psnr", "--samples", str(tmp_path / "rows.jsonl")]) == 0
    assert "every promise tried is kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.at_all:Metric"], "cannot be imported"),
        (["json:JSONDecoder"], "not a class derived from"),
        (["common.psnrr"], "common.psnr"),
        (["common.psnr", "--params=[1]"], "--params is a JSON object"),
        (["common.psnr", "--params={"], "Expecting"),
    ],
)
def test_a_wrong_call_is_one_message(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-metric", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_sample_without_what_the_metric_needs_is_said(tmp_path: Path) -> None:
    (found,) = check_metric("physics_iq", samples_here(tmp_path))
    assert found.status == "fault"
    assert "reference_take2" in found.text
