"""The script for a machine with a GPU runs, in the small and on a processor."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from unittest import mock

import pytest

from benchmarks import gpu


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """Return the exit code."""
    monkeypatch.setattr("sys.argv", ["gpu", *options])
    with mock.patch.dict(os.environ), pytest.raises(SystemExit) as ended:
        gpu.main()
    return int(str(ended.value.code))


TINY = ("--device", "cpu", "--clips", "2", "--frames", "3", "--size", "136", "144", "--workers", "1")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights, and a dimension that needs none."""
    monkeypatch.setattr(gpu, "write_weights", lambda folder, full: {})
    monkeypatch.setattr(gpu, "ELEVEN", ("vbench.temporal_flickering",))
    monkeypatch.setattr(gpu, "OTHERS", ())


@pytest.mark.usefixtures("small")
def test_it_measures_dimensions_in_two_precisions_and_then_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *TINY) == 0
    out = capsys.readouterr().out
    (row,) = (line.split() for line in out.splitlines() if line.startswith("temporal_flickering"))
    assert (float(row[3]), float(row[4])) == (0.0, 0.0), "no change of precision, no memory of a device"
    assert "all eleven from files:" in out


@pytest.mark.usefixtures("small")
def test_a_part_that_fails_ends_itself_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("VIDMETRICS_RAFT_THINGS", str(tmp_path / "absent"))
    monkeypatch.setattr(gpu, "ELEVEN", ("vbench.dynamic_degree", "vbench.temporal_flickering"))
    assert run(monkeypatch, *TINY) == 1
    dynamic, flickering, whole = capsys.readouterr().out.splitlines()[2:]
    assert dynamic.startswith("vbench.dynamic_degree    FAILED: ")
    assert flickering.startswith("temporal_flickering ")
    assert whole.startswith("from files               FAILED: ")


@pytest.mark.usefixtures("small")
def test_no_part_begins_after_the_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, *TINY, "--minutes", "0") == 1
    assert capsys.readouterr().out.count("not measured, the time is up") == 2


@pytest.mark.parametrize("line", ["all eleven from files: 1.50 clips/s (the first took 2.0 s), 3% waiting", "a fault"])
def test_processes_on_one_device_are_added_up(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    python = tmp_path / "python"  # says what the other processes would
    python.write_text(f"#!/bin/sh\necho '{line}'\n")
    python.chmod(0o755)
    monkeypatch.setattr(gpu.sys, "executable", str(python))
    options = argparse.Namespace(device="cpu", clips=1, frames=3, size=(64, 64), full=False, workers=2)
    parts = gpu.Parts(until=float("inf"))
    parts.do("processes", lambda: gpu._processes(options, 60.0))
    out = capsys.readouterr().out
    assert ("2 processes at once: 3.00 clips/s (1.50, 1.50)" in out) == (line != "a fault")
    assert ("FAILED: RuntimeError: a process ended with 0: a fault" in out) == (line == "a fault")


@pytest.mark.slow
def test_it_measures_all_eleven(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--device", "cpu", "--clips", "1", "--frames", "16", "--size", "136", "144") == 0
    out = capsys.readouterr().out
    assert all(name.removeprefix("vbench.") in out for name in gpu.ELEVEN)
