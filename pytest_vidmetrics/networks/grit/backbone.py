"""GRiT's image features: ViTDet of transformers with lean attention, and a pyramid of five sizes on its last map."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HEADS, PATCH, CHANNELS = 768, 12, 16, 256
WINDOW, GLOBAL_SIDE, PRETRAINED_SIDE = 14, 64, 14
STRIDES = (8, 16, 32, 64, 128)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
DIVISOR = 32
SCORES_AT_ONCE = {"cpu": 1 << 23, "cuda": 1 << 27}
"""Most attention scores held at a time, in elements; one head of one window or frame is the least."""


def prepare(frames: torch.Tensor) -> torch.Tensor:
    """Return ``(N, 3, H', W')`` network input of ``(N, 3, H, W)`` RGB frames in 0..255.

    Normalised first, then padded with zeros at the right and the bottom to multiples of 32.
    """
    frames = frames.float()
    normal = (frames - frames.new_tensor(MEAN).view(3, 1, 1)) / frames.new_tensor(STD).view(3, 1, 1)
    # `-size % 32` is what is missing to the next multiple.
    return F.pad(normal, (0, -frames.shape[-1] % DIVISOR, 0, -frames.shape[-2] % DIVISOR))


class Backbone(nn.Module):
    """``blocks`` blocks of ViT-B, every third over the whole frame, the others in windows; then the pyramid.

    Modules are named as in the published file, but for those of ``bottom_up``: see :func:`vit_keys`.
    """

    def __init__(self, blocks: int) -> None:
        from transformers import VitDetConfig, VitDetModel

        super().__init__()
        config = VitDetConfig(
            hidden_size=WIDTH,
            num_hidden_layers=blocks,
            num_attention_heads=HEADS,
            mlp_ratio=4,
            hidden_act="gelu",
            layer_norm_eps=1e-6,
            image_size=GLOBAL_SIDE * PATCH,
            pretrain_image_size=PRETRAINED_SIDE * PATCH,
            patch_size=PATCH,
            drop_path_rate=0.0,
            window_block_indices=[i for i in range(blocks) if not is_global(i)],
            window_size=WINDOW,
            residual_block_indices=[],
            use_absolute_position_embeddings=True,
            use_relative_position_embeddings=True,
        )
        self.bottom_up: Any = VitDetModel(config)
        for index, layer in enumerate(self.bottom_up.encoder.layer):
            layer.attention = Attention(GLOBAL_SIDE if is_global(index) else WINDOW)
        self.fpn_stride_16_8 = nn.ConvTranspose2d(WIDTH, WIDTH, 2, stride=2, bias=False)
        for stride in STRIDES[:3]:
            self.add_module(f"fpn_stride{stride}_conv1", nn.Conv2d(WIDTH, CHANNELS, 1, bias=False))
            self.add_module(f"fpn_stride{stride}_norm1", ChannelNorm(CHANNELS))
            self.add_module(f"fpn_stride{stride}_conv2", nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False))
            self.add_module(f"fpn_stride{stride}_norm2", ChannelNorm(CHANNELS))
        self.top_block = nn.ModuleDict(
            {name: nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1) for name in ("p6", "p7")}
        )

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return ``(N, 256, H / s, W / s)`` maps for the strides ``s`` 8, 16, 32, 64 and 128 of prepared frames."""
        return self.pyramid(self.last_map(pixels))

    def last_map(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 768, H / 16, W / 16)`` output of the transformer."""
        features: torch.Tensor = self.bottom_up.encoder(self.bottom_up.embeddings(pixels)).last_hidden_state
        return features

    def pyramid(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the maps of the five strides from the transformer's output."""
        # Strides 8, 16 and 32 of the one map of stride 16.
        sizes = (self.fpn_stride_16_8(features), features, F.max_pool2d(features, 2))
        maps = [self._lateral(stride, x) for stride, x in zip(STRIDES, sizes, strict=False)]
        p6 = self.top_block["p6"](maps[-1])
        return (*maps, p6, self.top_block["p7"](F.relu(p6)))

    def _lateral(self, stride: int, x: torch.Tensor) -> torch.Tensor:
        for part in ("conv1", "norm1", "conv2", "norm2"):
            x = self.get_submodule(f"fpn_stride{stride}_{part}")(x)
        return x


def is_global(block: int) -> bool:
    """Whether a block, counted from 0, attends to the whole frame."""
    return block % 3 == 2


def vit_keys(key: str) -> str:
    """Return the name in transformers of a tensor of the published ``backbone.bottom_up``."""
    for old, new in (
        ("pos_embed", "embeddings.position_embeddings"),
        ("patch_embed.proj.", "embeddings.projection."),
        ("blocks.", "encoder.layer."),
        (".attn.", ".attention."),
    ):
        key = key.replace(old, new)
    return key


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of ``(N, C, H, W)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the normalised map."""
        # (N, H, W, C) for the norm, and back
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attention(nn.Module):
    """ViTDet's attention with positions in two parts, rows and columns: the library's numbers in less memory.

    ``side`` is the side of the grid that the tables of positions were trained on.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.rel_pos_h = nn.Parameter(torch.empty(2 * side - 1, WIDTH // HEADS))
        self.rel_pos_w = nn.Parameter(torch.empty(2 * side - 1, WIDTH // HEADS))

    def forward(self, tokens: torch.Tensor, output_attentions: bool = False) -> tuple[torch.Tensor]:
        """Return the ``(B, H, W, C)`` attended tokens in a tuple; scores are never given out."""
        del output_attentions
        batch, height, width, _ = tokens.shape
        # (3, B * heads, H * W, d)
        split = self.qkv(tokens).view(batch, height * width, 3, HEADS, -1).permute(2, 0, 3, 1, 4).flatten(1, 2)
        rows, columns = relative(self.rel_pos_h, height), relative(self.rel_pos_w, width)
        # Scores are the large part: (H * W)^2 for each head.
        most = max(1, SCORES_AT_ONCE.get(tokens.device.type, 1 << 23) // (height * width) ** 2)
        parts = zip(*(one.split(most) for one in split), strict=True)
        out = torch.cat([_attend(query, key, value, rows, columns) for query, key, value in parts])
        # (B, H, W, heads * d)
        merged = out.view(batch, HEADS, height, width, -1).permute(0, 2, 3, 1, 4).flatten(3)
        return (self.proj(merged),)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Return ``(B, N, d)`` attended values of as many heads; the terms of positions use the unscaled query."""
    # (B, H, W, d)
    grid = query.unflatten(1, (rows.shape[0], columns.shape[0]))
    by_row = torch.einsum("bhwc,hkc->bhwk", grid, rows)
    by_column = torch.einsum("bhwc,wkc->bhwk", grid, columns)
    # (B, H, W, H, W) becomes (B, H * W, H * W)
    bias = (by_row[..., None] + by_column[..., None, :]).flatten(3).flatten(1, 2)
    # Bias and product in one call: the scores are held once.
    scores = torch.baddbmm(bias, query * query.shape[-1] ** -0.5, key.transpose(1, 2))
    return scores.softmax(dim=-1) @ value


def relative(table: torch.Tensor, side: int) -> torch.Tensor:
    """Return ``(side, side, d)``: the entry of the table for each position of a query and a key.

    A table for another side is stretched linearly.
    """
    if len(table) != 2 * side - 1:
        table = F.interpolate(table.T[None], size=2 * side - 1, mode="linear", align_corners=False)[0].T
    place = torch.arange(side, device=table.device)
    # Offsets from -(side - 1) to side - 1, shifted to start at 0.
    return table[place[:, None] - place + side - 1]
