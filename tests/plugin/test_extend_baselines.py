"""Baselines that grow: samples are added, removed or changed, and the others stay gated."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts
from tests.support.baselines import edit_baseline
from tests.support.clips import noisy, scene, write_clip

PROBE = """
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

class Probe(BaseMetric):
    requires = ("video", "text_prompt")

    def compute(self, sample):
        apart = (sample["video"] - sample["reference"]).abs().mean().item()
        return MetricResult(self.name, len(sample["text_prompt"]) - apart)

def pytest_vidmetrics_register_metrics(registry):
    registry.register("probe.said")(Probe)
"""
LISTED = MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"probe.said"')
WITH_PROMPTS = LISTED.replace("[case.demo]\n", '[case.demo]\nsamples = "samples.jsonl"\n')
FIVE = {"a": "a dog", "b": "a cat", "c": "the sea", "d": "a street", "e": "two people"}


@pytest.fixture
def said(bench: Bench) -> Bench:
    """Return a bench of four clips with prompts and one gate, which is recorded."""
    bench.pytester.makeconftest(PROBE)
    bench.manifest(WITH_PROMPTS)
    _list(bench, {id: FIVE[id] for id in "abcd"})
    bench.run("--update-baselines").assert_outcomes(passed=5)
    return bench


def _list(bench: Bench, prompts: Mapping[str, str]) -> None:
    rows = [{"id": id, "text_prompt": prompt} for id, prompt in prompts.items()]
    (bench.root / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _add(bench: Bench, name: str) -> None:
    write_clip(bench.root / "clips" / "reference" / f"{name}.mp4", scene(7))
    write_clip(bench.candidate(name), noisy(scene(7), 3.0))


def _samples(bench: Bench) -> dict[str, str]:
    """Return the recorded scores as they are written, digit by digit."""
    tree = json.loads((bench.baselines / "probe.said.json").read_text(), parse_float=str, parse_int=str)
    assert tree["inputs"].keys() == tree["samples"].keys()
    return tree["samples"]


def test_an_added_sample_leaves_the_others_gated_until_it_is_taken_over(said: Bench) -> None:
    before = _samples(said)
    _add(said, "e")
    _list(said, FIVE)
    result = said.run()
    assert verdicts(result) == {"probe.said": "STALE"}
    result.stdout.fnmatch_lines(
        [
            "*sample set: 1 new (e)*",
            "*on the 4 samples of both: PASS, within the margin*",
            "*--extend-baselines takes that over (1 sample added (e)) and keeps the recorded values of the others*",
        ]
    )
    assert "reference clips have other content" not in result.stdout.str()
    result = said.run("--extend-baselines")
    assert verdicts(result) == {"probe.said": "UPDATED"}
    result.stdout.fnmatch_lines(["*the baseline is extended: 1 sample added (e)*"])
    after = _samples(said)
    assert {id: after[id] for id in before} == before
    assert after.keys() == FIVE.keys()
    assert verdicts(said.run()) == {"probe.said": "PASS"}


def test_a_change_within_the_margin_is_not_recorded_by_the_way(said: Bench) -> None:
    said.manifest(WITH_PROMPTS.replace("abs = 0.001", "abs = 0.5"))
    before = _samples(said)
    said.degrade("b", 6.0)
    _add(said, "e")
    _list(said, FIVE)
    said.run("--extend-baselines", "-k", "said")
    after = _samples(said)
    assert {id: after[id] for id in before} == before
    assert "e" not in after, "a margin that was widened needs a reason first"
    said.manifest(WITH_PROMPTS.replace("abs = 0.001", 'abs = 0.5\nreason = "noisier machines"'))
    assert verdicts(said.run("--extend-baselines")) == {"probe.said": "UPDATED"}
    after = _samples(said)
    assert {id: after[id] for id in before} == before
    assert "e" in after


def test_an_added_sample_does_not_hide_that_another_got_worse(said: Bench) -> None:
    before = _samples(said)
    said.degrade("b")
    _add(said, "e")
    _list(said, FIVE)
    said.run().stdout.fnmatch_lines(["*on the 4 samples of both: REGRESSED, worse by*"])
    result = said.run("--extend-baselines")
    assert verdicts(result) == {"probe.said": "REGRESSED"}
    result.stdout.fnmatch_lines(["*not extended, the 4 samples of both sides say: worse by*"])
    assert _samples(said) == before


def test_a_removed_sample_is_never_silent(said: Bench) -> None:
    before = _samples(said)
    for folder in ("candidate", "reference"):
        (said.root / "clips" / folder / "d.mp4").unlink()
    _list(said, {id: FIVE[id] for id in "abc"})
    result = said.run()
    assert verdicts(result) == {"probe.said": "STALE"}
    result.stdout.fnmatch_lines(["*sample set: 1 gone (d)*", "*on the 3 samples of both: PASS*"])
    result = said.run("--extend-baselines")
    result.stdout.fnmatch_lines(["*the baseline is extended: 1 sample removed (d)*"])
    after = _samples(said)
    assert after == {id: before[id] for id in "abc"}
    assert verdicts(said.run()) == {"probe.said": "PASS"}


def test_another_prompt_is_said_as_that(said: Bench) -> None:
    before = _samples(said)
    _list(said, {**{id: FIVE[id] for id in "abcd"}, "c": "the sea at night"})
    result = said.run()
    assert verdicts(result) == {"probe.said": "STALE"}
    result.stdout.fnmatch_lines(
        [
            "*sample set: 1 with other prompts, values or references (c)*",
            "*on the 3 samples of both: PASS*",
        ]
    )
    assert "reference set" not in result.stdout.str()
    result = said.run("--extend-baselines")
    result.stdout.fnmatch_lines(["*the baseline is extended: 1 sample changed (c)*"])
    after = _samples(said)
    assert {id: after[id] for id in "abd"} == {id: before[id] for id in "abd"}
    assert float(after["c"]) > float(before["c"])


def test_another_reference_is_said_as_that(said: Bench) -> None:
    write_clip(said.root / "clips" / "reference" / "a.mp4", scene(9))
    result = said.run()
    assert verdicts(result) == {"probe.said": "STALE"}
    result.stdout.fnmatch_lines(
        ["*reference set: the reference clips have other content: a*", "*on the 3 samples of both: PASS*"]
    )


def test_without_what_clips_were_scored_with_nothing_is_taken_over(said: Bench) -> None:
    edit_baseline(said.baselines / "probe.said.json", {"inputs": {}})
    before = (said.baselines / "probe.said.json").read_bytes()
    assert verdicts(said.run()) == {"probe.said": "PASS"}
    _add(said, "e")
    _list(said, FIVE)
    result = said.run("--extend-baselines")
    assert verdicts(result) == {"probe.said": "STALE"}
    assert (said.baselines / "probe.said.json").read_bytes() == before


def test_sets_are_not_compared_in_part(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace('"vbench.temporal_flickering"', '"fvd_motion"') + _MOTION)
    bench.run("--update-baselines").assert_outcomes(passed=6)
    assert bench.baseline("fvd_motion")["inputs"] == {}
    _add(bench, "e")
    result = bench.run("--extend-baselines")
    assert verdicts(result) == {"common.psnr": "UPDATED", "fvd_motion": "STALE"}


_MOTION = """
[case.demo.metric.fvd_motion]
use = "common.fvd"
extractor = "motion_energy"
"""
