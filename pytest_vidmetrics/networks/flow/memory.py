"""How much memory all-pairs correlation takes: with the fourth power of a frame's side."""

from __future__ import annotations

import os

import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError

VOLUME_LIMIT = 1 << 28
"""Most elements of a batch of correlation volumes: one pair of 720p frames takes 1.1 GB with its pyramid."""
PAIRS_ON_PROCESSOR = 1
"""Most pairs at a time on a processor, whose cache holds no more: four together take a quarter more time."""
_BYTES = 4
_PYRAMID = 4 / 3
_GIB = 1 << 30


def pairs_at_once(chunk_size: int, height: int, width: int, device: torch.device | str) -> int:
    """Return how many pairs of frames go through a network together: no more than memory allows."""
    cells = -(-height // 8) * -(-width // 8)
    most = PAIRS_ON_PROCESSOR if torch.device(device).type == "cpu" else chunk_size
    return max(1, min(chunk_size, most, VOLUME_LIMIT // cells**2))


def check_memory(who: str, height: int, width: int, device: torch.device | str, volumes: int = 1) -> None:
    """Refuse frames whose correlation the main memory cannot hold, before the system ends the process for it.

    ``volumes`` is how many of one pair of frames are held: every cell of 8 x 8 pixels with every other, in float32,
    at four sizes. A GPU is not asked: PyTorch raises its own error there, which costs one clip.
    Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError`.
    """
    if torch.device(device).type != "cpu":
        return
    cells = -(-height // 8) * -(-width // 8)
    needed, total = volumes * cells**2 * _BYTES * _PYRAMID, machine_bytes()
    if needed > total:
        raise IncompatibleSampleError(
            f"{who} needs {needed / _GIB:.0f} GiB for one pair of {height} x {width} frames, and this machine has "
            f"{total / _GIB:.0f} GiB: score it on a larger one, or a smaller render of it"
        )


def machine_bytes() -> int:
    """Return the size of the main memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
