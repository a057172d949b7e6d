"""Files that are either whole or absent."""

from __future__ import annotations

import contextlib
import os
import tempfile
from os.path import realpath
from pathlib import Path


def write_atomic(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a whole file or nothing: to a temporary name beside it, then renamed over it.

    A link stays one: the file that it points to is written. ``durable`` waits for the disk, for files that cannot
    be made again. Raises ``OSError``.
    """
    path = Path(realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:32]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
