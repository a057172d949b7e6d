"""MUSIQ (arXiv 2108.05997) with the SPAQ weights in the layout of IQA-PyTorch: written from its description."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf

PATCH = 32
GRID = 10
SCALES: tuple[tuple[int, int], ...] = ((224, 49), (384, 144))
"""Longer side and number of tokens of each resized scale; the original follows with as many as it needs."""


def same_padding(images: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Return images zero-padded so that ``ceil(size / stride)`` windows fit, the odd pixel right and below."""
    pads: list[int] = []
    for size in (images.shape[-1], images.shape[-2]):
        total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        pads += [total // 2, total - total // 2]
    return F.pad(images, pads)


def spatial_index(rows: int, columns: int) -> torch.Tensor:
    """Return which cell of the 10 x 10 grid each of ``rows * columns`` patches uses (nearest neighbour)."""

    def nearest(count: int) -> torch.Tensor:
        grid = torch.arange(GRID, dtype=torch.float32).view(1, 1, GRID)
        return F.interpolate(grid, size=count, mode="nearest").flatten()

    return (nearest(rows)[:, None] * GRID + nearest(columns)[None, :]).long().flatten()


def pyramid(images: torch.Tensor) -> list[torch.Tensor]:
    """Return the two resized scales (bicubic, no antialias) and the original of ``(N, 3, H, W)`` images."""
    height, width = images.shape[-2:]
    scaled = []
    for longer, _ in SCALES:
        ratio = longer / max(height, width)
        size = (round(height * ratio), round(width * ratio))
        scaled.append(F.interpolate(images, size=size, mode="bicubic", align_corners=False))
    return [*scaled, images]


class StdConv(nn.Conv2d):
    """A convolution with kernels for which :meth:`standardise` was called, and TensorFlow's "same" padding."""

    weight: nn.Parameter

    def standardise(self) -> None:
        """Shift and scale each kernel to mean 0 and (unbiased) deviation 1: once, the weights do not change."""
        kernel = self.weight
        mean = kernel.mean(dim=(1, 2, 3), keepdim=True)
        std = kernel.std(dim=(1, 2, 3), keepdim=True)
        self.weight = nn.Parameter((kernel - mean) / (std + 1e-5), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Convolve ``(N, C, H, W)``."""
        padded = same_padding(images, self.kernel_size[0], self.stride[0])
        return F.conv2d(padded, self.weight, stride=self.stride)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a projected shortcut."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv1 = StdConv(width, width, 1, bias=False)
        self.gn1 = nn.GroupNorm(32, width, eps=1e-4)
        self.conv2 = StdConv(width, width, 3, bias=False)
        self.gn2 = nn.GroupNorm(32, width, eps=1e-4)
        self.conv3 = StdConv(width, out, 1, bias=False)
        self.gn3 = nn.GroupNorm(32, out, eps=1e-4)
        self.conv_proj = StdConv(width, out, 1, bias=False)
        self.gn_proj = nn.GroupNorm(32, out, eps=1e-4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(N, out, H, W)``."""
        hidden = F.relu(self.gn1(self.conv1(images)))
        hidden = F.relu(self.gn2(self.conv2(hidden)))
        return F.relu(self.gn3(self.conv3(hidden)) + self.gn_proj(self.conv_proj(images)))


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return ``(N, L, D)``."""
        query, key, value = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return ``(N, L, D)``."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, inner)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return ``(N, L, D)``."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class _Holder(nn.Module):
    """A namespace of parameters, so that the published keys fit."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))


class Encoder(nn.Module):
    """Position and scale tables, class token and blocks."""

    def __init__(self, width: int, inner: int, heads: int, layers: int) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.empty(1, 1, width))
        self.posembed_input = _Holder(position_emb=torch.empty(1, GRID * GRID, width))
        self.scaleembed_input = _Holder(scale_emb=torch.empty(len(SCALES) + 1, width))
        self.transformer = nn.ModuleDict({f"encoderblock_{i}": Block(width, inner, heads) for i in range(layers)})
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: torch.Tensor, cells: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, D)`` class features of ``(N, L, D)`` patch tokens."""
        tokens = tokens + self.posembed_input.position_emb[0, cells] + self.scaleembed_input.scale_emb[scales]
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.transformer.values():
            tokens = block(tokens)
        features: torch.Tensor = self.encoder_norm(tokens[:, 0])
        return features


class Musiq(nn.Module):
    """The network. Its parameters have the published names."""

    def __init__(self, width: int = 384, inner: int = 1152, heads: int = 6, layers: int = 14) -> None:
        super().__init__()
        self.conv_root = StdConv(3, 64, 7, stride=2, bias=False)
        self.gn_root = nn.GroupNorm(32, 64, eps=1e-6)
        self.block1 = Bottleneck(64, 256)
        self.embedding = nn.Linear(256 * (PATCH // 4) ** 2, width)
        self.transformer_encoder = Encoder(width, inner, heads, layers)
        self.head = nn.Linear(width, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the ``(N,)`` scores, about 0 to 100, of ``(N, 3, H, W)`` float32 images of one size in [0, 1]."""
        with torch.inference_mode():
            scores: torch.Tensor = self.head(self.features(images)).squeeze(-1)
            return scores

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 384)`` class features."""
        parts = [self._scale(level, i) for i, level in enumerate(pyramid(images * 2 - 1))]
        tokens, cells, scales = zip(*parts, strict=True)
        return self.transformer_encoder(torch.cat(tokens, dim=1), torch.cat(cells), torch.cat(scales))

    def _scale(self, images: torch.Tensor, scale: int) -> tuple[torch.Tensor, ...]:
        """Return tokens, grid cells and scale numbers of one scale, cut to its length.

        The reference also pads to that length and masks the padding with -1000, whose weight is exactly 0 in
        float32: leaving the padding out gives the same class feature for less work.
        """
        padded = same_padding(images, PATCH, PATCH)
        rows, columns = padded.shape[-2] // PATCH, padded.shape[-1] // PATCH
        length = SCALES[scale][1] if scale < len(SCALES) else rows * columns
        patches = padded.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
        tokens = self._embed(patches[:, :length])
        key = (rows, columns, length, scale)
        cells = shared.table("cells", images.device, lambda: spatial_index(rows, columns)[:length], *key)
        scales = shared.table("scales", images.device, lambda: torch.full((tokens.shape[1],), scale), *key)
        return tokens, cells, scales

    def _embed(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, L, D)`` tokens of ``(N, L, 3, 32, 32)`` patches."""
        hidden = F.relu(self.gn_root(self.conv_root(patches.flatten(0, 1))))
        hidden = F.max_pool2d(same_padding(hidden, 3, 2), 3, 2)
        hidden = self.block1(hidden).permute(0, 2, 3, 1).flatten(1)
        return self.embedding(hidden).unflatten(0, patches.shape[:2])


def build(state: hf.State, device: torch.device | str = "cpu") -> Musiq:
    """Return the network with the tensors of a published state dict."""
    prefix = "transformer_encoder.transformer.encoderblock_"
    with torch.device("meta"):
        empty = Musiq(layers=hf.depth(state, prefix))
    network: Musiq = hf.assign(empty, state)
    for layer in network.modules():
        if isinstance(layer, StdConv):
            layer.standardise()
    return network.to(device)


def read(path: Path, device: torch.device | str) -> Musiq:
    """Return the network of a file of weights."""
    return build(hf.read_state(path), device)
