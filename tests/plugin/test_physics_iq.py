"""Physics-IQ from recordings on disk to a verdict: the benchmark's own corpus score is what a gate compares."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pytest_vidmetrics.metrics.physics_iq.components import corpus
from pytest_vidmetrics.metrics.registry import list_metrics
from tests.plugin.conftest import PLAIN, Bench
from tests.support.physics_release import generate, write_release

MANIFEST = """\
schema = 1
[case.piq]
dataset = "physics_iq"
dataset_root = "release"
video = "{checkpoint}"
checkpoint = "good"
cluster = "scenario"
metrics = ["physics_iq", "mse"]
[case.piq.metric.physics_iq]
duration_seconds = 1
[case.piq.metric.mse]
use = "physics_iq.mse"
duration_seconds = 1
"""


@pytest.fixture
def folder(bench: Bench) -> Path:
    for path in bench.root.glob("*.vidmetrics.toml"):
        path.unlink()
    (bench.root / "piq.vidmetrics.toml").write_text(MANIFEST)
    write_release(bench.root / "release", bench.root / "good")
    return bench.root


def test_record_pass_regress(bench: Bench, folder: Path) -> None:
    first = bench.run("--update-baselines")
    first.assert_outcomes(passed=5)
    first.stdout.fnmatch_lines(["work: 9 decoded, 6 computed, *"])
    recorded = json.loads((folder / "baselines/piq/piq/physics_iq.json").read_text())
    scores = list(recorded["samples"].values())
    assert len(scores) == 3
    assert all(50 < score <= 100 for score in scores)
    stored = (json.loads(path.read_text())["body"] for path in (folder / "cache").rglob("results/*/*.json"))
    details = [body["details"] for body in stored if body["name"] == "physics_iq"]
    assert recorded["score"] == corpus(details, "upstream")["physics_iq"]
    assert {row["scenario"] for row in details} == {"ball-falls", "block-slides"}
    assert {row["masks"]["reference"] for row in details} == {"given"}
    assert bench.run().ret == 0

    generate(folder / "good", 1, shift=30.0)
    worse = bench.run()
    assert worse.ret == pytest.ExitCode.TESTS_FAILED
    worse.stdout.fnmatch_lines(["*REGRESSED: worse by *", "*0002_perspective-right_ball-falls*"])
    # The two takes are compared once per scenario: what is stored serves the new clip.
    assert len(list((folder / "cache").rglob("physics_iq/*/*.json"))) == 3


def test_a_clip_of_another_rate_is_scored_at_that_rate(bench: Bench, folder: Path) -> None:
    for number in range(3):
        generate(folder / "good", number, fps=24)
    bench.run("--update-baselines").assert_outcomes(passed=5)
    recorded = json.loads((folder / "baselines/piq/piq/physics_iq.json").read_text())
    assert math.isfinite(recorded["score"])
    stored = (json.loads(path.read_text())["body"] for path in (folder / "cache").rglob("results/*/*.json"))
    facts = [(body["details"]["fps"], body["details"]["masks"]) for body in stored if body["name"] == "physics_iq"]
    assert facts == [(24.0, {"video": "computed", "reference": "computed"})] * 3


def test_the_aggregate_has_its_own_name_and_leads_the_group(bench: Bench, folder: Path) -> None:
    members = [name for name in list_metrics() if name.startswith("physics_iq")]
    assert len(members) == 5
    (folder / "piq.vidmetrics.toml").write_text(MANIFEST.split("[case.piq.metric")[0].replace(', "mse"', ""))
    shown = bench.pytester.runpytest_inprocess(*PLAIN, "--vidmetrics=all", "--collect-only", "-q").stdout.str()
    assert all(f"::piq::{name}\n" in f"{shown}\n" for name in members)
    alone = MANIFEST.split("[case.piq.metric.mse]")[0].replace('"physics_iq", "mse"', '"aggregate"')
    alone = alone.replace("metric.physics_iq]", "metric.aggregate]\nuse = 'physics_iq'")
    (folder / "piq.vidmetrics.toml").write_text(alone)
    shown = bench.pytester.runpytest_inprocess(*PLAIN, "--vidmetrics=all", "--collect-only", "-q").stdout.str()
    assert [line.split("::piq::")[1] for line in shown.splitlines() if "::piq::" in line and "score[" not in line] == [
        "aggregate"
    ]
