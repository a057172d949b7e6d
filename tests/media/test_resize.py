from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_vidmetrics.media.resize import cv2_bilinear_uint8, pil_resize
from tests.support.oracle_fill import clip_uint8
from tests.support.oracle_inputs import array_sha256, physics_scene

CASES = json.loads((Path(__file__).parents[1] / "data/media/resize_uint8_bilinear.json").read_text())["cases"]


def as_frames(clip: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(clip).permute(0, 3, 1, 2)


@pytest.mark.parametrize("case", CASES, ids=lambda c: str(c["case"]))
def test_bilinear_equals_opencv_bit_for_bit(case):
    frames = as_frames(clip_uint8(*case["input"]["clip_uint8"]))
    out = cv2_bilinear_uint8(frames, tuple(case["out_hw"]))[0].permute(1, 2, 0).numpy()
    if "output" in case:
        np.testing.assert_array_equal(out, np.array(case["output"], dtype=np.uint8).reshape(out.shape))
    else:
        assert (zlib.crc32(np.ascontiguousarray(out).tobytes()), int(out.sum())) == (case["crc32_hwc"], case["sum"])


@pytest.mark.parametrize(
    ("clip", "digest"),
    [
        (lambda: clip_uint8(6, 118, 150, 3), "7e97c11bc879da1536d513f7607b8b94d25f7dd73a2240cfda0d17cca32f7b3a"),
        (lambda: clip_uint8(5, 37, 53, 4), "c510b5825472721c8e10d22e9dd1832706fa1f1ec1b2360c9a64c48520d0e9b7"),
        (lambda: physics_scene(8, 128, 160, 0), "feaf333587faf12e3a2dbde6984bb4572b4c69fd5b5e3644e3e98aa9593f95b2"),
    ],
)
def test_quarter_size_equals_opencv(clip, digest):
    frames = as_frames(clip())
    out = cv2_bilinear_uint8(frames, (frames.shape[2] // 4, frames.shape[3] // 4))
    assert array_sha256(out.permute(0, 2, 3, 1).numpy()) == digest


def test_equal_size_is_unchanged_and_other_types_are_refused():
    frames = torch.zeros(1, 3, 4, 5, dtype=torch.uint8)
    assert cv2_bilinear_uint8(frames, (4, 5)) is frames
    with pytest.raises(ValueError, match="uint8"):
        cv2_bilinear_uint8(frames.float(), (2, 2))
    with pytest.raises(ValueError, match="cannot resize"):
        pil_resize(frames, (0, 2), "bilinear")


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pil_resize_is_pillow_with_height_before_width(resample, channels):
    clip = clip_uint8(2, 30, 41, 0)[..., :channels]
    out = pil_resize(as_frames(clip), (17, 60), resample)
    assert out.shape == (2, channels, 17, 60)
    image = Image.fromarray(clip[1] if channels == 3 else clip[1, :, :, 0])
    expected = np.array(image.resize((60, 17), getattr(Image.Resampling, resample.upper())))
    np.testing.assert_array_equal(out[1].permute(1, 2, 0).numpy().squeeze(), expected)
