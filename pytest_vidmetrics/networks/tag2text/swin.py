"""The image encoder: Swin-B at 384 pixels, by transformers, from Tag2Text's names."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf

PREFIX = "visual_encoder."
SIDE = 384
_RENAMED = {
    "patch_embed.proj.": "embeddings.patch_embeddings.projection.",
    "patch_embed.norm.": "embeddings.norm.",
    "norm.": "layernorm.",
    "layers.": "encoder.layers.",
}
_IN_BLOCK = {
    ".attn.proj.": ".attention.o_proj.",
    ".attn.relative_position_bias_table": ".attention.relative_position_bias.relative_position_bias_table",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
}


def build(state: hf.State) -> nn.Module:
    """Return transformers' ``SwinModel`` of the keys below ``visual_encoder.``; depths and widths are the file's.

    Tables of relative positions and attention masks follow from the geometry and are not read.
    """
    from transformers import SwinConfig, SwinModel

    tensors = {
        key.removeprefix(PREFIX): value
        for key, value in hf.pick(state, [PREFIX]).items()
        if "relative_position_index" not in key and "attn_mask" not in key
    }
    stages = range(hf.depth(tensors, "layers."))
    tables = [tensors[f"layers.{i}.blocks.0.attn.relative_position_bias_table"] for i in stages]
    width = len(tensors["patch_embed.proj.weight"])
    config = SwinConfig(
        image_size=SIDE,
        patch_size=tensors["patch_embed.proj.weight"].shape[-1],
        embed_dim=width,
        depths=[hf.depth(tensors, f"layers.{i}.blocks.") for i in stages],
        num_heads=[table.shape[1] for table in tables],
        # A window of w has (2 w - 1)^2 relative positions.
        window_size=(math.isqrt(len(tables[0])) + 1) // 2,
        mlp_ratio=len(tensors["layers.0.blocks.0.mlp.fc1.weight"]) / width,
        layer_norm_eps=1e-5,
    )
    return hf.pretrained(SwinModel, config, renamed(tensors), add_pooling_layer=False)


def renamed(tensors: hf.State) -> dict[str, torch.Tensor]:
    """Return the tensors under the names of transformers 5; a stacked projection becomes three."""
    out: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        name = next((new + key.removeprefix(old) for old, new in _RENAMED.items() if key.startswith(old)), key)
        for old, new in _IN_BLOCK.items():
            name = name.replace(old, new)
        if ".attn.qkv." in name:
            parts = [name.replace(".attn.qkv.", f".attention.{part}_proj.") for part in "qkv"]
            out |= hf.split_rows(tensors, key, parts)
        else:
            out[name] = value
    return out


def features(swin: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Return ``(N, 1 + P, D)`` of normalised ``(N, 3, 384, 384)`` pixels: the mean of the patches, then each."""
    tokens = cast("torch.Tensor", swin(pixels).last_hidden_state)
    return torch.cat([tokens.mean(1, keepdim=True), tokens], 1)  # (N, 1 + P, D)
