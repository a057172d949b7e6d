"""`vidmetrics init`: a first manifest from folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from tests.support.clips import scene, write_clip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate("ab"):
        for place in ("clips/new", "reference"):
            write_clip(tmp_path / place / f"{name}.mp4", scene(index, frames=4))
    return tmp_path


def test_folders_become_a_manifest_that_loads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "samples.jsonl").write_text('{"id": "a", "text_prompt": "x"}\n{"id": "b", "text_prompt": "y"}\n')
    assert main(["init", "--no-record"]) == 0
    out = capsys.readouterr().out
    assert "clips: 2 clips in clips/new" in out
    assert "references: reference, paired by file name" in out
    assert "prompts: samples.jsonl" in out
    (case,) = load_manifest(folder / "bench.vidmetrics.toml").cases
    assert not case.policies
    assert {sample.id: sample.values["text_prompt"] for sample in resolve_samples(case).samples} == {"a": "x", "b": "y"}
    assert "common.psnr" in (case.metrics or ())
    assert main(["init", "--no-record"]) != 0
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ("other", [], "Say --clips=DIR"),
        ("orphan", [], "c are in one only"),
        ("", ["--clips=nowhere"], "nowhere holds no clips"),
        ("", ["--reference=nowhere"], "nowhere holds no clips"),
        ("", ["--neutral=new,old"], "old holds no clips"),
    ],
)
def test_what_is_not_clear_is_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], change: str, options: list[str], message: str
) -> None:
    if change == "other":
        write_clip(folder / "clips" / "old" / "a.mp4", scene(0, frames=4))
    if change == "orphan":
        write_clip(folder / "clips" / "new" / "c.mp4", scene(0, frames=4))
    assert main(["init", "--no-record", *options]) != 0
    assert message in capsys.readouterr().err
    assert not (folder / "bench.vidmetrics.toml").exists()


def test_it_records_and_calibrates(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(folder / "clips" / "old" / "a.mp4", scene(3, frames=4))
    write_clip(folder / "clips" / "old" / "b.mp4", scene(4, frames=4))
    called: list[list[str]] = []

    class Done:
        returncode = 0

    def called_with(command: list[str], check: bool) -> Done:
        called.append(command[1:])
        return Done()

    monkeypatch.setattr("subprocess.run", called_with)
    assert main(["init", "--neutral=new,old"]) == 0
    assert called == [
        ["-m", "pytest", "bench.vidmetrics.toml", "--vidmetrics=all", "--vidmetrics-calibrate=new,old",
         "--update-baselines"]
    ]  # fmt: skip
    assert "which you call equally good" in capsys.readouterr().out
