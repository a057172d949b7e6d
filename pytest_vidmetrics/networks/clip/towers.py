"""CLIP image and text towers (OpenAI, arXiv 2103.00020) from the transformers-layout checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.blocks import CLIP_NAMES, Blocks, embed, joined, published_shapes
from pytest_vidmetrics.networks.clip.tokenizer import ClipTokenizer

_IMAGE = ("vision_model.", "visual_projection.")
_TEXT = ("text_model.", "text_projection.")
_EPS = 1e-5
_EMBEDDINGS = "vision_model.embeddings."
_LAYERS = "vision_model.encoder.layers."
_PUBLISHED = {
    "patch.weight": f"{_EMBEDDINGS}patch_embedding.weight",
    "first": f"{_EMBEDDINGS}class_embedding",
    "positions": f"{_EMBEDDINGS}position_embedding.weight",
    "before.weight": "vision_model.pre_layrnorm.weight",
    "before.bias": "vision_model.pre_layrnorm.bias",
    "after.weight": "vision_model.post_layernorm.weight",
    "after.bias": "vision_model.post_layernorm.bias",
    "project.weight": "visual_projection.weight",
}
"""What is outside of the blocks, by our names."""


class _ImageTower(nn.Module):
    def __init__(self, width: int, inner: int, depth: int, side: int, positions: int, outputs: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, side, stride=side, bias=False)
        self.first = nn.Parameter(torch.empty(width))
        self.positions = nn.Parameter(torch.empty(positions, width))
        self.before = nn.LayerNorm(width, eps=_EPS)
        self.blocks = Blocks(depth, width, inner, _EPS, quick=True)
        self.after = nn.LayerNorm(width, eps=_EPS)
        self.project = nn.Linear(width, outputs, bias=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.before(embed(pixels, self.patch, self.first, self.positions))
        features: torch.Tensor = self.project(self.after(self.blocks(tokens, first=True)[:, 0]))
        return features


class ClipImage:
    """The image tower with its projection.

    ``state`` is a published state dict; sizes and depth are read off its tensors, and the text tower in it is
    not loaded. Raises ``ValueError`` when tensors are missing.
    """

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        part = hf.pick(state, _IMAGE)
        width, _, _, side = part[f"{_EMBEDDINGS}patch_embedding.weight"].shape
        positions = len(part[f"{_EMBEDDINGS}position_embedding.weight"])
        inner = len(part[f"{_LAYERS}0.{CLIP_NAMES.inner}.weight"])
        depth, outputs = hf.depth(part, _LAYERS), len(part["visual_projection.weight"])
        shapes = {
            "patch.weight": (width, 3, side, side),
            "first": (width,),
            "positions": (positions, width),
            **{f"{norm}.{kind}": (width,) for norm in ("before", "after") for kind in ("weight", "bias")},
            "project.weight": (outputs, width),
        }
        wanted = {_PUBLISHED[name]: shape for name, shape in shapes.items()}
        hf.check("the image tower", part, wanted | published_shapes(depth, width, inner, CLIP_NAMES, _LAYERS))
        blocks = joined(part, depth, CLIP_NAMES, _LAYERS, quick=True)
        tensors = {name: part[_PUBLISHED[name]] for name in shapes} | {f"blocks.{k}": v for k, v in blocks.items()}
        with torch.device("meta"):
            tower = _ImageTower(width, inner, depth, side, positions, outputs)
        self._model = hf.assign(tower, tensors).to(device)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, D)`` float32 embeddings, not normalised, of normalised ``(N, 3, 224, 224)`` float32 images."""
        with torch.inference_mode():
            embeddings: torch.Tensor = self._model(pixels).float()
            return embeddings


class ClipText:
    """The text tower with its projection, for rows of token ids."""

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        part = hf.pick(state, _TEXT)
        table = part["text_model.embeddings.token_embedding.weight"]
        config = CLIPTextConfig(
            vocab_size=table.shape[0],
            hidden_size=table.shape[1],
            intermediate_size=len(part["text_model.encoder.layers.0.mlp.fc1.weight"]),
            projection_dim=len(part["text_projection.weight"]),
            num_hidden_layers=hf.depth(part, "text_model.encoder.layers."),
            num_attention_heads=table.shape[1] // hf.HEAD_WIDTH,
            max_position_embeddings=len(part["text_model.embeddings.position_embedding.weight"]),
            # This id selects the position of the largest token id, which is the first end-of-text marker.
            eos_token_id=2,
        )
        self._model = hf.pretrained(CLIPTextModelWithProjection, config, part).to(device)
        self._device = torch.device(device)

    def __call__(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return ``(N, D)`` float32 embeddings, not normalised, of equally long rows of token ids."""
        ids = torch.tensor([list(row) for row in rows], dtype=torch.long, device=self._device)
        with torch.inference_mode():
            return self._model(input_ids=ids).text_embeds.float()


def read_image(path: Path, device: torch.device | str) -> ClipImage:
    """Return the image tower of a file of weights, of which the text tower is not read."""
    return ClipImage(hf.read_state(path, prefixes=_IMAGE), device)


def read_text(path: Path, device: torch.device | str) -> ClipText:
    """Return the text tower of a file of weights, of which the image tower is not read."""
    return ClipText(hf.read_state(path, prefixes=_TEXT), device)


def read_tokenizer(path: Path, device: torch.device | str) -> ClipTokenizer:
    """Return the tokeniser of a merges file (plain or gzip)."""
    del device
    return ClipTokenizer.from_file(path)
