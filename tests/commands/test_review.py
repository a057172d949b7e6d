"""``vidmetrics review``: what a person is shown, and what the answers do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vidmetrics.commands.review import _Page, review
from pytest_vidmetrics.core.scores import Drawn
from pytest_vidmetrics.core.verdict import ClipChange
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.record import RunRecord
from tests.support.run_records import gate, record


@pytest.fixture
def changed() -> RunRecord:
    worst = (ClipChange("x y", "clips/x.mp4", 36.7, 35.0, 1.7),)
    facts = {"margin": 0.25, "margin_from": "abs = 0.25", "interval": (0.5, 2.9), "worst": worst}
    return record([gate("common.psnr", {"x y": 35.0}, {"x y": 36.7}, **facts)], {"x y": {"video": "clips/x.mp4"}})


def test_the_numbers_and_the_help_stand_before_the_answer(changed: RunRecord, tmp_path: Path) -> None:
    answers = iter(["?", "o", "r"])
    said: list[str] = []
    folder = BaselineFolder(tmp_path, tmp_path)
    assert review(changed, folder, lambda _: next(answers), said.append, lambda gate: f"opened {gate.gate}") == 1
    text = "".join(said)
    assert "REGRESSED: bench/wan/t2v/common.psnr" in text
    assert "baseline 36.7, now 35 dB (-4.6%), n 1" in text
    assert "harm 1.7, interval [0.5, 2.9], margin 0.25 (abs = 0.25)" in text
    assert "r  reject: the baseline stays" in text
    assert "opened bench/wan.vidmetrics.toml::t2v::common.psnr" in text
    assert not list(tmp_path.iterdir())


def test_the_report_opens_at_the_worst_clip(
    changed: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    page = _Page(Path("run.json"), changed, tmp_path, tmp_path / "page" / "run.html")
    assert page.open(changed.gates[0]) == f"opened {opened[0]}"
    assert opened == [(tmp_path / "page" / "run.html").as_uri() + "#clip=x%20y"]
    assert "REGRESSED" in (tmp_path / "page" / "run.html").read_text("utf-8")
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert page.open(changed.gates[0]).startswith("no browser here; the report is file://")


def test_a_gate_that_scored_a_part_is_not_accepted(changed: RunRecord, tmp_path: Path) -> None:
    """``vidmetrics accept`` and the page refuse it too: the baseline would be one of some samples."""
    scores = changed.gates[0].scores
    assert scores is not None
    part = replace(changed.gates[0], scores=replace(scores, drawn=Drawn("0", 40)))
    said: list[str] = []
    folder = BaselineFolder(tmp_path, tmp_path)
    assert review(replace(changed, gates=(part,)), folder, lambda _: "a", said.append) == 1
    assert "only 1 of 40 samples were scored; record all: --update-baselines" in "".join(said)
    assert not list(tmp_path.iterdir())
