"""Rotation and mirroring that a container asks the player to apply."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_vidmetrics.core.errors import MediaError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture on the screen: swap the axes first, then reverse rows and columns."""

    swap: bool = False
    reverse_rows: bool = False
    reverse_columns: bool = False

    def apply(self, pixels: Pixels) -> Pixels:
        """Return a view of ``(3, H, W)`` pixels as displayed."""
        if self.swap:
            pixels = pixels.transpose(0, 2, 1)
        return pixels[:, :: -1 if self.reverse_rows else 1, :: -1 if self.reverse_columns else 1]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the ``(width, height)`` as displayed."""
        return (height, width) if self.swap else (width, height)


def orientation_of(frame: VideoFrame, path: Path) -> Orientation:
    """Read a frame's display matrix. Raises :class:`MediaError` unless it is made of quarter turns and mirrors."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    # Rows of 3 int32: x' = a x + c y and y' = b x + d y, in 16.16 fixed point.
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), dtype=np.int32)[:5])
    if a and d and not (b or c):
        return Orientation(False, d < 0, a < 0)
    if b and c and not (a or d):
        return Orientation(True, b < 0, c < 0)
    raise MediaError(f"{path}: rotated by {frame.rotation} degrees; only quarter turns and mirrors are supported")
