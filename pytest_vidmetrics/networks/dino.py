"""DINO ViT-B/16 (arXiv 2104.14294) from the transformers-layout checkpoint, with DINO's own position table."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.blocks import Blocks, Names, embed, joined, published_shapes

_PARTS = ("embeddings.", "encoder.", "layernorm.")
_NUDGE = 0.1
_EPS = 1e-6
_LAYERS = "encoder.layer."
_NAMES = Names(
    norm1="layernorm_before",
    query="attention.attention.query",
    key="attention.attention.key",
    value="attention.attention.value",
    out="attention.output.dense",
    norm2="layernorm_after",
    inner="intermediate.dense",
    outer="output.dense",
)
_PUBLISHED = {
    "patch.weight": "embeddings.patch_embeddings.projection.weight",
    "patch.bias": "embeddings.patch_embeddings.projection.bias",
    "first": "embeddings.cls_token",
    "positions": "embeddings.position_embeddings",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
"""What is outside of the blocks, by our names."""


def position_table(table: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the ``(1, 1 + height * width, D)`` position table for a grid of patches.

    ``table`` is the learned ``(1, 1 + n * n, D)`` one. DINO gives the bicubic resize scale factors for a grid
    that is 0.1 of a patch larger, and these, not the target size, place the samples.
    """
    side = round((table.shape[1] - 1) ** 0.5)
    if (height, width) == (side, side):
        return table
    # (1, side * side, D) becomes (1, D, side, side)
    grid = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    factors = ((height + _NUDGE) / side, (width + _NUDGE) / side)
    resized = F.interpolate(grid, scale_factor=factors, mode="bicubic", align_corners=False)
    # Scale factors are rounded down to a size: one patch off would shift every token.
    if tuple(resized.shape[-2:]) != (height, width):
        raise ValueError(f"a position table of {tuple(resized.shape[-2:])} for a grid of {(height, width)}")
    return torch.cat([table[:, :1], resized.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


class Dino(nn.Module):
    """The vision transformer; ``state`` is a published state dict, a pooling head in it is not loaded."""

    def __init__(self, state: hf.State) -> None:
        super().__init__()
        part = hf.pick(state, _PARTS)
        width, _, _, side = part[_PUBLISHED["patch.weight"]].shape
        positions = part[_PUBLISHED["positions"]].shape[1]
        depth, inner = hf.depth(part, _LAYERS), len(part[f"{_LAYERS}0.{_NAMES.inner}.weight"])
        shapes = {
            "patch.weight": (width, 3, side, side),
            **dict.fromkeys(("patch.bias", "norm.weight", "norm.bias"), (width,)),
            "first": (1, 1, width),
            "positions": (1, positions, width),
        }
        wanted = {_PUBLISHED[name]: shape for name, shape in shapes.items()}
        hf.check("DINO", part, wanted | published_shapes(depth, width, inner, _NAMES, _LAYERS))
        with torch.device("meta"):
            self.patch = nn.Conv2d(3, width, side, stride=side)
            self.first = nn.Parameter(torch.empty(shapes["first"]))
            self.positions = nn.Parameter(torch.empty(shapes["positions"]))
            self.blocks = Blocks(depth, width, inner, _EPS)
            self.norm = nn.LayerNorm(width, eps=_EPS)
        blocks = {f"blocks.{key}": one for key, one in joined(part, depth, _NAMES, _LAYERS).items()}
        hf.assign(self, {name: part[_PUBLISHED[name]] for name in shapes} | blocks)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, D)`` class tokens after the final norm of normalised ``(N, 3, H, W)`` images.

        A row or column of patches that does not fit in full is left out.
        """
        with torch.inference_mode():
            side = self.patch.weight.shape[-1]
            places = position_table(self.positions, pixels.shape[-2] // side, pixels.shape[-1] // side)
            tokens = embed(pixels, self.patch, self.first, places)
            features: torch.Tensor = self.norm(self.blocks(tokens, first=True)[:, 0])
            return features


def read(path: Path, device: torch.device | str) -> Dino:
    """Return the network of a file of weights."""
    return Dino(hf.read_state(path, prefixes=_PARTS)).to(device)
