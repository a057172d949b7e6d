"""Entries on object storage: single objects for small runs, sealed segments of many entries for large ones.

Nothing is ever renamed or overwritten: an object appears whole, by a put that fails when its name is taken. The name
of a segment is the hash of its content, so that two writers of equal entries write equal or harmless objects.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_vidmetrics.core.errors import StoreError, UnavailableError
from pytest_vidmetrics.engine.segments import HEAD, Place, SegmentIndex, end_of_index, entries_of, sealed
from pytest_vidmetrics.engine.store import FileStore, Store

SCHEMES = ("file", "s3", "gs", "az", "memory")
_SEGMENTS = "segments"
_NEW_SECONDS = 20.0
"""How old the list of segments may be when an entry is looked for in vain."""
_MEMORY = 1 << 27
_PATIENCE = 60.0
"""For how many seconds a put is tried again after its first failure."""
_ALWAYS = 1 << 62
_AT_ONCE = 16
"""How many indexes of segments are read at a time."""


def open_store(where: str | Path, *, segments: bool = False) -> Store:
    """Return the store at a folder or URL: ``s3://bucket/path``, ``gs://``, ``az://``, ``file:///path``, ``memory://``.

    Credentials and endpoints come from the environment, as the providers' own tools read them. With ``segments`` a
    URL's entries are collected into segments after the first thousand: for runs whose entries nobody else waits for.
    Raises ``ValueError`` for another scheme, and :class:`UnavailableError` where the library for object storage is
    not installed.
    """
    scheme = urlsplit(str(where)).scheme if "://" in str(where) else ""
    if not scheme:
        return FileStore(Path(where))
    if scheme not in SCHEMES:
        raise ValueError(f"{where} is not a store: its scheme is one of {', '.join(SCHEMES)}, or it is a folder")
    if scheme == "file":
        return FileStore(Path(urlsplit(str(where)).path))
    return ObjectStore(str(where)) if segments else ObjectStore(str(where), single=_ALWAYS)


class ObjectStore(Store):
    """Entries in objects below a URL. Safe for many processes on many machines.

    The first ``single`` entries that a process writes are objects of their own. Those after them are collected and
    sealed as a segment of ``segment_entries`` entries or ``segment_bytes`` bytes, or by :meth:`flush`, which runs when
    the process ends. A process that is killed loses what it has not sealed, and nothing else; its own reads see it.
    """

    def __init__(
        self, url: str, *, single: int = 1000, segment_entries: int = 10_000, segment_bytes: int = 1 << 26
    ) -> None:
        # `memory://` without its slashes would not be a URL.
        self.url = url.rstrip("/") if not url.endswith("://") else url
        self._single, self._most_entries, self._most_bytes = single, segment_entries, segment_bytes
        self._objects = _connect(url)
        # Reentrant: writing seals under the same lock.
        self._guard = threading.RLock()
        self._open: dict[str, bytes] = {}
        self._open_bytes = self._written = 0
        self._index = SegmentIndex()
        self._listed: set[str] = set()
        self._looked = float("-inf")
        self._segments: OrderedDict[str, bytes] = OrderedDict()
        atexit.register(self._flush_at_exit)

    def check_writable(self) -> None:
        """Raise :class:`~pytest_vidmetrics.core.errors.StoreError` when nothing can be written."""
        self._create("probe", b"ok")

    def flush(self) -> None:
        """Seal what was collected: after that, every process reads it."""
        with self._guard:
            if not self._open:
                return
            self.put_segment(self._open)
            self._open, self._open_bytes = {}, 0

    def put_segment(self, entries: Mapping[str, bytes]) -> None:
        """Keep entries, ``kind/name`` to bytes, as one segment."""
        data = sealed(entries)
        name = hashlib.sha256(data).hexdigest()
        with self._guard:
            self._create(f"{_SEGMENTS}/{name}", data)
            # At once: segments are listed only from time to time.
            self._take_index(name, data)

    def _read(self, kind: str, name: str) -> bytes | None:
        entry = f"{kind}/{name}"
        with self._guard:
            if (data := self._open.get(entry)) is not None:
                return data
            if (place := self._index.find(entry)) is not None:
                return self._from_segment(place)
        if (data := self._get(_path(kind, name))) is not None:
            return data
        with self._guard:
            # Last, as listing costs more than asking for one object.
            self._look_for_segments()
            return None if (place := self._index.find(entry)) is None else self._from_segment(place)

    def _read_all(self, kind: str, names: Sequence[str]) -> Iterator[tuple[int, bytes | None]]:
        """Yield entries of segments, each segment read once; the others are for :meth:`_read`, one by one."""
        with self._guard:
            self._look_for_segments()
            found = list(self._index.find_all(f"{kind}/{name}" for name in names))
        left, held, data = bytearray(b"\1") * len(names), "", None
        for i, (segment, start, length) in found:
            left[i] = 0
            if segment != held:  # not kept: the next one takes its place
                held, data = segment, self._segments.get(segment) or self._get(f"{_SEGMENTS}/{segment}")
            yield i, None if data is None else data[start : start + length]
        for i in filter(left.__getitem__, range(len(names))):
            yield i, self._read(kind, names[i])

    def _write(self, kind: str, name: str, data: bytes) -> None:
        with self._guard:
            if self._written < self._single:
                self._written += 1
                self._create(_path(kind, name), data)
                return
            self._open[f"{kind}/{name}"] = data
            self._open_bytes += len(data)
            if len(self._open) >= self._most_entries or self._open_bytes >= self._most_bytes:
                self.flush()

    def _names(self, kind: str) -> Iterable[str]:
        with self._said("list"):
            paths = [meta["path"] for batch in self._objects.list(kind) for meta in batch]
        return [path.rpartition("/")[2] for path in paths if path.endswith(".part")]

    def _write_part(self, kind: str, name: str, data: bytes) -> None:
        self._create(_path(kind, name), data)

    def _from_segment(self, place: Place) -> bytes | None:
        segment, start, length = place
        data = self._segments.get(segment)
        if data is None:
            data = self._get(f"{_SEGMENTS}/{segment}")
            if data is None:
                return None
            self._segments[segment] = data
            # The least recently used goes first; one always stays, however large.
            while sum(map(len, self._segments.values())) > _MEMORY and len(self._segments) > 1:
                self._segments.popitem(last=False)
        else:
            self._segments.move_to_end(segment)
        return data[start : start + length]

    def _look_for_segments(self) -> None:
        """Read the indexes of segments that are new since the last look."""
        if time.monotonic() - self._looked < _NEW_SECONDS:
            return
        with self._said("list"):
            listed = [meta for batch in self._objects.list(_SEGMENTS) for meta in batch]
        sizes = {meta["path"].rpartition("/")[2]: meta["size"] for meta in listed}
        # In the order of names, so that every reader takes the same one of two equal entries.
        new = sorted(sizes.keys() - self._listed)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            indexes = pool.map(lambda name: self._index_of(f"{_SEGMENTS}/{name}", sizes[name]), new)
            for name, data in zip(new, indexes, strict=True):
                self._take_index(name, data)
        self._looked = time.monotonic()

    def _index_of(self, path: str, size: int) -> bytes:
        """Return a segment up to the end of its index; nothing for an object too small for what it says."""
        end = end_of_index(self._get(path, 0, HEAD) or b"") if size >= HEAD else 0
        return (self._get(path, 0, end) or b"") if 0 < end <= size else b""

    def _take_index(self, name: str, data: bytes) -> None:
        self._listed.add(name)
        self._index.add(name, entries_of(data))

    def _get(self, path: str, start: int | None = None, end: int | None = None) -> bytes | None:
        with self._said("read"):
            try:
                if start is not None:
                    return bytes(self._objects.get_range(path, start=start, end=end))
                return bytes(self._objects.get(path).bytes())
            except FileNotFoundError:
                return None
        raise AssertionError  # the line above raises what it was given

    def _create(self, path: str, data: bytes) -> None:
        """Put an object unless its name is taken. Tried again for a while: an equal object is there, or is not.

        The library repeats what it reads, but not a put whose connection broke: it cannot know that ours are safe.
        """
        from obstore.exceptions import AlreadyExistsError, GenericError

        until, pause = time.monotonic() + _PATIENCE, 0.1
        while True:
            try:
                with self._said("write"), contextlib.suppress(AlreadyExistsError):
                    self._objects.put(path, data, mode="create")
                return
            except FileNotFoundError as error:
                raise StoreError(f"cannot write the result store {self.url}: there is no such bucket") from error
            except StoreError as error:
                if not isinstance(error.__cause__, GenericError) or time.monotonic() > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 10.0)

    @contextlib.contextmanager
    def _said(self, what: str) -> Iterator[None]:
        """Turn an error of the connection into one that names the store."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            yield
        except (FileNotFoundError, AlreadyExistsError):
            raise
        except (BaseError, OSError, ValueError) as error:
            reason = str(error).split("\n", maxsplit=1)[0]
            raise StoreError(
                f"cannot {what} the result store {self.url}: {reason}; check the address, the network and the "
                "credentials in the environment, and run again: what is stored is not computed anew"
            ) from error

    def _flush_at_exit(self) -> None:
        # At the end of the process nobody is left to be told.
        with contextlib.suppress(StoreError):
            self.flush()


def _path(kind: str, name: str) -> str:
    return f"{kind}/{name[:2]}/{name}"


def _connect(url: str) -> Any:
    try:
        from obstore import store
    except ImportError as error:
        raise UnavailableError(
            f"the store {url} needs obstore: pip install 'pytest-vidmetrics[object]', or name a folder"
        ) from error
    if url.startswith("memory:"):
        return store.MemoryStore()
    try:
        return store.from_url(url)
    except Exception as error:
        raise StoreError(f"cannot open the result store {url}: {str(error).splitlines()[0]}") from error
