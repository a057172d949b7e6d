"""Black and frozen clips are told from those that move, also after lossy encoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.media.constancy import constancy
from pytest_vidmetrics.media.video import read_clip
from tests.support.clips import scene, write_clip


@pytest.mark.parametrize("crf", [10, 23, 35])
def test_a_still_picture_stays_one_through_encoding(tmp_path: Path, crf: int) -> None:
    still = np.repeat(scene(3, frames=1, height=120, width=160), 12, axis=0)
    assert constancy(read_clip(write_clip(tmp_path / "a.mp4", still, crf=crf)).frames) == "frozen"
    assert constancy(read_clip(write_clip(tmp_path / "b.mp4", 0 * still, crf=crf)).frames) == "black"


def test_one_small_thing_that_moves_is_enough() -> None:
    frames = torch.from_numpy(np.repeat(scene(3, frames=1), 6, axis=0)).permute(0, 3, 1, 2).contiguous()
    assert constancy(frames) == "frozen"
    assert constancy(frames.float() / 255) == "frozen"
    frames[5, :, 20:30, 20:30] = 255 - frames[5, :, 20:30, 20:30]
    assert constancy(frames) == ""
    assert constancy(frames.float() / 255) == ""


def test_a_slow_fade_is_not_frozen() -> None:
    levels = torch.arange(100, 124, dtype=torch.uint8)
    assert constancy(levels[:, None, None, None].expand(24, 3, 32, 32)) == ""


def test_one_frame_is_not_frozen_but_may_be_black() -> None:
    assert constancy(torch.full((1, 3, 8, 8), 90, dtype=torch.uint8)) == ""
    assert constancy(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)) == "black"
    assert constancy(torch.zeros(0, 3, 8, 8, dtype=torch.uint8)) == ""
