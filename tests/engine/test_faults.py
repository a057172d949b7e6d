"""Samples, features and details that nothing can be made of: named, and never left out without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from tests.support.clips import scene, write_clip

ROWS = {
    "none": np.ones((0, 3)),
    "no columns": np.ones((2, 0)),
    "three axes": np.ones((2, 2, 2)),
    "not finite": np.array([[1.0, np.nan]]),
}
WIDE = np.ones((2, 5))


class Rows(SetMetric):
    """A set metric whose features of a clip come with the sample."""

    requires: ClassVar[tuple[str, ...]] = ("video",)

    def features(self, sample: Mapping[str, Any]) -> np.ndarray:
        return ROWS.get(sample["text_prompt"], WIDE) if "text_prompt" in sample else np.ones((1, 3))

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        return MetricResult(self.name, float(len(candidate.rows)), {"n_generated": len(candidate.ids)})


class Detailed(BaseMetric):
    """A metric that returns what it is given."""

    requires_reference: ClassVar[bool] = False
    neutral: ClassVar[frozenset[str]] = frozenset({"result"})

    def __init__(self, result: Any = None) -> None:
        self._result = result

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        return self._result  # type: ignore[no-any-return]


@pytest.fixture
def evaluator(metrics: dict[str, Any]) -> Iterator[Evaluator]:
    register("fake.rows")(Rows)
    with Evaluator("fake.rows", "cpu") as made:
        yield made


def sample(**more: Any) -> dict[str, Any]:
    return {"video": torch.zeros(2, 3, 16, 16), "reference": torch.zeros(2, 3, 16, 16), **more}


@pytest.mark.parametrize(("wrong", "named"), [(None, "None"), ("abc", "a str"), (["abc"], "a list")])
@pytest.mark.parametrize("lazy", [False, True])
def test_what_is_no_sample_does_not_end_the_list(evaluator: Evaluator, wrong: Any, named: str, lazy: bool) -> None:
    samples = [sample(), wrong, sample()]
    with pytest.raises(TypeError, match=rf"^samples\[1\] is {named}: expected a dict$"):
        evaluator.evaluate(iter(samples) if lazy else samples)


@pytest.mark.parametrize("rows", ROWS)
def test_a_clip_without_usable_features_is_counted_as_failed(evaluator: Evaluator, rows: str) -> None:
    found = evaluator.evaluate([sample(), sample(), sample(text_prompt=rows)])
    assert found[2]["fake.rows"].status == "failed"
    assert "features" in found[2]["fake.rows"].reason
    assert found.corpus["fake.rows"].score == 2
    assert found.corpus["fake.rows"].details["failed"] == 1


def test_features_of_two_sizes_are_named_by_their_clips(evaluator: Evaluator) -> None:
    found = evaluator.evaluate([sample(id="a"), sample(id="b", text_prompt="wide"), sample(id="c")])
    assert found.corpus["fake.rows"].reason.endswith("b has features of the shape (2, 5), a of the shape (1, 3)")


@pytest.mark.parametrize("rows", ROWS)
def test_rows_that_a_set_cannot_use_are_not_stored(rows: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", scene(0))
    (outcome,) = EvalWorker(FileStore(tmp_path / "store")).fill({"video": str(clip), "text_prompt": rows}, [Rows()])
    assert outcome.rows is None
    assert outcome.problem is not None
    assert outcome.problem.status == "failed"
    assert "features" in outcome.problem.reason


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            MetricResult("d", 1.0, {"a": np.float32(1)}),
            "details must hold JSON values: details['a'] is a float32",
        ),
        (
            MetricResult("d", 1.0, {"a": [{"b": np.zeros(2)}]}),
            "details must hold JSON values: details['a'][0]['b'] is an ndarray",
        ),
        (
            MetricResult("d", 1.0, {"a": float("inf")}),
            "details must hold JSON values: details['a'] is inf, not a finite number",
        ),
        (MetricResult("d", 1.0, {"a": {1: 2}}), "details must hold JSON values: details['a'] has the key 1, an int"),
        (0.5, "the metric returned a float, not a MetricResult"),
    ],
)
def test_a_result_that_cannot_be_stored_says_why(result: Any, reason: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", scene(0))
    (outcome,) = EvalWorker(FileStore(tmp_path / "store")).fill({"video": str(clip)}, [Detailed(result)])
    assert outcome.problem is not None
    assert (outcome.problem.status, outcome.problem.reason) == ("failed", reason)


def test_unloading_while_clips_are_scored_is_refused(evaluator: Evaluator) -> None:
    def samples() -> Iterator[dict[str, Any]]:
        yield sample()
        evaluator.unload()
        yield sample()

    with pytest.raises(RuntimeError, match="evaluate\\(\\) is running"):
        evaluator.evaluate(samples())
    assert evaluator.evaluate([sample(), sample()]).corpus["fake.rows"].score == 2
    evaluator.unload()
    assert evaluator.metric_names == []


@pytest.mark.parametrize("device", ["cudda", "cudax", "cuda:", "cuda:x", "gpu", "", "cpu:x"])
def test_a_device_that_does_not_exist_is_refused_at_once(evaluator: Evaluator, device: str) -> None:
    with pytest.raises(ValueError, match=rf"^device '{device}': expected .*'cuda' or 'cuda:N'$"):
        Evaluator("fake.rows", device)
