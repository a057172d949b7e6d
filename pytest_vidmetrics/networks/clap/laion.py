"""Checkpoints of laion_clap in the key layout of transformers: the same tensors under other names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

State = Mapping[str, torch.Tensor]

_PREFIX = "module."
_PROJECTION = re.compile(r"(audio|text)_projection\.([02])\.")
_BLOCK = (
    (".attn.proj.", ".attention.output.dense."),
    (".attn.relative", ".attention.self.relative"),
    (".norm1.", ".layernorm_before."),
    (".norm2.", ".layernorm_after."),
    (".mlp.fc1.", ".intermediate.dense."),
    (".mlp.fc2.", ".output.dense."),
)
# Its own front end, the classification heads, and heads that the contrastive embedding does not pass through.
_UNUSED = re.compile(
    r"audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\.|"
    r"(audio|text)_transform\.|logit_scale_|.*\.attn_mask$"
)


def is_laion(state: State) -> bool:
    """Whether a state dict is in the layout of laion_clap."""
    return any(key.removeprefix(_PREFIX).startswith("audio_branch.") for key in state)


def as_transformers(state: State) -> dict[str, torch.Tensor]:
    """Return the float tensors that the embeddings depend on, under the names that transformers gives them."""
    found: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = key.removeprefix(_PREFIX)
        if not value.is_floating_point() or _UNUSED.match(name):
            continue
        if ".attn.qkv." in name:
            stem, kind = _renamed(name).split(".attn.qkv.")
            # Query, key and value are stacked in laion_clap.
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"{stem}.attention.self.{part}.{kind}"] = piece.contiguous()
        else:
            found[_renamed(name)] = value
    return found


def _renamed(name: str) -> str:
    # Layers 0 and 2 of a sequence, with an activation between them.
    name = _PROJECTION.sub(lambda m: f"{m[1]}_projection.linear{1 + int(m[2]) // 2}.", name)
    if name.startswith("text_branch."):
        return f"text_model.{name.removeprefix('text_branch.')}"
    if not name.startswith("audio_branch."):
        return name
    name = f"audio_model.audio_encoder.{name.removeprefix('audio_branch.')}".replace(".bn0.", ".batch_norm.")
    for old, new in _BLOCK:
        if ".blocks." in name:
            name = name.replace(old, new)
    return name
