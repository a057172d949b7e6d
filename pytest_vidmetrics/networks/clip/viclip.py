"""ViCLIP ViT-L/14 (InternVid, arXiv 2307.06942): a video and a text tower with CLIP's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.blocks import CLIP_NAMES, Blocks, joined, published_shapes
from pytest_vidmetrics.networks.clip.towers import ClipText


def clip_layers(state: hf.State, source: str, target: str) -> dict[str, torch.Tensor]:
    """Return the blocks under ``source`` (OpenAI's layout) under the names that transformers uses."""
    names = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    out: dict[str, torch.Tensor] = {}
    for i in range(hf.depth(state, source)):
        for kind in ("weight", "bias"):
            # Query, key and value are stacked in the published file.
            parts = [f"{target}{i}.self_attn.{letter}_proj.{kind}" for letter in "qkv"]
            out |= hf.split_rows(state, f"{source}{i}.attn.in_proj_{kind}", parts)
            out |= {f"{target}{i}.{new}.{kind}": state[f"{source}{i}.{old}.{kind}"] for old, new in names.items()}
    return out


class _Tower(nn.Module):
    """Norm, blocks and norm around the tokens of a clip; the embedding tables are plain parameters."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.ln_pre = nn.LayerNorm(width, eps=1e-5)
        self.blocks = Blocks(depth, width, 4 * width, 1e-5, quick=True)
        self.ln_post = nn.LayerNorm(width, eps=1e-5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.ln_post(self.blocks(self.ln_pre(tokens), first=True)[:, 0])
        return features


class ViClipVideo:
    """The video tower. ``state`` is the published state dict under its key ``model``."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        prefix = "vision_encoder."
        part = {key[len(prefix) :]: value for key, value in hf.pick(state, (prefix,)).items()}
        depth, width = hf.depth(part, "transformer.resblocks."), len(part["class_embedding"])
        layers = clip_layers(part, "transformer.resblocks.", "")
        hf.check("the video tower", layers, published_shapes(depth, width, 4 * width, CLIP_NAMES, ""))
        blocks = {f"blocks.{key}": one for key, one in joined(layers, depth, CLIP_NAMES, "", quick=True).items()}
        norms = {key: value for key, value in part.items() if key.startswith(("ln_pre.", "ln_post."))}
        with torch.device("meta"):
            tower = _Tower(depth, width)
        self._tower = hf.assign(tower, blocks | norms).to(device)
        self._patch = part["conv1.weight"].float().squeeze(2).to(device)
        self._class = part["class_embedding"].float().to(device)
        self._place = part["positional_embedding"].float().to(device)
        self._time = part["temporal_positional_embedding"].float().to(device)
        self._project = part["proj"].float().to(device)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, D)`` features, not normalised, of normalised ``(N, 8, 3, 224, 224)`` float32 clips."""
        with torch.inference_mode():
            feature: torch.Tensor = self._tower(self.tokens(pixels)) @ self._project
            return feature

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the ``(N, 1 + patches * 8, width)`` tokens: one class token, then all times of each patch."""
        clips, times = pixels.shape[:2]
        # (clips * times, width, h, w): a kernel without depth, one frame at a time
        patches = F.conv2d(pixels.flatten(0, 1), self._patch, stride=self._patch.shape[-1])
        patches = patches.flatten(2).transpose(1, 2) + self._place[1:]
        # (clips, patches, times, width): positions in time are added to each patch
        patches = patches.unflatten(0, (clips, times)).transpose(1, 2) + self._time
        first = (self._class + self._place[0]).expand(clips, 1, -1)
        return torch.cat([first, patches.flatten(1, 2)], dim=1)


class ViClipText:
    """The text tower: CLIP's, with 32 positions."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        prefix = "text_encoder."
        part = {key[len(prefix) :]: value for key, value in hf.pick(state, (prefix,)).items()}
        renamed = clip_layers(part, "transformer.resblocks.", "text_model.encoder.layers.")
        renamed["text_model.embeddings.token_embedding.weight"] = part["token_embedding.weight"]
        renamed["text_model.embeddings.position_embedding.weight"] = part["positional_embedding"]
        for kind in ("weight", "bias"):
            renamed[f"text_model.final_layer_norm.{kind}"] = part[f"ln_final.{kind}"]
        # Published as (D, width), multiplied from the right.
        renamed["text_projection.weight"] = part["text_projection"].t().contiguous()
        self._text = ClipText(renamed, device)

    def __call__(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the ``(N, D)`` features, not normalised, of rows of 32 token ids."""
        return self._text(rows)


def read_video(path: Path, device: torch.device | str) -> ViClipVideo:
    """Return the video tower of a file of weights, of which the text tower is not read."""
    return ViClipVideo(hf.read_state(path, "model", ("vision_encoder.",)), device)


def read_text(path: Path, device: torch.device | str) -> ViClipText:
    """Return the text tower of a file of weights, of which the video tower is not read."""
    return ViClipText(hf.read_state(path, "model", ("text_encoder.",)), device)
