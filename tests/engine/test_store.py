"""The result store: whole or absent, never wrong."""

from __future__ import annotations

import errno
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
