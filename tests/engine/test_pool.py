from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch

from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.engine import loading as clips
from pytest_vidmetrics.engine.pool import VideoPool
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Loaded, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.media import video as decoding
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric


class Whole(BaseMetric):
    name = "whole"
    requires_reference = False


def load(job: Job) -> Loaded:
    return EvalWorker(MemoryStore(), share_clips=False).prepare(job)


def jobs(values: Iterable[Mapping[str, Any]]) -> Iterator[Job]:
    return (Job((Unit(one, [Whole()]),), index) for index, one in enumerate(values))


def clip(side: int = 4) -> torch.Tensor:
    return torch.zeros(2, 3, side, side, dtype=torch.uint8)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the clips that are being read at the same time, and all that were read.

    A test may want as many to be read at once: the first wait for the others.
    """
    counts = {"now": 0, "most": 0, "total": 0, "wanted": 0}
    lock = threading.Condition()
    original = clips.read

    def read(value: Any, key: str, requests: list[FrameRequest]) -> Any:
        with lock:
            counts["now"] += 1
            counts["total"] += 1
            counts["most"] = max(counts["most"], counts["now"])
            lock.notify_all()
            # The first is alone: others follow when its size is known.
            lock.wait_for(lambda: counts["most"] >= counts["wanted"] or counts["total"] == 1, 60)
        time.sleep(0.01)
        try:
            return original(value, key, requests)
        finally:
            with lock:
                counts["now"] -= 1

    monkeypatch.setattr(clips, "read", read)
    return counts


def drain(pool: VideoPool) -> list[int]:
    indices = []
    while (item := pool.get()) is not None:
        indices.append(item.job.index)
        pool.release(item)
    return indices


def test_every_sample_comes_out_once(watched: dict[str, int]) -> None:
    samples = [{"video": clip()} for _ in range(40)]
    watched["wanted"] = 2
    with VideoPool(load, jobs(samples), loader_threads=4, max_items=6) as pool:
        assert sorted(drain(pool)) == list(range(40))
        assert pool.get() is None
    assert 1 < watched["most"] <= 4


def test_more_loaders_than_room(watched: dict[str, int]) -> None:
    with VideoPool(load, jobs([{"video": clip()}] * 20), loader_threads=8, max_items=2) as pool:
        assert sorted(drain(pool)) == list(range(20))
    assert watched["most"] <= 2


def test_nothing_is_read_beyond_the_bound_in_items(watched: dict[str, int]) -> None:
    pulled: list[int] = []

    def samples() -> Iterator[dict[str, Any]]:
        for i in range(100):
            pulled.append(i)
            yield {"video": clip()}

    with VideoPool(load, jobs(samples()), loader_threads=4, max_items=3) as pool:
        _grows_to(pulled, 3)
        assert pool.get() is not None
        _grows_to(pulled, 4)


def _grows_to(pulled: list[int], count: int) -> None:
    """Wait until as many were read, and a little longer: no more follow."""
    deadline = time.monotonic() + 60
    while len(pulled) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(pulled) == count


def test_nothing_is_read_beyond_the_bound_in_bytes(watched: dict[str, int]) -> None:
    one = clip(64).nbytes
    most = 0
    with VideoPool(load, jobs([{"video": clip(64)}] * 30), loader_threads=4, max_items=30, max_bytes=3 * one) as pool:
        time.sleep(0.2)
        taken = 0
        while (item := pool.get()) is not None:
            taken += 1
            # Those that were read and not yet released.
            most = max(most, watched["total"] - taken + 1)
            time.sleep(0.02)
            pool.release(item)
    assert watched["total"] == 30
    assert most <= 3


def test_a_clip_larger_than_the_bound_is_let_through_alone(watched: dict[str, int]) -> None:
    with VideoPool(load, jobs([{"video": clip(64)}] * 5), loader_threads=3, max_items=5, max_bytes=10) as pool:
        assert sorted(drain(pool)) == list(range(5))
    assert watched["most"] == 1


def test_release_frees_the_frames() -> None:
    with VideoPool(load, jobs([{"video": Video(frames=clip())}])) as pool:
        item = pool.get()
        assert item is not None
        pool.release(item)
        assert item.clips == {}


def test_leaving_early_stops_the_loaders(watched: dict[str, int]) -> None:
    with VideoPool(load, jobs([{"video": clip()}] * 1000), loader_threads=4, max_items=50) as pool:
        assert pool.get() is not None
    assert watched["total"] < 100


def test_a_consumer_that_waits_is_woken_by_stop() -> None:
    hold = threading.Event()

    def slow() -> Iterator[dict[str, Any]]:
        hold.wait(60)
        yield {"video": clip()}

    found: list[object] = []
    with VideoPool(load, jobs(slow())) as pool:
        thread = threading.Thread(target=lambda: found.append(pool.get()))
        thread.start()
        time.sleep(0.05)
        pool.stop()
        thread.join(60)
        hold.set()
    assert found == [None]


def test_in_order_what_is_ready_early_waits() -> None:
    first_may_end = threading.Event()

    def uneven(job: Job) -> Loaded:
        if job.index == 0:
            first_may_end.wait(60)
        return load(job)

    with VideoPool(uneven, jobs([{"video": clip()}] * 3), loader_threads=3, in_order=True) as pool:
        timer = threading.Timer(0.1, first_may_end.set)
        timer.start()
        assert drain(pool) == [0, 1, 2]
        timer.join()


def test_announced_jobs_are_loaded_before_they_are_taken_and_those_passed_over_are_freed() -> None:
    announced = list(jobs([{"video": clip(64 + i)} for i in range(8)]))
    loaded: list[int] = []

    def noted(job: Job) -> Loaded:
        loaded.append(job.index)
        return load(job)

    with VideoPool(noted, max_items=2) as pool:
        assert pool.take(announced[0]) is None
        pool.announce(announced)
        while not loaded:
            time.sleep(0.001)
        first = pool.take(announced[0])
        assert first is not None
        assert first.job is announced[0]
        pool.release(first)
        assert pool.take(announced[7]) is None  # not begun: the caller reads it
        assert pool.take(announced[1]) is None  # passed over
        more = list(jobs([{"video": clip(80)}, {"video": clip(81)}]))
        pool.announce(more)
        second = pool.take(more[0]) or load(more[0])
        assert second.job is more[0]
    assert loaded == sorted(loaded)
    assert len(loaded) < 8


def test_arguments() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        VideoPool(load, [], loader_threads=0)


class Sampling(BaseMetric):
    requires_reference = False

    def __init__(self, count: int | None = 4) -> None:
        self.count = count

    def frames(self) -> FrameRequest:
        return FrameRequest(self.count)


class Corpus(SetMetric):
    pass


class Sound(BaseMetric):
    requires = ("audio",)
    requires_reference = False


def test_only_what_the_metrics_read_is_asked_for() -> None:
    sample = {"video": "a.mp4", "reference": "b.mp4", "audio": "a.wav"}
    four, eight, every = FrameRequest(4), FrameRequest(8), ALL_FRAMES
    assert clips.requests_for([Sampling(4), Sampling(8), Sampling(4)], sample) == {"video": [four, eight]}
    assert clips.requests_for([Sound()], sample) == {}
    # A set metric looks at one clip at a time: a paired reference is a clip of its own.
    assert clips.requests_for([Corpus()], sample) == {"video": [every]}
    assert clips.requests_for([Sampling(4), Corpus()], sample) == {"video": [four, every]}


def test_one_decode_keeps_only_the_requested_frames(
    write_clip: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip("long.mkv", list(range(0, 200, 5)))
    calls: list[str] = []
    original = decoding.read_clip
    monkeypatch.setattr(decoding, "read_clip", lambda *args, **more: calls.append("x") or original(*args, **more))
    metrics = [Sampling(2), Sampling(3)]
    with VideoPool(load, [Job((Unit({"video": path}, metrics),))]) as pool:
        item = pool.get()
        assert item is not None
        found = item.clips[item.plans[0].clips["video"]].clip
        assert found is not None
        assert (found.indices, found.total, found.fps) == ((0, 19, 39), 40, 8.0)
        assert found.frames.dtype == torch.uint8
        assert found.select(metrics[0].frames())[:, 0, 0, 0].tolist() == [0, 195]
        pool.release(item)
    assert calls == ["x"]
