"""One sample, many metrics, one decode; keys by content; failures that cost only themselves."""

from __future__ import annotations

import shutil

import pytest

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import get_metric
from tests.support.clips import scene, write_clip


class Count(BaseMetric):
    name = "count"
    requires_reference = False

    def __init__(self, frames: int | None = None, version: int = 1) -> None:
        self.wanted, self.version_of = frames, version
        self.seen: list[tuple[int, ...]] = []

    def params(self):
        return {"frames": self.wanted, "version": self.version_of}

    def frames(self) -> FrameRequest:
        return FrameRequest(self.wanted)

    def compute(self, sample) -> MetricResult:
        self.seen.append(tuple(sample["video"].shape))
        assert float(sample["video"].max()) <= 1.0
        assert sample["fps"] == pytest.approx(12)
        return MetricResult(self.name, float(len(sample["video"])))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", scene(0))


@pytest.fixture
def worker(tmp_path) -> EvalWorker:
    return EvalWorker(FileStore(tmp_path / "store"))


def test_metrics_share_one_decode_and_get_the_frames_they_asked_for(worker, clip) -> None:
    metrics = [Count(), Count(3), Count(1)]
    outcomes = worker.fill({"video": str(clip)}, metrics)
    assert [outcome.result.score for outcome in outcomes] == [8.0, 3.0, 1.0]
    assert worker.counts.decoded == 1
    assert worker.counts.computed == 3


def test_the_key_is_content_not_the_name(worker, clip, tmp_path) -> None:
    worker.fill({"video": str(clip)}, [Count()])
    copy = tmp_path / "another name.mp4"
    shutil.copy(clip, copy)
    worker.fill({"video": str(copy)}, [Count()])
    assert (worker.counts.computed, worker.counts.reused) == (1, 1)
    write_clip(copy, scene(5))
    worker.fill({"video": str(copy)}, [Count()])
    assert worker.counts.computed == 2


def test_parameters_are_part_of_the_key(worker, clip) -> None:
    for metric in (Count(), Count(version=2), Count(frames=2)):
        worker.fill({"video": str(clip)}, [metric])
    assert worker.counts.computed == 3


def test_sample_values_that_a_metric_reads_are_part_of_its_key(worker, clip) -> None:
    class Prompted(Count):
        requires = ("video", "text_prompt")

    for prompt in ("a cat", "a dog", "a cat"):
        worker.fill({"video": str(clip), "text_prompt": prompt}, [Prompted()])
    for other in (1, 2):  # not read, not part of the key
        worker.fill({"video": str(clip), "text_prompt": "a cat", "language": str(other)}, [Prompted()])
    assert worker.counts.computed == 2


def test_a_missing_key_is_a_skip_with_the_reason_and_decodes_nothing(worker, clip) -> None:
    (outcome,) = worker.fill({"video": str(clip)}, [get_metric("common.psnr")])
    assert outcome.result.status == "skipped"
    assert outcome.result.reason == "the sample has no reference"
    assert worker.counts.decoded == 0


def test_failures_are_not_stored(worker, clip) -> None:
    class Flaky(Count):
        name = "flaky"
        calls = 0

        def compute(self, sample) -> MetricResult:
            Flaky.calls += 1
            if Flaky.calls == 1:
                raise RuntimeError("out of luck")
            return MetricResult(self.name, 1.0)

    first = worker.fill({"video": str(clip)}, [Flaky()])[0].result
    assert (first.status, "out of luck" in first.reason) == ("failed", True)
    assert worker.fill({"video": str(clip)}, [Flaky()])[0].result.score == 1.0


def test_one_failing_metric_costs_the_others_nothing(worker, clip) -> None:
    class Broken(Count):
        name = "broken"

        def compute(self, sample) -> MetricResult:
            raise KeyError("nothing")

    broken, fine = worker.fill({"video": str(clip)}, [Broken(), Count()])
    assert broken.result.status == "failed"
    assert fine.result.score == 8.0


def test_reading_only_says_what_is_not_stored(tmp_path, clip) -> None:
    store = FileStore(tmp_path / "store")
    judge = EvalWorker(store, compute=False)
    assert judge.fill({"video": str(clip)}, [Count()])[0].result.status == "failed"
    EvalWorker(store).fill({"video": str(clip)}, [Count()])
    assert judge.fill({"video": str(clip)}, [Count()])[0].result.score == 8.0
    assert judge.counts.decoded == 0


def test_set_metrics_of_one_extractor_share_their_rows(worker, clip) -> None:
    metrics = [get_metric("common.fvd", extractor="motion_energy"), get_metric("common.kvd", extractor="motion_energy")]
    first, second = worker.fill({"video": str(clip)}, metrics)
    assert first.rows.tobytes() == second.rows.tobytes()
    assert worker.counts.computed == 1


def test_a_clip_is_read_once_for_the_jobs_in_memory_and_freed_with_the_last(worker, clip) -> None:
    values = {"video": str(clip)}
    first = worker.prepare(Job((Unit(values, [Count()]), Unit(values, [Count(2)]))))
    second = worker.prepare(Job((Unit(values, [Count(4)]),)))
    assert [outcome.result.score for item in (first, second) for (outcome,) in worker.run(item)] == [8.0, 2.0, 4.0]
    assert worker.counts.decoded == 1
    first.release()
    second.release()
    worker.fill(values, [Count(5)])
    assert worker.counts.decoded == 2


def test_a_clip_that_is_replaced_while_it_is_scored_is_not_stored(worker, clip, tmp_path) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(clip, path)

    class Replaced(Count):
        name = "replaced"

        def compute(self, sample) -> MetricResult:
            if sample.get("swap"):
                write_clip(path, scene(7))
            return MetricResult(self.name, float(sample["video"].mean()))

    result = worker.fill({"video": str(path), "swap": True}, [Replaced()])[0].result
    assert (result.status, result.reason) == ("failed", "a file changed while it was being scored: run again")
    assert not list(worker.store.root.glob("results/*/*.json"))
    now = worker.fill({"video": str(path)}, [Replaced()])[0].result.score
    assert now != worker.fill({"video": str(clip)}, [Replaced()])[0].result.score


def test_a_metric_that_cannot_be_set_up_fails_and_is_not_tried_for_every_clip(worker, clip, tmp_path) -> None:
    class Broken(Count):
        name = "broken setup"
        tries = 0

        def setup(self) -> None:
            Broken.tries += 1
            raise MemoryError("no room for the network")

    other = write_clip(tmp_path / "b.mp4", scene(1))
    for path in (clip, other):
        broken, fine = worker.fill({"video": str(path)}, [Broken(), Count()])
        assert (broken.result.status, broken.result.reason) == ("failed", "MemoryError: no room for the network")
        assert fine.result.score == 8.0
    assert Broken.tries == 1


def test_weights_are_those_of_the_first_look(worker, clip, tmp_path) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"one")

    class Weighted(Count):
        name = "weighted"

        def weights_files(self):
            return (Weights("net", str(weights)),)

    assert worker.fill({"video": str(clip)}, [Weighted()])[0].result.score == 8.0
    weights.write_bytes(b"another")
    result = worker.fill({"video": str(clip)}, [Weighted()])[0].result
    assert result.status == "failed"
    assert "the weights net changed during the run" in result.reason
    assert EvalWorker(worker.store).fill({"video": str(clip)}, [Weighted()])[0].result.score == 8.0
