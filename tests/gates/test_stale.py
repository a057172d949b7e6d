"""What a gate says when its baseline was recorded under other conditions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.stale import common, differences, extended
from tests.support.baselines import OWNER

WAS = CorpusScore(
    metric={"name": "m", "version": "1"},
    higher_is_better=True,
    score=2.0,
    samples={"a": 1.0, "b": 2.0, "c": 3.0},
    paths={},
    sample_ids="abc",
    reference="r",
    is_mean=True,
    inputs={"a": "1", "b": "2", "c": "3"},
)
BASELINE = Baseline.of(WAS, OWNER)
OTHER = {"a": "1", "b": "9", "c": "3"}


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        ({}, []),
        ({"inputs": {}}, []),
        ({"sample_ids": "x", "inputs": OTHER}, ["sample set: 1 with other prompts, values or references (b)"]),
        ({"sample_ids": "x", "inputs": {}}, ["sample set: other prompts or values that the metric reads"]),
        ({"reference": "s", "inputs": OTHER}, ["reference set: the reference clips have other content: b"]),
        ({"reference": "s", "inputs": {}}, ["reference set: the reference clips have other content"]),
        ({"reference": "s"}, ["reference set: the reference clips have other content"]),
        # a picture that a clip was made from is among neither the prompts nor the references
        ({"inputs": OTHER}, ["sample set: 1 with other prompts, values or references (b)"]),
        (
            {"sample_ids": "x", "reference": "s", "samples": {"a": 1.0, "d": 0.0}, "inputs": {"a": "1", "d": "4"}},
            ["sample set: 2 gone (b, c); 1 new (d)"],
        ),
        (
            {"metric": {"name": "m", "version": "2"}, "inputs": OTHER},
            ["metric.version: recorded '1', now '2'", "sample set: 1 with other prompts, values or references (b)"],
        ),
    ],
)
def test_each_difference_is_named_once(now: dict[str, object], lines: list[str]) -> None:
    assert differences(BASELINE, replace(WAS, **now)) == lines


def test_the_common_part_has_only_what_was_scored_with_the_same() -> None:
    now = replace(WAS, sample_ids="x", samples={"a": 1.5, "b": 2.0, "d": 9.0}, inputs={"a": "1", "b": "9", "d": "4"})
    both = common(BASELINE, now)
    assert both is not None
    assert both.text() == "1 sample added (d), 1 sample removed (c) and 1 sample changed (b)"
    assert (both.recorded.samples, both.observed.samples) == ({"a": 1.0}, {"a": 1.5})
    grown = extended(BASELINE, now)
    assert (grown.samples, grown.score) == ({"a": 1.0, "b": 2.0, "d": 9.0}, 4.0)


def test_a_recorded_answer_stays_where_a_judge_gives_none_today() -> None:
    now = replace(WAS, sample_ids="x", samples={"a": 1.0, "d": 4.0}, inputs={**WAS.inputs, "d": "4"}, may_miss=True)
    assert extended(BASELINE, now).samples == {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}


@pytest.mark.parametrize(
    "change",
    [
        {"metric": {"name": "m", "version": "2"}},
        {"is_mean": False},
        {"chooses": True},
        {"inputs": {}},
        {"inputs": {"a": "7", "b": "8", "c": "9"}},
    ],
    ids=["metric", "set", "chooses", "not known", "nothing in common"],
)
def test_nothing_is_said_of_a_part_where_it_would_not_hold(change: dict[str, object]) -> None:
    assert common(BASELINE, replace(WAS, sample_ids="x", **change)) is None
