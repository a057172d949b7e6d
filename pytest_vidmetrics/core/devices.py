"""Names of devices: one spelling, so that a network is loaded once and a record says one thing."""

from __future__ import annotations


def spelled(device: object) -> str:
    """Return the name of a torch device as it is written everywhere: ``"cuda"`` is the current GPU by its number."""
    name = str(device)
    if name != "cuda":
        return name
    import torch

    return f"cuda:{torch.cuda.current_device() if torch.cuda.is_available() else 0}"
