"""``vidmetrics history``: baselines over commits, runs over records, and the first checkpoint that went bad."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.core.verdict import Status
from pytest_vidmetrics.gates.accept import accepted
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.history import Point, first_bad
from pytest_vidmetrics.gates.record import GateRecord, write_record
from tests.support.run_records import gate, record

FILE = "bench/wan/t2v/common.psnr.json"
RUNS: tuple[tuple[int, float, Status], ...] = (
    (2, 36.0, "PASS"),
    (4, 34.0, "REGRESSED"),
    (5, 33.5, "REGRESSED"),
    (6, 33.0, "ERROR"),
)


def scored(value: float, status: Status) -> GateRecord:
    return gate("common.psnr", {"x": value, "y": value + 1}, {"x": 36.0, "y": 37.0}, status=status)


def kept(folder: Path, day: int, value: float, status: Status) -> None:
    """Keep the record of a run of one day."""
    one = record([scored(value, status)], time=f"2026-03-{day:02d}T12:00:00+00:00", checkpoint=f"step-{day}")
    folder.mkdir(exist_ok=True)
    write_record(folder / f"run{day}.json", one, folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose baseline was recorded twice, and records of four runs in between and after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q"], check=True)
    folder = BaselineFolder(tmp_path / "baselines", tmp_path)
    for day, value in ((1, 36.0), (3, 36.5)):
        folder.write(FILE, accepted(folder, scored(value, "MISSING"), {}))
        date = f"2026-03-{day:02d}T14:00:00+02:00"
        subprocess.run([*git, "add", "baselines"], check=True)
        facts = {**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        subprocess.run([*git, "commit", "-qm", f"record day {day}"], env=facts, check=True)
    for day, value, status in RUNS:
        kept(tmp_path / "runs", day, value, status)
    (tmp_path / "runs" / "other.json").write_text("{}")
    return tmp_path


def test_baselines_and_runs_stand_in_the_order_of_time(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "common.psnr", "--records", "runs", "--json"]) == 1
    tree = json.loads(capsys.readouterr().out)
    assert tree["gate"] == FILE
    assert [(one["time"][:10], one["status"], one["score"]) for one in tree["points"]] == [
        ("2026-03-01", "BASELINE", 36.5),
        ("2026-03-02", "PASS", 36.5),
        ("2026-03-03", "BASELINE", 37.0),
        ("2026-03-04", "REGRESSED", 34.5),
        ("2026-03-05", "REGRESSED", 34.0),
        ("2026-03-06", "ERROR", 33.5),
    ]
    assert tree["points"][0]["source"] == "record day 1"
    assert tree["points"][0]["time"].endswith("T12:00:00+00:00")
    assert tree["first_bad"]["checkpoint"] == "step-4"


def test_the_text_fits_and_names_the_first_bad_checkpoint(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", FILE, "--records", "runs"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "first bad checkpoint: step-4 (2026-03-04T12:00:00+00:00): 34.5"
    assert main(["history", "common.psnr"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no run was given, baselines only"
    # A run that is fine again ends it.
    kept(project / "runs", 7, 36.0, "PASS")
    assert main(["history", "common.psnr", "--records", "runs"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no bad checkpoint: the latest run is PASS"


def test_the_report_draws_the_history(project: Path) -> None:
    assert main(["report", "runs/run5.json", "-o", "r.html", "--history", "runs"]) == 0
    page = (project / "r.html").read_text("utf-8")
    assert "33.5 to 37 over 6 runs and baselines; first bad: step-4" in page
    assert page.count('<line class="bad"') == 2
    assert page.count('<line class="base"') == 2


def test_what_has_no_history_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["history", "common.psnr"]) == 2
    assert "no gate 'common.psnr'" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["history", "common.psnr", "--records", "empty"]) == 2
    assert "empty holds no run record" in capsys.readouterr().err


def test_the_first_bad_run_is_the_one_since_which_all_were_bad() -> None:
    def point(status: str, i: int) -> Point:
        return Point(f"{i:04d}", status, 1.0, None, 1, "", "", str(i))

    def found(*statuses: str) -> Any:
        bad = first_bad([point(status, i) for i, status in enumerate(statuses)])
        return bad and int(bad.source)

    assert found("PASS", "REGRESSED", "REGRESSED") == 1
    assert found("REGRESSED", "PASS", "REGRESSED") == 2
    assert found("PASS", "REGRESSED", "ERROR", "BASELINE", "REGRESSED") == 1
    assert found("REGRESSED", "IMPROVED") is None
    assert found("BASELINE") is None


def test_a_run_whose_record_and_page_are_kept_is_one_point(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def listed() -> list[str]:
        main(["history", "common.psnr", "--records", "runs"])
        return capsys.readouterr().out.splitlines()

    before = listed()
    assert main(["report", "runs/run4.json", "-o", "runs/run4.html"]) == 0
    (project / "runs" / "copy").mkdir()
    (project / "runs" / "copy" / "run5.json").write_bytes((project / "runs" / "run5.json").read_bytes())
    capsys.readouterr()
    assert len(listed()) == len(before)
