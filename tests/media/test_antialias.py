"""Pillow's resizing in whole numbers against Pillow itself: every byte."""

from __future__ import annotations

import pytest
import torch

from pytest_vidmetrics.media.antialias import FILTERS, resize
from pytest_vidmetrics.media.resize import pil_resize
from tests.support.oracle_fill import clip_uint8


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((48, 83), (22, 39)),
        ((37, 53), (17, 60)),
        ((48, 64), (96, 31)),
        ((30, 30), (45, 61)),
        ((30, 40), (30, 7)),
        ((5, 7), (1, 1)),
    ],
)
def test_every_byte_is_pillows(filter, shape: tuple[int, int], size: tuple[int, int]) -> None:
    frames = torch.from_numpy(clip_uint8(2, *shape, seed=1)).permute(0, 3, 1, 2)
    black_and_white = (frames[:1] > 127).to(torch.uint8) * 255  # what overshoots is cut off
    clip = torch.cat([frames, black_and_white])
    assert torch.equal(resize(clip, size, filter), pil_resize(clip, size, filter))
