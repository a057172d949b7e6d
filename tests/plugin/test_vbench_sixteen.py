"""All sixteen dimensions and the official scores, from a folder of clips and a prompt list to verdicts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.metrics.vbench import totals
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.grit.clip import COUNTER as GRIT_FRAMES
from tests.plugin.conftest import PLAIN
from tests.support.clips import write_clip
from tests.support.grit_weights import changing_clip
from tests.support.oracle_fill import clip_uint8
from tests.support.vbench_weights import shallow_weights

MANIFEST = """\
schema = 1

[case.all]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "first"
samples = "samples.jsonl"
cluster = "text_prompt"
metrics = ["vbench"]
"""
FRAMES, OBJECT_FRAMES = 3, 8
PROMPTS: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[int, int]]] = {
    "a white bird": (
        {
            "object_class": {"object": "car"},
            "multiple_objects": {"object": "car and bird"},
            "color": "white",
            "spatial_relationship": {"object_a": "car", "object_b": "bird", "relationship": "on the left of"},
        },
        ("object_class", "multiple_objects", "color", "spatial_relationship", "aesthetic_quality", "imaging_quality"),
        (48, 64),
    ),
    "a person is riding a bike": (
        {},
        (
            *("human_action", "subject_consistency", "temporal_flickering", "motion_smoothness", "dynamic_degree"),
            "overall_consistency",
        ),
        (128, 136),
    ),
    "an alley, cyberpunk": (
        {"scene": "alley", "appearance_style": "cyberpunk"},
        ("scene", "background_consistency", "appearance_style", "temporal_style"),
        (48, 64),
    ),
}
"""What each prompt asks for, the dimensions that it is for, and the size of its clips."""
GATES = {f"vbench.{name}" for name in (*totals.DIMENSIONS, "quality", "semantic", "total")}


@pytest.fixture(scope="module", autouse=True)
def _unloaded() -> Iterator[None]:
    yield
    shared.clear()


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in shallow_weights().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(pytester.path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini("[pytest]")
    (pytester.path / "all.vidmetrics.toml").write_text(MANIFEST)
    return lambda *args: pytester.runpytest_inprocess(*PLAIN, "--vidmetrics=vbench", *args)


def write_case(folder: Path, clips: int) -> None:
    """Write ``clips`` clips for each prompt, and the rows that say what they should show."""
    rows = []
    for number, (prompt, (info, dimensions, size)) in enumerate(PROMPTS.items()):
        for clip in range(clips):
            id = f"{prompt}-{clip}"
            frames = np.roll(changing_clip(), clip, axis=0) if not number else clip_uint8(FRAMES, *size, clip)
            write_clip(folder / "clips" / "first" / f"{id}.mp4", frames, fps=8, crf=4)
            metrics = [f"vbench.{name}" for name in dimensions]
            rows.append({"id": id, "text_prompt": prompt, "auxiliary_info": info, "metrics": metrics})
    (folder / "samples.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def judged(folder: Path) -> dict[str, tuple[int, str]]:
    """Return how many clips each gate counts, and its verdict."""
    gates = [gate["verdict"] for gate in json.loads((folder / "run.json").read_text())["gates"]]
    return {verdict["metric"]: (verdict["n"], verdict["status"]) for verdict in gates}


def check(run: Any, folder: Path, clips: int) -> None:
    """Record, judge again from the store, and compare with the parts and with the looks that were needed."""
    write_case(folder, clips)
    count = clips * len(PROMPTS)
    before = shared.forwards.copy()
    recorded = run("--update-baselines")
    assert recorded.ret == 0, recorded.stdout.str()
    looks: Counter[Any] = shared.forwards - before
    assert looks[GRIT_FRAMES] == OBJECT_FRAMES * clips  # one look at a frame for four metrics
    assert f"work: {count} decoded" in recorded.stdout.str()

    before = shared.forwards.copy()
    again = run("--vidmetrics-report=run.json")
    assert again.ret == 0, again.stdout.str()
    assert shared.forwards == before
    assert "work: 0 decoded, 0 computed" in again.stdout.str()
    found = judged(folder)
    assert {gate: verdict for gate, (_, verdict) in found.items()} == dict.fromkeys(GATES, "PASS")
    assert all(n == clips for gate, (n, _) in found.items() if gate.removeprefix("vbench.") in totals.DIMENSIONS)
    raw = {name: json.loads(baseline(folder, name))["score"] for name in totals.DIMENSIONS}
    official = totals.totals(raw)
    for name in ("quality", "semantic", "total"):
        assert json.loads(baseline(folder, name))["score"] == pytest.approx(getattr(official, name), abs=1e-6)
    for name in ("object_class", "multiple_objects", "color", "spatial_relationship"):
        assert 0.0 < raw[name] < 1.0, (name, raw[name])


def baseline(folder: Path, gate: str) -> str:
    return (folder / "baselines" / "all" / "all" / f"vbench.{gate}.json").read_text()


def test_sixteen_dimensions_and_the_total_of_three_prompts(run: Any, pytester: pytest.Pytester) -> None:
    check(run, pytester.path, 1)


@pytest.mark.slow
def test_sixteen_dimensions_and_the_total_of_three_prompts_with_five_clips(run: Any, pytester: pytest.Pytester) -> None:
    check(run, pytester.path, 5)
