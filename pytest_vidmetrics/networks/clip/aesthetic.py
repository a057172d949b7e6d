"""The LAION aesthetic predictor: one linear layer on normalised CLIP ViT-L/14 embeddings."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from pytest_vidmetrics.networks import state_dicts as hf


class AestheticHead:
    """The linear head. ``state`` has ``weight`` ``(1, D)`` and ``bias`` ``(1,)``."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        self._weight = state["weight"].float().to(device)
        self._bias = state["bias"].float().to(device)

    def __call__(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the ``(N,)`` scores, about 1 to 10, of ``(N, D)`` embeddings, which need not be normalised."""
        with torch.inference_mode():
            return F.linear(F.normalize(embeddings.float(), dim=-1), self._weight, self._bias).squeeze(-1)


def read(path: Path, device: torch.device | str) -> AestheticHead:
    """Return the head of a file of weights."""
    return AestheticHead(hf.read_state(path), device)
