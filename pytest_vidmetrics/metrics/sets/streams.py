"""Scores of sets that are read and never held: from moments, and from a file that is read by blocks."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.metrics.sets.corpus import spread
from pytest_vidmetrics.metrics.sets.features import Clips

if TYPE_CHECKING:
    import numpy as np

    from pytest_vidmetrics.stats.kernel import Kernel

Layer = Callable[["np.ndarray"], "np.ndarray"]
"""Maps stored rows to those that are compared."""


def frechet_of_streams(
    first: Clips, second: Clips, layer: Layer = lambda rows: rows, *, ddof: int = 1, block: int = 1
) -> tuple[float, dict[str, Any]]:
    """Return the Fréchet distance of two sets, and what to read beside it.

    From their moments: equal to :func:`~pytest_vidmetrics.metrics.sets.corpus.frechet_details` within 1e-6, without
    ``null_floor`` and ``infinity``, which need subsets. The first set is read twice. Raises ``ValueError`` as
    :func:`compared` does, and for fewer than two rows on either side.
    """
    import numpy as np

    from pytest_vidmetrics.stats.moments import Growing, Moments, frechet_of, influence_of

    def moments(clips: Clips, what: str) -> tuple[Moments, list[str]]:
        growing, ids = Growing(), []
        for id, rows in compared(clips, layer):
            growing.add(rows)
            ids.append(id)
        if not ids:
            raise ValueError(f"there are no {what} clips")
        return growing.moments(), ids

    (one, ids), (other, others) = moments(first, "generated"), moments(second, "reference")
    result = frechet_of(one, other, ddof=ddof)
    influence = influence_of(one, other)
    values = np.concatenate([influence(rows) for _, rows in compared(first, layer)])
    details = {
        "reduction": "moments",
        "mean_term": result.mean_term,
        "covariance_term": result.covariance_term,
        **spread(values, ids, block=block),
    }
    return result.distance, {**_sizes(ids, others, len(one.mean)), **details}


def kernel_of_streams(
    first: Clips,
    second: Clips,
    kernel: Callable[[RowFile], Kernel],
    layer: Layer = lambda rows: rows,
    *,
    threads: int,
    block: int = 1,
    scale: float = 1.0,
) -> tuple[float, dict[str, Any]]:
    """Return ``scale`` times the unbiased squared MMD of two sets over all pairs, and what to read beside it.

    ``kernel`` makes the kernel for the second set. Each set is read once into a file without a name in the folder for
    temporary files (8 bytes a number), and from there by blocks. ``p_value`` is that of groups of clips, see
    :func:`~pytest_vidmetrics.stats.kernel_blocks.mmd_of_blocks`. Raises ``ValueError`` as :func:`compared` does, and
    for fewer than two rows on either side; ``VidmetricsError`` when the disk is full.
    """
    from pytest_vidmetrics.stats.kernel_blocks import mmd_of_blocks

    with RowFile(first, layer) as one, RowFile(second, layer) as other:
        found = mmd_of_blocks(one, other, kernel(other), block=block, threads=threads)
    details = {
        "reduction": "blocks",
        "p_value": found.p_value,
        **spread(scale * found.influence, one.ids, block=block),
    }
    return scale * found.distance, {**_sizes(one.ids, other.ids, one.width), **details}


def compared(clips: Clips, layer: Layer) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the id and the compared rows of each clip, ``(k, D)`` float64.

    Raises ``ValueError`` that names the clip for rows that are not finite, or of another width than the first clip's.
    """
    import numpy as np

    first: tuple[str, tuple[int, ...]] | None = None
    for id, stored in clips():
        rows = np.atleast_2d(np.asarray(stored, dtype=np.float64))
        if not np.isfinite(rows).all():
            raise ValueError(f"features are not finite: {id}")
        first = first or (id, rows.shape)
        if rows.shape[1:] != first[1][1:]:
            raise ValueError(f"{id} has features of the shape {rows.shape}, {first[0]} of the shape {first[1]}")
        yield id, layer(rows)


class RowFile:
    """The compared rows of a set in a file without a name, read by blocks of 1024: gone when it is closed."""

    def __init__(self, clips: Clips, layer: Layer) -> None:
        """Read the clips into the file. Raises ``ValueError`` as :func:`compared` does, and ``VidmetricsError``."""
        self.ids: list[str] = []
        self.width = self._rows = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        try:
            for id, rows in compared(clips, layer):
                self.ids.append(id)
                self.width = rows.shape[1]
                self._rows += len(rows)
                self._write(rows.tobytes())
            # Blocks are read from the file itself, past what is still buffered.
            self._write(b"")
        except BaseException:
            with contextlib.suppress(OSError):  # closing writes what is left
                self._file.close()
            raise

    def _write(self, data: bytes) -> None:
        """Write bytes; none to let all written ones reach the file."""
        try:
            if data:
                self._file.write(data)
            else:
                self._file.flush()
        except OSError as error:
            where = f"{tempfile.gettempdir()}, where the features of clips are kept while they are compared"
            raise VidmetricsError(f"{where}: {error.strerror}; TMPDIR names another folder") from error

    def __len__(self) -> int:
        """Return the number of blocks."""
        from pytest_vidmetrics.stats.kernel_blocks import BLOCK

        return -(-self._rows // BLOCK)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return a block, ``(k, D)``; safe to call from several threads."""
        import numpy as np

        from pytest_vidmetrics.stats.kernel_blocks import BLOCK

        size = 8 * self.width
        count = min(BLOCK, self._rows - index * BLOCK)
        # os.pread has no position that threads would share.
        data = os.pread(self._file.fileno(), count * size, index * BLOCK * size)
        return np.frombuffer(data, dtype=np.float64).reshape(count, self.width)

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._file.close()


def _sizes(generated: list[str], reference: list[str], dimension: int) -> Mapping[str, int]:
    return {"n_generated": len(generated), "n_reference": len(reference), "dimension": dimension}
