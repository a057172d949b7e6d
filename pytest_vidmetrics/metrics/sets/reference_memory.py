"""The two sets of a video set metric while they are collected, and the references that earlier runs left."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pytest_vidmetrics.metrics.base import FeatureSet
from pytest_vidmetrics.metrics.sets import reference_files as fvd_cache
from pytest_vidmetrics.metrics.sets.reference_files import References

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    Reader = Callable[[Path, str, int], References]
    Writer = Callable[[Path, str, References], None]

_SAME_NAME = "\0"


def put(clips: dict[str, np.ndarray], name: str, rows: np.ndarray) -> None:
    """Add a clip under its name, or under a free one when another worker used the name."""
    key, count = name, 0
    while key in clips:
        count += 1
        key = f"{name}{_SAME_NAME}{count}"
    clips[key] = rows


def joined(clips: Mapping[str, np.ndarray]) -> FeatureSet:
    """Stack the clips in the order of their numbers, so that the sums do not depend on who collected which."""
    import numpy as np

    ordered = sorted(clips.items(), key=lambda item: (item[1].tobytes(), item[0]))
    owners = tuple(key.replace(_SAME_NAME, "#") for key, rows in ordered for _ in rows)
    blocks = [np.asarray(rows, dtype=np.float64) for _, rows in ordered]
    return FeatureSet(np.concatenate(blocks) if blocks else np.empty((0, 0)), owners)


class ReferenceMemory:
    """What is known about reference clips under one key: rows by content, from files and from this run."""

    def __init__(self, key: str, path: Path | None, mode: str, folder: str = fvd_cache.FOLDER) -> None:
        self._key = key
        self._path = path
        self._mode = mode
        self._folder = folder
        self._rows: dict[str, np.ndarray] | None = None
        self._contents: dict[bytes, str] = {}

    def rows(self, content: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the rows of the reference clip with this hash, computed only if no file holds them."""
        known = self._known().get(content)
        rows = compute() if known is None else known
        self._contents[_fingerprint(rows)] = content
        return rows

    def adopt(self, other: ReferenceMemory) -> None:
        """Learn what another worker saw."""
        self._contents |= other._contents

    def keep(self, clips: Mapping[str, np.ndarray], write: Writer = fvd_cache.write) -> str | None:
        """Write the set of a run, and return its name; ``None`` when some clip's content is not known.

        ``write`` writes a file that was named. Raises ``OSError`` when that fails; a default file is left out then.
        """
        prints = {key: self._contents.get(_fingerprint(rows)) for key, rows in clips.items()}
        names = {key.replace(_SAME_NAME, "#"): content for key, content in prints.items() if content is not None}
        if len(names) < len(clips):
            return None
        features = joined(clips)
        references = References(features, tuple(names[owner] for owner in features.owners))
        if self._mode == "read_write" and self._path is not None:
            write(self._path, self._key, references)
        elif self._mode == "read_write":
            with contextlib.suppress(OSError):
                path = fvd_cache.default_location(self._key, references, self._folder)
                fvd_cache.write(path, self._key, references, repair=True)
        return references.digest

    def find(self, dimension: int, read: Reader = fvd_cache.read) -> References | str:
        """Return the one set that earlier runs left, or why there is none to use.

        ``read`` reads a file that was named. Raises ``ValueError`` for a named file of other rules, other weights or
        another width.
        """
        if self._path is not None:
            if self._path.exists():
                return read(self._path, self._key, dimension)
            return f"no reference clips were accumulated, and {self._path.name} does not exist"
        sets = list(fvd_cache.stored(self._key, self._folder))
        if len(sets) == 1:
            return sets[0]
        names = f", and {len(sets)} sets are cached: name one of their files with cache_path" if sets else ""
        return f"no reference clips were accumulated{names}"

    def _known(self) -> dict[str, np.ndarray]:
        if self._rows is None:
            self._rows = {}
            for references in fvd_cache.stored(self._key, self._folder):
                self._rows |= references.by_content()
        return self._rows


def _fingerprint(rows: np.ndarray) -> bytes:
    return hashlib.sha256(rows.tobytes()).digest()
