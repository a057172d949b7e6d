"""VideoMAE-base (arXiv 2203.12602) as a descriptor of clips: the mean of its output tokens."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.training_colours import IMAGENET_MEAN, IMAGENET_STD

FRAMES = 16
"""The table of positions is for this many frames and no others."""
SIDE = 224
_PREFIX = "videomae."
_PARTS = (f"{_PREFIX}embeddings.", f"{_PREFIX}encoder.", f"{_PREFIX}layernorm.")


class VideoMae:
    """The encoder, without masking. ``state`` is a published state dict; its decoder is not loaded.

    Sizes and depth are read off the tensors. Raises ``ValueError`` or ``KeyError`` for another network.
    """

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from transformers import VideoMAEConfig, VideoMAEModel

        part = {_renamed(key): value for key, value in hf.pick(state, _PARTS).items()}
        patch = part["embeddings.patch_embeddings.projection.weight"]
        config = VideoMAEConfig(
            hidden_size=patch.shape[0],
            intermediate_size=len(part["encoder.layer.0.intermediate.dense.weight"]),
            num_hidden_layers=hf.depth(part, "encoder.layer."),
            num_attention_heads=patch.shape[0] // hf.HEAD_WIDTH,
            num_frames=FRAMES,
            image_size=SIDE,
            patch_size=patch.shape[-1],
            tubelet_size=patch.shape[2],
            qkv_bias="encoder.layer.0.attention.attention.query.bias" in part,
            use_mean_pooling="layernorm.weight" not in part,
        )
        self._model = hf.pretrained(VideoMAEModel, config, part).to(device)
        self._device = torch.device(device)

    def features(self, frames: torch.Tensor) -> torch.Tensor:
        """Return ``(768,)`` float64, the mean over all tokens, for 16 frames ``(16, 3, H, W)`` uint8.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for another number of frames.
        """
        if len(frames) != FRAMES:
            raise IncompatibleSampleError(f"the clip has {len(frames)} frames, videomae reads exactly {FRAMES}")
        with torch.inference_mode():
            tokens = self._model(pixel_values=self._pixels(frames)[None]).last_hidden_state
            # float64 from here on: the mean of 1568 tokens keeps its digits.
            return tokens[0].double().mean(dim=0).cpu()

    def _pixels(self, frames: torch.Tensor) -> torch.Tensor:
        """Squash to 224 x 224, bilinear without antialiasing, and normalise as for ImageNet."""
        size = (SIDE, SIDE)
        parts = [
            # A few frames at a time: as floats they take four times their memory.
            F.interpolate(part.to(self._device).float() / 255, size=size, mode="bilinear", align_corners=False)
            for part in frames.split(4)
        ]
        resized = torch.cat(parts)
        mean, std = (shared.per_channel(values, resized) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (resized - mean) / std


def _renamed(key: str) -> str:
    """Return the name that transformers gives a tensor: the published files name the biases as their authors do."""
    for published, name in ((".q_bias", ".query.bias"), (".v_bias", ".value.bias")):
        if key.endswith(published):
            key = key.removesuffix(published) + name
    return key.removeprefix(_PREFIX)


def read(path: Path, device: torch.device | str) -> VideoMae:
    """Return the encoder of a file of weights; the decoder is not read."""
    return VideoMae(hf.read_state(path, prefixes=_PARTS), device)
