"""The image-to-video example, cut down to six starting frames and one seed: its manifest generates, gates and ranks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import Bench

FOLDER = Path(__file__).parents[2] / "examples" / "i2v"


def test_the_manifest_of_the_example_generates_gates_and_ranks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FOLDER.glob("*.*"):
        shutil.copy(path, bench.root / path.name)
    (bench.root / "bench.vidmetrics.toml").unlink()
    manifest = bench.root / "i2v.vidmetrics.toml"
    text = manifest.read_text().replace("seeds = [0, 1, 2]", "seeds = [0]")
    text = re.sub(r"(?m)^metrics = .*$", 'metrics = ["common.psnr"]', text)
    manifest.write_text(re.sub(r"(?s)\[case\.i2v\.(?:metric|gate).*?(?=\[case\.i2v\.method)", "", text))
    monkeypatch.chdir(bench.root)
    subprocess.run([sys.executable, "make_references.py"], check=True)
    names = ["--samples-per-category", "2", "--rename", "video_id=id", "--rename", "path=video"]
    assert main(["frames", "manifest.jsonl", "-o", "starting_frames", *names]) == 0
    listed = (bench.root / "starting_frames" / "starting_frames_manifest.jsonl").read_text()
    for path in (bench.root / "reference").glob("*/*.mp4"):
        if path.stem not in listed:
            path.unlink()
    first = bench.run("--vidmetrics-generate", "--vidmetrics-ranking=results", "--update-baselines")
    first.assert_outcomes(passed=17)
    tree = json.loads((bench.root / "results" / "ranking.json").read_text())
    found = tree["cases"]["i2v.vidmetrics.toml::i2v"]["gates"]["common.psnr"]
    assert found["methods"][0]["method"] == "sharp"
    again = bench.run("--vidmetrics-generate")
    again.assert_outcomes(passed=17)
    again.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *reused"])
    # A row that names another picture than the one that lies there is refused.
    frame = next((bench.root / "starting_frames").glob("*/*.png"))
    frame.write_bytes(frame.read_bytes() + b"x")
    bench.run().stdout.fnmatch_lines(["*is not the one that its row names by frame_sha256*"])
