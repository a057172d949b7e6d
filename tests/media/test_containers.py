"""What a container promises: nothing more is asked of a file than players need, and nothing less is taken."""

from __future__ import annotations

import random
import struct
import wave
from collections import Counter

import av
import numpy as np
import pytest
from PIL import Image

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.audio import load_audio
from pytest_vidmetrics.media.integrity import missing_bytes
from pytest_vidmetrics.media.video import probe, read_clip
from tests.support.media_clips import gray_ramp, write_video
from tests.support.remux import clicks, cut_at_keyframe


def wav(path, samples=8000, riff=None, data=None, *, tail=b""):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes((np.arange(samples) % 100).astype("<i2").tobytes())
    content = bytearray(path.read_bytes())
    if riff is not None:
        content[4:8] = struct.pack("<I", riff)
    if data is not None:
        content[40:44] = struct.pack("<I", data)
    path.write_bytes(bytes(content) + tail)
    return path


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0x7FFFF024, 0x7FFFF000),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x80000024, 0x80000000),
        (0, 0),
        (36, 0),
        (0xFFFFFFFF, 0),
        (16036 + 8, None),
        (16036 + 16, None),
        (16036 + 1000, None),
        (3, None),
    ],
)
def test_a_wav_file_is_whole_when_all_its_sound_is_there(tmp_path, riff, data):
    assert load_audio(wav(tmp_path / "pipe.wav", riff=riff, data=data)).samples.shape == (1, 8000)


def test_a_large_wav_file_and_what_follows_the_sound(tmp_path):
    plain = wav(tmp_path / "plain.wav").read_bytes()
    sizes = b"ds64" + struct.pack("<IQQQI", 28, len(plain) + 28, 16000, 8000, 0)
    (tmp_path / "large.wav").write_bytes(
        b"RF64\xff\xff\xff\xffWAVE" + sizes + plain[12:40] + b"\xff\xff\xff\xff" + plain[44:]
    )
    assert load_audio(tmp_path / "large.wav").samples.shape == (1, 8000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "large.wav").read_bytes()[:-100])
    with pytest.raises(MediaError, match=r"cut\.wav: the file is truncated: it promises 16000 bytes of sound"):
        load_audio(tmp_path / "cut.wav")
    assert load_audio(wav(tmp_path / "tail.wav", tail=b"LIST\xff\xff\xff\x00")).samples.shape == (1, 8000)


@pytest.mark.parametrize("kept", [43, 44, 45, 5000, 16043])
def test_a_wav_file_that_lacks_sound_is_truncated(tmp_path, kept):
    path = wav(tmp_path / "cut.wav")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(MediaError, match=r"cut\.wav: the file is truncated"):
        load_audio(path)


def sound_file(path, codec, seconds=4.0):
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=48000, layout="mono")
        block = av.AudioFrame.from_ndarray(clicks(48000, seconds, 0.5)[None], format="flt", layout="mono")
        block.sample_rate, block.pts = 48000, 0
        out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.ogg", "libopus"), ("a.opus", "libopus"), ("a.flac", "flac"), ("a.m4a", "aac")],
)
def test_half_of_a_sound_file_is_truncated(tmp_path, name, codec):
    path = sound_file(tmp_path / name, codec)
    whole = path.read_bytes()
    assert load_audio(path).samples.shape[1] >= 192000
    assert missing_bytes(path) is None
    for part in (0.9, 0.5, 0.3):
        path.write_bytes(whole[: round(len(whole) * part)])
        with pytest.raises(MediaError, match=rf"{name}: .*(truncated|cannot be decoded|End of file)"):
            load_audio(path)


