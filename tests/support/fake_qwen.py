"""A Qwen2.5-VL of the published size on the fake device, without a byte of weights.

Two things need numbers there: how the vision tower cuts a clip into windows, which is computed here from the clip's
grid, and what is said, which is one word over and over.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf
from tests.support.qwen import text_config, vision_config, vl_config, write_files

WINDOW, FULL = 4, (7, 15, 23, 31)
"""Tokens a side of a window of the vision tower; the layers that see whole frames instead."""


def write_checkpoint(folder: Path, *, layers: int = 28, blocks: int = 32) -> Path:
    """Write the settings of a Qwen2.5-VL-7B, or of a shallower one, with a tokeniser of single bytes."""
    config = vl_config()
    language = text_config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=layers,
        num_attention_heads=28,
        num_key_value_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    )
    seeing = {
        **vision_config(2),
        "depth": blocks,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": 3584,
        "fullatt_block_indexes": [i for i in FULL if i < blocks] or [blocks - 1],
    }
    config["text_config"], config["vision_config"] = {"model_type": "qwen2_5_vl_text", **language}, seeing
    write_files(folder, "vl", config)
    (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": 1.05}))
    return folder


def _from_folder(cls: Any, folder: Path, dtype: torch.dtype, attn_implementation: str) -> Any:
    config = cls.config_class.from_pretrained(folder)
    with torch.device("meta"):
        return hf.frozen(cls._from_config(config, dtype=dtype, attn_implementation=attn_implementation))


def _ends(lengths: list[int]) -> Any:
    """Return where pieces of these lengths end, for host code that takes differences and ``tolist()``."""
    return np.cumsum([0, *lengths])


@contextlib.contextmanager
def without_weights(grid: tuple[int, int, int]) -> Iterator[None]:
    """Load networks without weights that are shown one clip of a ``grid`` of pairs, rows and columns of patches."""
    from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling

    pairs, rows, columns = grid
    sides = [[min(WINDOW, side // 2 - start) for start in range(0, side // 2, WINDOW)] for side in (rows, columns)]
    windows = [4 * high * wide for high in sides[0] for wide in sides[1]] * pairs

    def places(shown: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.empty((pairs * rows * columns, 2), dtype=torch.int64, device=shown.device)

    def whole(*_: Any, **__: Any) -> Any:
        return _ends([rows * columns] * pairs), None

    def windowed(*_: Any, **__: Any) -> Any:
        return torch.empty(pairs * rows * columns // 4, dtype=torch.int64), _ends(windows)

    def features(model: Any, pixels: torch.Tensor, shown: torch.Tensor, **_: Any) -> Any:
        out = model.visual(pixels.type(model.visual.dtype), grid_thw=shown)
        out.pooler_output = (out.pooler_output,)
        return out

    shared.clear()
    with (
        mock.patch.object(hf, "from_folder", _from_folder),
        mock.patch.object(modeling, "get_vision_position_ids", places),
        mock.patch.object(modeling, "get_vision_attention_seqlens", whole),
        mock.patch.object(modeling, "get_vision_window_index", windowed),
        mock.patch.object(modeling.Qwen2_5_VLModel, "get_video_features", features),
        mock.patch.dict(os.environ, {"TRANSFORMERS_DISABLE_TORCH_CHECK": "1"}),
    ):
        try:
            yield
        finally:
            shared.clear()
