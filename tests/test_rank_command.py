"""``vidmetrics rank``: folders of clips, and run records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from pytest_vidmetrics.gates.record import write_record
from pytest_vidmetrics.report.build import write_report
from tests.support.clips import noisy, scene, write_clip
from tests.support.run_records import CASE, gate, record


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


def scored(offset: float, count: int = 8) -> dict[str, float]:
    return {f"v{n}": 30.0 + n / 4 - offset + (n % 3) / 50 for n in range(count)}


def test_records_of_several_runs_are_ranked_gate_by_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run each, as several checkpoints or methods in jobs of their own leave them; a page is a record too."""
    monkeypatch.chdir(tmp_path)
    for name, offset in (("a", 0.0), ("b", 4.0)):
        gates = [gate("common.psnr", scored(offset), {}), gate("common.ssim", scored(offset), {})]
        write_record(tmp_path / f"{name}.json", record(gates), tmp_path)
    lost = replace(gate("common.ssim", {}, {}, status="UNAVAILABLE"), scores=None)
    third = record([gate("common.psnr", scored(4.01), {}), lost])
    write_report(tmp_path / "c.html", third, tmp_path, record_name="c.html")
    command = ["rank", "a.json", "mine=b.json", "c.html", "-o", "out"]
    assert main(command) == 1, "one gate cannot be ranked"
    text = capsys.readouterr().out
    assert f"{CASE}: common.ssim: not ranked: c: UNAVAILABLE" in text
    tree = json.loads((tmp_path / "out" / "ranking.json").read_text())["cases"][CASE]
    ranks = {one["method"]: one["rank"] for one in tree["gates"]["common.psnr"]["methods"]}
    assert (ranks["a"], min(ranks["mine"], ranks["c"])) == (1, 2)
    assert "c: UNAVAILABLE" in tree["not_ranked"]["common.ssim"]
    assert "a" in (tmp_path / "out" / "ranking.md").read_text()
    # Other samples are refused, or said.
    write_record(tmp_path / "b.json", record([gate("common.psnr", scored(4.0, 7), {})]), tmp_path)
    assert main(["rank", "a.json", "b.json"]) == 1
    said = capsys.readouterr().out
    assert "have other samples: v7" in said
    assert "common.ssim: not ranked: b has no such gate" in said
    # A record of another version is one message.
    (tmp_path / "b.json").write_text((tmp_path / "b.json").read_text().replace('"schema": 1', '"schema": 2'))
    assert main(["rank", "a.json", "b.json"]) == 2
    assert "b.json: not a run record of schema 1: it has schema 2" in capsys.readouterr().err


def test_the_methods_of_one_record_are_ranked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gates = [
        replace(gate("m", scored(offset), {}, case=f"b.toml::i2v::{name}"), file=f"b/i2v/{name}/m.json")
        for name, offset in (("ltx", 4.0), ("wan", 0.0))
    ]
    write_record(tmp_path / "run.json", record(gates), tmp_path)
    assert main(["rank", "run.json", "--json"]) == 0
    methods = json.loads(capsys.readouterr().out)["cases"]["b.toml::i2v"]["gates"]["m"]["methods"]
    assert [(one["method"], one["rank"]) for one in methods] == [("wan", 1), ("ltx", 2)]


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
