"""Content-addressed results: write-once files named by what produced them. Safe for many processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import StoreError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import canonical_json
from pytest_vidmetrics.core.types import MetricResult

if TYPE_CHECKING:
    import numpy as np

_LOCK_SECONDS = 600.0


class Store:
    """Results below one folder. A key is a sha256; an entry is never changed, only replaced by the same bytes.

    An entry that is torn or was tampered with fails its own checksum and counts as absent.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """Raise :class:`~pytest_vidmetrics.core.errors.StoreError` when nothing can be written."""
        self._write(self.root / "probe", b"ok")
        with contextlib.suppress(OSError):
            (self.root / "probe").unlink()

    def get_result(self, key: str) -> MetricResult | None:
        """Return a stored result, or ``None``."""
        body = self.get_json("results", key)
        if body is None:
            return None
        return MetricResult(body["name"], body["score"], body["details"], body["status"])

    def put_result(self, key: str, result: MetricResult) -> None:
        """Store a scored or skipped result."""
        body = {"name": result.name, "score": result.score, "details": result.details, "status": result.status}
        self.put_json("results", key, body)

    def get_json(self, kind: str, key: str) -> Any:
        """Return a stored JSON body, or ``None`` when it is absent or damaged."""
        try:
            entry = json.loads(self._path(kind, key, "json").read_bytes())
            body = entry["body"]
            return body if entry["sha256"] == _sha(canonical_json(body).encode()) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put_json(self, kind: str, key: str, body: Any) -> Path:
        """Store a JSON body and return its file."""
        entry = {"body": body, "sha256": _sha(canonical_json(body).encode())}
        path = self._path(kind, key, "json")
        self._write(path, canonical_json(entry).encode())
        return path

    def get_rows(self, key: str) -> np.ndarray | None:
        """Return stored feature rows, or ``None`` when they are absent or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            data = self._path("features", key, "safetensors").read_bytes()
            body, checksum = data[:-64], data[-64:]
            return load(body)["rows"] if _sha(body).encode() == checksum else None
        except (OSError, KeyError, SafetensorError):
            return None

    def put_rows(self, key: str, rows: np.ndarray) -> None:
        """Store feature rows, followed by their checksum."""
        import numpy as np
        from safetensors.numpy import save

        body = save({"rows": np.ascontiguousarray(rows)})
        self._write(self._path("features", key, "safetensors"), body + _sha(body).encode())

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

    def _path(self, kind: str, key: str, suffix: str) -> Path:
        return self.root / kind / key[:2] / f"{key}.{suffix}"

    def _write(self, path: Path, data: bytes) -> None:
        try:
            write_atomic(path, data)
        except OSError as error:
            raise StoreError(
                f"cannot write to the result store {self.root}: {error.strerror or error}; "
                "free the disk or name another folder with --vidmetrics-cache=DIR"
            ) from error


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
