"""Files that are whole or absent, what killed writers leave, and reading what is not a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pytest_vidmetrics.core import files
from pytest_vidmetrics.core.files import read_whole, write_atomic, write_tracked

GIT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def test_a_tracked_file_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    for data in (b"one", b"two"):
        write_tracked(path, data)
        assert path.read_bytes() == data
        assert [entry.name for entry in path.parent.iterdir()] == ["b.json"]


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from pytest_vidmetrics.core import files

    count = [0]
    def stop(event, arguments):
        if event in ("os.mkdir", "open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "os.listdir"):
            if count[0] == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1

    path = Path(sys.argv[1])
    sys.addaudithook(stop)
    files.write_tracked(path, b"new")
"""


def test_a_writer_killed_at_any_moment_leaves_nothing_that_git_would_take(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=GIT)
    path = tmp_path / "baselines" / "b.json"
    path.parent.mkdir()
    for moment in range(100):
        path.write_bytes(b"old")
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(moment)]
        done = subprocess.run(command, check=False)
        assert path.read_bytes() in (b"old", b"new")
        seen = subprocess.run(
            ["git", "-C", str(tmp_path), "ls-files", "--others", "--exclude-standard"],
            capture_output=True,
            text=True,
            check=True,
            env=GIT,
        )
        assert seen.stdout.split() == ["baselines/b.json"], f"killed at {moment}"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert 8 < moment < 99, "the writer was not killed at any moment"


def test_what_killed_writers_left_is_cleared_once_it_is_old(tmp_path: Path) -> None:
    scratch = tmp_path / ".vidmetrics-tmp"
    scratch.mkdir()
    (scratch / ".gitignore").write_text("*\n")
    old, fresh = scratch / ".b.1.tmp", scratch / ".b.2.tmp"
    for left in (old, fresh):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    write_tracked(tmp_path / "b.json", b"new")
    assert sorted(entry.name for entry in scratch.iterdir()) == [".b.2.tmp", ".gitignore"]


def test_a_system_without_unnamed_files_writes_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(files.os, "O_TMPFILE", raising=False)
    write_tracked(tmp_path / "b.json", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.json"]


def test_what_is_not_a_file_is_an_error_and_no_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, text in ((tmp_path / "pipe", "not an ordinary file"), (Path("/dev/zero"), "not an ordinary file")):
        with pytest.raises(OSError, match=text):
            read_whole(path)
    with pytest.raises(IsADirectoryError):
        read_whole(tmp_path)
    with pytest.raises(OSError, match="null byte"):
        read_whole(Path("a\0b"))
    (tmp_path / "large").write_bytes(b"12345")
    with pytest.raises(OSError, match="5 bytes are too many"):
        read_whole(tmp_path / "large", largest=4)


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not an ordinary file"):
        write_atomic(pipe, b"data")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
