"""One engine: `vidmetrics score`, a fixture and a gate give the same bits on clips of the quickstart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import Bench

CLIPS = Path(__file__).parents[2] / "examples" / "quickstart" / "clips"
NAMES = ("checker", "clock", "pendulum", "rain", "waves")
BY_CLIP = ("common.psnr", "common.ssim", "vbench.temporal_flickering")
OF_SET = "common.fvd"
MANIFEST = f"""
schema = 1

[case.demo]
video = "clips/candidate/*.mp4"
reference = "clips/reference/*.mp4"
metrics = {json.dumps([*BY_CLIP, OF_SET])}

[case.demo.metric."{OF_SET}"]
extractor = "motion_energy"
"""
TEST = f"""
import json

def test_scores(vidmetrics, vidmetrics_samples):
    samples = vidmetrics_samples("bench.vidmetrics.toml", "demo")
    results = vidmetrics(*{BY_CLIP!r}).evaluate([sample.values for sample in samples])
    found = {{
        name: {{sample.id: result[name].score for sample, result in zip(samples, results, strict=True)}}
        for name in {BY_CLIP!r}
    }}
    open("fixture.json", "w").write(json.dumps(found))
"""


@pytest.fixture
def quickstart(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    shutil.rmtree(bench.root / "clips")
    for role in ("candidate", "reference"):
        (bench.root / "clips" / role).mkdir(parents=True)
        for name in NAMES:
            shutil.copy(CLIPS / role / f"{name}.mp4", bench.root / "clips" / role)
    bench.manifest(MANIFEST)
    monkeypatch.chdir(bench.root)
    return bench


def test_score_fixture_and_gate_give_the_same_bits(quickstart: Bench) -> None:
    quickstart.pytester.makepyfile(TEST)
    quickstart.run("--vidmetrics-report=record.json")
    record = json.loads((quickstart.root / "record.json").read_text())
    gates = {gate["gate"].rsplit("::", 1)[1]: gate["scores"] for gate in record["gates"]}
    fixture = json.loads((quickstart.root / "fixture.json").read_text())

    chosen = f"--metrics={','.join([*BY_CLIP, OF_SET])}"
    paths = ["clips/candidate", "--reference", "clips/reference", "--output=score.json"]
    assert main(["score", *paths, chosen, "--param", f"{OF_SET}:extractor=motion_energy"]) == 0
    score = json.loads((quickstart.root / "score.json").read_text())
    script = {
        name: {Path(row["video"]).stem: row["scores"][name]["score"] for row in score["samples"]} for name in BY_CLIP
    }

    assert gates.keys() == {*BY_CLIP, OF_SET}
    for name in BY_CLIP:
        assert gates[name]["samples"].keys() == set(NAMES)
        assert gates[name]["samples"] == fixture[name] == script[name], name
    of_set = score["corpus"][OF_SET]
    assert gates[OF_SET]["score"] == of_set["score"]
    assert gates[OF_SET]["samples"] == {Path(id).stem: one for id, one in of_set["details"]["influence"].items()}