def test_an_ogg_file_that_ends_between_two_pages_or_lacks_one(tmp_path):
    path = sound_file(tmp_path / "a.ogg", "libopus", 8.0)
    whole = path.read_bytes()
    starts = [at for at in range(len(whole)) if whole[at : at + 4] == b"OggS"]
    path.write_bytes(whole[: starts[-1]])
    with pytest.raises(MediaError, match="its last page is not marked as the last one"):
        load_audio(path)
    path.write_bytes(whole[: starts[-3]] + whole[starts[-2] :])
    with pytest.raises(MediaError, match="a page is missing"):
        load_audio(path)
    path.write_bytes(whole + whole)
    assert missing_bytes(path) is None


def test_an_mp3_with_a_tag_and_without_a_header(tmp_path):
    path = sound_file(tmp_path / "a.mp3", "libmp3lame")
    whole = path.read_bytes()
    start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(whole[6:10], (21, 14, 7, 0), strict=True))
    bare = whole[start:]
    path.write_bytes(bare.replace(b"Xing", b"\0\0\0\0").replace(b"Info", b"\0\0\0\0")[: len(bare) // 2])
    assert missing_bytes(path) is None
    path.write_bytes(whole + b"TAG" + bytes(125))
    assert missing_bytes(path) is None


OPEN_HEVC = "log-level=none:open-gop=1:keyint=24:bframes=4:b-adapt=0:scenecut=0"
OPEN_H264 = "open-gop=1:keyint=24:min-keyint=24:bframes=4:scenecut=0:b-adapt=0"


@pytest.mark.parametrize("name", ["cut.mkv", "cut.mp4"])
@pytest.mark.parametrize(
    ("codec", "options"), [("libx265", {"x265-params": OPEN_HEVC}), ("libx264", {"x264-params": OPEN_H264})]
)
def test_a_clip_that_was_cut_without_encoding_is_what_players_show(tmp_path, name, codec, options):
    frames = [np.roll(pixels, 2 * number, axis=1) for number, pixels in enumerate(gray_ramp(80))]
    whole = write_video(tmp_path / "whole.mp4", frames, codec=codec, options=options)
    part = tmp_path / name
    copied = cut_at_keyframe(whole, part, 1)
    clip = read_clip(part)
    lost = copied - clip.total
    assert 0 < lost <= 4
    assert clip.frames.shape[0] == clip.total
    np.testing.assert_array_equal(clip.frames.numpy(), read_clip(whole).frames[80 - clip.total :].numpy())
    remarks = probe(part).remarks
    hidden = name == "cut.mp4"  # there an edit list hides them
    assert hidden or f"{lost} frames before the first whole one are not shown: it was cut without encoding" in remarks


@pytest.mark.parametrize(("first", "second"), [(12, 15), (13, 9), (14, 20), (30, 5)])
def test_transport_streams_that_were_joined_are_whole(tmp_path, first, second):
    for name, count in (("1.ts", first), ("2.ts", second)):
        write_video(tmp_path / name, gray_ramp(count), fps=24)
    (tmp_path / "both.ts").write_bytes((tmp_path / "1.ts").read_bytes() + (tmp_path / "2.ts").read_bytes())
    clip = read_clip(tmp_path / "both.ts")
    assert (clip.total, clip.fps, clip.times) == (first + second, pytest.approx(24), None)
    assert probe(tmp_path / "both.ts").remarks == ("2 transport streams, joined",)
    assert probe(tmp_path / "1.ts").remarks == ()
    parts = [read_clip(tmp_path / f"{number}.ts").frames.numpy() for number in (1, 2)]
    np.testing.assert_array_equal(clip.frames.numpy(), np.concatenate(parts))


def test_a_transport_stream_that_lost_packets_is_damaged(tmp_path):
    path = write_video(tmp_path / "a.ts", gray_ramp(24), options={"g": "6"})
    data = path.read_bytes()
    video = [at for at in range(0, len(data), 188) if data[at + 1] & 0x1F == 1 and data[at + 2] == 0]
    assert len(video) >= 24
    for at in video[1:-1]:
        path.write_bytes(data[:at] + data[at + 188 :])
        with pytest.raises(MediaError, match="packets are lost before byte"):
            read_clip(path)
    for cut in (1, 50, 187):
        path.write_bytes(data[:-cut])
        with pytest.raises(MediaError, match="truncated: its last packet has"):
            read_clip(path)
    hurt = bytearray(data)
    hurt[20 * 188] = 0
    path.write_bytes(bytes(hurt))
    with pytest.raises(MediaError, match=f"no transport packet at byte {20 * 188}"):
        read_clip(path)


def gif(path):
    images = [Image.fromarray(pixels).quantize(32) for pixels in gray_ramp(8, 24, 32)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    return path


MADE = {
    "a.gif": lambda path: gif(path),
    "b.gif": lambda path: write_video(path, gray_ramp(8, 24, 32), codec="gif", pix_fmt="rgb8"),
    "a.mp4": lambda path: write_video(path, gray_ramp(16), options={"g": "4"}),
    "parts.mp4": lambda path: write_video(
        path, gray_ramp(16), options={"g": "4"}, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "a.mkv": lambda path: write_video(path, gray_ramp(16), options={"g": "4"}),
    "a.webm": lambda path: write_video(path, gray_ramp(16), codec="libvpx-vp9"),
    "a.avi": lambda path: write_video(path, gray_ramp(16), codec="mpeg4"),
    "a.ts": lambda path: write_video(path, gray_ramp(16), options={"g": "4"}),
    "a.flv": lambda path: write_video(path, gray_ramp(16), options={"g": "4"}),
}
WITHOUT_A_CHECK = {"a.mp4": 2, "a.ts": 4, "a.flv": 4}
"""Flips in 1,000 that nothing in the file contradicts: the scale of a movie's clock, a start code inside a frame."""


def flip(path, name, count, seed):
    """Return ``{outcome: number}`` of reading a file with one flipped bit."""
    data, good = path.read_bytes(), read_clip(path).total
    outcomes: Counter[str] = Counter()
    for bit in random.Random(f"{name}{seed}").sample(range(8 * len(data)), count):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(broken))
        try:
            total = read_clip(path).total
        except MediaError:
            outcomes["refused"] += 1
            continue
        outcomes["fewer" if total < good else "more" if total > good else "same"] += 1
    return outcomes


@pytest.mark.parametrize("name", MADE)
def test_no_flipped_bit_loses_a_frame_in_silence(tmp_path, name):
    outcomes = flip(MADE[name](tmp_path / name), name, 120, 0)
    assert outcomes["fewer"] <= (1 if name in WITHOUT_A_CHECK else 0), outcomes
    assert outcomes["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_few_flipped_bits_of_a_thousand_lose_a_frame(tmp_path, name):
    outcomes = flip(MADE[name](tmp_path / name), name, 1000, 1)
    assert outcomes["fewer"] <= WITHOUT_A_CHECK.get(name, 0), outcomes


def test_every_flipped_bit_in_the_blocks_of_a_gif_is_refused_or_harmless(tmp_path):
    """The bytes around each picture, where the lengths and the marks of the blocks stand."""
    path = gif(tmp_path / "a.gif")
    data = path.read_bytes()
    marks = [at for at in range(13, len(data)) if data[at : at + 3] == b"\x21\xf9\x04"]
    assert len(marks) == 8
    for at in [byte for mark in marks[:4] for byte in range(mark - 3, mark + 22)]:
        for bit in range(8):
            broken = bytearray(data)
            broken[at] ^= 1 << bit
            path.write_bytes(bytes(broken))
            try:
                assert read_clip(path).total >= 8, (at, bit)
            except MediaError:
                continue


def test_bytes_after_a_gif_that_are_no_padding_are_damage(tmp_path):
    path = gif(tmp_path / "a.gif")
    data = path.read_bytes()
    path.write_bytes(data + b"\0\0\r\n")
    assert read_clip(path).total == 8
    path.write_bytes(data[:-1] + b"\x3b" + data[13:])
    with pytest.raises(MediaError, match="bytes follow its trailer"):
        read_clip(path)
