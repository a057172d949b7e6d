"""FastVideo's protocol of set metrics, for scripts that call a metric themselves: accumulate, merge, finalize."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.errors import IncompatibleSampleError, NoAudioStreamError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.sets.features import FeatureSet

if TYPE_CHECKING:
    import numpy as np

ROLES = ("generated", "reference")


class Accumulating:
    """Collects a set metric's rows clip by clip. The engine does not use it: it keeps rows in its store.

    What is collected may come from several workers in any parts and any order: rows are sorted by the clips' ids,
    and those of clips without an id by their content, so that the score has the same bits.
    """

    requires: ClassVar[tuple[str, ...]]
    _clips: dict[str, list[tuple[str, np.ndarray]]]
    _left_out: Counter[str]

    if TYPE_CHECKING:
        # What the metric that is collected for provides.
        def features(self, sample: Mapping[str, Any]) -> np.ndarray: ...  # noqa: D102
        def feature_identity(self) -> dict[str, Any]: ...  # noqa: D102
        def identity(self) -> dict[str, Any]: ...  # noqa: D102
        def reference_key(self) -> str: ...  # noqa: D102
        def score_against(  # noqa: D102
            self, candidate: FeatureSet, reference: FeatureSet, left_out: Mapping[str, int]
        ) -> MetricResult: ...

    def reset(self) -> None:
        """Forget every accumulated clip."""
        self._clips = {role: [] for role in ROLES}
        self._left_out = Counter()

    def accumulate(self, sample: Mapping[str, Any]) -> None:
        """Add one clip: to the reference set when ``sample["role"] == "reference"``, else to the generated set.

        A generated sample that carries its own reference adds that to the reference set too: a pair counts on both
        sides or on none. ``sample["id"]`` names the clip. Raises what :meth:`features` raises; a clip without usable
        content is then counted as left out.
        """
        role = "reference" if sample.get("role") == "reference" else "generated"
        clips = {role: sample}
        paired = sample.get(self.reference_key())
        if role == "generated" and paired is not None:
            clips["reference"] = {**sample, self.requires[0]: paired}
        try:
            rows = {one: self.features(clip) for one, clip in clips.items()}
        except (NoAudioStreamError, IncompatibleSampleError):
            self._collected()
            self._left_out.update(list(clips))
            raise
        for one, found in rows.items():
            self.add(one, str(sample.get("id", "")), found)

    def add(self, role: str, id: str, rows: np.ndarray) -> None:
        """Add the ``(k, D)`` rows of one clip, with an empty ``id`` for one that has none."""
        self._collected()[role].append((id, rows))

    def merge_from(self, other: Any) -> None:
        """Add another worker's clips. Raises ``ValueError`` for another metric or configuration."""
        if not isinstance(other, Accumulating) or other.feature_identity() != self.feature_identity():
            raise ValueError(f"cannot merge {other.identity()} into {self.identity()}")
        mine = self._collected()
        for role, clips in other._collected().items():
            mine[role] += clips
        self._left_out.update(other._left_out)

    def finalize(self) -> MetricResult:
        """Score what was accumulated; skipped when either set is empty and no file holds references."""
        sets = {role: _joined(clips) for role, clips in self._collected().items()}
        return self.score_against(sets["generated"], sets["reference"], self._left_out)

    def _collected(self) -> dict[str, list[tuple[str, np.ndarray]]]:
        if not hasattr(self, "_clips"):
            self.reset()
        return self._clips


def _joined(clips: list[tuple[str, np.ndarray]]) -> FeatureSet:
    """Stack rows by id, those of equal or no ids by content. Equal clips are equal rows, never one row."""
    named: dict[str, np.ndarray] = {}
    width = len(str(len(clips)))
    for id, rows in sorted(clips, key=lambda clip: (clip[0], clip[1].tobytes())):
        copies = f"{len(named):0{width}d}"
        named[id if id and id not in named else f"{id}#{copies}"] = rows
    return FeatureSet.join(named)
