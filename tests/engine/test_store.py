"""The result store: whole or absent, never wrong."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import StoreError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import store as module
from pytest_vidmetrics.engine.store import FileStore

KEY = "ab" * 32


def entry(store: FileStore) -> Path:
    return next(path for path in store.root.rglob("*") if path.is_file())


def test_results_come_back_as_they_went(tmp_path) -> None:
    store = FileStore(tmp_path)
    for result in (MetricResult("m", 0.1, {"per_frame": [1.0, 2.5]}), MetricResult.skipped("m", "no prompt")):
        store.put_result(KEY, result)
        assert FileStore(tmp_path).get_result(KEY) == result


def test_rows_come_back_bit_for_bit(tmp_path) -> None:
    rows = np.random.Generator(np.random.PCG64(0)).normal(size=(3, 7))
    FileStore(tmp_path).put_rows(KEY, rows)
    found = FileStore(tmp_path).get_rows(KEY)
    assert found is not None
    assert found.tobytes() == rows.tobytes()


def test_what_is_not_there_is_none(tmp_path) -> None:
    store = FileStore(tmp_path / "absent")
    assert store.get_result(KEY) is None
    assert store.get_rows(KEY) is None
    assert not (tmp_path / "absent").exists()


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 0.999), flip=st.booleans(), kind=st.sampled_from(["result", "rows"]))
def test_a_damaged_entry_counts_as_absent(cut, flip, kind, tmp_path_factory) -> None:
    store = FileStore(tmp_path_factory.mktemp("store"))
    if kind == "rows":
        store.put_rows(KEY, np.arange(12.0).reshape(3, 4))
    else:
        store.put_result(KEY, MetricResult("m", 0.25, {"a": [1, 2, 3]}))
    path = entry(store)
    data = bytearray(path.read_bytes())
    at = int(cut * len(data))
    if flip:
        data[at] ^= 0x01
        path.write_bytes(bytes(data))
    else:
        path.write_bytes(bytes(data[:at]))
    found = store.get_rows(KEY) if kind == "rows" else store.get_result(KEY)
    assert found is None


def test_an_entry_that_is_a_pipe_or_a_folder_counts_as_absent_and_nobody_waits(tmp_path) -> None:
    store = FileStore(tmp_path)
    store.put_result(KEY, MetricResult("m", 0.25))
    path = entry(store)
    path.unlink()
    os.mkfifo(path)
    assert store.get_result(KEY) is None
    path.unlink()
    path.mkdir()
    assert store.get_result(KEY) is None


def test_an_entry_under_another_key_or_kind_counts_as_absent(tmp_path) -> None:
    store = FileStore(tmp_path)
    other = "cd" * 32
    store.put_result(KEY, MetricResult("m", 0.25))
    store.put_rows(KEY, np.zeros((2, 2)))
    store.put_json("answers", KEY, {})
    for kind, suffix in (("results", "json"), ("features", "safetensors")):
        there = tmp_path / kind / other[:2] / f"{other}.{suffix}"
        there.parent.mkdir()
        there.write_bytes((tmp_path / kind / KEY[:2] / f"{KEY}.{suffix}").read_bytes())
    (tmp_path / "clips" / KEY[:2]).mkdir(parents=True)
    (tmp_path / "clips" / KEY[:2] / f"{KEY}.json").write_bytes(
        (tmp_path / "answers" / KEY[:2] / f"{KEY}.json").read_bytes()
    )
    assert store.get_result(other) is None
    assert store.get_rows(other) is None
    assert store.get_clips(KEY) is None
    assert store.get_result(KEY) == MetricResult("m", 0.25)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" * 200_000, id="nested beyond reason"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"body": 1, "sha256": []}', id="a checksum that is no text"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b'{"body": ' + b"9" * 5000 + b', "sha256": ""}', id="5,000 digits"),
        pytest.param(b'{"body": 1e999, "sha256": ""}', id="infinite"),
    ],
)
def test_odd_entries_count_as_absent(data, tmp_path) -> None:
    store = FileStore(tmp_path)
    store.put_result(KEY, MetricResult("m", 1.0))
    entry(store).write_bytes(data)
    assert store.get_result(KEY) is None
    store.put_result(KEY, MetricResult("m", 1.0))
    assert store.get_result(KEY) is not None


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"name": 1, "score": 1.0, "details": {}, "status": "scored", "clips": {}},
        {"name": "m", "score": 1.0, "details": [], "status": "scored", "clips": {}},
        {"name": "m", "score": 1.0, "details": {}, "status": [], "clips": {}},
        {"name": "m", "score": 1.0, "details": {}, "status": "scored", "clips": {"video": []}},
        {"name": "m", "score": 1.0, "details": {}, "status": "scored"},
    ],
)
def test_sealed_entries_that_are_no_results_count_as_absent(body, tmp_path) -> None:
    store = FileStore(tmp_path)
    store.put_json("results", KEY, body)
    assert store.get_scored(KEY) is None


def test_texts_that_no_encoding_knows_are_kept(tmp_path) -> None:
    result = MetricResult("m", 1.0, {"heard": "a\udc80b"})
    FileStore(tmp_path).put_result(KEY, result)
    assert FileStore(tmp_path).get_result(KEY) == result


def test_a_full_disk_is_one_error_that_names_the_folder_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    store = FileStore(tmp_path)

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match=f"{tmp_path}: No space left on device.*--vidmetrics-cache=DIR"):
        store.put_result(KEY, MetricResult("m", 1.0))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_many_writers_of_one_entry_leave_one_whole_entry(tmp_path) -> None:
    result = MetricResult("m", 0.5, {"per_frame": [0.5] * 500})
    writers = [threading.Thread(target=FileStore(tmp_path).put_result, args=(KEY, result)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert FileStore(tmp_path).get_result(KEY) == result
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_the_lock_keeps_a_second_process_of_the_same_sample_out_and_is_optional(tmp_path, monkeypatch) -> None:
    store = FileStore(tmp_path)
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
    with store.computing("sample"), FileStore(tmp_path).computing("sample"):
        pass  # the second gave up waiting, and works all the same
    with FileStore(Path("/proc/none")).computing("sample"):
        pass  # no lock can be made there
