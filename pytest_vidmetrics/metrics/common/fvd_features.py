"""What the set metrics of videos share: extractor, protocol, stored features and cached reference features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.checkpoints import Checkpoint
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import FeatureSet, SetMetric
from pytest_vidmetrics.metrics.common import fvd_cache, fvd_extractors, fvd_protocols

if TYPE_CHECKING:
    import numpy as np


class VideoSetMetric(SetMetric):
    """A metric of one feature row per clip. Metrics of the same extractor and protocol share stored rows.

    ``protocol`` is a name in :data:`~pytest_vidmetrics.metrics.common.fvd_protocols.PROTOCOLS` (default: the
    extractor's); ``weights`` a local file to use instead of the published weights. ``cache_path`` (else
    ``$FASTVIDEO_FVD_REF_FEATURES``) holds reference features for :meth:`finalize`: read when no reference clip
    was accumulated, written after some were unless ``cache_mode`` is ``"read"``; ``"off"`` ignores it.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    neutral: ClassVar[frozenset[str]] = frozenset({"weights", "cache_path", "cache_mode"})

    def __init__(
        self,
        extractor: str = "i3d",
        protocol: str | None = None,
        weights: str | None = None,
        cache_path: str | None = None,
        cache_mode: Literal["read_write", "read", "off"] = "read_write",
    ) -> None:
        if cache_mode not in fvd_cache.MODES:
            raise ValueError(f"cache_mode must be one of {', '.join(fvd_cache.MODES)}, got {cache_mode!r}")
        self.rules = fvd_protocols.choose(extractor, protocol)
        self.extractor = extractor
        self.protocol = self.rules.name
        self.weights = weights
        self.cache_path = cache_path
        self.cache_mode = cache_mode
        self._extractor: fvd_extractors.Extractor | None = None

    def identity(self) -> dict[str, Any]:
        """Add the hash of the protocol's rules, so that an edited protocol is another metric."""
        return {**super().identity(), "protocol": self.rules.digest()}

    def feature_identity(self) -> dict[str, Any]:
        """Return what a stored row depends on: the same for every layer and every metric of this kind."""
        from pytest_vidmetrics.backbones.motion_energy import VERSION

        version = VERSION if self.extractor == "motion_energy" else "1"
        return {"features": "video", "version": version, **self.rules.feature_fields()}

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the extractor's weights."""
        found = fvd_extractors.checkpoint_of(self.rules, self.weights)
        return (found,) if found else ()

    def frames(self) -> FrameRequest:
        """Return the frames that the protocol reads."""
        return self.rules.request()

    def setup(self) -> None:
        """Load the extractor."""
        self._loaded()

    def _loaded(self) -> fvd_extractors.Extractor:
        if self._extractor is None:
            self._extractor = fvd_extractors.load(self.rules, self.weights, self.device, self.name)
        return self._extractor

    def features(self, sample: Mapping[str, Any]) -> np.ndarray:
        """Return the ``(1, D)`` row of one clip, ``(T, 3, H, W)`` uint8."""
        return self._loaded().extract(sample["video"])[None]

    def compared(self, features: FeatureSet) -> np.ndarray:
        """Return the rows of the protocol's layer. Raises ``ValueError`` naming clips that are not finite."""
        from pytest_vidmetrics.stats.frechet import checked

        return self._loaded().layer(checked(features.rows, features.owners))

    def facts(self, candidate: FeatureSet, reference: FeatureSet, dimension: int) -> dict[str, Any]:
        """Return what every result of this kind says about its inputs."""
        return {
            "extractor": self.extractor,
            "protocol": f"{self.protocol}-{self.rules.digest()}",
            "n_generated": len(candidate.ids),
            "n_reference": len(reference.ids),
            "dimension": dimension,
        }

    def finalize(self) -> MetricResult:
        """Score what was accumulated; accumulated references win over cached ones."""
        path = fvd_cache.location(self.cache_path) if self.cache_mode != "off" else None
        sets = getattr(self, "_sets", {"generated": {}, "reference": {}})
        source = "streamed" if sets["reference"] else "cached"
        if path is not None and sets["generated"]:
            key = fvd_cache.key_of(self.feature_identity(), self.checkpoints())
            if sets["reference"]:
                if self.cache_mode == "read_write" and not path.exists():
                    fvd_cache.write(path, key, FeatureSet.join(sets["reference"]))
            elif path.exists():
                result = self.score_sets(FeatureSet.join(sets["generated"]), fvd_cache.read(path, key))
                return MetricResult(self.name, result.score, {**result.details, "ref_source": source}, result.status)
        result = super().finalize()
        if result.status != "scored":
            return result
        return MetricResult(self.name, result.score, {**result.details, "ref_source": source}, result.status)
