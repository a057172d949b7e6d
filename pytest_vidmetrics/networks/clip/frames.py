"""CLIP ViT-B/32 as a descriptor of clips: the mean of the frames' image embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.clip.towers import read_image
from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.clip.towers import ClipImage

SIDE = 224
_CHUNK = 16


class ClipFrames:
    """Describe a clip by CLIP's projected image embedding, not normalised, averaged over its frames.

    Protocol of FastVideo's ``clip`` extractor (``fastvideo/eval/metrics/common/fvd/extractors.py``) with the
    preprocessing of transformers 5: shorter side to 224 pixels, bicubic with antialiasing, rounded to 256 levels.
    """

    def __init__(self, image: ClipImage, device: torch.device | str = "cpu") -> None:
        self._image = image
        self._device = device

    def features(self, frames: torch.Tensor) -> torch.Tensor:
        """Return ``(512,)`` float64 for ``(T, 3, H, W)`` uint8 frames.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for a clip without frames.
        """
        if not len(frames):
            raise IncompatibleSampleError("the clip has no frames, clip needs at least 1")
        total: torch.Tensor | float = 0.0
        for chunk in frames.split(_CHUNK):
            # Summed in float64, chunk by chunk: the mean does not depend on the size of a chunk.
            total = total + self._image(pixels(chunk).to(self._device)).double().sum(dim=0)
        return torch.as_tensor(total / len(frames)).cpu()


def pixels(frames: torch.Tensor) -> torch.Tensor:
    """Return CLIP's input, ``(T, 3, 224, 224)`` float32, for ``(T, 3, H, W)`` uint8 frames."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    height, width = frames.shape[2:]
    short = min(height, width)
    # Rounded down, as the library does.
    size = [int(SIDE * height / short), int(SIDE * width / short)]
    resized = functional.resize(frames, size, interpolation=InterpolationMode.BICUBIC, antialias=True)
    top, left = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    cropped = resized[:, :, top : top + SIDE, left : left + SIDE].float()
    # Constants times 255 instead of frames over 255: one pass less.
    mean, std = (shared.per_channel(values, cropped) * 255 for values in (CLIP_MEAN, CLIP_STD))
    return (cropped - mean) / std


def read(path: Path, device: torch.device | str) -> ClipFrames:
    """Return the descriptor on the image tower of a file of weights."""
    return ClipFrames(read_image(path, device), device)
