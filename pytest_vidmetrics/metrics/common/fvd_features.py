"""What the set metrics of videos share: extractor, protocol, stored features and cached reference features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.checkpoints import Checkpoint
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.types import MetricResult, Video
from pytest_vidmetrics.metrics.base import BaseMetric, FeatureSet, SetMetric
from pytest_vidmetrics.metrics.common import fvd_cache, fvd_extractors, fvd_protocols, fvd_sets

if TYPE_CHECKING:
    import numpy as np
    import torch


class VideoSetMetric(SetMetric):
    """A metric of one feature row per clip. Metrics of the same extractor and protocol share stored rows.

    ``protocol`` is a name in :data:`~pytest_vidmetrics.metrics.common.fvd_protocols.PROTOCOLS` (default: the
    extractor's), or a mapping such as ``{"base": "fvd2048_16f", "stride": 2, "clips": 4}`` that changes how its
    videos are read; ``weights`` a local file to use instead of the published weights.

    ``cache_path`` (else ``$FASTVIDEO_FVD_REF_FEATURES``) names a file of reference features for :meth:`finalize`:
    read when no reference clip was accumulated, written after some were, unless ``cache_mode`` is ``"read"``.
    Without a name, each reference set has a file of its own under the cache root, and a reference clip whose frames
    are in one of them is not run through the network again. ``"off"`` reads and writes none.
    """

    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    neutral: ClassVar[frozenset[str]] = frozenset({"weights", "cache_path", "cache_mode"})

    def __init__(
        self,
        extractor: str = "i3d",
        protocol: str | Mapping[str, Any] | None = None,
        weights: str | None = None,
        cache_path: str | None = None,
        cache_mode: Literal["read_write", "read", "off"] = "read_write",
    ) -> None:
        if cache_mode not in fvd_cache.MODES:
            raise ValueError(f"cache_mode must be one of {', '.join(fvd_cache.MODES)}, got {cache_mode!r}")
        self.rules = fvd_protocols.choose(extractor, protocol)
        self.extractor = extractor
        self.protocol = dict(protocol) if isinstance(protocol, Mapping) else self.rules.name
        self.weights = weights
        self.cache_path = cache_path
        self.cache_mode = cache_mode
        self._extractor: fvd_extractors.Extractor | None = None
        self._memory: fvd_sets.ReferenceMemory | None = None

    def identity(self) -> dict[str, Any]:
        """Add the hash of the protocol's rules, so that an edited protocol is another metric."""
        return {**super().identity(), "protocol": self.rules.digest()}

    def feature_identity(self) -> dict[str, Any]:
        """Return what a stored row depends on: the same for every layer and every metric of this kind."""
        version = fvd_extractors.EXTRACTORS[self.extractor].version
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
        """Return the rows of one clip, ``(1, D)`` or one for each of the protocol's windows, in float64.

        ``sample["video"]`` is ``(T, 3, H, W)`` uint8, or floating point in [0, 1]. Raises
        :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` when it is too short.
        """
        from pytest_vidmetrics.backbones import shared

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

        return self._loaded().layer(checked(features.rows, features.owners))

    def facts(self, candidate: FeatureSet, reference: FeatureSet, dimension: int) -> dict[str, Any]:
        """Return what every result of this kind says about its inputs."""
        return {
            "extractor": self.extractor,
            "protocol": f"{self.rules.name}-{self.rules.digest()}",
            "n_generated": len(candidate.ids),
            "n_reference": len(reference.ids),
            "dimension": dimension,
        }

    def reset(self) -> None:
        """Forget every accumulated clip, and look at the cached files anew."""
        super().reset()
        self._memory = None

    def merge_from(self, other: BaseMetric) -> None:
        """Add another worker's clips: in any order and any number of parts, the score has the same bits.

        Raises ``ValueError`` for another metric or configuration.
        """
        if not isinstance(other, VideoSetMetric) or other.feature_identity() != self.feature_identity():
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

        ``details["ref_source"]`` is ``"streamed"`` or ``"cached"``, ``details["ref_set"]`` names the set by its
        clips' contents. Skipped without generated clips, and without references or one cached set of them. Raises
        ``ValueError`` for a named file of other features.
        """
        sets = getattr(self, "_sets", {"generated": {}, "reference": {}})
        if not sets["generated"]:
            return MetricResult.skipped(self.name, "no generated clips were accumulated")
        generated, reference = fvd_sets.joined(sets["generated"]), fvd_sets.joined(sets["reference"])
        source, name = "streamed", None
        if sets["reference"]:
            name = self._remembered().keep(sets["reference"]) if self.cache_mode != "off" else None
        elif self.cache_mode == "off":
            return MetricResult.skipped(self.name, "no reference clips were accumulated")
        else:
            found = self._remembered().find(generated.rows.shape[1])
            if isinstance(found, str):
                return MetricResult.skipped(self.name, found)
            reference, source, name = found.features, "cached", found.digest
        result = self.score_sets(generated, reference)
        facts = {"ref_source": source, **({"ref_set": name} if name else {})}
        return MetricResult(self.name, result.score, {**result.details, **facts}, result.status)

    def _add(self, role: str, named: Mapping[str, Any], sample: Mapping[str, Any]) -> None:
        clips = self._sets[role]
        if role == "reference" and self.cache_mode != "off":
            frames = _frames(sample["video"])
            rows = self._remembered().rows(frames, lambda: self.features(sample))
        else:
            rows = self.features(sample)
        clips[str(named.get("id", f"{len(clips):08d}"))] = rows

    def _remembered(self) -> fvd_sets.ReferenceMemory:
        if self._memory is None:
            key = fvd_cache.key_of(self.feature_identity(), self.checkpoints())
            self._memory = fvd_sets.ReferenceMemory(key, self.cache_path, self.cache_mode)
        return self._memory


def _frames(value: Any) -> torch.Tensor:
    """Return ``(T, 3, H, W)`` uint8 frames of a tensor or of a :class:`Video` that holds them."""
    import torch

    frames: torch.Tensor = value.frames if isinstance(value, Video) else value
    return frames if frames.dtype == torch.uint8 else frames.mul(255).round_().clamp_(0, 255).to(torch.uint8)
