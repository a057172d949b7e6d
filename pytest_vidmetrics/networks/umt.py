"""UMT ViT-L/16 action classifier (Unmasked Teacher, arXiv 2303.16058)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.blocks import Blocks, settled

FRAMES = 16
_TABLE_TIMES, _TABLE_SIDE = 8, 14


def sinusoid_table(width: int, frames: int = FRAMES) -> torch.Tensor:
    """Return the ``(1, frames * 196, width)`` position table of a checkpoint that has none.

    Sines (even) and cosines (odd) for 8 x 14 x 14 positions, stretched linearly to ``frames`` times.
    """
    count = _TABLE_TIMES * _TABLE_SIDE**2
    exponent = 2 * (torch.arange(width, dtype=torch.float64) // 2) / width
    angles = torch.arange(count, dtype=torch.float64)[:, None] / torch.pow(10000.0, exponent)
    table = angles.sin()
    table[:, 1::2] = angles[:, 1::2].cos()
    # (8, 196, width) becomes (196, width, 8): time last, to be stretched
    times = table.float().view(_TABLE_TIMES, -1, width).permute(1, 2, 0)
    stretched = F.interpolate(times, size=frames, mode="linear", align_corners=False)
    return stretched.permute(2, 0, 1).reshape(1, -1, width)


def encoder_layers(state: hf.State) -> dict[str, torch.Tensor]:
    """Return the tensors of :class:`~pytest_vidmetrics.networks.blocks.Blocks`; the keys have no bias."""
    names = {"norm1": "norm1", "norm2": "norm2", "attn.proj": "out", "mlp.fc1": "inner", "mlp.fc2": "outer"}
    out: dict[str, torch.Tensor] = {}
    for i in range(hf.depth(state, "blocks.")):
        old, bias = f"blocks.{i}.", state[f"blocks.{i}.attn.q_bias"]
        out[f"{i}.qkv.weight"] = state[f"{old}attn.qkv.weight"]
        # Queries, keys and values are one product, whose bias is zero for the keys.
        out[f"{i}.qkv.bias"] = torch.cat([bias, torch.zeros_like(bias), state[f"{old}attn.v_bias"]])
        for kind in ("weight", "bias"):
            out |= {f"{i}.{ours}.{kind}": state[f"{old}{theirs}.{kind}"] for theirs, ours in names.items()}
    return settled(out, hf.depth(state, "blocks."))


class Umt(nn.Module):
    """The classifier. ``state`` is the published flat state dict; it may hold its own position table."""

    def __init__(self, state: hf.State) -> None:
        super().__init__()
        patch = state["patch_embed.proj.weight"].float()
        width = patch.shape[0]
        with torch.device("meta"):
            encoder = Blocks(hf.depth(state, "blocks."), width, len(state["blocks.0.mlp.fc1.weight"]), 1e-6)
        self.encoder = hf.assign(encoder, encoder_layers(state))
        positions = state["pos_embed"].float() if "pos_embed" in state else sinusoid_table(width)
        self.register_buffer("positions", positions, persistent=False)
        # One frame per tube, so that the three-dimensional kernel is a flat one.
        self.register_buffer("patch", patch.squeeze(2), persistent=False)
        for name in ("patch_embed.proj.bias", "fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"):
            self.register_buffer(name.replace(".", "_"), state[name].float(), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 400)`` logits of normalised ``(N, 16, 3, 224, 224)`` float32 clips."""
        with torch.inference_mode():
            feature = self.features(pixels)
            return F.linear(feature, self.head_weight, self.head_bias)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, D)`` normalised mean of the tokens."""
        clips = pixels.shape[0]
        # (clips * frames, 3, H, W): a flat kernel sees one frame at a time
        patches = F.conv2d(pixels.flatten(0, 1), self.patch, self.patch_embed_proj_bias, stride=self.patch.shape[-1])
        # (clips, frames * patches, width)
        tokens = patches.flatten(2).transpose(1, 2).reshape(clips, -1, patches.shape[1]) + self.positions
        mean = self.encoder(tokens).mean(dim=1)
        return F.layer_norm(mean, mean.shape[-1:], self.fc_norm_weight, self.fc_norm_bias, eps=1e-6)


def read(path: Path, device: torch.device | str) -> Umt:
    """Return the network of a file of weights, which is flat, in half precision, of the legacy format."""
    network: Umt = hf.frozen(Umt(hf.read_state(path))).to(device)
    return network
