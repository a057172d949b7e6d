"""How much memory all-pairs correlation takes: with the fourth power of a frame's side."""

from __future__ import annotations

import os

import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError

PAIRS_ON_PROCESSOR = 1
"""Most pairs at a time on a processor, whose cache holds no more: four together take a quarter more time."""
_BYTES = 4
# 1 + 1/4 + 1/16 + …: each level has a quarter of the cells.
_PYRAMID = 4 / 3
_BYTES_A_PIXEL = {1: 640, 2: 1400}
"""What one pair takes beside the correlation for each pixel of a frame: in RAFT, and in AMT, which has two volumes."""
_GIB = 1 << 30


def pair_bytes(height: int, width: int, volumes: int = 1) -> int:
    """Return the memory that one pair of frames takes at the peak.

    ``volumes`` is how many correlations are held: every cell of 8 x 8 pixels with every other, in float32, at four
    sizes.
    """
    # Rounded up: frames are padded to whole cells.
    cells = -(-height // 8) * -(-width // 8)
    return int(volumes * cells**2 * _BYTES * _PYRAMID) + _BYTES_A_PIXEL[volumes] * 64 * cells


def check_memory(who: str, height: int, width: int, device: torch.device | str, volumes: int = 1) -> None:
    """Refuse frames of which the memory cannot hold one pair, before the system or the GPU ends the work for it.

    Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` that says how much is needed and there.
    """
    device, needed = torch.device(device), pair_bytes(height, width, volumes)
    total = machine_bytes() if device.type == "cpu" else torch.cuda.mem_get_info(device)[1]
    if needed > total:
        what = "this machine" if device.type == "cpu" else f"the GPU {device}"
        raise IncompatibleSampleError(
            f"{who} needs {needed / _GIB:.0f} GiB for one pair of {height} x {width} frames, and {what} has "
            f"{total / _GIB:.0f} GiB: score it on a larger one, or a smaller render of it"
        )


def machine_bytes() -> int:
    """Return the size of the main memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
