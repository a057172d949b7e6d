"""Which stream is the clip and which is its sound, and where the sound stands."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.media.audio import extract_audio_track, load_audio
from pytest_vidmetrics.media.video import probe, read_clip
from tests.support.media_clips import gray_ramp
from tests.support.remux import clicks, onset, write_sound_and_pictures

DEFAULT, NONE = av.stream.Disposition.default, av.stream.Disposition(0)


def write_videos(path, *streams):
    """Write streams of (frames, side, disposition)."""
    with av.open(str(path), "w") as out:
        made = []
        for count, side, disposition in streams:
            stream = out.add_stream("libx264", rate=10, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt, stream.disposition = side, side, "yuv420p", disposition
            made.append((stream, count, side))
        for stream, count, side in made:
            for pixels in gray_ramp(count, side, side):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "streams", "frames", "side"),
    [
        ("marked.mkv", [(3, 32, NONE), (8, 64, DEFAULT)], 8, 64),
        ("first.mkv", [(5, 32, DEFAULT), (8, 64, NONE)], 5, 32),
        ("none marked.mkv", [(5, 32, NONE), (8, 64, NONE)], 5, 32),
        ("poster.mp4", [(1, 32, DEFAULT), (8, 64, DEFAULT)], 8, 64),
        ("one frame.mp4", [(1, 32, DEFAULT)], 1, 32),
    ],
)
def test_the_clip_is_the_default_stream(tmp_path, name, streams, frames, side):
    path = write_videos(tmp_path / name, *streams)
    clip = read_clip(path)
    assert (clip.total, clip.frames.shape[-1]) == (frames, side)
    assert (probe(path).frames, probe(path).width) == (frames, side)


def test_an_attached_picture_is_never_the_clip(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        sound = out.add_stream("aac", rate=48000, layout="mono")
        out.mux(cover.encode(av.VideoFrame.from_ndarray(gray_ramp(1, 32, 32)[0], format="rgb24")))
        out.mux(cover.encode(None))
        block = av.AudioFrame.from_ndarray(clicks(48000, 1, 0.5)[None], format="flt", layout="mono")
        block.sample_rate, block.pts = 48000, 0
        out.mux(sound.encode(block))
        out.mux(sound.encode(None))
    assert not probe(path).has_video
    with pytest.raises(MediaError, match="no video stream; it holds audio only"):
        read_clip(path)
    assert onset(load_audio(path).samples[0], 48000) == pytest.approx(0.5, abs=0.003)


@pytest.mark.parametrize("default", [0, 1, None])
def test_the_sound_is_the_default_track(tmp_path, default):
    silent, loud = clicks(48000, 1), clicks(48000, 1, 0.4)
    path = write_sound_and_pictures(tmp_path / "two.mkv", gray_ramp(24), silent, loud, default=default)
    heard = load_audio(path).samples
    assert np.abs(heard).max() > 0.3 if default == 1 else not (np.abs(heard) > 0.1).any()
    track = load_audio(extract_audio_track(path, output_dir=tmp_path / "wav")).samples
    np.testing.assert_allclose(track, heard, atol=1e-3)


@pytest.mark.parametrize("name", ["gap.mkv", "gap.mp4", "gap.ts", "gap.mov"])
def test_sound_that_is_missing_is_silence_of_its_length(tmp_path, name):
    sound = clicks(48000, 4, 0.5, 2.5)
    whole = load_audio(write_sound_and_pictures(tmp_path / f"whole.{name}", gray_ramp(96), sound))
    path = write_sound_and_pictures(tmp_path / name, gray_ramp(96), sound, lost=(1.0, 2.0))
    clip = load_audio(path)
    assert whole.filled == 0
    assert clip.filled == pytest.approx(1.0, abs=0.03)
    assert abs(clip.samples.shape[1] - whole.samples.shape[1]) < 100
    later = clip.samples[0, clip.rate :]
    assert 1 + onset(later, clip.rate) == pytest.approx(2.5, abs=0.004)
    assert not clip.samples[0, round(1.1 * clip.rate) : round(1.9 * clip.rate)].any()
    resampled = load_audio(path, rate=16000)
    assert resampled.filled == clip.filled


HELD = {
    "a.mkv": ("aac", "libopus", "libmp3lame", "flac", "pcm_s16le"),
    "a.mp4": ("aac", "libopus", "libmp3lame", "flac"),
    "a.mov": ("aac", "libmp3lame", "pcm_s16le"),
    "a.ts": ("aac", "libopus", "libmp3lame"),
    "a.avi": ("libmp3lame", "pcm_s16le"),
}


@pytest.mark.parametrize(("name", "codec"), [(name, codec) for name, codecs in HELD.items() for codec in codecs])
def test_whole_sound_has_no_gaps_and_its_place(tmp_path, name, codec):
    path = write_sound_and_pictures(tmp_path / name, gray_ramp(48), clicks(48000, 2, 0.7), codec=codec)
    clip = load_audio(path)
    assert clip.filled == 0
    late = 0.025 if name == "a.avi" or (name == "a.ts" and codec == "libmp3lame") else 0.008
    assert onset(clip.samples[0], clip.rate) == pytest.approx(0.7, abs=late)


def stripped(data: bytes, name: bytes) -> bytes:
    """Return a file without an element of Matroska (its delay) or a box of MP4 (its edit list), as older muxers."""
    at = data.rindex(name)
    if name == b"edts":
        return data[:at] + b"free" + data[at + 4 :]
    length = data[at + 2] & 0x7F
    return data[:at] + bytes([0xEC, 0x80 | (1 + length)]) + bytes(1 + length) + data[at + 3 + length :]


@pytest.mark.parametrize(("name", "mark"), [("new.mkv", b"\x56\xaa"), ("new.mp4", b"edts")])
def test_opus_without_its_delay_stands_where_its_time_stamps_say(tmp_path, name, mark):
    sound = clicks(48000, 2, 0.7)
    new = write_sound_and_pictures(tmp_path / name, gray_ramp(48), sound, codec="libopus")
    assert onset(load_audio(new).samples[0], 48000) == pytest.approx(0.7, abs=0.001)
    old = tmp_path / f"old-{name}"
    old.write_bytes(stripped(new.read_bytes(), mark))
    with av.open(str(old)) as container:
        stream = container.streams.audio[0]
        first = next(frame.time for frame in container.decode(stream))
    assert first == pytest.approx(312 / 48000, abs=0.001)
    assert onset(load_audio(old).samples[0], 48000) == pytest.approx(0.7 + first, abs=0.001)


def test_long_names_of_any_script_can_be_extracted(tmp_path):
    path = tmp_path / f"{'猫' * 80}.mp4"
    write_sound_and_pictures(tmp_path / "plain.mp4", gray_ramp(12), clicks(48000, 0.5, 0.1)).rename(path)
    track = extract_audio_track(path, output_dir=tmp_path / "wav")
    assert len(track.name.encode()) < 200
    assert load_audio(track).samples.shape[1] > 20000
