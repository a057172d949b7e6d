"""What a frame is, apart from the file it came from: its pixels."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def frame_digest(frame: torch.Tensor) -> str:
    """Return the sha256 of a ``(C, H, W)`` uint8 frame: of its shape and its pixels, on whatever device it is."""
    pixels = frame.permute(1, 2, 0).contiguous().cpu().numpy()
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
