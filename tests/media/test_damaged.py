"""Files that are cut, empty, or not what their name says: an error that names the file, never fewer frames."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.media.integrity import missing_bytes
from pytest_vidmetrics.media.video import probe, read_clip
from tests.support.media_clips import gray_ramp, write_video

CONTAINERS = [
    ("h264.mp4", "libx264", "yuv420p"),
    ("h264.mkv", "libx264", "yuv420p"),
    ("vp8.webm", "libvpx", "yuv420p"),
    ("mpeg4.avi", "mpeg4", "yuv420p"),
    ("mpeg4.mov", "mpeg4", "yuv420p"),
    ("palette.gif", "gif", "rgb8"),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), CONTAINERS)
def test_no_cut_is_silent(tmp_path, name, codec, pix_fmt):
    path = write_video(tmp_path / f"whole-{name}", gray_ramp(12), codec=codec, pix_fmt=pix_fmt)
    assert read_clip(path).total == 12
    assert missing_bytes(path) is None
    data = path.read_bytes()
    cut = tmp_path / name
    for size in [*np.linspace(0, len(data) - 2, 24).astype(int), len(data) - 8, len(data) - 30]:
        cut.write_bytes(data[:size])
        for request in (FrameRequest(), FrameRequest(4, "first")):
            with pytest.raises(MediaError) as caught:
                read_clip(cut, request)
            assert name in str(caught.value)


def test_a_cut_fragment_is_an_error(tmp_path):
    options = {"movflags": "frag_keyframe+empty_moov"}
    path = write_video(tmp_path / "parts.mp4", gray_ramp(24), options={"g": "8"}, container_options=options)
    assert read_clip(path).total == 24
    data = path.read_bytes()
    # Where a top-level box starts: a file that ends there is a shorter file of whole fragments.
    starts = {0, len(data)}
    while (last := max(s for s in starts if s < len(data))) + int.from_bytes(data[last : last + 4], "big") < len(data):
        starts.add(last + int.from_bytes(data[last : last + 4], "big"))
    cut = tmp_path / "cut.mp4"
    for size in range(100, len(data), 37):
        cut.write_bytes(data[:size])
        if size not in starts:
            with pytest.raises(MediaError, match="truncated"):
                read_clip(cut)


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
CLUSTERS = {"cluster_time_limit": "300"}


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "more"),
    [
        ("one.mkv", "libx264", "yuv420p", {}),
        ("many.mkv", "libx264", "yuv420p", CLUSTERS),
        ("live.mkv", "libx264", "yuv420p", {"live": "1"}),
        ("vp9.webm", "libvpx-vp9", "yuv420p", {}),
        ("vp8.webm", "libvpx", "yuv420p", {}),
        ("pictures.avi", "mjpeg", "yuvj420p", {}),
        ("parts.mp4", "libx264", "yuv420p", FRAGMENTS),
    ],
)
def test_damage_in_the_middle_loses_no_frame_without_an_error(tmp_path, name, codec, pix_fmt, more):
    options = {"g": "4"} if codec == "libx264" else {}
    path = write_video(
        tmp_path / name, gray_ramp(16), codec=codec, pix_fmt=pix_fmt, options=options, container_options=more
    )
    data = path.read_bytes()
    assert read_clip(path).total == 16
    refused = 0
    for start in np.linspace(0, len(data) - 20, 60).astype(int):
        broken = bytearray(data)
        broken[start : start + 20] = bytes(byte ^ 0x5A for byte in data[start : start + 20])
        path.write_bytes(bytes(broken))
        try:
            assert read_clip(path).total == 16, start
        except MediaError:
            refused += 1
    assert refused > 2


@pytest.mark.parametrize(
    ("name", "codec", "more", "at", "new", "message"),
    [
        ("a.mkv", "libx264", CLUSTERS, b"\x1f\x43\xb6\x75", b"\x1f\x43\xb6\x99", "no whole Matroska element"),
        ("c.avi", "mpeg4", {}, b"00dc", b"00d9", "no whole AVI chunk"),
        ("d.mp4", "libx264", FRAGMENTS, b"moof", b"mo.f", "no MP4 box"),
        ("e.mp4", "libx264", FRAGMENTS, b"trun", b".run", "its boxes do not fit into each other"),
        ("i.mp4", "libx264", FRAGMENTS, b"trun", b"tru4", "it has no samples"),
        ("f.mp4", "libx264", FRAGMENTS, b"tfhd", b"tfhx", "it is of no track that the file has"),
        ("g.mp4", "libx264", FRAGMENTS, b"mfhd", b"mfhx", "it has no number"),
        ("h.mp4", "libx264", FRAGMENTS, b"trun", b"trun\x00\x00\x00\x01", "another number of frames"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, name, codec, more, at, new, message):
    path = write_video(tmp_path / name, gray_ramp(16), codec=codec, options={"g": "4"}, container_options=more)
    data = path.read_bytes()
    where = data.index(at, data.index(at) + 1)  # not the first one: the file opens as before
    path.write_bytes(data[:where] + new + data[where + len(new) :])
    with pytest.raises(MediaError, match=rf"{name}: the file is .*damaged.*{message}"):
        read_clip(path)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "more"),
    [
        ("vfr.mkv", "libx264", "yuv420p", {}),
        ("clusters.mkv", "libx264", "yuv420p", CLUSTERS),
        ("live.mkv", "libx264", "yuv420p", {"live": "1"}),
        ("vfr.webm", "libvpx", "yuv420p", {}),
        ("h264.avi", "libx264", "yuv420p", {}),
        ("mjpeg.avi", "mjpeg", "yuvj420p", {}),
        ("mpeg4.avi", "mpeg4", "yuv420p", {}),
        ("vfr.mp4", "libx264", "yuv420p", {}),
        ("parts.mp4", "libx264", "yuv420p", FRAGMENTS),
        ("vfr.ts", "libx264", "yuv420p", {}),
    ],
)
def test_pauses_are_no_damage(tmp_path, name, codec, pix_fmt, more):
    path = tmp_path / name
    with av.open(str(path), "w", options=more) as container:
        stream = container.add_stream(codec, rate=10, options={"bf": "0"} if codec == "libx264" else {})
        stream.height, stream.width, stream.pix_fmt = 48, 64, pix_fmt
        for pixels, time in zip(gray_ramp(8), (0, 1, 2, 9, 10, 11, 30, 41), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert read_clip(path).total == 8
    assert missing_bytes(path) is None


@pytest.mark.parametrize(
    ("name", "codec"), [("sound.mkv", "libx264"), ("sound.avi", "mpeg4"), ("sound.mp4", "libx264")]
)
@pytest.mark.parametrize("more", [{}, FRAGMENTS])
def test_sound_beside_the_pictures_is_not_counted(tmp_path, name, codec, more):
    tone = np.sin(np.arange(24000) / 20)
    more = more if name.endswith(".mp4") else {}
    path = write_video(tmp_path / name, gray_ramp(10), codec=codec, tone=tone, container_options=more)
    assert read_clip(path).total == 10


def test_a_codec_that_nobody_knows_is_an_error(tmp_path):
    path = write_video(tmp_path / "odd.mkv", gray_ramp(4))
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    for read in (read_clip, probe):
        with pytest.raises(MediaError, match=r"odd\.mkv: no decoder for its video stream"):
            read(path)


def test_hidden_frames_are_not_counted(tmp_path):
    plain = write_video(tmp_path / "plain.webm", gray_ramp(30), codec="libvpx")
    path = tmp_path / "altref.webm"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            data = bytearray(bytes(packet))
            if number == 7:
                data[0] &= ~0x10  # VP8's show_frame bit: an alternate reference frame is decoded, not shown
            hidden = av.Packet(bytes(data))
            hidden.pts, hidden.dts, hidden.time_base = packet.pts, packet.dts, packet.time_base
            hidden.is_keyframe, hidden.stream = packet.is_keyframe, stream
            out.mux(hidden)
    assert read_clip(path, FrameRequest(4)).indices == (0, 9, 18, 28)
    assert probe(path).frames == 29


def test_a_damaged_frame_is_an_error(tmp_path):
    path = write_video(tmp_path / "hurt.mp4", gray_ramp(12), options={"g": "1"})
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(bytes(data))
    with pytest.raises(MediaError, match=r"hurt\.mp4: (frame \d+|truncated or damaged)"):
        read_clip(path)


def test_an_audio_file_is_no_video(tmp_path):
    path = tmp_path / "tone.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"tone\.mp4: no video stream; it holds audio only"):
        read_clip(path)
    info = probe(path)
    assert (info.has_video, info.has_audio, info.frames, info.width) == (False, True, None, None)
    assert info.duration == pytest.approx(1.0, abs=0.1)


def test_a_video_stream_without_frames(tmp_path):
    path = tmp_path / "none.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    for read in (read_clip, probe):
        with pytest.raises(MediaError, match=r"none\.mkv"):
            read(path)


def test_an_mp4_without_its_frame_table(tmp_path):
    path = tmp_path / "nomoov.mp4"
    data = write_video(tmp_path / "whole.mp4", gray_ramp(4), container_options={}).read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(MediaError, match="no 'moov' box"):
        read_clip(path)


def test_foreign_files_folders_and_odd_names(tmp_path):
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 20)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    for name, message in [("none.mp4", "no such file"), ("zero.mp4", "0 bytes"), ("text.mp4", "not a media file")]:
        with pytest.raises(MediaError, match=message) as caught:
            read_clip(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(MediaError, match=r"list\.mp4"):
        read_clip(tmp_path / "list.mp4")
    odd = write_video(tmp_path / "plain.mp4", gray_ramp(3)).rename(tmp_path / "http: a%20b #1?.mp4")
    assert read_clip(odd).total == 3
