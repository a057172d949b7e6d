"""Synchformer's audio tower: AST (arXiv 2104.01778) on 0.64 s of sound, read out over frequency."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks.synchformer.layers import HIDDEN, WIDTH, Aggregation, Dense, attend

BANDS = 128
COLUMNS = 66
_PATCH, _STRIDE = 16, 10
_HIGH = (BANDS - _PATCH) // _STRIDE + 1
_LONG = (COLUMNS - _PATCH) // _STRIDE + 1


class _Patches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Conv2d(1, WIDTH, _PATCH, stride=_STRIDE)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Return ``(S, 12 * 6, 768)`` tokens of ``(S, 128, 66)``, ordered by frequency, then time."""
        # A matrix product: GPUs round convolutions to TF32.
        # (S, 256, 72) becomes (S, 72, 256)
        columns = F.unfold(mel[:, None], _PATCH, stride=_STRIDE).transpose(1, 2)
        return F.linear(columns, self.projection.weight.flatten(1), self.projection.bias)


class _Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.distillation_token = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.position_embeddings = nn.Parameter(torch.empty(1, 2 + _HIGH * _LONG, WIDTH))
        self.patch_embeddings = _Patches()

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        special = torch.cat([self.cls_token, self.distillation_token], dim=1).expand(len(mel), -1, -1)
        return torch.cat([special, self.patch_embeddings(mel)], dim=1) + self.position_embeddings


class _Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return attend(self.query(x), self.key(x), self.value(x))


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = _Heads()
        self.output = Dense()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.attention(x))


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = _Attention()
        self.intermediate = Dense(WIDTH, HIDDEN)
        self.output = Dense(HIDDEN, WIDTH)
        self.layernorm_before, self.layernorm_after = (nn.LayerNorm(WIDTH, eps=1e-12) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.layernorm_before(x))
        return x + self.output(F.gelu(self.intermediate(self.layernorm_after(x))))


class _Encoder(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer() for _ in range(depth))


class _Ast(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.embeddings = _Embeddings()
        self.encoder = _Encoder(depth)
        self.layernorm = nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Return ``(S, 72, 768)``: the patches, without the two special tokens."""
        x = self.embeddings(mel)
        for layer in self.encoder.layer:
            x = layer(x)
        return self.layernorm(x[:, 2:])


class AudioTower(nn.Module):
    """``depth`` layers (12 in the published network); parameters are named as in the checkpoint."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.ast = _Ast(depth)
        self.freq_attn_agg = Aggregation()

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Return ``(S, 6, 768)`` for ``(S, 128, 66)`` float32 log-mel segments, one row per segment."""
        # (S, 12, 6, 768) becomes (S, 6, 12, 768): one set of frequencies for each moment
        grid = self.ast(mel).unflatten(1, (_HIGH, _LONG)).transpose(1, 2)
        return self.freq_attn_agg(grid.flatten(0, 1)).unflatten(0, (len(mel), _LONG))
