"""The LAION aesthetic predictor: one linear layer on normalised CLIP ViT-L/14 embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf

LAION_HEAD = Weights(
    "sa_0_4_vit_l_14_linear.pth",
    "https://raw.githubusercontent.com/LAION-AI/aesthetic-predictor/main/sa_0_4_vit_l_14_linear.pth",
    licence="MIT",
    override="VIDMETRICS_LAION_AESTHETIC",
)


class AestheticHead:
    """The linear head. ``state`` has ``weight`` ``(1, D)`` and ``bias`` ``(1,)``."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        self._weight = state["weight"].float().to(device)
        self._bias = state["bias"].float().to(device)

    def __call__(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the ``(N,)`` scores, about 1 to 10, of ``(N, D)`` embeddings, which need not be normalised."""
        with torch.inference_mode():
            return F.linear(F.normalize(embeddings.float(), dim=-1), self._weight, self._bias).squeeze(-1)


def load(checkpoint: Weights, device: torch.device | str, metric: str | None = None) -> AestheticHead:
    """Return the shared head of a checkpoint; ``metric`` is who asks, for the error message."""
    path = str(resolve(checkpoint, metric))
    return shared.load(checkpoint.name, device, lambda: AestheticHead(hf.read_state(path), device), path)
