"""Damaged clips: whatever happened to the bytes, frames or one error that names the file."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.video import probe, read_clip
from tests.support.media_clips import gray_ramp, write_video

KINDS = ("a.mp4", "a.mkv", "a.avi", "a.ts", "a.webm", "a.gif", "a.npz", "a.png")
CODECS = {"a.webm": "libvpx-vp9", "a.gif": "gif"}


def write(path: Path) -> bytes:
    frames = gray_ramp(4, 32, 48)
    if path.suffix == ".npz":
        np.savez_compressed(path, np.stack(frames))
    elif path.suffix == ".png":
        Image.fromarray(frames[0]).save(path)
    else:
        options = {"pix_fmt": "rgb8"} if path.suffix == ".gif" else {}
        write_video(path, frames, codec=CODECS.get(path.name, "libx264"), **options)
    return path.read_bytes()


def changed(data: bytes, draw: random.Random) -> bytes:
    """Return bytes as they are after bits flipped, or a part was cut off, removed, doubled or zeroed."""
    out = bytearray(data)
    start = draw.randrange(len(out))
    end = start + draw.randrange(1, 64)
    how = draw.randrange(5)
    if how == 0:
        for _ in range(draw.choice((1, 1, 2, 8))):
            out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    elif how == 1:
        del out[start:]
    elif how == 2:
        del out[start:end]
    elif how == 3:
        out[start:start] = out[start:end]
    else:
        out[start:end] = bytes(len(out[start:end]))
    return bytes(out)


def check(folder: Path, kind: str, rounds: int) -> None:
    path = folder / kind
    whole = write(path)
    shape = tuple(read_clip(path).frames.shape)
    said = list[str]()
    for number in range(rounds):
        path.write_bytes(changed(whole, random.Random(f"{kind} {number}")))
        for look in (read_clip, probe):
            try:
                found = look(path)
            except MediaError as error:
                said.append(str(error))
            else:
                if look is read_clip and tuple(found.frames.shape[1:]) == shape[1:]:
                    assert len(found.frames) == found.total, number
    assert said, "no damage was ever noticed"
    assert all(kind in message for message in said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_clip_is_read_or_named(tmp_path: Path, kind: str) -> None:
    check(tmp_path, kind, 50)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_damaged_clips_are_read_or_named(tmp_path: Path, kind: str) -> None:
    check(tmp_path, kind, 1000)
