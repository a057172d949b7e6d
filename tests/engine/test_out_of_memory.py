"""A device without memory, and one that is lost: stand-ins for the errors, everything else as it is."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import DeviceLostError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import memory
from pytest_vidmetrics.engine.pool import VideoPool
from pytest_vidmetrics.engine.running import drain
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.flow import memory as flow_memory
from tests.support.clips import write_clip

FULL = torch.OutOfMemoryError("CUDA out of memory: a stand-in")
STICKY = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


class Needs(BaseMetric):
    """Takes as much memory as its chunk is large."""

    name = "needs"
    requires_reference = False

    def __init__(self, chunk_size: int = 8, limit: int = 2) -> None:
        self.chunk_size = chunk_size
        self.limit = limit
        self.tried: list[int] = []

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        self.tried.append(self.chunk_size)
        if self.chunk_size > self.limit:
            raise FULL
        return MetricResult(self.name, float(sample["video"].mean()))


class Whole(BaseMetric):
    """Has no chunk; fails as often as it is told to."""

    name = "whole"
    requires_reference = False

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self.tried = 0

    def params(self) -> dict[str, Any]:
        return {}

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        self.tried += 1
        self._before()
        return MetricResult(self.name, float(sample["video"].mean()))


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(memory, "release", found.append)
    return found


def clip(level: int) -> dict[str, Any]:
    return {"video": torch.full((2, 3, 4, 4), level, dtype=torch.uint8)}


def scored(worker: EvalWorker, metric: BaseMetric, level: int = 255) -> MetricResult:
    result = worker.fill(clip(level), [metric])[0].result
    assert result is not None
    return result


def test_chunks_are_halved_until_they_fit_and_stay_so(released: list[str]) -> None:
    worker, metric = EvalWorker(MemoryStore()), Needs(8)
    assert scored(worker, metric).score == 1.0
    assert metric.tried == [8, 4, 2]
    assert released == ["cpu", "cpu"], "the cache is emptied before another try"
    assert scored(worker, metric, 0).score == 0.0
    assert metric.tried == [8, 4, 2, 2], "the next clip starts where this one fitted"


def test_a_chunk_that_never_fits_is_a_failure_that_says_so(released: list[str]) -> None:
    store = MemoryStore()
    metric = Needs(8, limit=0)
    result = scored(EvalWorker(store), metric)
    assert (result.status, len(metric.tried)) == ("failed", memory.RETRIES + 1)
    assert "out of memory" in result.reason
    metric.limit = 8
    assert scored(EvalWorker(store), metric).score == 1.0, "nothing was kept"


def test_without_a_chunk_another_try_may_do(released: list[str]) -> None:
    fails = iter([True, False])

    def once() -> None:
        if next(fails):
            raise FULL

    metric = Whole(once)
    assert scored(EvalWorker(MemoryStore()), metric).score == 1.0
    assert (metric.tried, released) == (2, ["cpu"])


def test_a_network_that_did_not_fit_is_tried_again_with_the_next_clip(released: list[str]) -> None:
    class Large(Whole):
        fails = 1

        def setup(self) -> None:
            self.fails -= 1
            if self.fails >= 0:
                raise FULL

    worker, metric = EvalWorker(MemoryStore()), Large()
    assert scored(worker, metric).status == "failed"
    assert scored(worker, metric).score == 1.0


def lose() -> None:
    raise STICKY


def test_a_lost_device_ends_its_worker() -> None:
    worker = EvalWorker(MemoryStore())
    kept = scored(worker, Needs(1))
    with pytest.raises(DeviceLostError, match="cpu cannot be used any more: CUDA error: an illegal memory access"):
        scored(worker, Whole(lose))
    assert worker.is_lost
    with pytest.raises(DeviceLostError, match="cannot be used any more"):
        scored(worker, Whole())
    assert scored(worker, Needs(1)) == kept, "what is stored needs no device"


def test_what_a_lost_worker_was_at_is_done_by_another_one() -> None:
    took_one, before = threading.Event(), set(threading.enumerate())

    def tell_and_lose() -> None:
        took_one.set()
        lose()

    good = EvalWorker(MemoryStore())
    bad = EvalWorker(MemoryStore(), instance=lambda metric: Whole(tell_and_lose), share_clips=False)
    metric = Whole(before=lambda: assert_that(took_one.wait(300)))
    jobs = [Job((Unit(clip(level), (metric,)),), level) for level in range(6)]
    found = drain(VideoPool(bad.prepare, iter(jobs)), [bad, good])
    results = {i: found[i][0][0].result for i in range(6)}
    assert [result.score for result in results.values() if result] == pytest.approx([i / 255 for i in range(6)])
    assert (bad.is_lost, good.is_lost) == (True, False)
    assert set(threading.enumerate()) <= before


def assert_that(true: bool) -> None:
    assert true


def test_without_another_worker_the_call_ends() -> None:
    workers = [EvalWorker(MemoryStore(), instance=lambda metric: Whole(lose), share_clips=False) for _ in range(2)]
    jobs = [Job((Unit(clip(level), (Whole(),)),), level) for level in range(6)]
    before = set(threading.enumerate())
    with pytest.raises(DeviceLostError, match="cannot be used any more"):
        drain(VideoPool(workers[0].prepare, iter(jobs)), workers)
    assert set(threading.enumerate()) <= before


class Net:
    """A network: all that matters is whether it is still there."""


class Held(BaseMetric):
    """Keeps a network that it loads for the first clip, as metrics do that declare one."""

    requires_reference = False
    _network: Network[Net] = Network("net-of-tests", "tests.engine.test_out_of_memory:Net")

    def __init__(self, name: str = "held", loader: Callable[[], Net] = Net) -> None:
        self.name, self.loader = name, loader

    def params(self) -> dict[str, Any]:
        return {}

    def setup(self) -> None:
        self._network = shared.load(self.name, "cpu", self.loader)

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        assert self._network
        return MetricResult(self.name, float(sample["video"].mean()))


def room_for_one(others: list[weakref.ref[Net]]) -> Callable[[], Net]:
    """Return a loader that finds no memory while another network is there."""

    def load() -> Net:
        if any(other() is not None for other in others):
            raise FULL
        found = Net()
        others.append(weakref.ref(found))
        return found

    return load


@pytest.fixture
def _no_networks() -> Iterator[None]:
    shared.clear()
    yield
    shared.clear()


@pytest.mark.usefixtures("_no_networks")
@pytest.mark.parametrize("in_setup", [True, False])
def test_a_network_that_does_not_fit_takes_the_place_of_one_of_earlier_clips(in_setup: bool) -> None:
    there: list[weakref.ref[Net]] = []

    class Late(Held):
        def setup(self) -> None:
            if in_setup:
                super().setup()

        def compute(self, sample: Mapping[str, Any]) -> MetricResult:
            return MetricResult(self.name, float(shared.load(self.name, "cpu", self.loader) is not None))

    first, second = Held("first", room_for_one(there)), Late("second", room_for_one(there))
    worker = EvalWorker(MemoryStore())
    assert scored(worker, first).score == 1.0
    assert scored(worker, second).score == 1.0
    assert [one() is None for one in there] == [True, False]
    assert scored(worker, first, 0).score == 0.0, "it is loaded again when it is asked for"
    assert len(there) == 3


@pytest.mark.usefixtures("_no_networks")
def test_the_networks_of_a_clip_take_turns_and_those_of_a_script_stay() -> None:
    there: list[weakref.ref[Net]] = []
    mine = shared.load("mine", "cpu", Net)
    loader = room_for_one(there)
    outcomes = EvalWorker(MemoryStore()).fill(clip(255), [Held("first", loader), Held("second", loader)])
    assert [one.result.score for one in outcomes if one.result] == [1.0, 1.0]
    assert [one() is None for one in there] == [True, False]
    assert shared.load("mine", "cpu", Net) is mine


def test_a_clip_that_cannot_fit_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file states its size: 4K is refused with the numbers, by the metrics that hold all pairs of cells."""
    monkeypatch.setattr(flow_memory, "machine_bytes", lambda: 16 << 30)
    for variable in ("VIDMETRICS_RAFT_THINGS", "VIDMETRICS_AMT_S"):
        (tmp_path / variable).write_bytes(b"not read")
        monkeypatch.setenv(variable, str(tmp_path / variable))
    clip = write_clip(tmp_path / "4k.mp4", np.zeros((3, 2160, 3840, 3), np.uint8))
    worker = EvalWorker(MemoryStore(), "cpu")
    large = ["vbench.dynamic_degree", "vbench.motion_smoothness"]
    loaded = worker.prepare(Job((Unit({"video": str(clip)}, [get_metric(name) for name in large]),)))
    assert (loaded.decoded, loaded.clips) == (0, {})
    reasons = [outcome.result.reason for outcome in worker.run(loaded)[0] if outcome.result is not None]
    assert "needs 88 GiB for one pair of 2160 x 3840 frames, and this machine has 16 GiB" in reasons[0]
    assert "needs 178 GiB" in reasons[1]
    beside = Unit({"video": str(clip)}, [get_metric(name) for name in (*large, "vbench.temporal_flickering")])
    found = [outcome.result for outcome in worker.run(worker.prepare(Job((beside,))))[0]]
    assert [one.status for one in found if one is not None] == ["failed", "failed", "scored"]
