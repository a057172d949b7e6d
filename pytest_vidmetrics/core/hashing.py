"""Content hashes: of files, folders of frames, and JSON values. Never of paths or times alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20
_SOME = 256
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_digests: dict[tuple[str, int, int, int, int], str] = {}


def canonical_json(value: Any) -> str:
    """Return the one spelling of a JSON value: sorted keys, no spaces, shortest floats, no NaN."""
    return _CANONICAL.encode(value)


def digest_json(value: Any) -> str:
    """Return the sha256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def digest_list(values: Iterable[Any]) -> str:
    """Return :func:`digest_json` of a list that is never there as a whole."""
    sha, comma, left = hashlib.sha256(b"["), b"", iter(values)
    while some := list(islice(left, _SOME)):  # the encoder starts once for many
        # The brackets of each piece are cut off: together they are the spelling of the whole list.
        sha.update(comma + canonical_json(some)[1:-1].encode("utf-8", "surrogatepass"))
        comma = b","
    sha.update(b"]")
    return sha.hexdigest()


def digest_file(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file's bytes, or of a folder's names and bytes.

    Read once per process: a file whose size, inode, modification and change time in nanoseconds are unchanged is not
    read again by the same process. Nothing is remembered between processes.
    """
    where = Path(path)
    if where.is_dir():
        names = sorted(entry.name for entry in where.iterdir() if entry.is_file())
        return digest_json([[name, digest_file(where / name)] for name in names])
    stat = where.stat()
    # Links are followed: two names of one file are read once.
    key = (str(where.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    if key not in _digests:
        _digests[key] = _read(where)
    return _digests[key]


def _read(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            sha.update(chunk)
    return sha.hexdigest()
