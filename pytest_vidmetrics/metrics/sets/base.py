"""What a set metric is: one clip to rows (:meth:`SetMetric.features`), two sets to a score (``score_sets``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pytest_vidmetrics.core.clips import Kind
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.accumulating import Accumulating
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet

if TYPE_CHECKING:
    import numpy as np


class SetMetric(Accumulating, BaseMetric):
    """A metric of a whole set of clips against a reference set.

    The engine calls :meth:`features` once per clip of either set and stores the rows; the score is a reduction over
    them, which needs no network: :meth:`score_sets` may be called on a metric that was never set up.
    """

    is_set_metric: ClassVar[bool] = True
    compares: ClassVar[tuple[Kind, ...]] = ()
    min_n: ClassVar[int] = 2
    parallel_reduction: ClassVar[bool] = True
    """Whether :meth:`score_sets` gains from several threads of the processor, as large matrix products do."""

    def feature_identity(self) -> dict[str, Any]:
        """Return what the stored rows depend on; metrics that return the same value share them."""
        return self.identity()

    def features(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the ``(k, D)`` float rows of the one clip in ``sample["video"]`` (or ``sample["audio"]``)."""
        raise NotImplementedError(f"{type(self).__name__} must implement features(sample)")

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Score a candidate set against a reference set.

        ``details["influence"]`` may map a sample id to how much that clip raises the score.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement score_sets(candidate, reference)")

    uses_covariance: ClassVar[bool] = False
    """Whether the score fits a covariance: it then grows with the number of features above that of rows."""

    def bare(self, candidate: FeatureSet, reference: FeatureSet) -> float | None:
        """Return the score of :meth:`score_sets` alone: of many resamples nobody wants details."""
        return self.score_sets(candidate, reference).score

    most_clips: ClassVar[int | None] = None
    """Of a corpus of more than 10,000 clips, so many are compared, chosen by their ids; ``None``: all of them."""

    def of_part(self) -> Self:
        """Return the metric that scores a part of the references, which it must not keep as if it were the set."""
        return self

    def streams(self, references: bool) -> bool:
        """Whether :meth:`score_streamed` can score more than 10,000 clips, whose features are never held at once.

        ``references`` is whether there are reference clips.
        """
        del references
        return False

    def score_streamed(self, candidate: Clips, reference: Clips | None, threads: int = 1) -> MetricResult:
        """Score two sets as :meth:`score_sets` does, reading each as often as needed.

        ``details["reduction"]`` says how. Matrix products have one thread then; ``threads`` is how many the method may
        use itself, which never changes a bit of the score.
        """
        raise NotImplementedError(f"{type(self).__name__} needs all features at once")

    def dimension(self, features: FeatureSet) -> int:
        """Return how many numbers of a row are compared."""
        return int(features.rows.shape[1])

    def score_against(
        self, candidate: FeatureSet, reference: FeatureSet, left_out: Mapping[str, int], *, named_only: bool = False
    ) -> MetricResult:
        """Score the rows of a run: by :meth:`score_sets`, skipped when either set is empty.

        ``left_out`` counts the clips without rows by set, ``"generated"`` and ``"reference"``. A metric that keeps
        references in files looks for them here; ``named_only`` are those whose file was named.
        """
        del left_out, named_only
        for role, rows in (("generated", candidate), ("reference", reference)):
            if not rows.owners:
                return MetricResult.skipped(self.name, f"no {role} clips were accumulated")
        return self.score_sets(candidate, reference)

    def reference_key(self) -> str:
        """Return the sample key that holds a clip's paired reference."""
        return "reference" if "video" in self.requires else "reference_audio"
