"""Frames that the decoder scales, as decord does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.media.video import read_clip
from tests.support.media_clips import gray_ramp, write_video

DATA = Path(__file__).parents[1] / "data"
SCALED = FrameRequest(16, "middle", size=(384, 384))


def test_pixels_are_decords():
    case = json.loads((DATA / "vbench" / "tag2text_frames.json").read_text())["expected"][0]
    clip = read_clip(DATA / "media" / "carphone_distorted.mp4", SCALED)
    assert clip.total == case["frames"]
    assert SCALED.indices(clip.total) == case["indices"]
    frames = clip.select(SCALED).permute(0, 2, 3, 1).contiguous().numpy()
    flat = frames.reshape(-1)
    samples = flat[np.linspace(0, flat.size - 1, 64).astype(np.int64)].astype(int)
    assert np.abs(samples - case["samples"]).max() <= 1
    np.testing.assert_allclose(frames.sum(axis=(1, 2, 3), dtype=np.int64), case["sum_per_frame"], rtol=2e-4)
    assert frames.shape == (16, 384, 384, 3)
    assert len(hashlib.sha256(frames.tobytes()).hexdigest()) == len(case["sha256_uint8"])


def test_one_decode_gives_frames_at_several_sizes(tmp_path):
    path = write_video(tmp_path / "clip.mp4", gray_ramp(9))
    small, wide = FrameRequest(2, "middle", size=(20, 30)), FrameRequest(3, "first", size=(10, 64))
    clip = read_clip(path, ALL_FRAMES, extra=[small, wide])
    assert torch.equal(clip.select(ALL_FRAMES), read_clip(path).frames)
    assert clip.select(small).shape == (2, 3, 20, 30)
    assert clip.select(wide).shape == (3, 3, 10, 64)
    for request in (small, wide):
        alone = read_clip(path, request)
        assert len(alone.frames) == 0
        assert torch.equal(alone.select(request), clip.select(request))
    # Means survive scaling, so these are the frames that were asked for.
    means = clip.frames.double().mean(dim=(1, 2, 3))
    torch.testing.assert_close(
        clip.select(small).double().mean(dim=(1, 2, 3)), means[small.indices(9)], atol=1.0, rtol=0
    )
    assert clip.nbytes == clip.frames.nbytes + 2 * 3 * 20 * 30 + 3 * 3 * 10 * 64


def test_a_clip_says_what_it_holds(tmp_path):
    clip = read_clip(write_video(tmp_path / "clip.mp4", gray_ramp(9)), FrameRequest(2, size=(20, 30)))
    assert clip.holds(FrameRequest(2, size=(20, 30)))
    assert not clip.holds(FrameRequest(3, size=(20, 30)))
    assert not clip.holds(FrameRequest(2, size=(30, 20)))
    assert not clip.holds(FrameRequest(2))
    with pytest.raises(KeyError):
        clip.select(FrameRequest(2, size=(30, 20)))


def test_gifs_and_images_come_at_their_own_size(tmp_path):
    from PIL import Image

    frames = gray_ramp(4)
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(tmp_path / "clip.gif", save_all=True, append_images=images[1:], duration=100)
    Image.fromarray(frames[0]).save(tmp_path / "one.png")
    for name, count in (("clip.gif", 4), ("one.png", 1)):
        clip = read_clip(tmp_path / name, SCALED)
        assert clip.select(SCALED).shape == (count, 3, 48, 64)
        assert clip.holds(SCALED)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turned_clips_are_scaled_as_displayed(tmp_path, rotation):
    path = write_video(tmp_path / "clip.mp4", gray_ramp(2), rotation=rotation)
    request = FrameRequest(size=(24, 40))
    full = read_clip(path).frames.float()
    scaled = read_clip(path, request).select(request).float()
    expected = torch.nn.functional.interpolate(full, size=(24, 40), mode="bilinear", antialias=True)
    assert scaled.shape == (2, 3, 24, 40)
    assert float((scaled - expected).abs().mean()) < 1.5


@pytest.mark.parametrize(("space", "levels"), [(2, 0), (1, 1), (5, 1), (1, 2), (9, 1)])
def test_colours_are_those_of_the_stream(tmp_path, space, levels):
    red = [np.full((48, 64, 3), (200, 40, 90), dtype=np.uint8)] * 3
    path = write_video(tmp_path / "clip.mp4", red, colorspace=space, color_range=levels)
    request = FrameRequest(size=(30, 30))
    clip = read_clip(path, request, extra=[ALL_FRAMES])
    full, scaled = clip.select(ALL_FRAMES).double(), clip.select(request).double()
    # swscale rounds coarsely; another matrix or range would be 15 and more levels away.
    torch.testing.assert_close(scaled.mean(dim=(0, 2, 3)), full.mean(dim=(0, 2, 3)), atol=2.0, rtol=0)


def test_a_truncated_file_is_refused_at_any_size(tmp_path):
    path = write_video(tmp_path / "clip.mp4", gray_ramp(9))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MediaError, match=r"clip\.mp4"):
        read_clip(path, SCALED)
