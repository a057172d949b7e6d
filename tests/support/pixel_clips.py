"""Clips that the recorded values of pixel metrics name by the call that makes them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch

from tests.support.oracle_fill import clip_uint8
from tests.support.oracle_inputs import array_sha256


def tensor(clip: np.ndarray) -> torch.Tensor:
    """(T, H, W, 3) to (T, 3, H, W) uint8."""
    return torch.from_numpy(np.ascontiguousarray(clip.astype(np.uint8))).permute(0, 3, 1, 2)


def pair(oracle: dict[str, Any], case: str) -> dict[str, torch.Tensor]:
    """Both clips of a case, checked against the recorded digests."""
    recipe = next(entry for entry in oracle["inputs"] if entry["case"] == case)
    generated = _clip(recipe["generated"], None)
    reference = _clip(recipe["reference"], generated)
    assert array_sha256(generated) == recipe["generated_sha256"]
    assert array_sha256(reference) == recipe["reference_sha256"]
    return {"video": tensor(generated), "reference": tensor(reference)}


def _clip(call: str, other: np.ndarray | None) -> np.ndarray:
    if call.startswith("clip_uint8("):
        return clip_uint8(*(int(number) for number in re.findall(r"\d+", call)[1:]))
    if call.startswith("zeros"):
        return np.zeros([int(number) for number in re.findall(r"\d+", call)], dtype=np.uint8)
    assert other is not None
    if call.startswith("all 255"):
        return np.full_like(other, 255)
    if call == "same":
        return other
    if "roll" in call:
        return np.roll(other, 1, axis=2)
    assert call.startswith("numpy.minimum"), call
    return np.minimum(other, 254) + np.uint8(1)
