"""A store on object storage: in memory, and on a local S3 server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import StoreError, UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import object_store
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.object_store import ObjectStore, open_store
from pytest_vidmetrics.engine.segments import entries_of, sealed
from pytest_vidmetrics.engine.store import FileStore
from tests.support.clips import scene, write_clip
from tests.support.s3 import Door

Make = Callable[..., ObjectStore]
RESULT = MetricResult("m", 0.25, {"per_frame": [1.0, 2.5]})


def key(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture(params=["memory", "s3"])
def make(request: pytest.FixtureRequest) -> Make:
    """Return a function that opens the same place once more, as another process would."""
    if request.param == "s3":
        url = request.getfixturevalue("bucket")
        return lambda **options: ObjectStore(url, **options)
    first = ObjectStore("memory://")

    def again(**options: int) -> ObjectStore:
        other = ObjectStore("memory://", **options)
        other._objects = first._objects
        return other

    return again


def test_many_entries_become_segments_that_every_process_reads(make: Make) -> None:
    store = make(single=3, segment_entries=4)
    for number in range(12):
        store.put_result(key(number), MetricResult("m", float(number)))
    objects = [meta["path"] for batch in store._objects.list() for meta in batch]
    assert len([path for path in objects if "segments/" in path]) == 2
    # What is not sealed yet is seen by its writer alone.
    assert store.get_result(key(11)).score == 11.0
    assert make().get_result(key(11)) is None
    store.flush()
    other = make()
    assert [other.get_result(key(number)).score for number in range(12)] == [float(number) for number in range(12)]


def test_two_writers_of_equal_entries_agree(make: Make) -> None:
    stores = [make(single=0, segment_entries=5) for _ in range(2)]
    for number in range(5):
        for store in stores:
            store.put_result(key(number), RESULT)
    segments = [meta["path"] for batch in stores[0]._objects.list("segments") for meta in batch]
    assert len(segments) == 1
    assert make().get_result(key(4)) == RESULT


def test_a_writer_that_is_killed_loses_its_open_segment_alone(bucket: str) -> None:
    code = f"""
import os, sys
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.object_store import ObjectStore
store = ObjectStore({bucket!r}, single=0, segment_entries=4)
for number in range(6):
    store.put_result(f"{{number:064x}}", MetricResult("m", float(number)))
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 9
    store = ObjectStore(bucket)
    assert [store.get_result(key(number)) is not None for number in range(6)] == [True] * 4 + [False] * 2


def test_a_torn_or_foreign_object_counts_as_absent(make: Make) -> None:
    store = make(single=0, segment_entries=100)
    store.put_result(key(1), RESULT)
    whole = sealed(store._open)
    for cut in (0, 3, 20, len(whole) // 2):
        store._objects.put(f"segments/torn{cut}", whole[:cut])
    store._objects.put("segments/foreign", b"something else altogether, and longer than a head")
    assert make().get_result(key(1)) is None
    store.flush()
    assert make().get_result(key(1)) == RESULT


@settings(max_examples=50)
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.binary(max_size=20), max_size=6), st.integers(0, 200))
def test_a_segment_is_read_whole_or_not_at_all(entries: dict[str, bytes], cut: int) -> None:
    data = sealed(entries)
    assert data == sealed(dict(reversed(entries.items())))
    found = entries_of(data)
    assert {name: data[start : start + length] for name, (start, length) in found.items()} == entries
    part = entries_of(data[:cut])
    assert part in ({}, found)


def test_a_store_that_cannot_be_reached_is_one_error(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from obstore.exceptions import GenericError

    store = ObjectStore(bucket)

    class Down:
        def __getattr__(self, name: str) -> Callable[..., object]:
            def fail(*args: object, **kwargs: object) -> object:
                raise GenericError("connection refused\n\nDebug source: ...")

            return fail

    monkeypatch.setattr(object_store, "_PATIENCE", 0.0)
    store._objects = Down()
    for act in (
        lambda: store.get_result(key(1)),
        lambda: store.put_result(key(1), RESULT),
        store.check_writable,
    ):
        with pytest.raises(StoreError, match=r"result store s3://.*: connection refused; check the address"):
            act()


def test_a_bucket_that_does_not_exist_is_one_error(bucket: str) -> None:
    with pytest.raises(StoreError, match=r"s3://nobody-made-this/x: there is no such bucket"):
        ObjectStore("s3://nobody-made-this/x").check_writable()


@pytest.mark.parametrize("times", [1, 3])
def test_a_store_that_is_away_for_a_while_loses_nothing(times: int, bucket: str, s3: Door) -> None:
    store = ObjectStore(bucket, single=0, segment_entries=2)
    store.put_result(key(0), RESULT)
    s3.refuse(times)
    store.put_result(key(1), RESULT)  # seals the segment
    assert s3.refused == times
    s3.refuse(times)
    assert ObjectStore(bucket).get_result(key(1)) == RESULT
    assert s3.refused == times


def test_where_a_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_store(tmp_path), FileStore)
    assert isinstance(open_store(f"file://{tmp_path}"), FileStore)
    assert isinstance(open_store("memory://"), ObjectStore)
    with pytest.raises(ValueError, match=r"ftp://x is not a store: its scheme is one of file, s3"):
        open_store("ftp://x")
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UnavailableError, match=r"pip install 'pytest-vidmetrics\[object\]'"):
        open_store("s3://bucket/x")


def test_an_evaluator_finds_what_another_one_stored(bucket: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", scene(0))
    scores = []
    for _ in range(2):
        with Evaluator("vbench.temporal_flickering", "cpu", store=bucket) as evaluator:
            scores.append(evaluator.evaluate(video=clip)["vbench.temporal_flickering"].score)
            counts = evaluator._workers[0].counts
    assert scores[0] == scores[1]
    assert (counts.decoded, counts.computed) == (0, 0)
