"""Clips in ``.npz`` files: one array of frames, read without running anything that the file may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.orientation import Pixels

ARRAY_SUFFIXES = frozenset({".npz"})
_NAMES = ("video", "frames")
_SLACK = 0.01
"""How far outside its range a float may lie: networks overshoot."""


def read_array(path: Path) -> Pixels:
    """Return the ``(T, 3, H, W)`` uint8 frames of a file, a view that is channels last in memory where it was.

    The array is ``uint8``, or floating point in [0, 1], or in [-1, 1] where some value is negative, rounded to 256
    levels. Its layout is ``(T, H, W, 3)`` or ``(3, T, H, W)``. Several arrays: the one called ``video`` or
    ``frames``. Raises :class:`MediaError`, which names the file, for anything else.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise MediaError(f"{path}: not an .npz file of arrays")
            names = [name for name in _NAMES if name in found.files] or list(found.files)
            if len(names) != 1:
                held = ", ".join(found.files) or "nothing"
                raise MediaError(f"{path}: expected one array, or one called 'video' or 'frames'; it holds {held}")
            array: object = found[names[0]]
            if not isinstance(array, np.ndarray):
                raise MediaError(f"{path}: {names[0]!r} in it is not an array: it is another file, or damaged")
    except MediaError:
        raise
    except Exception as error:  # a damaged header reaches Python's own tokenizer, a damaged size the allocator
        raise MediaError(f"{path}: not an .npz file that can be read ({error})") from error
    return frames_of(array, str(path))


def frames_of(array: np.ndarray, path: str) -> Pixels:
    """Return the frames of one array as :func:`read_array` does; ``path`` is how errors call it."""
    return _levels(_by_frame(array, path), path)


def _by_frame(array: np.ndarray, path: str) -> np.ndarray:
    """Return ``(T, 3, H, W)``."""
    if array.ndim == 4 and array.size and array.shape[3] == 3:
        # A view: channels last in memory is what resizing likes best.
        return array.transpose(0, 3, 1, 2)
    # The last axis decides first: of (3, H, W, 3) it is the colours.
    if array.ndim == 4 and array.size and array.shape[0] == 3:
        return array.transpose(1, 0, 2, 3)
    raise MediaError(f"{path}: the array has the shape {array.shape}: expected (T, H, W, 3) or (3, T, H, W)")


def _levels(array: np.ndarray, path: str) -> Pixels:
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise MediaError(f"{path}: the array is {array.dtype}: expected uint8, or floating point in [0, 1] or [-1, 1]")
    low, high = float(array.min()), float(array.max())
    # Written so that NaN, which compares false with everything, is refused too.
    if not (low >= -1 - _SLACK and high <= 1 + _SLACK):
        raise MediaError(f"{path}: the array has values from {low:g} to {high:g}: expected [0, 1] or [-1, 1]")
    exact = array.astype(np.float64)
    scaled = exact * 255 if low >= 0 else (exact + 1) * 127.5
    pixels: Pixels = scaled.round().clip(0, 255).astype(np.uint8)
    return pixels
