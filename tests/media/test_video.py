from __future__ import annotations

import subprocess
import sys
import tracemalloc

import av
import numpy as np
import pytest
import torch

import pytest_vidmetrics.media.container as container_module
import pytest_vidmetrics.media.video as video_module
from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.media.video import DECODER_ID, probe, read_clip
from tests.support.media_clips import gray_ramp, write_video


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clips") / "ramp.mp4", gray_ramp(24))


def test_frames_are_uint8_in_order_with_count_and_rate(clip_path):
    clip = read_clip(clip_path)
    assert clip.frames.shape == (24, 3, 48, 64)
    assert clip.frames.dtype == torch.uint8
    assert clip.frames.is_contiguous(memory_format=torch.channels_last)
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


@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_and_mirroring_are_applied(tmp_path, rotation, mirror):
    path = write_video(tmp_path / "turned.mp4", gray_ramp(3), rotation=rotation, mirror=mirror)
    plain = read_clip(write_video(tmp_path / "plain.mp4", gray_ramp(3)))
    turned = read_clip(path)
    axes = [axis for axis, wanted in ((3, mirror[0]), (2, mirror[1])) if wanted]
    assert torch.equal(turned.frames, torch.rot90(plain.frames, rotation // 90, (2, 3)).flip(axes))
    info = probe(path)
    assert (info.height, info.width) == turned.frames.shape[2:]


def test_a_tilted_picture_is_refused(tmp_path):
    path = write_video(tmp_path / "tilted.mp4", gray_ramp(3), rotation=45)
    with pytest.raises(MediaError, match=r"tilted\.mp4: rotated by 45 degrees"):
        read_clip(path)


def test_the_decoder_has_a_name():
    assert DECODER_ID.startswith("pyav-rgb24-2-swscale-")


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", ".mp4"), ("libx265", ".mp4"), ("libvpx-vp9", ".webm"), ("libsvtav1", ".mkv")]
)
def test_pixels_do_not_depend_on_decoder_threads(tmp_path, monkeypatch, codec, suffix):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / f"clip{suffix}", gray_ramp(20, 128, 192), codec=codec, options=options)
    reference = read_clip(path).frames
    with av.open(str(path)) as container:
        plain = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert torch.equal(reference, torch.from_numpy(np.stack(plain)).permute(0, 3, 1, 2))
    for kind in ("SLICE", "FRAME", "AUTO"):
        monkeypatch.setattr(container_module, "THREAD_TYPE", kind)
        monkeypatch.setattr(container_module, "THREAD_COUNT", 4)
        assert torch.equal(read_clip(path).frames, reference)


def yuv_frame(levels: tuple[int, int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane, level in zip(frame.planes, levels, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    return frame


# (colorspace tag, range tag): 1 = BT.709, 5/6 = BT.601, 2 = not stated; range 1 = limited, 2 = full, 0 = not stated.
@pytest.mark.parametrize(
    ("space", "levels_range", "kr", "kb", "full"),
    [
        (2, 0, 0.299, 0.114, False),
        (6, 1, 0.299, 0.114, False),
        (5, 1, 0.299, 0.114, False),
        (1, 1, 0.2126, 0.0722, False),
        (1, 2, 0.2126, 0.0722, True),
        (6, 2, 0.299, 0.114, True),
        (9, 1, 0.2627, 0.0593, False),
    ],
)
def test_colour_matrix_and_range_come_from_the_stream(tmp_path, space, levels_range, kr, kb, full):
    path, levels = tmp_path / "colour.mkv", (110, 90, 170)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, levels_range
        frame = yuv_frame(levels)
        frame.colorspace, frame.color_range = space, levels_range
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    luma, u, v = levels
    y = luma / 255 if full else (luma - 16) / 219
    pb, pr = ((c - 128) / (255 if full else 224) for c in (u, v))
    red, blue = y + 2 * (1 - kr) * pr, y + 2 * (1 - kb) * pb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    pixel = read_clip(path).frames[0, :, 20, 30].double()
    expected = torch.tensor([red, green, blue], dtype=torch.float64) * 255
    # swscale's fast path is up to 2.2 levels off; the matrices differ by more than 3 from one another here.
    assert (pixel - expected).abs().max() < 3


@pytest.mark.parametrize(("height", "width"), [(47, 63), (49, 65), (1, 3)])
def test_odd_sizes(tmp_path, height, width):
    frames = gray_ramp(3, height, width)
    clip = read_clip(write_video(tmp_path / "odd.mkv", frames, codec="ffv1", pix_fmt="bgr0"))
    np.testing.assert_array_equal(clip.frames.permute(0, 2, 3, 1).numpy(), np.stack(frames))


def test_a_few_frames_of_a_long_clip_take_little_memory(tmp_path):
    path = write_video(tmp_path / "long.mp4", gray_ramp(200, 180, 320), options={"preset": "ultrafast"})
    frame_bytes = 3 * 180 * 320
    tracemalloc.start()
    try:
        clip = read_clip(path, FrameRequest(16))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert clip.frames.untyped_storage().nbytes() == 16 * frame_bytes
    # numpy reports its buffers to tracemalloc: the 16 frames and at most a few more.
    assert 16 * frame_bytes <= peak < 20 * frame_bytes


def test_only_requested_frames_are_converted_and_decoding_stops_early(clip_path, monkeypatch):
    decoded = converted = 0
    decode, convert = video_module.decode_frames, video_module._to_rgb

    def counting_decode(*args):
        nonlocal decoded
        for frame in decode(*args):
            decoded += 1
            yield frame

    def counting_convert(*args):
        nonlocal converted
        converted += 1
        return convert(*args)

    monkeypatch.setattr(video_module, "decode_frames", counting_decode)
    monkeypatch.setattr(video_module, "_to_rgb", counting_convert)
    read_clip(clip_path, FrameRequest(3, "first", 2))
    assert (decoded, converted) == (5, 3)
    decoded = converted = 0
    read_clip(clip_path, FrameRequest(4))
    assert (decoded, converted) == (24, 4)


def test_variable_frame_times_keep_every_frame(tmp_path):
    path = tmp_path / "vfr.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for pixels, pts in zip(gray_ramp(5), (0, 1, 7, 8, 20), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = pts
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames.permute(0, 2, 3, 1).numpy(), np.stack(gray_ramp(5)))


def test_probe_reports_streams_rate_and_length(tmp_path, clip_path):
    silent = probe(clip_path)
    assert (silent.frames, silent.width, silent.height, silent.fps) == (24, 64, 48, 10.0)
    assert (silent.has_video, silent.has_audio) == (True, False)
    assert silent.duration == pytest.approx(2.4, abs=0.01)
    loud = write_video(tmp_path / "loud.mp4", gray_ramp(10), tone=np.zeros(24000))
    assert probe(loud).has_audio


def test_the_decoder_is_named_without_importing_torch():
    code = "import sys; from pytest_vidmetrics.media.video import DECODER_ID; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
