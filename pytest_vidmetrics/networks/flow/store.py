"""Flow that outlives a run: one entry per pair of frames, named by their pixels, the network and its weights."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.media.pixels import frame_digest
from pytest_vidmetrics.networks.shared import Keeper

_VERSION = 1
"""Changes whenever the same frames may give another flow."""


class StoredPairs:
    """The pairs of one clip in the store of the engine: each field, and how much the pair moves.

    ``network`` is what two equal fields have in common: name, training set, sha256 of the weights, precision.
    """

    def __init__(self, keeper: Keeper, video: torch.Tensor, network: tuple[str, ...]) -> None:
        self._keeper, self._video, self._network = keeper, video, network
        self._frames: dict[int, str] = {}

    def field(self, pair: int) -> npt.NDArray[Any] | None:
        """Return the ``(H, W, 2)`` flow in pixels of a pair, or ``None``."""
        return self._keeper.get_rows(self._key(pair))

    def motion(self, pair: int) -> tuple[float, float] | None:
        """Return the largest motion over the padded and inside the frame, or ``None``."""
        found = self._keeper.get_json("flow", self._key(pair))
        return None if found is None else (float(found[0]), float(found[1]))

    def put(self, pair: int, field: npt.NDArray[Any], motion: tuple[float, float]) -> None:
        """Keep one pair."""
        key = self._key(pair)
        self._keeper.put_rows(key, field)
        self._keeper.put_json("flow", key, list(motion))

    def _key(self, pair: int) -> str:
        return digest_json(["flow", _VERSION, *self._network, self._digest(pair), self._digest(pair + 1)])

    def _digest(self, frame: int) -> str:
        if frame not in self._frames:
            self._frames[frame] = frame_digest(self._video[frame])
        return self._frames[frame]
