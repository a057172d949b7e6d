"""MUSIQ (arXiv 2108.05997) with the SPAQ weights in the layout of IQA-PyTorch: written from its description."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.blocks import Blocks, Names, joined, published_shapes
from pytest_vidmetrics.networks.one_pass import OnePass

PATCH = 32
GRID = 10
WIDTH, INNER = 384, 1152
_NAMES = Names(
    norm1="norm1",
    query="attention.query",
    key="attention.key",
    value="attention.value",
    out="attention.out",
    norm2="norm2",
    inner="mlp.fc1",
    outer="mlp.fc2",
)
SCALES: tuple[tuple[int, int], ...] = ((224, 49), (384, 144))
"""Longer side and number of tokens of each resized scale; the original follows with as many as it needs."""


def same_padding(images: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Return images zero-padded so that ``ceil(size / stride)`` windows fit, the odd pixel right and below."""
    pads: list[int] = []
    # Width first, as `F.pad` wants the last axis first.
    for size in (images.shape[-1], images.shape[-2]):
        total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        pads += [total // 2, total - total // 2]
    return F.pad(images, pads) if any(pads) else images


def spatial_index(rows: int, columns: int) -> torch.Tensor:
    """Return which cell of the 10 x 10 grid each of ``rows * columns`` patches uses (nearest neighbour)."""

    def nearest(count: int) -> torch.Tensor:
        # What the grid's numbers become when they are stretched to the patches is which cell each takes.
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
        """Shift and scale each kernel to mean 0 and (unbiased) deviation 1: once, the weights do not change.

        With a stride of 2 "same" padding is one pixel more on the right and below. A row and a column of zeros before
        the kernel let equal padding on all sides do it, without a padded copy of the images.
        """
        kernel = self.weight
        mean = kernel.mean(dim=(1, 2, 3), keepdim=True)
        std = kernel.std(dim=(1, 2, 3), keepdim=True)
        kernel = (kernel - mean) / (std + 1e-5)
        kernel = kernel if self.stride[0] == 1 else F.pad(kernel, (1, 0, 1, 0))
        self.weight = nn.Parameter(kernel, requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Convolve ``(N, C, H, W)``, whose sides are multiples of the stride."""
        return F.conv2d(images, self.weight, stride=self.stride, padding=(self.weight.shape[-1] - 1) // 2)


def _measured(maps: torch.Tensor, norm: nn.GroupNorm) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return maps with what a group norm multiplies and adds for each."""
    grouped = maps.unflatten(1, (norm.num_groups, -1)).flatten(2)
    if maps.device.type == "cpu":  # there two passes in turn take a fifth of the time of the function for both
        mean = grouped.mean(dim=2, keepdim=True)
        variance = torch.linalg.vector_norm(grouped - mean, dim=2, keepdim=True).square_() / grouped.shape[2]
    else:
        variance, mean = torch.var_mean(grouped, dim=2, correction=0, keepdim=True)
    scale = (variance + norm.eps).rsqrt() * norm.weight.view(norm.num_groups, -1)
    offset = norm.bias.view(norm.num_groups, -1) - mean * scale
    return maps, scale.view(len(maps), -1, 1, 1), offset.view(len(maps), -1, 1, 1)


@OnePass
def _rectified(maps: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    return (maps * scale).add_(offset).relu_()


@OnePass
def _joined(
    maps: torch.Tensor,
    scale: torch.Tensor,
    offset: torch.Tensor,
    shortcut: torch.Tensor,
    shortcut_scale: torch.Tensor,
    shortcut_offset: torch.Tensor,
) -> torch.Tensor:
    hidden = (maps * scale).add_(offset)
    return hidden.add_((shortcut * shortcut_scale).add_(shortcut_offset)).relu_()


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
        hidden = _rectified(*_measured(self.conv1(images), self.gn1))
        hidden = _rectified(*_measured(self.conv2(hidden), self.gn2))
        return _joined(*_measured(self.conv3(hidden), self.gn3), *_measured(self.conv_proj(images), self.gn_proj))


class _Holder(nn.Module):
    """A namespace of parameters, so that the published keys fit."""

    def __init__(self, **tensors: torch.Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))


class Encoder(nn.Module):
    """Position and scale tables, class token and blocks."""

    def __init__(self, width: int, inner: int, layers: int) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.empty(1, 1, width))
        self.posembed_input = _Holder(position_emb=torch.empty(1, GRID * GRID, width))
        self.scaleembed_input = _Holder(scale_emb=torch.empty(len(SCALES) + 1, width))
        self.transformer = Blocks(layers, width, inner, 1e-6)
        self.encoder_norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: torch.Tensor, cells: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, D)`` class features of ``(N, L, D)`` patch tokens."""
        # Cells and scales are (L,): the same for all images of a batch.
        tokens = tokens + (self.posembed_input.position_emb[0, cells] + self.scaleembed_input.scale_emb[scales])
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        features: torch.Tensor = self.encoder_norm(self.transformer(tokens, first=True)[:, 0])
        return features


class Musiq(nn.Module):
    """The network. Outside of its blocks its parameters have the published names; see :meth:`settle`."""

    def __init__(self, width: int = WIDTH, inner: int = INNER, layers: int = 14) -> None:
        super().__init__()
        self.conv_root = StdConv(3, 64, 7, stride=2, bias=False)
        self.gn_root = nn.GroupNorm(32, 64, eps=1e-6)
        self.block1 = Bottleneck(64, 256)
        self.embedding = nn.Linear(256 * (PATCH // 4) ** 2, width)
        self.transformer_encoder = Encoder(width, inner, layers)
        self.head = nn.Linear(width, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the ``(N,)`` scores, about 0 to 100, of ``(N, 3, H, W)`` float32 images of one size in [0, 1]."""
        with torch.inference_mode():
            scores: torch.Tensor = self.head(self.features(images)).squeeze(-1)
            return scores

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 384)`` class features."""
        parts = [self._scale(level, i) for i, level in enumerate(pyramid(torch.rsub(images, -1, alpha=-2)))]
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
        # (N, 3, rows, columns, 32, 32) becomes (N, rows * columns, 3, 32, 32)
        patches = padded.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
        tokens = self._embed(patches[:, :length])
        key = (rows, columns, length, scale)
        cells = shared.table("cells", images.device, lambda: spatial_index(rows, columns)[:length], *key)
        scales = shared.table("scales", images.device, lambda: torch.full((tokens.shape[1],), scale), *key)
        return tokens, cells, scales

    def _embed(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, L, D)`` tokens of ``(N, L, 3, 32, 32)`` patches."""
        # (N * L, 3, 32, 32)
        hidden = self.gn_root(self.conv_root(patches.flatten(0, 1)))
        # The largest is rectified, which is the largest of what is rectified; nothing below 0 beyond the edge wins.
        hidden = F.max_pool2d(hidden, 3, 2, ceil_mode=True).relu_()
        return self.embedding(self.block1(hidden).flatten(1)).unflatten(0, patches.shape[:2])

    def settle(self) -> None:
        """Derive from the published tensors what is computed with: once, before the first frame."""
        for layer in self.modules():
            if isinstance(layer, StdConv):
                layer.standardise()
        # The published layer reads the channels of a pixel after another, convolutions give a channel at a time.
        # (width, 64 pixels, 256 channels) becomes (width, 256, 64)
        weight = self.embedding.weight.unflatten(1, ((PATCH // 4) ** 2, -1)).transpose(1, 2).flatten(1)
        self.embedding.weight = nn.Parameter(weight, requires_grad=False)


def build(state: hf.State, device: torch.device | str = "cpu") -> Musiq:
    """Return the network with the tensors of a published state dict."""
    prefix = "transformer_encoder.transformer.encoderblock_"
    depth = hf.depth(state, prefix)
    with torch.device("meta"):
        empty = Musiq(layers=depth)
    part = {key: value for key, value in state.items() if key.startswith(prefix)}
    hf.check("Musiq", part, published_shapes(depth, WIDTH, INNER, _NAMES, prefix))
    rest = {key: value for key, value in state.items() if key not in part}
    blocks = joined(state, depth, _NAMES, prefix)
    joint = {f"transformer_encoder.transformer.{key}": value for key, value in blocks.items()}
    network: Musiq = hf.assign(empty, rest | joint)
    network.settle()
    return network.to(device)


def read(path: Path, device: torch.device | str) -> Musiq:
    """Return the network of a file of weights."""
    return build(hf.read_state(path), device)
