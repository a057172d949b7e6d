"""A file is opened once: its packets say what it shows and decode to its frames."""

from __future__ import annotations

import av
import pytest
import torch

import pytest_vidmetrics.media.scan as scan_module
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.media.video import read_clip
from tests.support.media_clips import gray_ramp, write_video


@pytest.fixture
def opened(monkeypatch):
    """Count how often files are opened."""
    paths = []

    def counting(path, *args, **kwargs):
        paths.append(path)
        return plain(path, *args, **kwargs)

    plain = av.open
    monkeypatch.setattr(av, "open", counting)
    return paths


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.gif", "gif"), ("a.avi", "mpeg4"), ("a.webm", "libvpx"), ("a.ts", "libx264")],
)
def test_a_clip_is_opened_once_unless_it_is_too_large_to_hold(tmp_path, monkeypatch, opened, name, codec):
    pixels = {"gif": "rgb8"}.get(codec, "yuv420p")
    path = write_video(tmp_path / name, gray_ramp(12), codec=codec, pix_fmt=pixels)
    opened.clear()
    clip, some = read_clip(path), read_clip(path, FrameRequest(3, "first", 2))
    assert len(opened) == 2
    monkeypatch.setattr(scan_module, "_HELD", 1)
    again, others = read_clip(path), read_clip(path, FrameRequest(3, "first", 2))
    assert len(opened) >= 6
    assert (clip.total, clip.fps, clip.times) == (again.total, again.fps, again.times)
    assert clip.total == 12
    assert torch.equal(clip.frames, again.frames)
    assert torch.equal(some.frames, others.frames)
    assert torch.equal(some.frames, clip.frames[0:6:2][:3])
