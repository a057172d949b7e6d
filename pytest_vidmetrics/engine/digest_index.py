"""Content hashes that another process computed, so that a judge of a million clips need not read them all again.

An entry holds for a file only while everything that its system says of it is the same: path, size, modification and
change time in nanoseconds, and number (inode). All of that is hashed to the entry's name, so that an entry of another
state is never found. A file that was touched less than two seconds before it was hashed is not entered: it could change
again within the granularity of its times (git's racy rule, for the coarsest file system). The change time is the
system's own: a tool that sets the modification time back does not deceive it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_vidmetrics.core.errors import ContentError
from pytest_vidmetrics.core.hashing import digest_file, digest_json
from pytest_vidmetrics.engine.names import SIZE, Names, short_name
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.engine.urls import State, fetch, is_url, listed, state_of

_KIND = "digests"
_NAME, _RECORD = SIZE, SIZE + 32
_SETTLED_NS = 2_000_000_000


class DigestIndex:
    """Hashes files, and either remembers that for other processes or trusts what they remembered.

    With ``trusted`` entries of the store count instead of the bytes; a share ``verify`` of them is hashed all the same,
    chosen by the entries and the state of the index: the same for the same store. Without, every file is read and
    :meth:`flush` adds it to the index. Safe for several threads.
    """

    def __init__(self, store: Store, *, trusted: bool, verify: float = 0.0) -> None:
        self._store, self._trusted, self._verify = store, trusted, verify
        self._guard = threading.Lock()
        self._known: _Known | None = None
        self._seed = b""
        self._new: dict[bytes, bytes] = {}
        self.verified = 0
        """How many files were hashed again although the index knew them."""

    def digest(self, path: str | os.PathLike[str]) -> str:
        """Return the sha256 of a file, or of a folder's names and files.

        Raises ``OSError`` for what cannot be read, and :class:`ContentError` for a file that was chosen to be verified
        and is not what the index says.
        """
        if isinstance(path, str) and is_url(path):
            return self._of_url(path)
        where = Path(path)
        facts = where.stat()
        if stat.S_ISDIR(facts.st_mode):
            names = sorted(entry.name for entry in where.iterdir() if entry.is_file())
            return digest_json([[name, self.digest(where / name)] for name in names])
        return self._trusting(where, facts) if self._trusted else self._remembering(where, facts)

    __call__ = digest

    def known(self, paths: Sequence[str]) -> list[str | None]:
        """Return the sha256 of those files that the index knows and that need not be read; ``None`` for the others.

        The same as :meth:`digest` for these, for many at a time. The others are for :meth:`digest`, which says why.
        """
        if not self._trusted:
            return [None] * len(paths)
        states = listed(path for path in paths if is_url(path))
        names = [_url_name(path, states[path]) if path in states else name_of(path) for path in paths]
        there = [i for i, name in enumerate(names) if name is not None]
        with self._guard:
            found = self._records().find([name for name in names if name is not None])
        digests: list[str | None] = [None] * len(paths)
        for i, digest in zip(there, found, strict=True):
            name = names[i]
            if digest is not None and name is not None and not self._chosen(name):
                digests[i] = digest.hex()
        return digests

    def _trusting(self, path: Path, facts: os.stat_result) -> str:
        return self._checked(_name(path, facts), str(path), lambda: digest_file(path))

    def _of_url(self, url: str) -> str:
        def read() -> str:
            with tempfile.TemporaryDirectory() as folder:
                return fetch(url, Path(folder))[2]

        if not self._trusted or (state := state_of(url)).etag is None:
            return read()
        return self._checked(_url_name(url, state), url, read)

    def fetched(self, url: str, folder: Path) -> Path:
        """Copy a clip on object storage into a folder and remember its content. Raises ``OSError`` with the URL."""
        path, state, sha256 = fetch(url, folder)
        if state.etag is not None:
            with self._guard:
                self._new[_url_name(url, state)] = bytes.fromhex(sha256)
        return path

    def _checked(self, name: bytes, path: str, read: Callable[[], str]) -> str:
        """Return what the index says; where it says nothing, or for the share to be verified, what is read."""
        known = self._find(name)
        if known is None:
            return read()
        if not self._chosen(name):
            return known.hex()
        self.verified += 1
        if read() != known.hex():
            raise ContentError(
                f"{path} is not what it was when it was scored, though its size and times are: its results are of "
                "other content; score it again, and look for what changes files in place"
            )
        return known.hex()

    def _remembering(self, path: Path, facts: os.stat_result) -> str:
        begun, name = time.time_ns(), _name(path, facts)
        found = digest_file(path)
        # A clock that runs behind the file's times makes this negative, which is not settled either.
        settled = begun - max(facts.st_mtime_ns, facts.st_ctime_ns) > _SETTLED_NS
        # The same state before and after reading: nobody wrote meanwhile.
        if settled and name == _name(path, path.stat()):
            with self._guard:
                self._new[name] = bytes.fromhex(found)
        return found

    def flush(self) -> None:
        """Let other processes know what was hashed since the last time."""
        with self._guard:
            if self._new:
                # Sorted, so that equal entries make an equal part, whose name is its hash.
                self._store.put_part(_KIND, b"".join(name + digest for name, digest in sorted(self._new.items())))
                self._new = {}

    def _find(self, name: bytes) -> bytes | None:
        """Return what the index says; nothing where two processes said different things."""
        with self._guard:
            return self._records().find([name])[0]

    def _records(self) -> _Known:
        """Return all entries. A part that is torn, or has another layout, is none."""
        if self._known is None:
            parts = [part for part in self._store.parts(_KIND) if len(part) % _RECORD == 0]
            seed = hashlib.sha256()
            for part in parts:
                seed.update(hashlib.sha256(part).digest())
            self._seed, self._known = seed.digest(), _Known(b"".join(parts))
        return self._known

    def _chosen(self, name: bytes) -> bool:
        if not self._verify:
            return False
        number = int.from_bytes(hashlib.sha256(self._seed + name).digest()[:8], "big")
        return number < self._verify * 2.0**64


class _Known:
    """Entries in columns, 72 bytes each."""

    def __init__(self, records: bytes) -> None:
        import numpy as np

        table = np.unique(np.frombuffer(records, dtype=f"S{_RECORD}")).view(np.uint8).reshape(-1, _RECORD)
        self._names = Names(table[:, :_NAME].tobytes())
        self._digests = table[:, _NAME:].copy()

    def find(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Return what is known under each name; nothing where entries contradict each other."""
        numbers, counts = self._names.find(names)
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        return [self._digests[at].tobytes() if count == 1 else None for at, count in pairs]


@functools.lru_cache(4096)
def _folder(path: str) -> str:
    """Return the one name of a folder. A link that leads elsewhere by now gives another file, of another state."""
    return str(Path(path).resolve())


def _url_name(url: str, state: State) -> bytes:
    return short_name(repr((url, *state)))


def _name(path: Path, facts: os.stat_result) -> bytes:
    """Return the name of an entry: everything that has to be the same."""
    return _state_name(str(path.parent), path.name, facts)


def name_of(path: str) -> bytes | None:
    """Return the name of the entry of a file; ``None`` for a folder, and for what is not the name of a file there."""
    folder, _, name = path.rpartition("/")
    if not folder or name in ("", ".", "..") or is_url(path):
        return None
    try:
        facts = os.stat(path)  # noqa: PTH116  # a Path would take as long again
    except (OSError, ValueError):
        return None
    return None if stat.S_ISDIR(facts.st_mode) else _state_name(folder, name, facts)


def _state_name(folder: str, name: str, facts: os.stat_result) -> bytes:
    state = (_folder(folder), name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
    return short_name(repr(state))
