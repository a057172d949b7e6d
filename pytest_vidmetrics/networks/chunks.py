"""How many frames, pairs or windows go through a network together: as many as the free memory of a GPU holds."""

from __future__ import annotations

import torch

SHARE = 0.5
"""Of the free memory: the rest is for what an estimate leaves out, and for another process on the same GPU."""


def at_once(asked: int | None, count: int, each: int, device: torch.device | str, on_processor: int) -> int:
    """Return how many of ``count`` units are computed together, at least 1.

    ``asked`` is the most that a user allows, ``each`` the bytes that one unit takes at the peak, ``on_processor`` how
    many stay in the cache of a processor: there a larger chunk takes more time, not less.
    """
    device = torch.device(device)
    # Free memory is asked each time: other networks may have been loaded meanwhile.
    most = on_processor if device.type == "cpu" else int(SHARE * free_bytes(device) // each)
    return max(1, min(count, most, most if asked is None else asked))


def free_bytes(device: torch.device) -> int:
    """Return the memory of a GPU that this process could use: what is free, and what torch holds and does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    held: int = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + held
