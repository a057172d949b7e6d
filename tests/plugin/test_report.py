"""The page of a run, and accepting its scores: from a real run to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import Bench


def test_a_red_run_is_one_page_with_its_verdicts_and_clips(bench: Bench) -> None:
    bench.record()
    bench.degrade("b")
    result = bench.run("--vidmetrics-report=run.html")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    page = (bench.root / "run.html").read_text(encoding="utf-8")
    assert "REGRESSED" in page
    assert "common.psnr" in page
    assert "Content-Security-Policy" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page


def test_a_folder_holds_the_page_and_its_media(bench: Bench) -> None:
    bench.record()
    bench.run("--vidmetrics-report=page").assert_outcomes(passed=6)
    assert (bench.root / "page" / "index.html").is_file()


def sealed(path: Path) -> dict[str, Any]:
    """Return a baseline without its facts for information: a run on stored results names no device."""
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "environment"}


def test_accepted_scores_are_what_an_update_records(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record()
    bench.degrade("b")
    bench.run("--vidmetrics-report=run.json")
    path = bench.baselines / "common.psnr.json"
    before = path.read_bytes()
    monkeypatch.chdir(bench.root)
    assert main(["accept", "run.json", "common.psnr"]) == 0
    accepted = sealed(path)
    assert path.read_bytes() != before
    path.write_bytes(before)
    # The page holds the record that it was made of.
    bench.run("--vidmetrics-report=run.html")
    (bench.root / "run.json").unlink()
    assert main(["accept", "run.html", "common.psnr"]) == 0
    assert sealed(path) == accepted
    path.write_bytes(before)
    bench.run("--update-baselines", selection="common.psnr")
    assert sealed(path) == accepted
    assert "common.psnr.json" in capsys.readouterr().out


def test_what_cannot_be_accepted_writes_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record()
    bench.run("--vidmetrics-report=run.json")
    monkeypatch.chdir(bench.root)
    before = {p: p.read_bytes() for p in Path("baselines").rglob("*.json")}
    assert main(["accept", "run.json", "common.psnr"]) == 2
    assert "it is PASS, there is nothing to accept" in capsys.readouterr().err
    assert main(["accept", "run.json", "common.psn"]) == 2
    assert "no gate 'common.psn'" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in Path("baselines").rglob("*.json")} == before
