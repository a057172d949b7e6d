"""The sha256 of cached files, remembered between processes: a file is hashed again when its size or time changed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import digest_file, digest_json


class Verified:
    """What is remembered about one cached file. ``first`` is its sha256 when it was fetched; ``""`` when unknown.

    The record lies in the cache, not beside the file, which may be the hub's.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._record = get_cache_dir() / "verified" / f"{digest_json(str(path.absolute()))[:32]}.json"
        held = self._read()
        self.first: str = held.get("sha256", "")
        self._stat: list[Any] = [held.get("size"), held.get("mtime_ns")]

    def _read(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            held = json.loads(self._record.read_text("utf-8"))
            if isinstance(held, dict) and isinstance(held.get("sha256"), str):
                return held
        return {}

    def is_current(self) -> bool:
        """Whether the file has the size and time that it had when it was last verified."""
        with contextlib.suppress(OSError):
            return bool(self.first) and self._stat == self._now()
        return False

    def digest(self, *, anew: bool = False) -> str:
        """Return the sha256 of the file as it is; ``anew`` reads it whatever is remembered.

        Raises ``OSError`` when it cannot be read.
        """
        if not anew and self.is_current():
            return self.first
        return digest_file(self._path)

    def remember(self, digest: str) -> None:
        """Note that the file, as it is, has this sha256. A cache that cannot be written remembers nothing."""
        size, mtime_ns = self._now()
        # Nothing new: the record is not written again for each run.
        if (self.first, self._stat) == (digest, [size, mtime_ns]):
            return
        record = {"path": str(self._path), "sha256": digest, "size": size, "mtime_ns": mtime_ns}
        with contextlib.suppress(OSError):
            write_atomic(self._record, json.dumps(record).encode())
        self.first, self._stat = digest, [size, mtime_ns]

    def forget(self) -> None:
        """Drop what is remembered, before the file is fetched again."""
        with contextlib.suppress(OSError):
            self._record.unlink(missing_ok=True)
        self.first, self._stat = "", [None, None]

    def _now(self) -> list[int]:
        stat = self._path.stat()
        return [stat.st_size, stat.st_mtime_ns]
