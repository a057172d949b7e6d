"""The feature rows of a set of clips, in one order wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


Clips = Callable[[], Iterable[tuple[str, "np.ndarray"]]]
"""Reads a set that does not fit into memory: the id and the ``(k, D)`` rows of each clip, the same every time."""


@dataclass(frozen=True)
class FeatureSet:
    """Features of a corpus: ``rows`` is ``(N, D)`` float64, ``owners[i]`` the sample id that row ``i`` came from.

    Rows are ordered by sample id, so that a score does not depend on who computed which clip when.
    """

    rows: np.ndarray
    owners: tuple[str, ...]

    @classmethod
    def join(cls, clips: Mapping[str, np.ndarray]) -> FeatureSet:
        """Stack each clip's ``(k, D)`` rows in the order of the sorted ids. Raises ``ValueError`` for two ``D``."""
        import numpy as np

        ids = sorted(clips)
        blocks = [np.atleast_2d(np.asarray(clips[i], dtype=np.float64)) for i in ids]
        for name, block in zip(ids, blocks, strict=True):
            if (shape := block.shape)[1:] != blocks[0].shape[1:]:
                raise ValueError(f"{name} has features of the shape {shape}, {ids[0]} of the shape {blocks[0].shape}")
        owners = tuple(i for i, block in zip(ids, blocks, strict=True) for _ in range(len(block)))
        return cls(np.concatenate(blocks) if blocks else np.empty((0, 0)), owners)

    @property
    def ids(self) -> tuple[str, ...]:
        """The sample ids, once each, in order."""
        return tuple(dict.fromkeys(self.owners))
