"""The page of a run, and accepting its scores: from a real run to files."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import MANIFEST, Bench
from tests.support.clips import noisy, scene, write_clip


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


@pytest.mark.parametrize("target", ["run.json", "run.html", "page"])
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS])
def test_a_report_that_cannot_be_written_is_one_message_and_a_red_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, target: str, fault: int
) -> None:
    bench.manifest(MANIFEST.replace('"common.psnr", ', ""))
    bench.run("--update-baselines")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(fault, os.strerror(fault))

    with monkeypatch.context() as patched:
        patched.setattr("pytest_vidmetrics.gates.record.write_atomic", refuse)
        result = bench.run(f"--vidmetrics-report={target}")
    assert result.ret != pytest.ExitCode.OK
    said = [line for line in result.outlines if "cannot write the report" in line]
    assert said == [f"ERROR: cannot write the report {bench.root / target}: {os.strerror(fault)}"]
    assert not (bench.root / target).exists()
    assert not list(bench.root.glob(f".{target}*"))


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    return json.loads(text.partition('<script type="application/json" id="run">')[2].partition("</script>")[0])


def test_the_clip_of_the_baseline_is_found_by_what_the_store_says_it_scored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the changed clip lie the recorded one, and one that was never scored: only the first is the baseline's."""
    bench.record()
    clips = bench.root / "clips"
    shutil.copytree(clips / "candidate", clips / "worse")
    write_clip(clips / "another" / "b.mp4", noisy(scene(1), 9.0))
    write_clip(clips / "worse" / "b.mp4", noisy(scene(1), 40.0))
    bench.run("--vidmetrics-checkpoint=worse", "--vidmetrics-report=run.html")
    found = data_of(bench.root / "run.html")
    assert found["sides"] == ["candidate", "reference", "baseline"]
    files = {clip[0]: clip[4] for clip in found["clips"]}
    assert files["b"] == ["clips/worse/b.mp4", "clips/reference/b.mp4", "clips/candidate/b.mp4"]
    assert {files[name][2] for name in "acd"} == {None}, "a clip that scores as recorded is the baseline's"
    assert "The baseline&#39;s clip stands beside 1 of 1." in (bench.root / "run.html").read_text()
    assert found["media"]["0"]["baseline"]["kind"] == "video"
    monkeypatch.chdir(bench.root)
    # The command finds it in the store that it is told of, and says so where it finds none.
    store = Path(os.environ["VIDMETRICS_CACHE"]) / "store"
    assert main(["report", "run.html", "-o", "again.html", f"--store={store}"]) == 0
    assert data_of(bench.root / "again.html")["sides"] == found["sides"]
    assert data_of(bench.root / "again.html")["curves"] == found["curves"] != {}
    assert main(["report", "run.html", "-o", "none.html", f"--store={bench.root / 'empty'}"]) == 0
    assert data_of(bench.root / "none.html")["sides"] == ["candidate", "reference"]
    assert "The baseline&#39;s clips are not shown" in (bench.root / "none.html").read_text()
    assert main(["report", "run.html", "-o", "x.html", "--store=ftp://x"]) == 2
    assert not (bench.root / "x.html").exists()


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
