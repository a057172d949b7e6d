"""What the set metrics of videos share: extractor, protocol, stored features and cached reference features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.base import FeatureSet
from pytest_vidmetrics.metrics.sets import extractors as fvd_extractors
from pytest_vidmetrics.metrics.sets import protocols as fvd_protocols
from pytest_vidmetrics.metrics.sets.corpus import CacheMode, CorpusMetric

if TYPE_CHECKING:
    import numpy as np
    import torch


class VideoSetMetric(CorpusMetric):
    """A metric of one feature row per clip. Metrics of the same extractor and protocol share stored rows.

    ``protocol`` is a name in :data:`~pytest_vidmetrics.metrics.sets.protocols.PROTOCOLS` (default: the
    extractor's), or a mapping such as ``{"base": "fvd2048_16f", "stride": 2, "clips": 4}`` that changes how its
    videos are read; ``weights`` a local file to use instead of the published weights.

    ``cache_path`` and ``cache_mode`` are those of :class:`CorpusMetric`, with ``$FASTVIDEO_FVD_REF_FEATURES``.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True

    def __init__(
        self,
        extractor: str = "i3d",
        protocol: str | Mapping[str, Any] | None = None,
        weights: str | None = None,
        cache_path: str | None = None,
        cache_mode: CacheMode = "read_write",
    ) -> None:
        self.check_mode(cache_mode)
        self.rules = fvd_protocols.choose(extractor, protocol)
        self.extractor = extractor
        self.protocol = dict(protocol) if isinstance(protocol, Mapping) else self.rules.name
        self.weights = weights
        self.cache_path = cache_path
        self.cache_mode = cache_mode
        self._extractor: fvd_extractors.Extractor | None = None

    def identity(self) -> dict[str, Any]:
        """Add the hash of the protocol's rules, so that an edited protocol is another metric."""
        return {**super().identity(), "protocol": self.rules.digest()}

    def feature_identity(self) -> dict[str, Any]:
        """Return what a stored row depends on: the same for every layer and every metric of this kind."""
        version = fvd_extractors.EXTRACTORS[self.extractor].version
        return {"features": "video", "version": version, **self.rules.feature_fields()}

    def weights_files(self) -> tuple[Weights, ...]:
        """Return the extractor's weights."""
        found = fvd_extractors.checkpoint_of(self.rules, self.weights)
        return (found,) if found else ()

    @classmethod
    def every_weights(cls) -> tuple[Weights, ...]:
        """Return the weights of every protocol."""
        found = (fvd_extractors.checkpoint_of(one, None) for one in fvd_protocols.PROTOCOLS.values())
        return tuple(dict.fromkeys(one for one in found if one))

    def frames(self) -> FrameRequest:
        """Return the frames that the protocol reads."""
        return self.rules.request()

    def setup(self) -> None:
        """Load the extractor."""
        self._loaded()

    def _loaded(self) -> fvd_extractors.Extractor:
        if self._extractor is None:
            self._extractor = fvd_extractors.loaded(self.rules, self.weights, self.device, self.name)
        return self._extractor

    def features(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the rows of one clip, ``(1, D)`` or one for each of the protocol's windows, in float64.

        ``sample["video"]`` is ``(T, 3, H, W)`` uint8, or floating point in [0, 1]. Raises
        :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` when it is too short.
        """
        from pytest_vidmetrics.networks import shared

        key = ("fvd", digest_json(self.feature_identity()), self.weights, str(self.device))
        return shared.once(key, lambda: self._rows(_frames(sample["video"])), of=sample["video"])

    def _rows(self, video: torch.Tensor) -> np.ndarray:
        import numpy as np

        extractor = self._loaded()
        windows = self.rules.windows(len(video))
        whole = list(range(len(video)))
        rows = np.stack([extractor.extract(video if window == whole else video[window]) for window in windows])
        return rows if self.rules.aggregate == "each" else rows.mean(axis=0, keepdims=True)

    def compared(self, features: FeatureSet) -> np.ndarray:
        """Return the rows of the protocol's layer. Raises ``ValueError`` naming clips that are not finite."""
        from pytest_vidmetrics.stats.frechet import checked

        rows = checked(features.rows, features.owners)
        return fvd_extractors.EXTRACTORS[self.extractor].layer(self.rules, rows)

    def dimension(self, features: FeatureSet) -> int:
        """Return how many numbers a row of the protocol's layer has."""
        return int(self.compared(features).shape[1])

    def facts(self, candidate: FeatureSet, reference: FeatureSet, dimension: int) -> dict[str, Any]:
        """Return what every result of this kind says about its inputs."""
        return {
            "extractor": self.extractor,
            "protocol": f"{self.rules.name}-{self.rules.digest()}",
            "n_generated": len(candidate.ids),
            "n_reference": len(reference.ids),
            "dimension": dimension,
        }


def _frames(value: Any) -> torch.Tensor:
    """Return ``(T, 3, H, W)`` uint8 frames of a tensor or of a :class:`Video` that holds them."""
    import torch

    frames: torch.Tensor = value.frames if isinstance(value, Video) else value
    return frames if frames.dtype == torch.uint8 else frames.mul(255).round_().clamp_(0, 255).to(torch.uint8)
