"""What every store promises, wherever its entries lie: a folder, memory, ``file://``, ``memory://``, an S3 server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.object_store import ObjectStore, open_store
from pytest_vidmetrics.engine.store import MemoryStore, Store

RESULT = MetricResult("m", 0.25, {"per_frame": [1.0, 2.5], "heard": "a\udc80b"})
CLIPS = {"video": ClipFacts(24, 64, 48, 8.0, 3.0, "")}
KEYS = [f"{number:064x}" for number in range(12)]


def in_folder(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Store]:
    return lambda: open_store(tmp_path / "store")


def at_file_url(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Store]:
    return lambda: open_store(f"file://{tmp_path}/store")


def in_this_process(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Store]:
    store = MemoryStore()
    return lambda: store


def in_memory_objects(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Store]:
    first = ObjectStore("memory://")

    def again() -> Store:
        other = ObjectStore("memory://")
        other._objects = first._objects
        return other

    return again


def on_s3(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Store]:
    url = request.getfixturevalue("bucket")
    return lambda: open_store(url)


def in_segments_on_s3(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Store]:
    """Every store opened here sees what was sealed when the one before it was left behind."""
    url = request.getfixturevalue("bucket")
    opened: list[Store] = []

    def again() -> Store:
        for one in opened:
            one.flush()
        opened.append(ObjectStore(url, single=1, segment_entries=3))
        return opened[-1]

    return again


@pytest.fixture(params=[in_folder, at_file_url, in_this_process, in_memory_objects, on_s3, in_segments_on_s3])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Return a function that opens one place once more, as the next process would."""
    return request.param(tmp_path, request)


def test_what_was_kept_comes_back_bit_for_bit_and_nothing_else(opened: Callable[[], Store]) -> None:
    store = opened()
    store.check_writable()
    store.check_writable()
    rows = np.random.Generator(np.random.PCG64(0)).normal(size=(3, 7))
    assert (store.get_result(KEYS[0]), store.get_rows(KEYS[0]), store.get_clips(KEYS[0])) == (None, None, None)
    store.put_result(KEYS[0], RESULT, CLIPS)
    store.put_clips(KEYS[1], CLIPS)
    store.put_rows(KEYS[1], rows)
    for one in (store, opened()):
        assert one.get_scored(KEYS[0]) == (RESULT, CLIPS)
        assert one.get_clips(KEYS[1]) == CLIPS
        found = one.get_rows(KEYS[1])
        assert found is not None
        assert (found.tobytes(), found.shape, found.dtype) == (rows.tobytes(), (3, 7), np.float64)
        assert (one.get_rows(KEYS[0]), one.get_result(KEYS[1]), one.get_result(KEYS[2])) == (None, None, None)


def test_two_drivers_that_keep_the_same_at_once_leave_it_whole(opened: Callable[[], Store]) -> None:
    results = {key: MetricResult("m", float(number), {"long": "x" * 5000}) for number, key in enumerate(KEYS)}

    def drive(store: Store, keys: list[str]) -> None:
        for key in keys:
            store.put_result(key, results[key])
        store.flush()

    drivers = [threading.Thread(target=drive, args=(opened(), order)) for order in (KEYS, KEYS[::-1])]
    for one in drivers:
        one.start()
    for one in drivers:
        one.join()
    reader = opened()
    assert {key: reader.get_result(key) for key in KEYS} == results


def test_an_entry_for_another_key_or_kind_counts_as_absent(opened: Callable[[], Store]) -> None:
    store = opened()
    store.put_result(KEYS[0], RESULT)
    store.put_rows(KEYS[0], np.zeros((2, 2)))
    for kind, suffix in (("results", "json"), ("features", "safetensors")):
        data = store._read(kind, f"{KEYS[0]}.{suffix}")
        assert data is not None
        store._write(kind, f"{KEYS[1]}.{suffix}", data)
    store._write("clips", f"{KEYS[0]}.json", store._read("results", f"{KEYS[0]}.json") or b"")
    reader = opened()
    assert (reader.get_result(KEYS[1]), reader.get_rows(KEYS[1]), reader.get_clips(KEYS[0])) == (None, None, None)
    assert reader.get_result(KEYS[0]) == RESULT


@pytest.mark.parametrize("share", [0.0, 0.4, 0.99])
def test_a_torn_entry_is_never_read(share: float, opened: Callable[[], Store]) -> None:
    whole = MemoryStore()
    whole.put_result(KEYS[0], RESULT)
    whole.put_rows(KEYS[0], np.zeros((2, 2)))
    store = opened()
    for kind, suffix in (("results", "json"), ("features", "safetensors")):
        data = whole._read(kind, f"{KEYS[0]}.{suffix}")
        assert data is not None
        store._write(kind, f"{KEYS[0]}.{suffix}", data[: int(share * len(data))])
    reader = opened()
    assert (reader.get_result(KEYS[0]), reader.get_rows(KEYS[0])) == (None, None)


def test_parts_of_all_processes_are_put_together_and_torn_ones_left_out(opened: Callable[[], Store]) -> None:
    store = opened()
    for part in (b"one", b"two", b"one"):
        store.put_part("digests", part)
    store.put_part("others", b"three")
    store._write_part("digests", "ab.part", b"torn")
    reader = opened()
    assert sorted(reader.parts("digests")) == [b"one", b"two"]
    assert list(reader.parts("nothing")) == []
