"""Reference features in files: written whole, under a lock, and refused when made under other rules.

A file that the user names holds one reference set. Without one, a set lies under the cache root, in a file named
after the rules and the rows of its clips: another set or another protocol is another file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.weights import Weights, weights_sha256
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet

if TYPE_CHECKING:
    from zipfile import ZipFile

    import numpy as np

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
        return _name(_sha(rows) for _, rows in self.clips())

    @property
    def shape(self) -> tuple[int, int]:
        """That of all rows, ``(N, D)``."""
        return (len(self.features.rows), self.features.rows.shape[1])

    def clips(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the id and the ``(k, D)`` rows of each clip."""
        import numpy as np

        blocks: dict[str, list[np.ndarray]] = {}
        for owner, row in zip(self.features.owners, self.features.rows, strict=True):
            blocks.setdefault(owner, []).append(row)
        return ((owner, np.stack(rows)) for owner, rows in blocks.items())


class Seen:
    """A reference set that is read and never held: ``shape`` and ``digest`` are known once it was read."""

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        self.shape = (0, 0)
        self.digest = ""

    def clips(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the id and the ``(k, D)`` float64 rows of each clip."""
        import numpy as np

        digests, count, width = [], 0, 0
        for id, stored in self._clips():
            rows = np.atleast_2d(np.asarray(stored, dtype=np.float64))
            digests.append(_sha(rows))
            count, width = count + len(rows), rows.shape[1]
            yield id, rows
        self.shape, self.digest = (count, width), _name(digests)


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


def write(path: Path, key: str, references: References | Seen, *, repair: bool = False) -> None:
    """Write a set made under ``key`` unless the file exists; ``repair`` replaces one that :func:`read` refuses.

    Raises ``OSError``, also when the lock stays taken, and ``ValueError`` for a set that has changed since it was seen.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=_PATIENCE_S):
        # Looked for under the lock: another process may have written it meanwhile.
        if not path.exists() or (repair and _refused(path, key)):
            write_atomic(path, lambda stream: _write(stream, key, references))


def _write(stream: BinaryIO, key: str, references: References | Seen) -> None:
    """Write what ``numpy.savez`` does of ``rows``, ``key`` and ``owners``, without holding the rows."""
    import zipfile

    import numpy as np

    def member(name: str) -> IO[bytes]:
        # Without force_zip64 a member of unknown size may not grow beyond 2 GiB.
        return archive.open(f"{name}.npy", "w", force_zip64=True)

    owners: list[str] = []
    count, width = references.shape  # a set that is read again says another shape then
    with zipfile.ZipFile(stream, "w") as archive:
        with member("rows") as file:
            header = {"descr": "<f8", "fortran_order": False, "shape": (count, width)}
            np.lib.format.write_array_header_1_0(file, header)
            for id, rows in references.clips():
                file.write(np.ascontiguousarray(rows, dtype="<f8").tobytes())
                owners += [id] * len(rows)
        if len(owners) != count:
            raise ValueError(f"the reference set changed while it was read: {count} rows, then {len(owners)}")
        for name, value in (("key", np.array(key)), ("owners", np.array(owners, dtype=np.str_))):
            with member(name) as file:
                np.lib.format.write_array(file, value, allow_pickle=False)


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
    _check(path, key, found, rows.shape, len(owners))
    if not np.isfinite(rows).all():
        raise ValueError(f"{path} is damaged: rows of {len(owners)} clips are not all finite")
    if dimension is not None and rows.shape[1] != dimension:
        raise ValueError(f"{path} holds rows of {rows.shape[1]} numbers, the extractor gives {dimension}")
    return References(FeatureSet(rows, owners))


def clips_of(path: Path, key: str) -> Clips:
    """Return what reads the set of a file clip by clip, and is not held.

    Raises ``ValueError`` as :func:`read` does; the rows are checked while they are read.
    """
    import zipfile

    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive, _rows_in(archive) as (_, shape):
            values = []
            for name in ("key", "owners"):
                with archive.open(f"{name}.npy") as file:
                    values.append(np.lib.format.read_array(file, allow_pickle=False))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} holds no reference features: {error}") from error
    found, owners = str(values[0]), values[1]
    _check(path, key, found, shape, len(owners))
    # The rows of a clip lie one behind the other.
    counts = [(str(owner), sum(1 for _ in group)) for owner, group in itertools.groupby(owners)]

    def clips() -> Iterator[tuple[str, np.ndarray]]:
        with zipfile.ZipFile(path) as archive, _rows_in(archive) as (file, (_, width)):
            for owner, count in counts:
                try:
                    # 8 bytes a number.
                    data = file.read(8 * width * count)
                except (EOFError, zipfile.BadZipFile) as error:
                    raise ValueError(f"{path} is damaged: {error}") from error
                yield owner, np.frombuffer(data, dtype="<f8").reshape(count, width)

    return clips


@contextlib.contextmanager
def _rows_in(archive: ZipFile) -> Iterator[tuple[IO[bytes], tuple[int, int]]]:
    """Open the rows of a set, and say their shape. Raises ``ValueError`` for another type of numbers."""
    import numpy as np

    with archive.open("rows.npy") as file:
        np.lib.format.read_magic(file)
        shape, in_columns, kind = np.lib.format.read_array_header_1_0(file)
        if in_columns or kind != np.dtype("<f8") or len(shape) != 2:
            raise ValueError(f"{kind} of the shape {shape}, not rows of float64")
        yield file, shape


def _check(path: Path, key: str, found: str, shape: tuple[int, ...], owners: int) -> None:
    if found != key:
        raise ValueError(f"{path} holds features of another extractor, protocol or checkpoint: remove it")
    if len(shape) != 2 or shape[0] != owners:
        raise ValueError(f"{path} is damaged: {shape} rows of {owners} clips")


def stored(key: str, folder: str = FOLDER) -> Iterator[References]:
    """Yield the sets under the cache root that were made under ``key``; damaged files are passed over."""
    for path in sorted((get_cache_dir() / folder).glob(f"{key[:_SHORT]}-*.npz")):
        with contextlib.suppress(ValueError):
            yield read(path, key)


def _sha(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.tobytes()).hexdigest()


def _name(digests: Iterable[str]) -> str:
    """Return the name of a set from those of its clips."""
    return digest_json(sorted(digests))[:_SHORT]


def _refused(path: Path, key: str) -> bool:
    try:
        read(path, key)
    except ValueError:
        return True
    return False
