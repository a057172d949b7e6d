"""Feature extractors of the video set metrics. A new one is one class in :data:`EXTRACTORS` and one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_vidmetrics.core.weights import Weights
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

    from pytest_vidmetrics.metrics.sets.protocols import Protocol

_SIDE = 224
_POOLED = 1024


class Extractor:
    """Turns one window of frames into a row to store, and stored rows into the layer that is compared."""

    version: ClassVar[str] = "1"
    """Changes whenever the same frames may give another row."""

    network: ClassVar[str] = ""
    """Attribute of the metric that declares its network, if it has one."""

    def __init__(self, protocol: Protocol, device: torch.device | str, network: Any = None) -> None:
        self.protocol = protocol
        self.device = device
        self._network = network

    @classmethod
    def checkpoint(cls, protocol: Protocol) -> Weights | None:
        """Return the published weights that a protocol names."""
        del protocol
        return None

    def extract(self, frames: torch.Tensor) -> np.ndarray:
        """Return ``(D,)`` float64 for one window of ``(T, 3, H, W)`` uint8 frames."""
        raise NotImplementedError

    def extract_together(self, windows: Sequence[torch.Tensor]) -> np.ndarray:
        """Return ``(N, D)`` for windows of one shape: one after the other, unless the network takes several."""
        import numpy as np

        return np.stack([self.extract(window) for window in windows])

    @classmethod
    def window_bytes(cls, frames: int) -> int:
        """Return what a window of so many frames takes on a GPU at the peak; 0 where each goes by itself."""
        del frames
        return 0

    @classmethod
    def layer(cls, protocol: Protocol, rows: np.ndarray) -> np.ndarray:
        """Return the ``(N, D')`` that a protocol compares of ``(N, D)`` stored rows. Loads nothing."""
        del protocol
        return rows


class MotionEnergyExtractor(Extractor):
    """Hand-made motion, contrast and colour statistics; no weights."""

    version: ClassVar[str] = "1"

    def extract(self, frames: torch.Tensor) -> np.ndarray:
        """Return the 37 numbers of the window."""
        from pytest_vidmetrics.networks.motion_energy import MotionEnergy

        return MotionEnergy().describe(frames)


class I3dExtractor(Extractor):
    """InceptionI3d: stores the 1024 pooled features and the 400 class scores, which follow from them exactly."""

    version: ClassVar[str] = "2"
    network: ClassVar[str] = "_i3d"

    _PUBLISHED: ClassVar[dict[str, Weights]] = {
        "torchscript": I3D_TORCHSCRIPT,
        "piergiaj": I3D_RGB_IMAGENET,
        "videogpt": I3D_PRETRAINED_400,
    }

    @classmethod
    def checkpoint(cls, protocol: Protocol) -> Weights:
        """Return the file of the protocol's family."""
        return cls._PUBLISHED[protocol.family]

    def extract(self, frames: torch.Tensor) -> np.ndarray:
        """Return ``(1424,)``: pooled features, then class scores. Raises ``IncompatibleSampleError`` below 9 frames."""
        row: np.ndarray = self.extract_together([frames])[0]
        return row

    def extract_together(self, windows: Sequence[torch.Tensor]) -> np.ndarray:
        """Return ``(N, 1424)``: all windows go through the network in one forward."""
        import torch

        pooled = self._network.features(torch.stack([self._prepared(window) for window in windows]))
        # One by one on the host: a product of several rows may round otherwise than that of one.
        rows: np.ndarray = torch.stack([torch.cat([row, self._network.logits(row)]) for row in pooled]).numpy()
        return rows

    @classmethod
    def window_bytes(cls, frames: int) -> int:
        """Return the bytes of the frames as they are resized and put together, and of the first layers' maps."""
        return 120 * frames * _SIDE**2

    @classmethod
    def layer(cls, protocol: Protocol, rows: np.ndarray) -> np.ndarray:
        """Return ``(N, 400)`` class scores or ``(N, 1024)`` pooled features, as the protocol says."""
        return rows[:, :_POOLED] if protocol.layer == "pooled" else rows[:, _POOLED:]

    def _prepared(self, frames: torch.Tensor) -> torch.Tensor:
        import torch

        # 16 frames at a time as floats, in [-1, 1].
        parts = [self._resized(chunk.to(self.device).float() / 255 * 2 - 1) for chunk in frames.split(16)]
        # (3, T, 224, 224)
        return torch.cat(parts).permute(1, 0, 2, 3)

    def _resized(self, frames: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional as F

        height, width = frames.shape[2:]
        size = (_SIDE, _SIDE)
        if self.protocol.resize == "crop":
            short = min(height, width)
            # Rounded up, so that neither side is below 224.
            size = (-(-height * _SIDE // short), -(-width * _SIDE // short))
        if size != (height, width):
            frames = F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
        top, left = (size[0] - _SIDE) // 2, (size[1] - _SIDE) // 2
        return frames[:, :, top : top + _SIDE, left : left + _SIDE]


class ClipExtractor(Extractor):
    """CLIP ViT-B/32: the mean of the frames' 512-dimensional image embeddings."""

    network: ClassVar[str] = "_image"

    @classmethod
    def checkpoint(cls, protocol: Protocol) -> Weights:
        """Return OpenAI's weights, which VBench metrics load too."""
        del protocol
        return CLIP_B32

    def extract(self, frames: torch.Tensor) -> np.ndarray:
        """Return ``(512,)``."""
        from pytest_vidmetrics.networks.clip.frames import ClipFrames

        row: np.ndarray = ClipFrames(self._network, self.device).features(frames).numpy()
        return row


class VideoMaeExtractor(Extractor):
    """VideoMAE-base: the mean of its 768-dimensional tokens over 16 frames."""

    network: ClassVar[str] = "_videomae"

    @classmethod
    def checkpoint(cls, protocol: Protocol) -> Weights:
        """Return the pre-trained weights."""
        del protocol
        return VIDEOMAE_BASE

    def extract(self, frames: torch.Tensor) -> np.ndarray:
        """Return ``(768,)``. Raises ``IncompatibleSampleError`` for other than 16 frames."""
        row: np.ndarray = self._network.features(frames).numpy()
        return row


EXTRACTORS: dict[str, type[Extractor]] = {
    "i3d": I3dExtractor,
    "clip": ClipExtractor,
    "videomae": VideoMaeExtractor,
    "motion_energy": MotionEnergyExtractor,
}


def checkpoint_of(protocol: Protocol, weights: str | None) -> Weights | None:
    """Return the weights a protocol loads: the file ``weights`` if given, else the published one."""
    published = EXTRACTORS[protocol.extractor].checkpoint(protocol)
    if published is None or not weights:
        return published
    return Weights(published.name, str(Path(weights).expanduser().resolve()))
