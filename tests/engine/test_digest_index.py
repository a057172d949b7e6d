"""Content hashes of other processes: trusted only where a file cannot have changed."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import ContentError
from pytest_vidmetrics.engine import digest_index as module
from pytest_vidmetrics.engine.digest_index import DigestIndex
from pytest_vidmetrics.engine.store import FileStore, MemoryStore

WRONG = hashlib.sha256(b"another").digest()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of this test be old enough, whatever the clock says."""
    now = time.time_ns
    monkeypatch.setattr(module.time, "time_ns", lambda: now() + 10_000_000_000)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remembered(store: MemoryStore | FileStore, *paths: Path) -> None:
    index = DigestIndex(store, trusted=False)
    for path in paths:
        assert index.digest(path) == sha256(path)
    index.flush()


def lie(store: MemoryStore, *paths: Path) -> None:
    """Enter another digest for files as they are now."""
    store.put_part("digests", b"".join(sorted(module._name(path, path.stat()) + WRONG for path in paths)))


def test_a_judge_reads_no_file_that_a_scorer_read(tmp_path: Path, later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [tmp_path / f"{name}.mp4" for name in "abc"]
    for clip in clips:
        clip.write_bytes(clip.name.encode())
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "0.png").write_bytes(b"0")
    store = FileStore(tmp_path / "store")
    remembered(store, *clips)
    scorer = DigestIndex(store, trusted=False)
    whole = scorer.digest(folder)
    scorer.flush()
    expected = [sha256(clip) for clip in clips]
    monkeypatch.setattr(module, "digest_file", lambda path: pytest.fail(f"{path} was read"))
    judge = DigestIndex(FileStore(tmp_path / "store"), trusted=True)
    assert [judge.digest(clip) for clip in clips] == expected
    assert judge.digest(folder) == whole


def test_no_change_goes_unnoticed_not_even_with_its_times_set_back(tmp_path: Path, later: None) -> None:
    clip, store = tmp_path / "a.mp4", MemoryStore()
    clip.write_bytes(b"before")
    remembered(store, clip)
    facts = clip.stat()
    clip.write_bytes(b"after!")  # as long as before
    while clip.stat().st_ctime_ns == facts.st_ctime_ns:  # within the tick of the clock that the first write was in
        os.utime(clip, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    os.utime(clip, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (clip.stat().st_size, clip.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert DigestIndex(store, trusted=True).digest(clip) == sha256(clip)
    other = tmp_path / "b.mp4"
    other.write_bytes(b"other!")
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(clip)
    assert DigestIndex(store, trusted=True).digest(clip) == sha256(clip)


def test_a_file_that_was_just_written_is_not_entered(tmp_path: Path) -> None:
    clip, store = tmp_path / "a.mp4", MemoryStore()
    clip.write_bytes(b"new")
    remembered(store, clip)
    assert not list(store.parts("digests"))


def test_a_file_that_changes_while_it_is_read_is_not_entered(
    tmp_path: Path, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, store = tmp_path / "a.mp4", MemoryStore()
    clip.write_bytes(b"old")

    def slow(path: Path) -> str:
        found = sha256(path)
        path.write_bytes(b"newer")
        return found

    monkeypatch.setattr(module, "digest_file", slow)
    index = DigestIndex(store, trusted=False)
    index.digest(clip)
    index.flush()
    assert not list(store.parts("digests"))


def test_a_share_is_verified_and_what_does_not_fit_is_named(tmp_path: Path) -> None:
    clips, store = [tmp_path / f"{number}.mp4" for number in range(200)], MemoryStore()
    for clip in clips:
        clip.write_bytes(clip.name.encode())
    lie(store, *clips)
    trusting = DigestIndex(store, trusted=True)
    assert {trusting.digest(clip) for clip in clips} == {WRONG.hex()}

    def found_out(index: DigestIndex) -> list[Path]:
        found = []
        for clip in clips:
            try:
                index.digest(clip)
            except ContentError as error:
                found.append(Path(str(error).partition(" is not what it was when it was scored")[0]))
        assert index.verified == len(found)
        return found

    some = found_out(DigestIndex(store, trusted=True, verify=0.3))
    assert 30 <= len(some) <= 90
    assert found_out(DigestIndex(store, trusted=True, verify=0.3)) == some
    assert found_out(DigestIndex(store, trusted=True, verify=1.0)) == clips
    store.put_part("digests", b"z" * 48)
    assert found_out(DigestIndex(store, trusted=True, verify=0.3)) != some


def test_entries_that_contradict_or_are_torn_count_for_nothing(tmp_path: Path, later: None) -> None:
    clips, store = [tmp_path / f"{name}.mp4" for name in "ab"], MemoryStore()
    for clip in clips:
        clip.write_bytes(clip.name.encode())
    remembered(store, *clips)
    lie(store, clips[0])
    store.put_part("digests", b"no table")
    store._write("digests", "00.part", b"x" * 48)
    judge = DigestIndex(store, trusted=True)
    assert [judge.digest(clip) for clip in clips] == [sha256(clip) for clip in clips]
