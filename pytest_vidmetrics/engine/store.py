"""Content-addressed results and feature rows: named by what produced them, written once, whole or absent."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pytest_vidmetrics.core.clips import Clips, facts_from
from pytest_vidmetrics.core.errors import StoreError
from pytest_vidmetrics.core.files import read_whole, write_atomic
from pytest_vidmetrics.core.hashing import canonical_json
from pytest_vidmetrics.core.types import MetricResult, Status

if TYPE_CHECKING:
    import numpy as np

_LOCK_SECONDS = 600.0
_PART = ".part"
_LARGEST = 1 << 40
_BODY, _SUM = b'{"body":', b',"sha256":"'
_TAIL = len(_SUM) + 64 + len(b'"}')


class Store(ABC):
    """Entries by kind and key. A key is a sha256 of everything that an entry depends on.

    An entry is never changed, only replaced by the same content. Its checksum covers its kind and its key: one that is
    torn, was tampered with or lies under another key counts as absent, like one whose content means nothing here.
    A subclass reads and writes bytes by name; safe for several threads.
    """

    @abstractmethod
    def _read(self, kind: str, name: str) -> bytes | None:
        """Return the bytes of an entry, or ``None`` when there are none."""

    @abstractmethod
    def _write(self, kind: str, name: str, data: bytes) -> None:
        """Keep an entry, whole or not at all. Raises :class:`~pytest_vidmetrics.core.errors.StoreError`."""

    def _read_all(self, kind: str, names: Sequence[str]) -> Iterator[tuple[int, bytes | None]]:
        """Yield entries with their numbers, each once, in the order that costs least."""
        for i, name in enumerate(names):
            yield i, self._read(kind, name)

    def check_writable(self) -> None:
        """Raise :class:`~pytest_vidmetrics.core.errors.StoreError` when nothing can be written."""
        return

    def flush(self) -> None:
        """Make what was written so far readable for other processes, where that is not so at once."""
        return

    @abstractmethod
    def _names(self, kind: str) -> Iterable[str]:
        """Return the names of the parts of a kind."""

    def _write_part(self, kind: str, name: str, data: bytes) -> None:
        self._write(kind, name, data)

    def put_part(self, kind: str, data: bytes) -> None:
        """Add bytes to what :meth:`parts` yields: for tables that many processes write and readers put together."""
        self._write_part(kind, _part_name(kind, data), data)

    def parts(self, kind: str) -> Iterator[bytes]:
        """Yield what was added by any process, in the order of names. What is torn, or lies elsewhere, is left out."""
        for name in sorted(set(self._names(kind))):
            data = self._read(kind, name)
            # The name is the hash of the content: what does not fit is torn.
            if data is not None and _part_name(kind, data) == name:
                yield data

    def computing(self, name: str) -> AbstractContextManager[None]:
        """Keep other processes from computing the same thing meanwhile, where that can be had."""
        del name
        return contextlib.nullcontext()

    def get_result(self, key: str) -> MetricResult | None:
        """Return a result, or ``None``."""
        found = self.get_scored(key)
        return None if found is None else found[0]

    def get_scored(self, key: str) -> tuple[MetricResult, Clips] | None:
        """Return a result and the facts of the clips that it was scored from, or ``None``."""
        return _scored(self.get_json("results", key))

    def each_scored(self, keys: Sequence[str]) -> Iterator[tuple[int, tuple[MetricResult, Clips]]]:
        """Yield what :meth:`get_scored` returns for the keys that have a result, with their numbers, in any order."""
        for i, data in self._read_all("results", [f"{key}.json" for key in keys]):
            if data is not None and (found := _scored(_body_of("results", keys[i], data))) is not None:
                yield i, found

    def put_result(self, key: str, result: MetricResult, clips: Clips | None = None) -> None:
        """Keep a result that would come out the same again; its details are JSON values."""
        body = {"name": result.name, "score": result.score, "details": result.details, "status": result.status}
        self.put_json("results", key, {**body, "clips": _wire(clips or {})})

    def get_clips(self, key: str) -> Clips | None:
        """Return the facts of the clips that feature rows were made from, or ``None``."""
        return _clips(self.get_json("clips", key))

    def put_clips(self, key: str, clips: Clips) -> None:
        """Keep the facts of the clips that feature rows are made from. Before the rows: these are not used alone."""
        self.put_json("clips", key, _wire(clips))

    def get_json(self, kind: str, key: str) -> Any:
        """Return a JSON body, or ``None`` when it is absent or damaged."""
        data = self._read(kind, f"{key}.json")
        return None if data is None else _body_of(kind, key, data)

    def put_json(self, kind: str, key: str, body: Any) -> None:
        """Keep a JSON body."""
        entry = {"body": body, "sha256": seal_of(kind, key, _bytes(body))}
        self._write(kind, f"{key}.json", _bytes(entry))

    def get_rows(self, key: str) -> np.ndarray | None:
        """Return feature rows, or ``None`` when they are absent or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        data = self._read("features", f"{key}.safetensors")
        if data is None:
            return None
        # The checksum is the last 64 bytes, as hexadecimal digits.
        body, checksum = data[:-64], data[-64:]
        try:
            return load(body)["rows"] if seal_of("features", key, body).encode() == checksum else None
        except (KeyError, SafetensorError):
            return None

    def put_rows(self, key: str, rows: np.ndarray) -> None:
        """Keep feature rows, followed by their checksum."""
        import numpy as np
        from safetensors.numpy import save

        body = save({"rows": np.ascontiguousarray(rows)})
        self._write("features", f"{key}.safetensors", body + seal_of("features", key, body).encode())


