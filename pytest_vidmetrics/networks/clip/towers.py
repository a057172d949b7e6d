"""CLIP image and text towers (OpenAI, arXiv 2103.00020) from the transformers-layout checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.clip.tokenizer import ClipTokenizer

_IMAGE = ("vision_model.", "visual_projection.")
_TEXT = ("text_model.", "text_projection.")


class ClipImage:
    """The image tower with its projection.

    ``state`` is a published state dict; sizes and depth are read off its tensors, and the text tower in it is
    not loaded. Raises ``ValueError`` when tensors are missing.
    """

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        part = hf.pick(state, _IMAGE)
        patch = part["vision_model.embeddings.patch_embedding.weight"]
        positions = len(part["vision_model.embeddings.position_embedding.weight"])
        width = patch.shape[0]
        config = CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=len(part["vision_model.encoder.layers.0.mlp.fc1.weight"]),
            projection_dim=len(part["visual_projection.weight"]),
            num_hidden_layers=hf.depth(part, "vision_model.encoder.layers."),
            num_attention_heads=width // hf.HEAD_WIDTH,
            patch_size=patch.shape[-1],
            image_size=patch.shape[-1] * round((positions - 1) ** 0.5),
        )
        self._model = hf.pretrained(CLIPVisionModelWithProjection, config, part).to(device)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return ``(N, D)`` float32 embeddings, not normalised, of normalised ``(N, 3, 224, 224)`` float32 images."""
        with torch.inference_mode():
            return self._model(pixel_values=pixels).image_embeds.float()


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
