"""``vidmetrics frames`` and ``vidmetrics convert``: the two steps of the guide before anything is generated."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.media.video import read_clip
from tests.support.clips import scene, write_clip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list as the guide has it: arrays in two categories."""
    monkeypatch.chdir(tmp_path)
    rows = []
    for number, (category, name) in enumerate((c, f"{c}_{i}") for c in ("cooking", "sport") for i in range(3)):
        path = tmp_path / "data" / "clips" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, video=scene(number))
        row = {"video_id": name, "category": category, "caption": f"a {name}", "path": f"clips/{name}.npz", "fps": 12}
        rows.append(row)
    (tmp_path / "data" / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


RENAME = ["--rename", "video_id=id", "--rename", "path=video"]


def read_rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_frames_writes_frame_0_and_a_list_that_the_next_step_reads(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["frames", "data/manifest.jsonl", "-o", "frames", "--samples-per-category", "2", *RENAME]
    assert main(command) == 0
    assert "4 frames written to frames" in capsys.readouterr().out
    rows = read_rows(data / "frames" / "starting_frames_manifest.jsonl")
    assert [row["video_id"] for row in rows] == ["cooking_0", "cooking_1", "sport_0", "sport_1"]
    first = rows[2]
    assert first["frame_path"] == "sport/sport_0_frame0.png"
    assert (data / "frames" / str(first["path"])).resolve() == data / "data" / "clips" / "sport_0.npz"
    png = (data / "frames" / "sport" / "sport_0_frame0.png").read_bytes()
    assert first["frame_sha256"] == hashlib.sha256(png).hexdigest()
    assert np.array_equal(np.asarray(Image.open(data / "frames/sport/sport_0_frame0.png")), scene(3)[0])
    # The list that was written is read by the next command.
    assert main(["convert", "frames/starting_frames_manifest.jsonl", "-o", "reference", *RENAME]) == 0
    clip = read_clip(data / "reference" / "sport" / "sport_0.mkv")
    assert np.array_equal(clip.frames.numpy(), scene(3).transpose(0, 3, 1, 2))
    assert clip.fps == pytest.approx(12)


def test_convert_takes_folders_and_keeps_their_categories(data: Path) -> None:
    write_clip(data / "in" / "a" / "x.mp4", scene(0), fps=25)
    for number, picture in enumerate(scene(1)):
        path = data / "in" / "b" / "y" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    assert main(["convert", "in", "-o", "out", "--fps", "25"]) == 0
    assert read_clip(data / "out/a/x.mkv").fps == pytest.approx(25)
    assert np.array_equal(read_clip(data / "out/b/y.mkv").frames.numpy(), scene(1).transpose(0, 3, 1, 2))
    assert main(["convert", "in", "-o", "shown", "--fps", "25", "--preview"]) == 0
    shown = read_clip(data / "shown" / "b" / "y.mp4")
    assert (shown.total, shown.fps) == (8, pytest.approx(25))


def test_no_clip_is_given_another_rate_and_none_is_made_up(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(data / "in" / "x.mp4", scene(0), fps=24)
    np.savez(data / "in" / "y.npz", video=scene(1))
    assert main(["convert", "in", "-o", "out", "--fps", "8"]) == 1
    said = capsys.readouterr()
    assert "x.mp4: the file says 24 frames per second, not 8" in said.err
    assert "1 clip written" in said.out
    assert main(["convert", "in", "-o", "out"]) == 1
    assert "y.npz: nothing says its rate: give --fps" in capsys.readouterr().err


def test_what_cannot_be_read_is_named_and_the_others_are_written(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(data / "data/clips/sport_1.npz", video=np.full((4, 8, 8, 3), np.nan))
    assert main(["frames", "data/manifest.jsonl", "-o", "frames", *RENAME]) == 1
    said = capsys.readouterr()
    assert "sport_1.npz: the array has values from nan" in said.err
    assert len(read_rows(data / "frames" / "starting_frames_manifest.jsonl")) == 5


def test_an_array_that_is_no_clip_is_named_and_the_others_are_converted(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(data / "data/clips/sport_1.npz", video=np.full((4, 8, 8, 3), np.nan))
    whole = (data / "data/clips/sport_2.npz").read_bytes()
    (data / "data/clips/sport_2.npz").write_bytes(whole[: len(whole) // 2])
    assert main(["convert", "data/manifest.jsonl", "-o", "out", *RENAME]) == 1
    said = capsys.readouterr()
    assert "4 clips written to out" in said.out
    first, second = said.err.splitlines()
    assert "sport_1.npz: the array has values from nan" in first
    assert "sport_2.npz: " in second
    assert sorted(path.stem for path in (data / "out").rglob("*.*")) == [
        "cooking_0",
        "cooking_1",
        "cooking_2",
        "sport_0",
    ]


@pytest.mark.parametrize("command", ["frames", "convert"])
def test_a_disk_that_takes_no_file_is_one_message_and_no_half_file(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("pytest_vidmetrics.core.files.os.replace", full)
        assert main([command, "data/manifest.jsonl", "-o", "out", *RENAME]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "No space left on device" in said
    assert not [path for path in (data / "out").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("change", "args", "said"),
    [
        ({"video_id": "../../escape"}, RENAME, "is not the name of a file"),
        ({"category": ".."}, RENAME, "is not the name of a file"),
        ({"video_id": "COOKING_0", "category": "cooking"}, RENAME, "have one name"),
        ({}, RENAME[:2], "the row has no video: say which key it is with --rename KEY=video"),
        ({}, [*RENAME, "--rename", "x"], "expected THEIRS=OURS"),
        ({}, [*RENAME, "--samples-per-category", "0"], "at least 1"),
    ],
)
def test_what_makes_no_sense_is_one_error(
    data: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], args: list[str], said: str
) -> None:
    path = data / "data" / "manifest.jsonl"
    rows = read_rows(path)
    rows[-1] |= change
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["frames", str(path), "-o", "frames", *args]) == 2
    assert said in capsys.readouterr().err
    assert not (data / "frames").exists()


def test_array_and_lossless_video_are_the_same_pixels(data: Path) -> None:
    assert main(["convert", "data/clips/sport_2.npz", "-o", "out", "--fps", "12"]) == 0
    array, video = read_clip(data / "data/clips/sport_2.npz"), read_clip(data / "out/sport_2.mkv")
    assert np.array_equal(array.frames.numpy(), video.frames.numpy())
    assert (array.total, array.indices) == (video.total, video.indices)
