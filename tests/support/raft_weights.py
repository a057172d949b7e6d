"""RAFT's published file layout with stand-in weights, and torchvision's network on it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch
from torchvision.models.optical_flow import raft_large

from pytest_vidmetrics.networks.flow.raft import rename
from tests.support.oracle_fill import clip_uint8, fill_array

_KEYS = Path(__file__).parents[1] / "data" / "vbench" / "dynamic_degree.keys.json.gz"
_HEAD = "module.update_block.flow_head.conv2."


def raft_state(damping: float = 0.02) -> dict[str, torch.Tensor]:
    """Return a state dict; ``damping`` scales the flow head, so that motion is a few pixels as in real clips."""
    with gzip.open(_KEYS, "rt") as stream:
        shapes = json.load(stream)
    state = {
        key: torch.from_numpy(fill_array(key, tuple(shape))) if kind == "float32" else torch.tensor(0)
        for key, (shape, kind) in shapes.items()
    }
    return {key: value * damping if key.startswith(_HEAD) else value for key, value in state.items()}


def torchvision_flow(state: dict[str, torch.Tensor], first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the ``(2, H, W)`` flow between two padded uint8 frames by torchvision's own forward pass."""
    model = raft_large(weights=None, progress=False).eval()
    model.load_state_dict({new: value for key, value in state.items() if (new := rename(key)) is not None})
    with torch.inference_mode():
        pair = [frame[None].float() / 255 * 2 - 1 for frame in (first, second)]
        return model(*pair, num_flow_updates=20)[-1][0]


def frames(count: int, height: int, width: int, seed: int) -> torch.Tensor:
    """Return a ``(count, 3, height, width)`` uint8 clip."""
    return torch.from_numpy(clip_uint8(count, height, width, seed)).permute(0, 3, 1, 2)
