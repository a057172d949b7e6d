"""CLIP image and text towers (OpenAI, arXiv 2103.00020) from the transformers-layout checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.clip.tokenizer import ClipTokenizer

CLIP_B32 = Weights(
    "clip-vit-base-patch32",
    "openai/clip-vit-base-patch32",
    "pytorch_model.bin",
    size=605_109_252,
    licence="MIT",
    override="VIDMETRICS_CLIP_B32",
)
CLIP_L14 = Weights(
    "clip-vit-large-patch14",
    "openai/clip-vit-large-patch14",
    "model.safetensors",
    size=1_710_466_052,
    licence="MIT",
    override="VIDMETRICS_CLIP_L14",
)
CLIP_MERGES = Weights(
    "clip-merges",
    "openai/clip-vit-base-patch32",
    "merges.txt",
    licence="MIT",
    override="VIDMETRICS_CLIP_MERGES",
)
HEAD_WIDTH = 64
"""Every CLIP tower of OpenAI has attention heads of this width."""


class ClipImage:
    """The image tower with its projection.

    ``state`` is a published state dict; sizes and depth are read off its tensors, and the text tower in it is
    not loaded. Raises ``ValueError`` when tensors are missing.
    """

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        part = hf.pick(state, ("vision_model.", "visual_projection."))
        patch = part["vision_model.embeddings.patch_embedding.weight"]
        positions = len(part["vision_model.embeddings.position_embedding.weight"])
        width = patch.shape[0]
        config = CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=len(part["vision_model.encoder.layers.0.mlp.fc1.weight"]),
            projection_dim=len(part["visual_projection.weight"]),
            num_hidden_layers=hf.depth(part, "vision_model.encoder.layers."),
            num_attention_heads=width // HEAD_WIDTH,
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

        part = hf.pick(state, ("text_model.", "text_projection."))
        table = part["text_model.embeddings.token_embedding.weight"]
        config = CLIPTextConfig(
            vocab_size=table.shape[0],
            hidden_size=table.shape[1],
            intermediate_size=len(part["text_model.encoder.layers.0.mlp.fc1.weight"]),
            projection_dim=len(part["text_projection.weight"]),
            num_hidden_layers=hf.depth(part, "text_model.encoder.layers."),
            num_attention_heads=table.shape[1] // HEAD_WIDTH,
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


def load_image(checkpoint: Weights, device: torch.device | str, metric: str | None = None) -> ClipImage:
    """Return the shared image tower of a checkpoint; ``metric`` is who asks, for the error message."""
    path = str(resolve(checkpoint, metric))
    return shared.load(f"{checkpoint.name}.image", device, lambda: ClipImage(hf.read_state(path), device), path)


def load_text(checkpoint: Weights, device: torch.device | str, metric: str | None = None) -> ClipText:
    """Return the shared text tower of a checkpoint."""
    path = str(resolve(checkpoint, metric))
    return shared.load(f"{checkpoint.name}.text", device, lambda: ClipText(hf.read_state(path), device), path)


def load_tokenizer(checkpoint: Weights, metric: str | None = None) -> ClipTokenizer:
    """Return the shared tokeniser of a merges file (plain or gzip)."""
    path = str(resolve(checkpoint, metric))
    return shared.load(f"{checkpoint.name}.tokenizer", "cpu", lambda: ClipTokenizer.from_file(path), path)
