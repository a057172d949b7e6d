"""vbench.quality, .semantic and .total as metrics: the leaderboard's formula, complete or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.work import Outcome
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.composite import CompositeMetric, absent_text, present, with_parts
from pytest_vidmetrics.metrics.vbench import totals

ROWS = json.loads((Path(__file__).parents[1] / "data" / "vbench" / "vbench_totals.json").read_text())["rows"]
NAMES = ("vbench.quality", "vbench.semantic", "vbench.total")


def made(name: str) -> CompositeMetric:
    metric = registry.get_metric(name)
    assert isinstance(metric, CompositeMetric)
    return metric


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
@pytest.mark.parametrize("name", NAMES)
def test_published_scores_are_reproduced(name, row):
    metric = made(name)
    raw = {f"vbench.{dimension.replace(' ', '_')}": value for dimension, value in row["dims"].items()}
    found = metric.combine({part: raw[part] for part in metric.parts})
    assert 100 * found == pytest.approx(row["published"][name.removeprefix("vbench.")], abs=0.015)


class Published:
    """What a run on two clips found: each dimension's published score, from clips that lie around it."""

    threads = 1
    digest = staticmethod(digest_file)

    def __init__(self, raw: dict[str, float]) -> None:
        self.raw = raw

    def stream(self, units):
        for unit in units:
            yield [Outcome(self.result(metric.name, unit.values["shift"])) for metric in unit.metrics]

    def result(self, name: str, shift: float) -> MetricResult:
        score = self.raw[name] + shift
        whole = {"video_sim": 8 * score, "cnt_per_video": 8, "frame_results": [score, score], "object_frames": 4}
        return MetricResult(name, score, whole)

    def weights(self, metric):
        return {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_published_scores_come_out_of_a_run_on_clips(row):
    raw = {f"vbench.{dimension.replace(' ', '_')}": value for dimension, value in row["dims"].items()}
    corpus = Corpus((Sample("a", {"shift": 0.05}), Sample("b", {"shift": -0.05})))
    for name in NAMES:
        metric = made(name)
        found = score_corpus(
            metric, corpus, Published(raw), members={part: registry.get_metric(part) for part in metric.parts}
        )
        assert found.problems == ()
        assert found.score is not None
        assert 100 * found.score == pytest.approx(row["published"][name.removeprefix("vbench.")], abs=0.015)
        assert (found.n, set(found.details["raw"])) == (2, set(metric.parts))


@pytest.mark.parametrize("name", NAMES)
def test_the_slopes_are_the_formula(name):
    metric = made(name)
    raw = {part: 0.3 + 0.01 * index for index, part in enumerate(metric.parts)}
    zero = metric.combine(dict.fromkeys(metric.parts, 0.0))
    linear = zero + sum(slope * raw[part] for part, slope in metric.slopes().items())
    assert metric.combine(raw) == pytest.approx(linear, abs=1e-12)
    details = metric.describe(raw)
    assert details["raw"] == raw
    assert set(details["normalised"]) == {part.removeprefix("vbench.") for part in metric.parts}


def test_dynamic_degree_counts_half():
    slopes = made("vbench.quality").slopes()
    assert slopes["vbench.dynamic_degree"] == pytest.approx(0.5 / 6.5)
    assert slopes["vbench.aesthetic_quality"] == pytest.approx(1 / 6.5)


def test_all_sixteen_dimensions_and_the_three_scores_are_provided():
    names = registry.expand(["vbench"])
    assert set(names) == {*NAMES, *(f"vbench.{name}" for name in totals.DIMENSIONS)}
    assert len(names) == 19
    assert set(with_parts(["vbench.total"])) == set(names) - {"vbench.quality", "vbench.semantic"}
    for name in NAMES:
        assert absent_text(made(name)) == ""
        assert present(made(name)) == made(name).parts


def test_a_part_that_is_absent_is_named(monkeypatch):
    class Half(CompositeMetric):
        parts = ("common.psnr", "mine.gone")

    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    registry.register("mine.half")(Half)
    assert absent_text(Half) == "mine.half needs mine.gone, which this version does not have"
    with pytest.raises(KeyError, match=r"'mine\.gone': this version does not provide it, so that mine\.half cannot"):
        registry.metric_class("mine.gone")
    with pytest.raises(KeyError, match=r"unknown metric 'vbench[.]scen'; did you mean 'vbench[.]scene'"):
        registry.metric_class("vbench.scen")


def test_weights_are_those_of_the_parts():
    every = {one for part in present(made("vbench.quality")) for one in registry.get_metric(part).weights_files()}
    assert set(made("vbench.quality").weights_files()) == every
