"""Layers that both towers of Synchformer use: transposed heads and the aggregation of tokens by one class token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

WIDTH = 768
HIDDEN = 3072
HEADS = 12


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int = HEADS) -> torch.Tensor:
    """Return softmax attention, ``(..., Q, D)``, of ``(..., Q, D)`` queries over ``(..., K, D)`` keys and values."""
    # Four dimensions: PyTorch's fused kernels take no more.
    # (B, heads, tokens, width of a head)
    parts = (x.flatten(0, -3).unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    out = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
    return out.unflatten(0, query.shape[:-2])


class Dense(nn.Module):
    """A linear layer that the checkpoint calls ``dense``."""

    def __init__(self, source: int = WIDTH, target: int = WIDTH) -> None:
        super().__init__()
        self.dense = nn.Linear(source, target)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` projected."""
        return self.dense(x)


class _SelfAttention(nn.Module):
    """Parameters of an attention layer as PyTorch names them."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * WIDTH, WIDTH))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * WIDTH))
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def of_first(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(B, 1, D)``: what the first of ``(B, N, D)`` tokens gathers from all of them."""
        # The first third of the stacked matrix makes queries.
        query = F.linear(x[:, :1], self.in_proj_weight[:WIDTH], self.in_proj_bias[:WIDTH])
        rest = F.linear(x, self.in_proj_weight[WIDTH:], self.in_proj_bias[WIDTH:])
        return self.out_proj(attend(query, *rest.chunk(2, dim=-1)))


class Aggregation(nn.Module):
    """One pre-norm encoder layer that reads a set of tokens into its class token.

    Only the class token leaves the layer, so that the others' queries and MLP are not computed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, WIDTH))
        self.self_attn = _SelfAttention()
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return ``(B, 768)`` for ``(B, N, 768)`` tokens."""
        first = self.cls_token.expand(len(tokens), -1, -1)
        # Norm of each token by itself: the class token is the same for every set.
        seen = torch.cat([self.norm1(self.cls_token).expand(len(tokens), -1, -1), self.norm1(tokens)], dim=1)
        read = first + self.self_attn.of_first(seen)
        return (read + self.linear2(F.gelu(self.linear1(self.norm2(read)))))[:, 0]
