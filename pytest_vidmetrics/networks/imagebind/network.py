"""The vision and audio towers of ImageBind-huge (arXiv 2305.05665), written from its description.

The published weights are for non-commercial use only (CC BY-NC-SA 4.0).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.convolution import conv2d

DIMENSION = 1024
_PARTS = {"preprocessors": "stem", "trunks": "trunk", "heads": "head", "postprocessors": "post"}
_USED = tuple(f"modality_{part}.{modality}." for part in _PARTS for modality in ("vision", "audio"))
_TRUNK_EPSILON = 1e-6
_MAX_SCALE = 100.0
_AUDIO_STRIDE = 10

Modality = Literal["vision", "audio"]
_HEADS: dict[Modality, int] = {"vision": 16, "audio": 12}


class ImageBind:
    """Both towers on one device; ``state`` is the published state dict, other modalities are left out.

    Raises ``ValueError``, ``KeyError`` or ``RuntimeError`` for tensors that do not fit.
    """

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        self._towers = {modality: _tower(state, modality).to(device) for modality in _HEADS}
        self._device = device

    def vision(self, views: torch.Tensor, chunk: int = 5) -> torch.Tensor:
        """Return ``(V, 1024)`` unit vectors for ``(V, 3, 2, 224, 224)`` views, ``chunk`` of them at a time."""
        return self._run("vision", views, chunk)

    def audio(self, clips: torch.Tensor, chunk: int = 3) -> torch.Tensor:
        """Return ``(C, 1024)`` vectors, as long as the learned scale, for ``(C, 128, 204)`` filter banks."""
        return self._run("audio", clips[:, None], chunk)

    def _run(self, modality: Modality, inputs: torch.Tensor, chunk: int) -> torch.Tensor:
        tower = self._towers[modality]
        with torch.inference_mode():
            return torch.cat([tower(part.to(self._device)) for part in inputs.split(chunk)])


class _Tower(nn.Module):
    """Patches, transformer, and the projection of the first token to a vector of length 1 (times a scale)."""

    def __init__(self, modality: Modality, state: hf.State) -> None:
        super().__init__()
        tokens, width = state["stem.pos_embedding_helper.pos_embed"].shape[1:]
        self.stem = _Stem(modality, tokens, width, state)
        self.trunk = nn.Module()
        # Only the vision tower has a norm before its blocks.
        before = [nn.LayerNorm(width, eps=_TRUNK_EPSILON)] if modality == "vision" else []
        self.trunk.pre_transformer_layer = nn.Sequential(*before)
        hidden = len(state["trunk.blocks.0.mlp.fc1.bias"])
        self.trunk.blocks = nn.Sequential(
            *(_Block(width, hidden, modality) for _ in range(hf.depth(state, "trunk.blocks.")))
        )
        norm = nn.LayerNorm(width, eps=_TRUNK_EPSILON)
        # The identity stands for a layer without tensors, so that the published numbers fit.
        self.head = nn.Sequential(norm, nn.Identity(), nn.Linear(width, DIMENSION, bias=False))
        self.post = nn.ModuleList([nn.Identity(), _Scale()] if modality == "audio" else [])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        tokens = self.trunk.blocks(self.trunk.pre_transformer_layer(self.stem(inputs)))
        vectors = F.normalize(self.head(tokens[:, 0]), dim=-1)
        for layer in self.post:
            vectors = layer(vectors)
        return vectors


class _Stem(nn.Module):
    def __init__(self, modality: Modality, tokens: int, width: int, state: hf.State) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embedding_helper = nn.Module()
        self.pos_embedding_helper.pos_embed = nn.Parameter(torch.empty(1, tokens, width))
        self.rgbt_stem = nn.Module()
        if modality == "vision":
            shape = state["stem.rgbt_stem.proj.1.weight"].shape
            conv = nn.Conv3d(3, width, tuple(shape[2:]), bias=False)
            self.rgbt_stem.proj = nn.Sequential(nn.Identity(), conv)
        else:
            shape = state["stem.rgbt_stem.proj.weight"].shape
            self.rgbt_stem.proj = nn.Conv2d(1, width, tuple(shape[2:]), bias=False)
            self.rgbt_stem.norm_layer = nn.LayerNorm(width)
        self._project = self._video if modality == "vision" else self._sound

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        patches = self._project(inputs)
        # (B, 1 + patches, width)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        return tokens + self.pos_embedding_helper.pos_embed

    def _video(self, views: torch.Tensor) -> torch.Tensor:
        """Return ``(B, 256, width)``: both frames of a patch stacked in its channels."""
        weight = self.rgbt_stem.proj[1].weight
        # (B, 3 * 2, H, W): a convolution over both frames at once is a flat one over six channels
        return conv2d(views.flatten(1, 2), weight.flatten(1, 2), stride=weight.shape[-1])

    def _sound(self, banks: torch.Tensor) -> torch.Tensor:
        """Return ``(B, 228, width)``: overlapping patches, band by band."""
        return self.rgbt_stem.norm_layer(conv2d(banks, self.rgbt_stem.proj.weight, stride=_AUDIO_STRIDE))


class _Block(nn.Module):
    def __init__(self, width: int, hidden: int, modality: Modality) -> None:
        super().__init__()
        self.attn = _Attention(width, modality)
        self.norm_1 = nn.LayerNorm(width, eps=_TRUNK_EPSILON)
        self.norm_2 = nn.LayerNorm(width, eps=_TRUNK_EPSILON)
        self.mlp = nn.Module()
        self.mlp.fc1 = nn.Linear(width, hidden)
        self.mlp.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm_1(x))
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm_2(x))))


class _Attention(nn.Module):
    """Multi-head attention; in the audio tower every query also attends to one learned key and value."""

    def __init__(self, width: int, modality: Modality) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)
        self._heads, self._learned = _HEADS[modality], modality == "audio"
        if self._learned:
            self.bias_k = nn.Parameter(torch.empty(1, 1, width))
            self.bias_v = nn.Parameter(torch.empty(1, 1, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        if self._learned:
            # (B, tokens + 1, width)
            key = torch.cat([key, self.bias_k.expand(len(x), -1, -1)], dim=1)
            value = torch.cat([value, self.bias_v.expand(len(x), -1, -1)], dim=1)
        # (B, heads, tokens, width of a head)
        split = (part.unflatten(-1, (self._heads, -1)).transpose(1, 2) for part in (query, key, value))
        return self.out_proj(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


class _Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_logit_scale = nn.Parameter(torch.empty(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.log_logit_scale.exp().clamp(max=_MAX_SCALE)


def _tower(state: hf.State, modality: Modality) -> nn.Module:
    part = {
        f"{short}.{key.removeprefix(prefix)}": value
        for long, short in _PARTS.items()
        for prefix in [f"modality_{long}.{modality}."]
        for key, value in state.items()
        if key.startswith(prefix)
    }
    with torch.device("meta"):
        tower = _Tower(modality, part)
    return hf.assign(tower, part)


def read(path: Path, device: torch.device | str) -> ImageBind:
    """Return the towers of a file of weights, of which other modalities are not read."""
    return ImageBind(hf.read_state(path, prefixes=_USED), device)
