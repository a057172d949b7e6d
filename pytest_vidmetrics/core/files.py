"""Files that are either whole or absent, and reading that does not hang on what is not a file."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Callable
from os.path import realpath
from pathlib import Path
from typing import BinaryIO

_LARGEST = 256 << 20
_SCRATCH = ".vidmetrics-tmp"
_ATTEMPTS = 20
_ABANDONED = 3600.0
"""Seconds after which a temporary file belongs to a writer that was killed: one is written within milliseconds."""


def read_whole(path: Path, largest: int = _LARGEST) -> bytes:
    """Return the bytes of an ordinary file.

    Raises ``OSError`` also for a pipe, a device or a socket, which would block or never end, for a file of more than
    ``largest`` bytes, and for a path that no file can have.
    """
    try:
        # Opened before it is looked at: between a look and an open it could be replaced. Non-blocking, for pipes.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    with os.fdopen(handle, "rb") as stream:
        facts = os.fstat(handle)
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not an ordinary file", str(path))
        if facts.st_size > largest:
            raise OSError(errno.EFBIG, f"{facts.st_size} bytes are too many", str(path))
        # One byte more than it should have, so that a file that grows is noticed.
        return stream.read(min(largest, facts.st_size + 1))


def write_atomic(path: Path, data: bytes | Callable[[BinaryIO], object], *, durable: bool = False) -> None:
    """Write a whole file or nothing: to a temporary name beside it, then renamed over it.

    ``data`` may be what writes the bytes, where they are too many to be held. A link stays one: the file that it
    points to is written. ``durable`` waits for the disk, file and folder, for files that cannot be made again. Raises
    ``OSError``, also for a device or a pipe: the new file would take its place.
    """
    path = Path(realpath(path))
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "not an ordinary file", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, data, path.parent, durable=durable)


def write_tracked(path: Path, data: bytes) -> None:
    """Write a file that lies under version control, whole or not at all, and durably.

    The temporary file lies in a folder of its own that git is told to ignore: a writer that was killed leaves nothing
    that ``git add`` would take. ``path`` is written itself: a link there is replaced. Raises ``OSError``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.parent / _SCRATCH
    for attempt in range(_ATTEMPTS):
        scratch.mkdir(exist_ok=True)
        try:
            _write_at_once(scratch / ".gitignore", b"*\n")
            _replace(path, data, scratch, durable=True)
            break
        except FileNotFoundError:  # another writer has just removed the folder that both use
            if attempt == _ATTEMPTS - 1:
                raise
        finally:
            _clear(scratch)


def _clear(scratch: Path) -> None:
    """Remove the folder of temporary files and what killed writers left there, unless another writer is at work."""
    with contextlib.suppress(OSError):
        # What cannot be removed is left: it is only rubbish.
        for entry in scratch.iterdir():
            if entry.suffix == ".tmp" and time.time() - entry.stat().st_mtime > _ABANDONED:
                entry.unlink()
        if [entry.name for entry in scratch.iterdir()] == [".gitignore"]:
            (scratch / ".gitignore").unlink()
        scratch.rmdir()


def _replace(path: Path, data: bytes | Callable[[BinaryIO], object], scratch: Path, *, durable: bool) -> None:
    # On the same file system, as renaming across two is not atomic. Short: names have 255 bytes.
    handle, name = tempfile.mkstemp(dir=scratch, prefix=f".{path.name[:32]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            if isinstance(data, bytes):
                stream.write(data)
            else:
                data(stream)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        # `mkstemp` makes files that nobody else can read.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    if durable:
        # The name is durable only with its folder.
        _sync_folder(path.parent)


def _write_at_once(path: Path, data: bytes) -> None:
    """Let a small file appear with its content, where the system can: it is never seen empty."""
    with contextlib.suppress(FileExistsError):
        try:
            _link_unnamed(path, data)
        except FileExistsError:
            raise
        except (OSError, AttributeError):  # the system or the file system has no unnamed files
            path.write_bytes(data)


def _link_unnamed(path: Path, data: bytes) -> None:
    # The file has no name until it is complete.
    handle = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o644)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.write(handle, data)
        # Python follows the link below /proc only when it is also given a folder.
        os.link(f"/proc/self/fd/{handle}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Wait until the new name is on the disk. Not every file system can: the file itself is whole in any case."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
