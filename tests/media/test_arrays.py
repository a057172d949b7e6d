"""Clips in .npz files."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, MediaError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.media.video import probe, read_clip
from pytest_vidmetrics.metrics.common.pairs import frame_pairs
from tests.support.media_clips import gray_ramp

FRAMES = np.stack(gray_ramp(6))


@pytest.mark.parametrize(
    "array",
    [
        FRAMES,
        FRAMES.transpose(3, 0, 1, 2),
        FRAMES / 255,
        (FRAMES / 127.5 - 1).astype(np.float32),
        (FRAMES / 127.5 - 1).transpose(3, 0, 1, 2),
    ],
    ids=["levels", "channels first", "0 to 1", "-1 to 1", "-1 to 1, channels first"],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_layouts_and_ranges(tmp_path, array, save):
    save(tmp_path / "a.npz", array)
    clip = read_clip(tmp_path / "a.npz")
    np.testing.assert_array_equal(clip.frames.permute(0, 2, 3, 1).numpy(), FRAMES)
    assert (clip.total, clip.fps, clip.times) == (6, None, None)
    part = read_clip(tmp_path / "a.npz", FrameRequest(3))
    assert torch.equal(part.frames, clip.frames[list(part.indices)])
    info = probe(tmp_path / "a.npz")
    assert (info.frames, info.width, info.height) == (6, 64, 48)


def test_the_array_called_video_is_the_clip(tmp_path):
    np.savez(tmp_path / "a.npz", video=FRAMES, flow=np.zeros((5, 48, 64, 2)))
    assert read_clip(tmp_path / "a.npz").total == 6


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": FRAMES, "b": FRAMES}, "expected one array, or one called 'video' or 'frames'; it holds a, b"),
        ({"a": FRAMES[None]}, r"shape \(1, 6, 48, 64, 3\): expected \(T, H, W, 3\)"),
        ({"a": FRAMES[:0]}, "expected"),
        ({"a": FRAMES.astype(np.int32)}, "the array is int32: expected uint8"),
        ({"a": FRAMES.astype(np.float32)}, r"values from 0 to \d+"),
        ({"a": FRAMES * np.nan}, "values from nan"),
        ({"a": np.array([{"x": 1}], dtype=object)}, "not an .npz file that can be read"),
    ],
)
def test_what_is_no_clip(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(MediaError, match=rf"a\.npz: .*{message}"):
        read_clip(tmp_path / "a.npz")


def test_damaged_and_missing_files(tmp_path):
    np.savez(tmp_path / "a.npz", FRAMES)
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.npz").write_text("text")
    for name in ("a.npz", "b.npz", "c.npz"):
        with pytest.raises(MediaError, match=name):
            read_clip(tmp_path / name)


def test_a_mismatch_of_channels_names_the_channels():
    sample = {"video": torch.zeros(2, 3, 8, 8), "reference": torch.zeros(2, 1, 8, 8)}
    with pytest.raises(IncompatibleSampleError, match="the clip has 3 channels and its reference 1"):
        next(frame_pairs(sample, 2))


def test_a_damaged_header_is_named(tmp_path):
    # numpy hands a header that does not end to Python's tokenizer
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2, 3)".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as box:
        box.writestr("video.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(12))
    with pytest.raises(MediaError, match=r"a\.npz: not an \.npz file that can be read"):
        read_clip(tmp_path / "a.npz")
