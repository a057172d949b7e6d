"""What the set metrics of videos share: extractor, protocol, stored features and cached reference features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.neutral import NeutralShift
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.sets import extractors as fvd_extractors
from pytest_vidmetrics.metrics.sets import protocols as fvd_protocols
from pytest_vidmetrics.metrics.sets.corpus import CacheMode, CorpusMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.video import (
    CLIP_B32,
    I3D_PRETRAINED_400,
    I3D_RGB_IMAGENET,
    I3D_TORCHSCRIPT,
    VIDEOMAE_BASE,
)

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pytest_vidmetrics.networks.clip.towers import ClipImage
    from pytest_vidmetrics.networks.i3d import InceptionI3d
    from pytest_vidmetrics.networks.videomae import VideoMae


def _files(extractor: str) -> Callable[[VideoSetMetric], list[Weights]]:
    """Return what a metric loads for one extractor."""

    def choose(metric: VideoSetMetric) -> list[Weights]:
        found = fvd_extractors.checkpoint_of(metric.rules, metric.weights) if metric.extractor == extractor else None
        return [found] if found else []

    return choose


class VideoSetMetric(CorpusMetric):
    """A metric of one feature row per clip. Metrics of the same extractor and protocol share stored rows.

    ``protocol`` is a name in :data:`~pytest_vidmetrics.metrics.sets.protocols.PROTOCOLS` (default: the
    extractor's), or a mapping such as ``{"base": "fvd2048_16f", "stride": 2, "clips": 4}`` that changes how its
    videos are read; ``weights`` a local file to use instead of the published weights.

    ``cache_path`` and ``cache_mode`` are those of :class:`CorpusMetric`, with ``$FASTVIDEO_FVD_REF_FEATURES``.
    """

    shifts: ClassVar[Mapping[str, NeutralShift]] = {}
    """The neutral shift by extractor: distances of different extractors have different units."""
    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    small_operations: ClassVar[bool] = True

    _i3d: Network[InceptionI3d] = Network(
        "i3d",
        ".i3d:read",
        I3D_TORCHSCRIPT,
        I3D_RGB_IMAGENET,
        I3D_PRETRAINED_400,
        choose=_files("i3d"),
        options=("family",),
    )
    _image: Network[ClipImage] = Network(
        "clip-vit-base-patch32.image", ".clip.towers:read_image", CLIP_B32, choose=_files("clip")
    )
    _videomae: Network[VideoMae] = Network("videomae", ".videomae:read", VIDEOMAE_BASE, choose=_files("videomae"))

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

    @property
    def family(self) -> str:
        """The family of I3D's checkpoints that the protocol reads."""
        return self.rules.family

    def measured_shift(self) -> NeutralShift | None:
        """Return what was measured for the extractor, read as it comes."""
        usual = fvd_protocols.choose(self.extractor, None)
        return self.shifts.get(self.extractor) if self.rules.digest() == usual.digest() else None

    def identity(self) -> dict[str, Any]:
        """Add the hash of the protocol's rules, so that an edited protocol is another metric."""
        return {**super().identity(), "protocol": self.rules.digest()}

    def feature_identity(self) -> dict[str, Any]:
        """Return what a stored row depends on: the same for every layer and every metric of this kind."""
        version = fvd_extractors.EXTRACTORS[self.extractor].version
        return {"features": "video", "version": version, **self.rules.feature_fields(), **self.rounding()}

    def frames(self) -> FrameRequest:
        """Return the frames that the protocol reads."""
        return self.rules.request()

    def _loaded(self) -> fvd_extractors.Extractor:
        kind = fvd_extractors.EXTRACTORS[self.extractor]
        return kind(self.rules, self.device, getattr(self, kind.network) if kind.network else None)

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
        frames = [video if window == whole else video[window] for window in windows]
        each = extractor.window_bytes(len(windows[0]))
        size = self.chunk(len(frames), each, 1) if each else 1  # on a CPU one by one, so that no window moves another
        parts = [extractor.extract_together(frames[at : at + size]) for at in range(0, len(frames), size)]
        rows = np.concatenate(parts)
        return rows if self.rules.aggregate == "each" else rows.mean(axis=0, keepdims=True)

    def compared(self, features: FeatureSet) -> np.ndarray:
        """Return the rows of the protocol's layer. Raises ``ValueError`` naming clips that are not finite."""
        from pytest_vidmetrics.stats.frechet import checked

        return self.layer(checked(features.rows, features.owners))

    def layer(self, rows: np.ndarray) -> np.ndarray:
        """Return the protocol's layer of ``(N, D)`` stored rows."""
        return fvd_extractors.EXTRACTORS[self.extractor].layer(self.rules, rows)

    def dimension(self, features: FeatureSet) -> int:
        """Return how many numbers a row of the protocol's layer has."""
        return int(self.compared(features).shape[1])

    def facts(self, candidate: FeatureSet, reference: FeatureSet, dimension: int) -> dict[str, Any]:
        """Return what every result of this kind says about its inputs."""
        sizes = {"n_generated": len(candidate.ids), "n_reference": len(reference.ids), "dimension": dimension}
        return {**self.said(), **sizes}

    def said(self) -> dict[str, Any]:
        """Return what every result of this kind says about the metric."""
        return {"extractor": self.extractor, "protocol": f"{self.rules.name}-{self.rules.digest()}"}


def _frames(value: Any) -> torch.Tensor:
    """Return ``(T, 3, H, W)`` uint8 frames of a tensor or of a :class:`Video` that holds them."""
    import torch

    frames: torch.Tensor = value.frames if isinstance(value, Video) else value
    return frames if frames.dtype == torch.uint8 else frames.mul(255).round_().clamp_(0, 255).to(torch.uint8)
