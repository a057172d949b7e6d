"""Synchformer's visual tower: MotionFormer with divided space-time attention (arXiv 2106.05392, 2401.16423)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks.synchformer.layers import HIDDEN, WIDTH, Aggregation, attend

FRAMES = 16
SIDE = 224
TUBE = 2
_PATCH = 16
_GRID = SIDE // _PATCH
_TIMES = FRAMES // TUBE
_PLACES = _GRID * _GRID


class _Attention(nn.Module):
    """Self-attention in which the class token sees all tokens and the others see it and their own group."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, *, over_time: bool) -> torch.Tensor:
        """Return ``(S, 1 + 8 * 196, 768)``. A group is one place over time, or one time over all places."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        # The class token sees everything, whatever the groups.
        first = attend(query[:, :1], key, value)
        groups = (_grouped(part[:, 1:], over_time) for part in (query, key, value))
        own, keys, values = groups
        keys, values = (
            # The class token stands in front of the keys of every group.
            torch.cat([whole[:, None, :1].expand(-1, part.shape[1], -1, -1), part], dim=2)
            for whole, part in ((key, keys), (value, values))
        )
        rest = attend(own, keys, values)
        # Back to the order by time.
        rest = rest.transpose(1, 2) if over_time else rest
        return self.proj(torch.cat([first, rest.reshape(len(x), -1, WIDTH)], dim=1))


def _grouped(tokens: torch.Tensor, over_time: bool) -> torch.Tensor:
    """Return ``(S, groups, members, 768)`` of ``(S, 8 * 196, 768)`` tokens, which are ordered by time."""
    grid = tokens.unflatten(1, (_TIMES, _PLACES))
    return grid.transpose(1, 2) if over_time else grid


class _Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(WIDTH, eps=1e-6) for _ in range(3))
        self.attn = _Attention()
        self.timeattn = _Attention()
        self.mlp = _Mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.timeattn(self.norm3(x), over_time=True)
        x = x + self.attn(self.norm1(x), over_time=False)
        return x + self.mlp(self.norm2(x))


class _Patches(nn.Module):
    """The patch embedding of the checkpoint: ``proj`` alone."""

    def __init__(self, kernel: tuple[int, ...]) -> None:
        super().__init__()
        layer = nn.Conv3d if len(kernel) == 3 else nn.Conv2d
        self.proj = layer(3, WIDTH, kernel, stride=kernel)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return ``(S, 8 * 196, 768)`` tokens of ``(S, 16, 3, 224, 224)`` frames, ordered by time, row, column."""
        # A matrix product: GPUs round convolutions to TF32.
        grid = frames.unflatten(1, (_TIMES, TUBE)).unflatten(-2, (_GRID, _PATCH)).unflatten(-1, (_GRID, _PATCH))
        # (S, 8, 14, 14, 3, 2, 16, 16): time, row and column first, then what a kernel multiplies
        tubes = grid.permute(0, 1, 4, 6, 3, 2, 5, 7).flatten(4).flatten(1, 3)
        return F.linear(tubes, self.proj.weight.flatten(1), self.proj.bias)


class VideoTower(nn.Module):
    """``depth`` blocks (12 in the published network); parameters are named as in the checkpoint."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + _PLACES, WIDTH))
        self.temp_embed = nn.Parameter(torch.empty(1, _TIMES, WIDTH))
        # In the checkpoint, though the network never uses it.
        self.patch_embed = _Patches((_PATCH, _PATCH))
        self.patch_embed_3d = _Patches((TUBE, _PATCH, _PATCH))
        self.blocks = nn.ModuleList(_Block() for _ in range(depth))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.spatial_attn_agg = Aggregation()

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return ``(S, 8, 768)`` for ``(S, 16, 3, 224, 224)`` float32 frames in [-1, 1], one row per segment."""
        # Places repeat for each time, times for each place.
        places = self.pos_embed[:, 1:].repeat(1, _TIMES, 1) + self.temp_embed.repeat_interleave(_PLACES, dim=1)
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(frames), -1, -1)
        x = torch.cat([first, self.patch_embed_3d(frames) + places], dim=1)
        for block in self.blocks:
            x = block(x)
        # (S * 8, 196, 768): each time is a set of its own
        tokens = self.norm(x[:, 1:]).reshape(-1, _PLACES, WIDTH)
        return self.spatial_attn_agg(tokens).unflatten(0, (len(frames), _TIMES))
