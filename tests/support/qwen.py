"""Tiny Qwen2.5-VL and Qwen2.5-Omni checkpoints as folders in the published layout, with a byte-level vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD
from tests.support.oracle_fill import clip_uint8, fill_array

DATA = Path(__file__).parents[1] / "data" / "vlm"

VL_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
OMNI_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_bos|>",
    "<|vision_eos|>",
    "<|vision_pad|>",
    "<|IMAGE|>",
    "<|VIDEO|>",
)
FIRST_SPECIAL = 256
TEMPLATE = (
    "{% for turn in messages %}{% if loop.first and turn.role != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ turn.role }}\n"
    "{% for part in turn.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'video' %}START VIDEO END{% else %}START IMAGE END{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Renders one user message as the published templates do."""
_SIGNS = {
    "vl": {"START ": "<|vision_start|>", " END": "<|vision_end|>", "VIDEO": "<|video_pad|>", "IMAGE": "<|image_pad|>"},
    "omni": {"START ": "<|vision_bos|>", " END": "<|vision_eos|>", "VIDEO": "<|VIDEO|>", "IMAGE": "<|IMAGE|>"},
}


def recorded(name: str) -> dict[str, Any]:
    """Return one file of recorded values."""
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return found


def frames_of(case: dict[str, Any]) -> torch.Tensor:
    """Return the ``(T, 3, H, W)`` uint8 clip that a recorded case names."""
    clip = clip_uint8(case["frames"], case["h"], case["w"], case["seed"])
    return torch.from_numpy(clip).permute(0, 3, 1, 2)


def letters() -> list[str]:
    """Return the letter of a byte-level vocabulary for each of the 256 bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    found, other = [], 256
    for byte in range(256):
        found.append(chr(byte) if byte in printable else chr(other))
        other += byte not in printable
    return found


def text_config(**others: Any) -> dict[str, Any]:
    """Return the tiny language model of the recorded values."""
    return {
        "vocab_size": 272,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [2, 3, 3]},
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "bos_token_id": 256,
        "eos_token_id": 258,
        "pad_token_id": 256,
        **others,
    }


def vision_config(tokens_per_second: int) -> dict[str, Any]:
    """Return the tiny vision tower of the recorded values."""
    return {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [1],
        "in_channels": 3,
        "tokens_per_second": tokens_per_second,
        "hidden_act": "silu",
    }


def write_files(folder: Path, kind: str, config: dict[str, Any], phrases: tuple[str, ...] = ()) -> None:
    """Write everything of a checkpoint but the weights. ``phrases`` are further texts that are one token each."""
    from transformers import AddedToken, Qwen2Tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    special = VL_SPECIAL if kind == "vl" else OMNI_SPECIAL
    tokenizer = Qwen2Tokenizer(vocab={letter: id for id, letter in enumerate(letters())}, merges=[])
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(phrase, special=False, normalized=False) for phrase in phrases])
    tokenizer.save_pretrained(folder)
    template = TEMPLATE
    for name, sign in _SIGNS[kind].items():
        template = template.replace(name, sign)
    (folder / "chat_template.jinja").write_text(template)
    (folder / "config.json").write_text(json.dumps(config))
    pixels = {"image_mean": list(CLIP_MEAN), "image_std": list(CLIP_STD), "patch_size": 14, "temporal_patch_size": 2}
    limits = {"merge_size": 2, "min_pixels": 3136, "max_pixels": 12845056}
    (folder / "preprocessor_config.json").write_text(json.dumps({**pixels, **limits}))


def vl_config(vocabulary: int = 272) -> dict[str, Any]:
    """Return the settings of the tiny Qwen2.5-VL."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "text_config": {"model_type": "qwen2_5_vl_text", **text_config(vocab_size=vocabulary)},
        "vision_config": {"model_type": "qwen2_5_vl", **vision_config(2)},
        "image_token_id": 268,
        "video_token_id": 269,
        "vision_start_token_id": 265,
        "vision_end_token_id": 266,
        "tie_word_embeddings": False,
    }


def omni_config(vocabulary: int = 272) -> dict[str, Any]:
    """Return the settings of the tiny Qwen2.5-Omni; only its thinker is described."""
    audio = {
        "num_mel_bins": 128,
        "encoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "d_model": 16,
        "output_dim": 64,
        "n_window": 100,
        "max_source_positions": 1500,
    }
    thinker = {
        "model_type": "qwen2_5_omni_thinker",
        "text_config": {"model_type": "qwen2_5_omni_text", **text_config(vocab_size=vocabulary)},
        "vision_config": {"model_type": "qwen2_5_omni_vision_encoder", **vision_config(25)},
        "audio_config": {"model_type": "qwen2_5_omni_audio_encoder", **audio},
        "audio_token_index": 259,
        "image_token_index": 268,
        "video_token_index": 269,
        "audio_start_token_id": 260,
        "audio_end_token_id": 261,
        "user_token_id": 117,
        "vision_start_token_id": 265,
        "vision_end_token_id": 266,
        "position_id_per_seconds": 25,
        "seconds_per_chunk": 2,
        "tie_word_embeddings": False,
    }
    return {"architectures": ["Qwen2_5OmniModel"], "model_type": "qwen2_5_omni", "thinker_config": thinker}


def write_weights(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the weights under their published names."""
    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})


def tiny_vl(folder: Path, keys: dict[str, list[int]], settings: dict[str, Any] | None = None) -> Path:
    """Write the tiny Qwen2.5-VL of the recorded values; ``keys`` are its tensors and their shapes."""
    write_files(folder, "vl", vl_config())
    if settings is not None:
        (folder / "generation_config.json").write_text(json.dumps(settings))
    write_weights(folder, {key: fill_array(key, tuple(shape)) for key, shape in keys.items()})
    return folder


def tiny_omni(folder: Path, keys: dict[str, list[int]]) -> Path:
    """Write the tiny Qwen2.5-Omni of the recorded values, its tensors named as in the published file."""
    write_files(folder, "omni", omni_config())
    write_weights(folder, {f"thinker.{key}": fill_array(key, tuple(shape)) for key, shape in keys.items()})
    return folder
