"""``vidmetrics rank``: folders of clips, and run records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from tests.support.clips import noisy, scene, write_clip


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    for number in range(8):
        still = scene(number)
        place = f"{'ab'[number % 2]}/v{number}.mp4"
        write_clip(tmp_path / "reference" / place, still)
        write_clip(tmp_path / "good" / place, noisy(still, 2.0, seed=number))
        write_clip(tmp_path / "bad" / place, noisy(still, 30.0, seed=number))
    return tmp_path


def test_folders_are_scored_and_ranked(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["rank", "good", "worse=bad", "--reference", "reference", "--metrics", "common.psnr", "-o", "out"]
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "good against worse: ranking by common.psnr (higher is better, 8 independent samples)" in text
    tree = json.loads((folders / "out" / "ranking.json").read_text())
    found = tree["cases"]["good against worse"]["gates"]["common.psnr"]
    assert [(one["method"], one["rank"]) for one in found["methods"]] == [("good", 1), ("worse", 2)]
    (folders / "bad" / "a" / "v0.mp4").unlink()
    assert main(command) == 1
    assert "not ranked: common.psnr: good and worse have other samples: a-v0" in capsys.readouterr().out
    assert main([*command, "--common", "intersect"]) == 0
    assert "ranked on the 7 samples that all methods have" in capsys.readouterr().out


def test_names_that_hold_the_method_are_read_by_a_pattern(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file is renamed: the guide's names are ``<id>_<method>.mp4``."""
    for method in ("good", "bad"):
        for clip in sorted(folders.joinpath(method).rglob("*.mp4")):
            clip.rename(clip.with_stem(f"{clip.stem}_{method}"))
    tail = ["--reference", "reference", "--metrics", "common.psnr"]
    assert main(["rank", "good", "bad", *tail]) == 2
    said = capsys.readouterr().err
    assert "good: 8 clips have no reference of their name: a-v0_good" in said
    assert "'good=good/{category}/{id}_good.mp4'" in said
    assert main(["rank", *(f"{one}={one}/{{category}}/{{id}}_{one}.mp4" for one in ("good", "bad")), *tail]) == 0
    assert "ranking by common.psnr (higher is better, 8 independent samples)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["good", "bad"], "say by which metrics"),
        (["good", "x=good", "x=bad"], "two methods have one name"),
        (["good", "run.json"], "either folders of clips or run records"),
        (["good", "bad", "--metrics", "common.psnr", "--alpha", "2"], "--alpha is above 0"),
        (["good", "nowhere", "--metrics", "common.psnr"], "nowhere"),
        (["good", "x=bad/{id}_x.mp4", "--metrics", "common.psnr"], "'bad/{id}_x.mp4' matches no file"),
    ],
)
def test_what_makes_no_sense_is_one_error(
    folders: Path, args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rank", *args]) == 2
    assert said in capsys.readouterr().err