class FileStore(Store):
    """Entries in files below one folder. Safe for many processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """Raise :class:`~pytest_vidmetrics.core.errors.StoreError` when nothing can be written."""
        probe = self.root / "probe"
        self._put(probe, b"ok")
        # Another process that probes may have removed it.
        with contextlib.suppress(OSError):
            probe.unlink()

    @contextlib.contextmanager
    def computing(self, name: str) -> Iterator[None]:
        """Hold a lock so that two processes do not compute the same sample at once.

        Only saves work, correctness does not need it: a lock that cannot be taken is ignored, and one whose
        process died is released by the system.
        """
        from filelock import FileLock, Timeout

        path = self.root / "locks" / f"{name}.lock"
        lock = FileLock(path, timeout=_LOCK_SECONDS)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (OSError, Timeout, NotImplementedError):
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def _read(self, kind: str, name: str) -> bytes | None:
        try:
            return read_whole(self._path(kind, name), _LARGEST)
        except OSError:
            return None

    def _write(self, kind: str, name: str, data: bytes) -> None:
        self._put(self._path(kind, name), data)

    def _names(self, kind: str) -> Iterable[str]:
        return [path.name for path in (self.root / kind).glob(f"*/*{_PART}")]

    def _path(self, kind: str, name: str) -> Path:
        return self.root / kind / name[:2] / name

    def _put(self, path: Path, data: bytes) -> None:
        try:
            write_atomic(path, data)
        except OSError as error:
            raise StoreError(
                f"cannot write to the result store {self.root}: {error.strerror or error}; "
                "free the disk or name another folder with --vidmetrics-cache=DIR"
            ) from error


class MemoryStore(Store):
    """Entries of this process. The oldest go when they take more than ``max_bytes``."""

    def __init__(self, max_bytes: int = 1 << 29) -> None:
        self._entries: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes, self._max_bytes = 0, max_bytes
        self._guard = threading.Lock()

    def _read(self, kind: str, name: str) -> bytes | None:
        with self._guard:
            data = self._entries.get((kind, name))
            if data is not None:
                self._entries.move_to_end((kind, name))
            return data

    def _names(self, kind: str) -> Iterable[str]:
        with self._guard:
            return [name for where, name in self._entries if where == kind and name.endswith(_PART)]

    def _write(self, kind: str, name: str, data: bytes) -> None:
        with self._guard:
            # What is replaced does not count twice.
            self._bytes += len(data) - len(self._entries.pop((kind, name), b""))
            self._entries[kind, name] = data
            while self._bytes > self._max_bytes and len(self._entries) > 1:
                self._bytes -= len(self._entries.popitem(last=False)[1])


def _wire(clips: Clips) -> dict[str, Any]:
    return {key: facts.to_wire() for key, facts in clips.items()}


def _clips(tree: Any) -> Clips | None:
    """Return facts from JSON, or ``None`` for an entry of another version, which counts as absent."""
    try:
        return {key: facts_from(facts) for key, facts in tree.items()}
    except (AttributeError, TypeError, ValueError):
        return None


def _scored(body: Any) -> tuple[MetricResult, Clips] | None:
    result = _result(body)
    if result is None or (clips := _clips(body.get("clips"))) is None:
        return None
    return result, clips


def _result(body: Any) -> MetricResult | None:
    """Return a result from JSON, or ``None`` for an entry that is not one."""
    try:
        name, score, details, status = body["name"], body["score"], body["details"], body["status"]
    except (KeyError, TypeError):
        return None
    whole = isinstance(name, str) and isinstance(details, dict) and status in get_args(Status)
    return MetricResult(name, score, details, status) if whole else None


def _body_of(kind: str, key: str, data: bytes) -> Any:
    """Return the body of a JSON entry, or ``None`` for a damaged one.

    Its bytes as they stand are what the checksum covers; one that another hand spelled is spelled anew for it.
    """
    try:
        if data.startswith(_BODY) and data.endswith(b'"}') and data[-_TAIL : -_TAIL + len(_SUM)] == _SUM:
            body = data[len(_BODY) : -_TAIL]
            if seal_of(kind, key, body).encode() == data[-66:-2]:
                return json.loads(body)
        entry = json.loads(data)
        body = entry["body"]
        return body if entry["sha256"] == seal_of(kind, key, _bytes(body)) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _bytes(body: Any) -> bytes:
    return canonical_json(body).encode("utf-8", "surrogatepass")


def _part_name(kind: str, data: bytes) -> str:
    return hashlib.sha256(f"{kind}\0".encode() + data).hexdigest() + _PART


def seal_of(kind: str, key: str, data: bytes) -> str:
    """Return the checksum of an entry: of its content and of the place where it belongs."""
    return hashlib.sha256(f"{kind}/{key}\0".encode() + data).hexdigest()
