"""DINO ViT-B/16 (arXiv 2104.14294) from the transformers-layout checkpoint, with DINO's own position table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from pytest_vidmetrics.networks import state_dicts as hf

_PARTS = ("embeddings.", "encoder.", "layernorm.")
_NUDGE = 0.1


def position_table(table: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the ``(1, 1 + height * width, D)`` position table for a grid of patches.

    ``table`` is the learned ``(1, 1 + n * n, D)`` one. DINO gives the bicubic resize scale factors for a grid
    that is 0.1 of a patch larger, and these, not the target size, place the samples.
    """
    side = round((table.shape[1] - 1) ** 0.5)
    if (height, width) == (side, side):
        return table
    grid = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    factors = ((height + _NUDGE) / side, (width + _NUDGE) / side)
    resized = F.interpolate(grid, scale_factor=factors, mode="bicubic", align_corners=False)
    if tuple(resized.shape[-2:]) != (height, width):
        raise ValueError(f"a position table of {tuple(resized.shape[-2:])} for a grid of {(height, width)}")
    return torch.cat([table[:, :1], resized.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


class Dino:
    """The vision transformer; ``state`` is a published state dict, a pooling head in it is not loaded."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from transformers import ViTConfig

        part = hf.pick(state, _PARTS)
        patch = part["embeddings.patch_embeddings.projection.weight"]
        positions = part["embeddings.position_embeddings"].shape[1]
        config = ViTConfig(
            hidden_size=patch.shape[0],
            intermediate_size=len(part["encoder.layer.0.intermediate.dense.weight"]),
            num_hidden_layers=hf.depth(part, "encoder.layer."),
            num_attention_heads=patch.shape[0] // hf.HEAD_WIDTH,
            patch_size=patch.shape[-1],
            image_size=patch.shape[-1] * round((positions - 1) ** 0.5),
            layer_norm_eps=1e-6,
        )
        self._model: Any = _build(config, part).to(device)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, D)`` class tokens after the final norm of normalised ``(N, 3, H, W)`` images.

        A row or column of patches that does not fit in full is left out.
        """
        with torch.inference_mode():
            output = self._model(pixel_values=pixels, interpolate_pos_encoding=True)
        features: torch.Tensor = output.last_hidden_state[:, 0]
        return features


def _build(config: Any, part: hf.State) -> Any:
    from transformers.models.vit.modeling_vit import ViTEmbeddings, ViTModel

    class DinoEmbeddings(ViTEmbeddings):
        def interpolate_pos_encoding(self, embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
            del embeddings
            return position_table(self.position_embeddings, height // self.patch_size, width // self.patch_size)

    model: Any = hf.pretrained(ViTModel, config, part, add_pooling_layer=False)
    with torch.device("meta"):
        embeddings = DinoEmbeddings(config)
    model.embeddings = hf.assign(embeddings, model.embeddings.state_dict())
    return model


def read(path: Path, device: torch.device | str) -> Dino:
    """Return the network of a file of weights."""
    return Dino(hf.read_state(path, prefixes=_PARTS), device)
