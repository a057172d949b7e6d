"""``vidmetrics report``: from a record to a page, and one clear message where there can be none."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.gates.baseline import Noise
from pytest_vidmetrics.gates.record import read_record, write_record
from tests.report.test_build import Read, a_record, clips
from tests.support.media_clips import gray_ramp, write_video
from tests.support.run_records import gate, record


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    write_record(tmp_path / "run.json", a_record(clips(tmp_path)), tmp_path)
    return tmp_path


def read(path: Path) -> Read:
    return Read(path.read_text("utf-8"))


def test_a_page_is_a_record_too(folder: Path) -> None:
    assert main(["report", "run.json", "-o", "run.html"]) == 0
    assert read_record(folder / "run.html") == read_record(folder / "run.json")
    assert main(["report", "run.html", "-o", "again.html"]) == 0
    assert read(folder / "again.html").data["clips"] == read(folder / "run.html").data["clips"]


def test_clips_of_the_baseline_stand_beside_those_of_the_same_name(folder: Path) -> None:
    (folder / "before").mkdir()
    write_video(folder / "before" / "q.mp4", gray_ramp(6))
    assert main(["report", "run.json", "-o", "run.html", "--baseline-clips", "before"]) == 0
    found = read(folder / "run.html").data
    assert found["sides"] == ["candidate", "reference", "baseline"]
    assert found["media"]["0"]["baseline"]["kind"] == "video"
    assert "baseline" not in found["media"]["1"]


def test_the_page_says_margin_limit_and_noise(folder: Path) -> None:
    from dataclasses import replace

    one = gate("common.psnr", {"x": 35.0}, {"x": 36.7}, margin=0.25, margin_from="abs = 0.25", sees=1.125)
    write_record(folder / "r.json", record([replace(one, noise=Noise(0.0625, 5, "generation"))]), folder)
    assert main(["report", "r.json", "-o", "r.html"]) == 0
    text = read(folder / "r.html").text
    assert "0.25 dB, from abs = 0.25" in text
    assert "a harm of 1.125 is caught four times out of five" in text
    assert "standard deviation 0.0625 over 5 runs (generation)" in text


def test_errors_stand_apart_from_what_is_unavailable(folder: Path) -> None:
    gates = [gate("a.broken", {}, {}, status="ERROR"), gate("a.lacking", {}, {}, status="UNAVAILABLE")]
    write_record(folder / "r.json", record(gates), folder)
    assert main(["report", "r.json", "-o", "r.html"]) == 0
    text = read(folder / "r.html").text
    first, second = text.index("Errors: no verdict"), text.index("Unavailable: weights or a library")
    assert first < text.index("error because of a test") < second < text.index("unavailable because of a test")


def newer(folder: Path) -> None:
    tree = json.loads((folder / "run.json").read_text()) | {"schema": 2}
    (folder / "run.json").write_text(json.dumps(tree))


def cut(folder: Path) -> None:
    main(["report", "run.json", "-o", "run.html"])
    page = (folder / "run.html").read_text("utf-8")
    at = page.index('id="record">') + 200
    (folder / "run.json").write_text(page[:at] + "</script>" + page[at + 400 :])


def gone(folder: Path) -> None:
    (folder / "run.json").unlink()


def page_of_others(folder: Path) -> None:
    (folder / "run.json").write_text("<!DOCTYPE html><title>a page of somebody</title>")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (newer, "run.json: not a run record of schema 1: it has schema 2, this version reads 1"),
        (cut, "the run record in the page is damaged"),
        (gone, "cannot read the run record run.json: No such file or directory"),
        (page_of_others, "the page holds no run record"),
    ],
)
def test_a_record_that_cannot_be_read_is_one_message(
    folder: Path, capsys: pytest.CaptureFixture[str], spoil, message: str
) -> None:
    spoil(folder)
    capsys.readouterr()
    assert main(["report", "run.json", "-o", "new.html"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (folder / "new.html").exists()


@pytest.mark.parametrize("fault", [errno.EROFS, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("target", ["page.html", "page.md", "page"])
def test_a_folder_that_takes_no_file_is_one_message(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, fault: int, target: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(fault, os.strerror(fault))

    before = sorted(folder.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr("pytest_vidmetrics.core.files.tempfile.mkstemp", refuse)
        patched.setattr("pytest_vidmetrics.report.build.tempfile.TemporaryDirectory", refuse)
        assert main(["report", "run.json", "-o", target]) == 2
    what = "summary" if target.endswith(".md") else "report"
    assert capsys.readouterr().err == f"vidmetrics report: cannot write the {what} {target}: {os.strerror(fault)}\n"
    assert sorted(folder.iterdir()) == before


def test_clips_that_are_gone_are_said_in_the_page(folder: Path) -> None:
    for name in ("new/p.mp4", "new/q.mp4"):
        (folder / name).unlink()
    assert main(["report", "run.json", "-o", "run.html"]) == 0
    entries = read(folder / "run.html").data["media"]["0"]
    assert entries["candidate"]["note"] == "the file is not there any more"
    assert entries["reference"]["kind"] == "video"
