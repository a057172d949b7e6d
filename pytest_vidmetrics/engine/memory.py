"""What to do when a device has no memory left, and which errors leave it unusable."""

from __future__ import annotations

import gc
import sys

from pytest_vidmetrics.metrics.base import BaseMetric

RETRIES = 2
"""How often a metric is tried again, each time with half the chunk."""


def ran_out(error: BaseException) -> bool:
    """Whether an error says that a device had too little memory: another try may succeed."""
    # Not imported here: without torch nothing can have run out of its memory.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def is_lost(error: BaseException) -> bool:
    """Whether an error leaves the device unusable for this process: every later call would fail too."""
    torch = sys.modules.get("torch")
    # What newer versions of torch raise for errors that stay, such as an illegal access.
    kind = getattr(torch, "AcceleratorError", None)
    return kind is not None and isinstance(error, kind)


def halve(metric: BaseMetric) -> bool:
    """Halve a metric's chunk for the rest of the process; return whether it had one to halve."""
    # What was used last counts: the limit may be far above it.
    size = metric.chunk_used or metric.chunk_size
    if size is None or size < 2:
        return False
    metric.chunk_size = size // 2
    return True


def release(device: str) -> None:
    """Give unused memory of a device back to the system."""
    # Cycles first, as they may hold tensors; then the blocks that the allocator keeps.
    gc.collect()
    if device.startswith("cuda"):
        import torch

        with torch.cuda.device(device):
            torch.cuda.empty_cache()
            torch.cuda.ipc_collect()
