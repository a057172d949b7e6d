"""vbench.scene as a gate: from clips and a prompt list to the verdict."""

from __future__ import annotations

import json

import pytest

from tests.support.clips import write_clip
from tests.support.oracle_fill import clip_uint8
from tests.support.tag2text_weights import write_weights

MANIFEST = """\
schema = 1

[case.places]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "first"
samples = "samples.jsonl"
metrics = ["vbench.scene", "vbench.temporal_flickering"]
"""


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name, value in write_weights(pytester.path / "weights").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(pytester.path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    rows = []
    for i in range(2):
        write_clip(pytester.path / "clips" / "first" / f"{i}.mp4", clip_uint8(8, 48, 64, i))
        # Every made-up word begins with "tok"; a scene that no caption names scores 0.
        rows.append({"id": str(i), "auxiliary_info": {"scene": {"scene": "tok" if i else "alley"}}})
    (pytester.path / "samples.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    (pytester.path / "places.vidmetrics.toml").write_text(MANIFEST)
    pytester.makeini("[pytest]")
    return pytester


@pytest.mark.slow
def test_a_gate_on_scenes(bench: pytest.Pytester) -> None:
    options = ("-p", "no:randomly", "--vidmetrics=vbench.scene")
    bench.runpytest_subprocess(*options, "--update-baselines").assert_outcomes(passed=3)
    [path] = bench.path.glob("baselines/**/vbench.scene.json")
    assert json.loads(path.read_text())["score"] == 0.5
    result = bench.runpytest_subprocess(*options)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*vbench.scene*PASS*"])
