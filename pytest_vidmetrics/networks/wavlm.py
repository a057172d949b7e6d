"""WavLM (arXiv 2110.13900) on the layers of transformers, for state dicts with the names of its first release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.convolution import conv1d

SAMPLE_RATE = 16000
_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_KERNELS = (10, 3, 3, 3, 3, 2, 2)
_UNUSED = ("mask_emb",)
"""Stands for masked frames in training only."""
_NAMES = (
    (r"^(feature_extractor\.conv_layers\.\d+)\.0\.", r"\1.conv."),
    (r"^(feature_extractor\.conv_layers\.0)\.2\.", r"\1.layer_norm."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^encoder\.pos_conv\.0\.weight_g$", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.weight_v$", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"^encoder\.pos_conv\.0\.bias$", "encoder.pos_conv_embed.conv.bias"),
    (r"\.self_attn\.", ".attention."),
    (r"\.grep_linear\.", ".gru_rel_pos_linear."),
    (r"\.grep_a$", ".gru_rel_pos_const"),
    (r"\.relative_attention_bias\.", ".rel_attn_embed."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)


class WavLM:
    """The encoder on one device. ``state`` has the keys of the first release; sizes and depth are read off it.

    Raises ``ValueError`` or ``KeyError`` for another network.
    """

    def __init__(self, state: hf.State, device: torch.device | str = "cpu") -> None:
        from transformers import WavLMConfig, WavLMModel

        part = {_renamed(key): value for key, value in state.items() if key not in _UNUSED}
        width = part["feature_projection.projection.weight"].shape[0]
        buckets, heads = part["encoder.layers.0.attention.rel_attn_embed.weight"].shape
        config = WavLMConfig(
            hidden_size=width,
            num_hidden_layers=hf.depth(part, "encoder.layers."),
            num_attention_heads=heads,
            intermediate_size=len(part["encoder.layers.0.feed_forward.intermediate_dense.weight"]),
            num_buckets=buckets,
            conv_kernel=_KERNELS,
            conv_stride=_STRIDES,
            # With masks for training, the class would draw random numbers while it is built.
            mask_time_prob=0.0,
            mask_feature_prob=0.0,
        )
        with torch.device("meta"):
            model = WavLMModel(config)
        self._model: Any = hf.assign(model, part).to(device)
        position = self._model.encoder.pos_conv_embed.conv
        self._position = position.weight, position.bias, position.groups
        self._device = device

    def frames(self, samples: torch.Tensor, total: int) -> torch.Tensor:
        """Return ``(T, width)``, the convolved and projected frames of ``(N,)`` float32 samples at 16 kHz.

        They are those of ``total`` samples of which only zeros are left out at the end; ``samples`` ends with the
        zeros that the last frame with sound sees.
        """
        hidden = samples.to(self._device)[None, None]  # (1, 1, N)
        for layer, stride in zip(self._model.feature_extractor.conv_layers, _STRIDES, strict=True):
            hidden = conv1d(hidden, layer.conv.weight, stride=stride)
            norm = getattr(layer, "layer_norm", None)
            # Only the first layer normalises over time, so that it alone must know of zeros that were left out.
            hidden = F.gelu(hidden if norm is None else _normalised(hidden, norm, (total - _KERNELS[0]) // stride + 1))
        projected, _ = self._model.feature_projection(hidden.transpose(1, 2))
        return projected[0]

    def hidden_states(self, frames: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield ``(T, width)``: the input of the first layer, then the output of each layer.

        Padding is left out by passing only the frames to keep: the first release sets padded frames to zero, which
        is what the convolution of positions sees beyond the end anyway, and attends to no padded frame.
        """
        weight, bias, groups = self._position
        kernel = weight.shape[-1]
        # (1, width, T)
        positions = conv1d(frames.T[None], weight, bias, padding=kernel // 2, groups=groups)
        # An even kernel gives one position too many.
        hidden = frames[None] + F.gelu(positions[..., : len(frames)]).transpose(1, 2)
        hidden = self._model.encoder.layer_norm(hidden)
        yield hidden[0]
        bias_of_positions = None
        for layer in self._model.encoder.layers:
            # The first layer computes the bias of positions; the others take it over.
            hidden, bias_of_positions = layer(hidden, position_bias=bias_of_positions)
            yield hidden[0]


def _normalised(hidden: torch.Tensor, norm: torch.nn.GroupNorm, total: int) -> torch.Tensor:
    """Return what ``norm`` makes of ``(1, C, T)``, a group per channel, when zeros follow up to ``total`` frames."""
    frames = hidden.shape[-1]
    if frames == total:
        found: torch.Tensor = norm(hidden)
        return found
    mean = hidden.sum(dim=-1, keepdim=True) / total
    # The frames that were left out are zero: each adds the squared mean to the spread.
    spread = (hidden - mean).square().sum(dim=-1, keepdim=True) + (total - frames) * mean.square()
    scale = norm.weight[:, None] / (spread / total + norm.eps).sqrt()
    return (hidden - mean) * scale + norm.bias[:, None]


def _renamed(key: str) -> str:
    for pattern, name in _NAMES:
        key = re.sub(pattern, name, key)
    return key
