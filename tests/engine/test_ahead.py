"""Clips are loaded while the one before them is scored, and what was loaded counts only if it is still true."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import loading
from pytest_vidmetrics.engine.ahead import Lookahead
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric
from tests.support.clips import scene, write_clip


class Mean(BaseMetric):
    name = "mean"
    requires_reference = False

    def __init__(self, before: Callable[[str], None] = lambda path: None) -> None:
        self._before = before

    def params(self) -> dict[str, Any]:
        return {}

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        self._before(sample["video_path"])
        return MetricResult(self.name, float(sample["video"].mean()))


class Reads:
    """Which clips were read, in order; a test can wait for one."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._changed = threading.Condition()

    def add(self, path: str) -> None:
        with self._changed:
            self.paths.append(path)
            self._changed.notify_all()

    def wait(self, path: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: path in self.paths, 300), f"{path} was not read"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    found, original = Reads(), loading.read

    def read(value: Any, key: str, requests: Any) -> Any:
        try:
            return original(value, key, requests)
        finally:
            found.add(str(value))

    monkeypatch.setattr(loading, "read", read)
    return found


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    return [str(write_clip(tmp_path / f"{i}.mp4", scene(i))) for i in range(4)]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def job(path: str, metric: BaseMetric) -> Job:
    return Job((Unit({"video": path}, (metric,)),))


def scored(ahead: Lookahead, one: Job) -> MetricResult:
    ((outcome,),) = ahead.run(one)
    assert outcome.result is not None
    return outcome.result


def test_each_clip_is_read_while_the_one_before_is_scored(clips: list[str], reads: Reads) -> None:
    following = dict(itertools.pairwise(clips))
    metric = Mean(before=lambda path: reads.wait(following[path]) if path in following else None)
    jobs = [job(path, metric) for path in clips]
    ahead = Lookahead(EvalWorker(MemoryStore()))
    ahead.announce(jobs)
    found = [scored(ahead, one).score for one in jobs]
    ahead.close()
    # Every clip once; which of two that are loaded at the same time ends first is not promised.
    assert sorted(reads.paths) == clips
    alone = EvalWorker(MemoryStore())
    assert found == [alone.fill({"video": path}, [Mean()])[0].result.score for path in clips]  # type: ignore[union-attr]


def test_a_gate_reads_ahead_of_itself(clips: list[str], reads: Reads) -> None:
    following = dict(itertools.pairwise(clips))
    metric = Mean(before=lambda path: reads.wait(following[path]) if path in following else None)
    units = [Unit({"video": path}, (metric,)) for path in clips]
    outcomes = list(EvalWorker(MemoryStore()).stream(units))
    assert [outcome.result.status for (outcome,) in outcomes if outcome.result] == ["scored"] * 4


def test_a_clip_that_was_replaced_or_appeared_meanwhile_is_read_again(
    clips: list[str], reads: Reads, tmp_path: Path
) -> None:
    absent = str(tmp_path / "later.mp4")
    jobs = [job(path, Mean()) for path in (clips[0], clips[1], absent)]
    worker = EvalWorker(MemoryStore())
    ahead = Lookahead(worker, threads=3)
    ahead.announce(jobs)
    first = scored(ahead, jobs[0])
    reads.wait(clips[1])
    shutil.copy(clips[0], clips[1])
    shutil.copy(clips[0], absent)
    assert [scored(ahead, one) for one in jobs[1:]] == [first, first]
    ahead.close()
    # Both have the content of the first clip, which was scored already.
    assert (worker.counts.computed, worker.counts.reused) == (1, 2)


def test_passed_over_jobs_are_forgotten_and_unknown_ones_are_loaded(clips: list[str], reads: Reads) -> None:
    jobs = [job(path, Mean()) for path in clips]
    worker = EvalWorker(MemoryStore())
    ahead = Lookahead(worker)
    ahead.announce(jobs[:3])
    reads.wait(clips[0])
    assert scored(ahead, jobs[2]).score is not None
    assert scored(ahead, jobs[0]).score is not None  # again, behind its turn
    assert scored(ahead, jobs[3]).score is not None  # never announced
    ahead.close()
    assert worker.counts.computed == 3


def test_memory_is_bounded(clips: list[str], reads: Reads) -> None:
    jobs = [job(path, Mean()) for path in clips]
    ahead = Lookahead(EvalWorker(MemoryStore()), threads=3, max_bytes=1)
    ahead.announce(jobs)
    reads.wait(clips[0])
    ahead.close()
    assert len(reads.paths) == 1
