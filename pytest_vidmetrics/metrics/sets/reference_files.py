"""Reference features in files: written whole, under a lock, and refused when made under other rules.

A file that the user names holds one reference set. Without one, a set lies under the cache root, in a file named
after the rules and the rows of its clips: another set or another protocol is another file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.weights import Weights, weights_sha256
from pytest_vidmetrics.metrics.sets.features import FeatureSet

MODES = ("read_write", "read", "off")
ENVIRONMENT = "FASTVIDEO_FVD_REF_FEATURES"
FOLDER = "fvd"
_PATIENCE_S = 60.0
_SHORT = 16


@dataclass(frozen=True)
class References:
    """A reference set as it is kept."""

    features: FeatureSet

    @property
    def digest(self) -> str:
        """The set's name: 16 hexadecimal digits of its clips' rows, whatever their ids and order."""
        import numpy as np

        blocks: dict[str, list[np.ndarray]] = {}
        for owner, row in zip(self.features.owners, self.features.rows, strict=True):
            blocks.setdefault(owner, []).append(row)
        return digest_json(sorted(_sha(np.stack(rows).tobytes()) for rows in blocks.values()))[:_SHORT]


def location(cache_path: str | None, environment: str = ENVIRONMENT) -> Path | None:
    """Return the file that was named, by argument or by environment variable."""
    value = cache_path or os.environ.get(environment)
    return Path(value).expanduser() if value else None


def default_location(key: str, references: References, folder: str = FOLDER) -> Path:
    """Return the file of a set under the cache root."""
    return get_cache_dir() / folder / f"{key[:_SHORT]}-{references.digest}.npz"


def key_of(features: Mapping[str, Any], checkpoints: Sequence[Weights]) -> str:
    """Return the hash of the rules and of the weights' bytes."""
    return digest_json([dict(features), [weights_sha256(checkpoint) for checkpoint in checkpoints]])


def keep(key: str, references: References, folder: str = FOLDER) -> None:
    """Write a set to its file under the cache root, where that can be had: it only saves the next run its clips."""
    with contextlib.suppress(OSError):
        write(default_location(key, references, folder), key, references, repair=True)


def write(path: Path, key: str, references: References, *, repair: bool = False) -> None:
    """Write a set made under ``key`` unless the file exists; ``repair`` replaces one that :func:`read` refuses.

    Raises ``OSError``, also when the lock stays taken.
    """
    import numpy as np
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=_PATIENCE_S):
        if path.exists() and not (repair and _refused(path, key)):
            return
        buffer = io.BytesIO()
        owners = np.array(references.features.owners, dtype=np.str_)
        np.savez(buffer, allow_pickle=False, rows=references.features.rows, key=np.array(key), owners=owners)
        write_atomic(path, buffer.getvalue())


def read(path: Path, key: str, dimension: int | None = None) -> References:
    """Return the set of a file.

    Raises ``ValueError`` for features of another extractor, protocol or checkpoint, for rows of another width than
    ``dimension``, and for a file that is damaged or something else.
    """
    import zipfile

    import numpy as np

    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            found, rows = str(stored["key"]), stored["rows"]
            owners = tuple(str(name) for name in stored["owners"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no reference features: {error}") from error
    if found != key:
        raise ValueError(f"{path} holds features of another extractor, protocol or checkpoint: remove it")
    if rows.ndim != 2 or len(rows) != len(owners) or not np.isfinite(rows).all():
        raise ValueError(f"{path} is damaged: {rows.shape} rows of {len(owners)} clips")
    if dimension is not None and rows.shape[1] != dimension:
        raise ValueError(f"{path} holds rows of {rows.shape[1]} numbers, the extractor gives {dimension}")
    return References(FeatureSet(rows, owners))


def stored(key: str, folder: str = FOLDER) -> Iterator[References]:
    """Yield the sets under the cache root that were made under ``key``; damaged files are passed over."""
    for path in sorted((get_cache_dir() / folder).glob(f"{key[:_SHORT]}-*.npz")):
        with contextlib.suppress(ValueError):
            yield read(path, key)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _refused(path: Path, key: str) -> bool:
    try:
        read(path, key)
    except ValueError:
        return True
    return False
