"""Kernel audio distance: unbiased at any number of clips, with a p-value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.audio.passt_features import SoundSetMetric
from pytest_vidmetrics.metrics.audio.passt_protocol import Compat
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.corpus import CacheMode, spread
from pytest_vidmetrics.metrics.sets.features import Clips, FeatureSet
from pytest_vidmetrics.metrics.sets.streams import RowFile, kernel_of_streams

if TYPE_CHECKING:
    from pytest_vidmetrics.stats.kernel import Kernel

_SCALE = 100.0


@register("audio.kad")
class KernelAudioDistance(SoundSetMetric):
    """100 times the unbiased squared MMD (arXiv 2502.15602), on the features of ``audio.frechet_distance``.

    Lower is better; zero in expectation for equal distributions, so it can be negative. ``kernel="gaussian"`` has the
    median distance of two reference clips as its bandwidth (``bandwidth`` sets another), ``"polynomial"`` is the cubic
    kernel of KID (arXiv 1801.01401).

    ``details``: ``p_value`` (one-sided, 1000 random relabelings with a fixed seed), ``se`` (standard error for a fixed
    reference), ``influence`` (by how much each clip raises the score), ``bandwidth`` (of the Gaussian kernel),
    ``n_gen``, ``n_ref``, ``dimension``; from :meth:`finalize` as in ``audio.frechet_distance``. Of more than 10,000
    clips the features are never held at once, see :meth:`score_parts`; of more than 50,000 on a side so many are
    compared.
    """

    by_parts: ClassVar[bool] = True
    most_clips: ClassVar[int | None] = 50_000

    noise_floor: ClassVar[float] = 1e-3
    noise_source: ClassVar[str] = "embeddings of 1, 2 and 4 threads differ by 5e-6"

    def __init__(
        self,
        kernel: Literal["gaussian", "polynomial"] = "gaussian",
        bandwidth: float | None = None,
        compat: Compat = "fastvideo",
        protocol: Mapping[str, Any] | None = None,
        weights: str | None = None,
        cache_path: str | None = None,
        cache_mode: CacheMode = "read_write",
    ) -> None:
        one_of("kernel", kernel, ("gaussian", "polynomial"))
        if bandwidth is not None and (kernel != "gaussian" or not bandwidth > 0.0):
            raise ValueError(f"bandwidth must be above 0, and is one of the Gaussian kernel, got {bandwidth!r}")
        super().__init__(compat, protocol, weights, cache_path, cache_mode)
        self.kernel = kernel
        self.bandwidth = bandwidth

    def bare(self, candidate: FeatureSet, reference: FeatureSet) -> float:
        """Return the distance alone."""
        from pytest_vidmetrics.stats.kernel import median_distance, mmd

        first, second = self.checked(candidate), self.checked(reference)
        return _SCALE * mmd(first, second, self._similarity(self._bandwidth(lambda: median_distance(second))))

    def score_parts(self, candidate: Clips, reference: Clips, threads: int) -> MetricResult:
        """Return the distance of :meth:`score_sets` within 1e-9, over all pairs of clips, one block at a time.

        ``details["reduction"]`` is ``"blocks"``. ``p_value`` is of relabelings of some 64 groups of clips.
        """
        from pytest_vidmetrics.stats.median_blocks import median_distance_of_blocks

        bandwidth: float | None = None

        def kernel(rows: RowFile) -> Kernel:
            nonlocal bandwidth
            bandwidth = self._bandwidth(lambda: median_distance_of_blocks(rows, threads=threads))
            return self._similarity(bandwidth)

        score, found = kernel_of_streams(candidate, reference, kernel, threads=threads, scale=_SCALE)
        return MetricResult(self.name, score, {**self.said(found), "bandwidth": bandwidth})

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        """Return the distance; skipped for fewer than two clips on either side.

        Raises ``ValueError`` for features that are not finite, and for a reference of equal clips, which has no
        bandwidth.
        """
        from pytest_vidmetrics.stats.kernel import median_distance, mmd, mmd_influence, permutation_p

        if (refused := self.too_few(candidate, reference)) is not None:
            return refused
        first, second = self.checked(candidate), self.checked(reference)
        bandwidth = self._bandwidth(lambda: median_distance(second))
        kernel = self._similarity(bandwidth)
        values = _SCALE * mmd_influence(first, second, kernel)
        details = {
            **self.facts(candidate, reference),
            "p_value": permutation_p(first, second, kernel=kernel),
            **spread(values, candidate.ids),
            "bandwidth": bandwidth,
        }
        return MetricResult(self.name, _SCALE * mmd(first, second, kernel), details)

    def _bandwidth(self, median: Callable[[], float]) -> float | None:
        """Return the bandwidth of a Gaussian kernel. Raises ``ValueError`` for a median distance of zero."""
        if self.kernel != "gaussian":
            return None
        found = self.bandwidth or median()
        if found == 0.0:
            raise ValueError("most reference clips have the same features: the Gaussian kernel needs a bandwidth")
        return found

    def _similarity(self, bandwidth: float | None) -> Kernel:
        from pytest_vidmetrics.stats.kernel import gaussian, polynomial

        return polynomial if bandwidth is None else gaussian(bandwidth)
