"""The script for a machine with a GPU runs, in the small and on a processor."""

from __future__ import annotations

import pytest

from benchmarks import gpu


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr("sys.argv", ["gpu", *options])
    gpu.main()


def test_it_measures_dimensions_in_two_precisions_and_then_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "write_weights", lambda folder, full: {})
    monkeypatch.setattr(gpu, "ELEVEN", ("vbench.temporal_flickering",))  # needs no weights
    run(monkeypatch, "--device", "cpu", "--clips", "2", "--frames", "3", "--size", "136", "144")
    out = capsys.readouterr().out
    (row,) = (line.split() for line in out.splitlines() if line.startswith("temporal_flickering"))
    assert (float(row[3]), float(row[4])) == (0.0, 0.0), "no change of precision, no memory of a device"
    assert "all eleven from files:" in out


@pytest.mark.slow
def test_it_measures_all_eleven(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch, "--device", "cpu", "--clips", "1", "--frames", "5", "--size", "136", "144")
    out = capsys.readouterr().out
    assert all(name.removeprefix("vbench.") in out for name in gpu.ELEVEN)
