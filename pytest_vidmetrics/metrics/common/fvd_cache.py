"""Reference features in a file: written whole or not at all, and refused when made under other rules."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.checkpoints import Checkpoint, weights_sha256
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.metrics.base import FeatureSet

MODES = ("read_write", "read", "off")
ENVIRONMENT = "FASTVIDEO_FVD_REF_FEATURES"


def location(cache_path: str | None) -> Path | None:
    """Return the file that was named, by argument or by environment variable."""
    value = cache_path or os.environ.get(ENVIRONMENT)
    return Path(value).expanduser() if value else None


def key_of(features: Mapping[str, Any], checkpoints: Sequence[Checkpoint]) -> str:
    """Return the hash of the rules and of the weights' bytes."""
    return digest_json([dict(features), [weights_sha256(checkpoint) for checkpoint in checkpoints]])


def write(path: Path, key: str, features: FeatureSet) -> None:
    """Write ``features`` made under ``key``. Raises ``OSError``."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, rows=features.rows, owners=np.array(features.owners, dtype=np.str_), key=np.array(key))
    write_atomic(path, buffer.getvalue())


def read(path: Path, key: str) -> FeatureSet:
    """Return the features of a file.

    Raises ``ValueError`` for features of another extractor, protocol or checkpoint, and for a file that is none.
    """
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            found, rows, owners = str(stored["key"]), stored["rows"], tuple(str(o) for o in stored["owners"])
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no reference features: {error}") from error
    if found != key:
        raise ValueError(f"{path} holds features of another extractor, protocol or checkpoint: remove it")
    if rows.ndim != 2 or len(rows) != len(owners):
        raise ValueError(f"{path} is damaged: {rows.shape} rows of {len(owners)} clips")
    return FeatureSet(rows, owners)
