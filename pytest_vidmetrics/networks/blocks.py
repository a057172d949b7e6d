"""Pre-norm transformer blocks in few passes over memory: what CLIP, DINO, UMT, ViCLIP and MUSIQ are made of.

A GPU spends a third of such a network on operations that only read and write. So queries, keys and values are one
product, products add to the tokens where they lie, their biases are only added where tokens are read, the factor of
QuickGELU is part of the weights around it, and the last block computes no token that nobody reads. Values are those of
the published networks up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.one_pass import OnePass

QUICK = 1.702
"""QuickGELU is ``x * sigmoid(1.702 x)``: SiLU of ``1.702 x``, divided by 1.702."""


@dataclass(frozen=True)
class Names:
    """What the layers of a block are called in a published file."""

    norm1: str
    query: str
    key: str
    value: str
    out: str
    norm2: str
    inner: str
    outer: str


CLIP_NAMES = Names(
    norm1="layer_norm1",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    out="self_attn.out_proj",
    norm2="layer_norm2",
    inner="mlp.fc1",
    outer="mlp.fc2",
)
"""Of CLIP in the layout of transformers."""


class _Norm(nn.LayerNorm):
    """A layer norm of tokens that lack ``shift``, which is the sum of the biases that were not added to them."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__(width, eps=eps)
        self.shift = nn.Parameter(torch.empty(width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled(tokens.device.type):
            return super().forward(tokens + self.shift)
        return _normalised(tokens, self.shift, self.weight, self.bias, self.eps)


@OnePass
def _normalised(
    tokens: torch.Tensor, shift: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
) -> torch.Tensor:
    return F.layer_norm(tokens + shift, shift.shape, weight, bias, eps)


class Block(nn.Module):
    """Attention and two products, each added to the tokens that it was given normalised."""

    def __init__(self, width: int, inner: int, eps: float, *, quick: bool) -> None:
        super().__init__()
        self.quick = quick
        self.norm1 = _Norm(width, eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = _Norm(width, eps)
        self.inner = nn.Linear(width, inner)
        self.outer = nn.Linear(inner, width, bias=False)

    def forward(self, tokens: torch.Tensor, *, first: bool = False) -> torch.Tensor:
        """Return ``(N, L, D)`` tokens, which are changed in place; of ``first`` only the first, as ``(N, 1, D)``.

        They lack the biases of this block and of those before it.
        """
        normal = self.norm1(tokens)
        if first:
            width = tokens.shape[-1]
            query = F.linear(normal[:, :1], self.qkv.weight[:width], self.qkv.bias[:width])
            rest = F.linear(normal, self.qkv.weight[width:], self.qkv.bias[width:])
            tokens, parts = tokens[:, :1].contiguous(), [query, *rest.chunk(2, dim=-1)]
        else:
            parts = list(self.qkv(normal).chunk(3, dim=-1))
        heads = [part.unflatten(-1, (-1, hf.HEAD_WIDTH)).transpose(1, 2) for part in parts]
        mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        _add(tokens, self.out, mixed)
        hidden = self.inner(self.norm2(tokens))
        _add(tokens, self.outer, F.silu(hidden, inplace=True) if self.quick else F.gelu(hidden))
        return tokens


def _add(tokens: torch.Tensor, layer: nn.Linear, values: torch.Tensor) -> None:
    """Add what a layer gives to ``tokens``, which the product itself reads and writes."""
    if torch.is_autocast_enabled(tokens.device.type):  # it leaves products that write in place as they are
        tokens += layer(values)
        return
    tokens.flatten(0, 1).addmm_(values.flatten(0, 1), layer.weight.t())


class Blocks(nn.Module):
    """Blocks one after the other."""

    def __init__(self, depth: int, width: int, inner: int, eps: float, *, quick: bool = False) -> None:
        super().__init__()
        self.each = nn.ModuleList(Block(width, inner, eps, quick=quick) for _ in range(depth))
        self.shift = nn.Parameter(torch.empty(width))

    def forward(self, tokens: torch.Tensor, *, first: bool = False) -> torch.Tensor:
        """Return ``(N, L, D)`` tokens, which are changed in place; of ``first`` only the first, as ``(N, 1, D)``."""
        last = len(self.each) - 1
        for i, block in enumerate(self.each):
            tokens = block(tokens, first=first and i == last)
        return tokens.add_(self.shift)


def embed(pixels: torch.Tensor, patch: nn.Conv2d, first: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return the ``(N, 1 + L, D)`` tokens of ``(N, 3, H, W)`` images: ``first``, then their patches, at positions."""
    patches = patch(pixels).flatten(2).transpose(1, 2)
    tokens = torch.cat([first.expand(len(patches), 1, -1), patches], dim=1)
    tokens += positions
    return tokens


def published_shapes(depth: int, width: int, inner: int, names: Names, prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the tensors of the blocks of a published file; ``prefix`` is followed by the number of the block."""
    sizes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys((names.norm1, names.norm2), (width,)),
        **dict.fromkeys((names.query, names.key, names.value, names.out), (width, width)),
        names.inner: (inner, width),
        names.outer: (width, inner),
    }
    blocks = [f"{prefix}{i}.{name}" for i in range(depth) for name in sizes]
    weights = {f"{name}.weight": size for name, size in zip(blocks, depth * list(sizes.values()), strict=True)}
    return weights | {f"{name.removesuffix('weight')}bias": size[:1] for name, size in weights.items()}


def joined(state: hf.State, depth: int, names: Names, prefix: str, *, quick: bool = False) -> dict[str, torch.Tensor]:
    """Return the tensors of :class:`Blocks` from those of a published file: float32, joined and scaled."""
    parts = (names.query, names.key, names.value)
    renamed: dict[str, torch.Tensor] = {}
    for i in range(depth):
        for kind in ("weight", "bias"):
            renamed[f"{i}.qkv.{kind}"] = torch.cat([state[f"{prefix}{i}.{part}.{kind}"] for part in parts])
            for ours in ("norm1", "out", "norm2", "inner", "outer"):
                renamed[f"{i}.{ours}.{kind}"] = state[f"{prefix}{i}.{getattr(names, ours)}.{kind}"]
    return settled(renamed, depth, quick=quick)


def settled(state: hf.State, depth: int, *, quick: bool = False) -> dict[str, torch.Tensor]:
    """Return the tensors of :class:`Blocks`, float32 and scaled, from those of joined layers with their biases."""
    out = {f"each.{name}": tensor.float() for name, tensor in state.items()}
    shift = torch.zeros_like(out["each.0.out.bias"])
    for i in range(depth):
        block = f"each.{i}."
        for norm, layer in (("norm1", "out"), ("norm2", "outer")):
            out[f"{block}{norm}.shift"] = shift
            shift = shift + out.pop(f"{block}{layer}.bias")
        if quick:
            for name, factor in (("inner.weight", QUICK), ("inner.bias", QUICK), ("outer.weight", 1 / QUICK)):
                out[f"{block}{name}"] = out[f"{block}{name}"] * factor
    return out | {"shift": shift}
