from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.media.video import DECODER_ID, probe, read_clip
from tests.media.clips import gray_ramp, write_video


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clips") / "ramp.mp4", gray_ramp(24))


def test_frames_are_uint8_in_order_with_count_and_rate(clip_path):
    clip = read_clip(clip_path)
    assert clip.frames.shape == (24, 3, 48, 64)
    assert clip.frames.dtype == torch.uint8
    assert clip.frames.is_contiguous()
    assert (clip.indices, clip.total, clip.fps) == (tuple(range(24)), 24, 10.0)
    means = clip.frames.float().mean(dim=(1, 2, 3))
    assert torch.all(means[1:] > means[:-1])
    expected = torch.from_numpy(np.stack(gray_ramp(24))).permute(0, 3, 1, 2).float()
    assert (clip.frames.float() - expected).abs().mean() < 4


@pytest.mark.parametrize(
    "request_", [FrameRequest(5), FrameRequest(1), FrameRequest(4, "first", 3), FrameRequest(99), FrameRequest()]
)
def test_a_request_reads_the_same_pixels_as_the_whole_clip(clip_path, request_):
    whole, part = read_clip(clip_path), read_clip(clip_path, request_)
    wanted = request_.indices(24)
    assert (list(part.indices), part.total) == (wanted, 24)
    assert torch.equal(part.frames, whole.frames[wanted])


def test_several_requests_share_one_decode(clip_path):
    first, uniform = FrameRequest(3, "first"), FrameRequest(4)
    clip = read_clip(clip_path, first, extra=[uniform])
    assert clip.indices == (0, 1, 2, 7, 15, 23)
    whole = read_clip(clip_path)
    assert torch.equal(clip.select(first), whole.select(first))
    assert torch.equal(clip.select(uniform), whole.select(uniform))
    with pytest.raises(KeyError):
        clip.select(FrameRequest())


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_metadata_is_applied(tmp_path, rotation):
    path = write_video(tmp_path / "turned.mp4", gray_ramp(3), rotation=rotation)
    plain = read_clip(write_video(tmp_path / "plain.mp4", gray_ramp(3)))
    turned = read_clip(path)
    assert torch.equal(turned.frames, torch.rot90(plain.frames, rotation // 90, (2, 3)))
    info = probe(path)
    assert (info.height, info.width) == turned.frames.shape[2:]


def test_damaged_and_foreign_files_are_named(tmp_path, clip_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 20)
    (tmp_path / "cut.mp4").write_bytes(clip_path.read_bytes()[:-200])
    for name, message in [
        ("none.mp4", "no such file"),
        ("empty.mp4", "0 bytes"),
        ("text.mp4", "not a media file"),
        ("cut.mp4", "truncated"),
    ]:
        with pytest.raises(MediaError, match=message) as caught:
            read_clip(tmp_path / name)
        assert name in str(caught.value)


def test_the_decoder_has_a_name():
    assert DECODER_ID.startswith("pyav-rgb24-1-swscale-")
