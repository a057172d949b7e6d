"""What set metrics with reference features in files share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.sets import reference_files
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet
from pytest_vidmetrics.metrics.sets.reference_files import References, Seen

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

CacheMode = Literal["read_write", "read", "off"]


class CorpusMetric(SetMetric):
    """A set metric that reads and writes the feature rows of its references in files.

    A subclass has the constructor arguments ``weights``, ``cache_path`` and ``cache_mode``. ``cache_path`` (else the
    environment variable :attr:`environment`) names a file of reference features: read when there is no reference
    clip, written after there were some, unless ``cache_mode`` is ``"read"``. Without a name a script keeps each
    reference set in a file of its own under the cache root; a gate reads and writes named files only. ``"off"`` reads
    and writes none.
    """

    neutral: ClassVar[frozenset[str]] = frozenset({"weights", "cache_path", "cache_mode"})
    environment: ClassVar[str] = reference_files.ENVIRONMENT
    folder: ClassVar[str] = reference_files.FOLDER
    given: ClassVar[str] = "streamed"
    """What ``details["ref_source"]`` calls references that came as clips."""

    by_parts: ClassVar[bool] = False
    """Whether :meth:`score_parts` is there: of more than 10,000 clips the features are never held at once."""

    cache_path: str | None = None
    cache_mode: CacheMode = "read_write"

    def check_mode(self, cache_mode: str) -> None:
        """Raise ``ValueError`` for a ``cache_mode`` that there is not."""
        one_of("cache_mode", cache_mode, reference_files.MODES)

    def read_named(self, path: Path, key: str, dimension: int) -> References:
        """Return the references of a file that the user named. Raises ``ValueError`` for other features."""
        return reference_files.read(path, key, dimension)

    def write_named(self, path: Path, key: str, references: References | Seen) -> None:
        """Write the references of a run to a file that the user named, unless it exists. Raises ``OSError``."""
        reference_files.write(path, key, references)

    def named_clips(self, path: Path, key: str) -> Clips:
        """Return what reads the references of a file that the user named. Raises ``ValueError`` for other features."""
        return reference_files.clips_of(path, key)

    def of_part(self) -> Self:
        """Return the metric with a mode that writes no references."""
        part = copy(self)
        part.cache_mode = "read" if self.cache_mode == "read_write" else self.cache_mode
        return part

    def streams(self, references: bool) -> bool:
        """Whether there are reference clips, or a file of them that was named, to read part by part."""
        return self.by_parts and (references or ((path := self._used()) is not None and path.exists()))

    def score_streamed(self, candidate: Clips, reference: Clips | None, threads: int = 1) -> MetricResult:
        """Score two sets that are read and never held; without ``reference`` against that of the named file.

        ``details`` as in :meth:`score_against`. Raises ``ValueError`` without either, and for a named file of other
        features.
        """
        path = self._used()
        if reference is not None:
            known = Seen(reference)
        elif path is not None:
            known = Seen(self.named_clips(path, self._key()))
        else:
            raise ValueError("there are no reference clips")
        # Scored before it is kept: shape and digest of what streams by are known once it was read.
        result = self.score_parts(candidate, known.clips, threads)
        if reference is not None and path is not None and self.cache_mode == "read_write":
            self.write_named(path, self._key(), known)
        facts = {"ref_source": "cached" if reference is None else self.given, "ref_set": known.digest}
        return MetricResult(self.name, result.score, {**result.details, **facts}, result.status)

    def score_parts(self, candidate: Clips, reference: Clips, threads: int) -> MetricResult:
        """Score two sets that are read as often as needed and never held; ``details["reduction"]`` says how."""
        raise NotImplementedError(f"{type(self).__name__} needs all features at once")

    def score_against(
        self, candidate: FeatureSet, reference: FeatureSet, left_out: Mapping[str, int], *, named_only: bool = False
    ) -> MetricResult:
        """Score the rows of a run; reference clips win over those in a file.

        ``details["ref_source"]`` is ``"cached"`` for references from a file, ``details["ref_set"]`` names the set by
        its rows. Skipped without generated clips, and without references or one file of them. Raises ``ValueError``
        for a named file of other features.
        """
        del left_out
        if not candidate.owners:
            return MetricResult.skipped(self.name, "no generated clips were accumulated")
        source, known = self.given, References(reference)
        if reference.owners:
            self._keep(known, named_only)
        else:
            found = self._find(candidate.rows.shape[1], named_only)
            if isinstance(found, str):
                return MetricResult.skipped(self.name, found)
            known, source = found, "cached"
        result = self.score_sets(candidate, known.features)
        facts = {"ref_source": source, "ref_set": known.digest}
        return MetricResult(self.name, result.score, {**result.details, **facts}, result.status)

    def _used(self) -> Path | None:
        """Return the named file, unless the mode is to use none."""
        return None if self.cache_mode == "off" else self._named()

    def _named(self) -> Path | None:
        return reference_files.location(self.cache_path, self.environment)

    def _key(self) -> str:
        return reference_files.key_of(self.feature_identity(), self.weights_files())

    def _keep(self, references: References, named_only: bool) -> None:
        """Write the references of a run. Raises ``OSError`` when a named file cannot be written."""
        if self.cache_mode != "read_write":
            return
        if (path := self._named()) is not None:
            self.write_named(path, self._key(), references)
        elif not named_only:
            reference_files.keep(self._key(), references, self.folder)

    def _find(self, dimension: int, named_only: bool) -> References | str:
        """Return the references that earlier runs left, or why there are none to use."""
        none = "no reference clips were accumulated"
        if self.cache_mode == "off":
            return none
        if (path := self._named()) is not None:
            if path.exists():
                return self.read_named(path, self._key(), dimension)
            return f"{none}, and {path.name} does not exist"
        sets = [] if named_only else list(reference_files.stored(self._key(), self.folder))
        if len(sets) == 1:
            return sets[0]
        return f"{none}, and {len(sets)} sets are cached: name one of their files with cache_path" if sets else none


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

    # Each row has 1 / n of its influence, and a clip the sum over its rows.
    shares = values.reshape(-1, block).sum(axis=1) / len(values)
    return {
        "se": standard_error(values, block=block),
        "influence": dict(zip(ids, map(float, shares), strict=True)),
    }
