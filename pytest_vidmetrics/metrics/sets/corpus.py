"""What set metrics with reference features in files share: the two sets while they are collected, and their merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric, SetMetric
from pytest_vidmetrics.metrics.sets import reference_files as fvd_cache
from pytest_vidmetrics.metrics.sets import reference_memory as fvd_sets

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

CacheMode = Literal["read_write", "read", "off"]


class CorpusMetric(SetMetric):
    """A set metric that keeps the feature rows of its references in files.

    A subclass has the constructor arguments ``weights``, ``cache_path`` and ``cache_mode``, and says by
    :meth:`content` which clip it was given. ``cache_path`` (else the environment variable :attr:`environment`) names
    a file of reference features for :meth:`finalize`: read when no reference clip was accumulated, written after
    some were, unless ``cache_mode`` is ``"read"``. Without a name, each reference set has a file of its own under the
    cache root, and a reference clip that is in one of them is not run through the network again. ``"off"`` reads and
    writes none.
    """

    neutral: ClassVar[frozenset[str]] = frozenset({"weights", "cache_path", "cache_mode"})
    environment: ClassVar[str] = fvd_cache.ENVIRONMENT
    folder: ClassVar[str] = fvd_cache.FOLDER
    given: ClassVar[str] = "streamed"
    """What ``details["ref_source"]`` calls references that were accumulated."""

    cache_path: str | None = None
    cache_mode: CacheMode = "read_write"
    _memory: fvd_sets.ReferenceMemory | None = None

    def check_mode(self, cache_mode: str) -> None:
        """Raise ``ValueError`` for a ``cache_mode`` that there is not."""
        if cache_mode not in fvd_cache.MODES:
            raise ValueError(f"cache_mode must be one of {', '.join(fvd_cache.MODES)}, got {cache_mode!r}")

    def content(self, sample: Mapping[str, Any]) -> str:
        """Return a hash of what the rows of this clip are computed from."""
        raise NotImplementedError(f"{type(self).__name__} must implement content(sample)")

    def read_named(self, path: Path, key: str, dimension: int) -> fvd_cache.References:
        """Return the references of a file that the user named. Raises ``ValueError`` for other features."""
        return fvd_cache.read(path, key, dimension)

    def write_named(self, path: Path, key: str, references: fvd_cache.References) -> None:
        """Write the references of a run to a file that the user named, unless it exists. Raises ``OSError``."""
        fvd_cache.write(path, key, references)

    def reset(self) -> None:
        """Forget every accumulated clip, and look at the cached files anew."""
        super().reset()
        self._memory = None

    def merge_from(self, other: BaseMetric) -> None:
        """Add another worker's clips: in any order and any number of parts, the score has the same bits.

        Raises ``ValueError`` for another metric or configuration.
        """
        if not isinstance(other, CorpusMetric) or other.feature_identity() != self.feature_identity():
            raise ValueError(f"cannot merge {other.identity()} into {self.identity()}")
        if not hasattr(self, "_sets"):
            self.reset()
        for role, clips in getattr(other, "_sets", {}).items():
            for name, rows in clips.items():
                fvd_sets.put(self._sets[role], name, rows)
        if other._memory is not None:
            self._remembered().adopt(other._memory)

    def finalize(self) -> MetricResult:
        """Score what was accumulated; accumulated references win over cached ones.

        ``details["ref_source"]`` is ``"cached"`` for references from a file, ``details["ref_set"]`` names the set by
        its clips' contents. Skipped without generated clips, and without references or one cached set of them.
        Raises ``ValueError`` for a named file of other features.
        """
        sets = getattr(self, "_sets", {"generated": {}, "reference": {}})
        if not sets["generated"]:
            return MetricResult.skipped(self.name, "no generated clips were accumulated")
        generated, reference = fvd_sets.joined(sets["generated"]), fvd_sets.joined(sets["reference"])
        source, name = self.given, None
        if sets["reference"]:
            known = self._remembered() if self.cache_mode != "off" else None
            name = known.keep(sets["reference"], self.write_named) if known else None
        elif self.cache_mode == "off":
            return MetricResult.skipped(self.name, "no reference clips were accumulated")
        else:
            found = self._remembered().find(generated.rows.shape[1], self.read_named)
            if isinstance(found, str):
                return MetricResult.skipped(self.name, found)
            reference, source, name = found.features, "cached", found.digest
        result = self.score_sets(generated, reference)
        facts = {"ref_source": source, **({"ref_set": name} if name else {})}
        return MetricResult(self.name, result.score, {**result.details, **facts}, result.status)

    def _add(self, role: str, named: Mapping[str, Any], sample: Mapping[str, Any]) -> None:
        clips = self._sets[role]
        if role == "reference" and self.cache_mode != "off":
            rows = self._remembered().rows(self.content(sample), lambda: self.features(sample))
        else:
            rows = self.features(sample)
        clips[str(named.get("id", f"{len(clips):08d}"))] = rows

    def _remembered(self) -> fvd_sets.ReferenceMemory:
        if self._memory is None:
            key = fvd_cache.key_of(self.feature_identity(), self.weights_files())
            path = fvd_cache.location(self.cache_path, self.environment)
            self._memory = fvd_sets.ReferenceMemory(key, path, self.cache_mode, self.folder)
        return self._memory


def frechet_details(
    first: np.ndarray, second: np.ndarray, ids: tuple[str, ...], *, ddof: int = 1, block: int = 1
) -> tuple[float, dict[str, Any]]:
    """Return the Fréchet distance of two sets of rows, and what to read beside it.

    ``block`` consecutive rows belong to each of the clips ``ids`` of the first set. The details are ``mean_term``
    and ``covariance_term`` (their sum is the score), ``se`` (standard error for a fixed reference), ``influence`` (by
    how much each clip raises the score), from four reference clips on ``null_floor`` (the distance of two parts of
    the reference of ``null_floor_n`` clips each), and ``infinity`` (the distance extrapolated to infinitely many
    clips) where there are 1.25 clips a dimension. Raises ``ValueError`` for fewer than two rows on either side.
    """
    from pytest_vidmetrics.stats.frechet import frechet
    from pytest_vidmetrics.stats.influence import at_infinity, influence, null_floor

    result = frechet(first, second, ddof=ddof)
    details: dict[str, Any] = {
        "mean_term": result.mean_term,
        "covariance_term": result.covariance_term,
        **spread(influence(first, second), ids, block=block),
    }
    if len(second) // block >= 4:
        details["null_floor"], details["null_floor_n"] = null_floor(second, len(ids), ddof=ddof, block=block)
    if (limit := at_infinity(first, second, ddof=ddof, block=block)) is not None:
        details["infinity"] = limit
    return result.distance, details


def spread(values: np.ndarray, ids: Sequence[str], *, block: int = 1) -> dict[str, Any]:
    """Return ``se``, the standard error for a fixed reference, and ``influence``: by how much each clip raises a score.

    ``values`` are the influences of the generated rows, ``(N,)``; ``block`` consecutive rows belong to each clip.
    """
    from pytest_vidmetrics.stats.influence import standard_error

    shares = values.reshape(-1, block).sum(axis=1) / len(values)
    return {
        "se": standard_error(values, block=block),
        "influence": dict(zip(ids, map(float, shares), strict=True)),
    }
