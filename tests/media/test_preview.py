"""Previews for a browser: what is copied, what is encoded, and when each frame is shown."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pytest_vidmetrics.core.errors import MediaError, NoAudioStreamError
from pytest_vidmetrics.media import preview, sound_picture
from tests.support.media_clips import SLOW_THEN_FAST, gray_ramp, write_at, write_video
from tests.support.remux import remux_to_avi

DATA = Path(__file__).parents[1] / "data" / "media"


def decoded(data: bytes) -> tuple[list[float], list[np.ndarray]]:
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(video=0))
        return [float(frame.time) for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "safe"),
    [
        ("a.mp4", "libx264", "yuv420p", True),
        ("a.mp4", "libx264", "yuv444p", False),
        ("a.mp4", "libx264rgb", "rgb24", False),
        ("a.mkv", "libx264", "yuv420p", False),
        ("a.mp4", "mpeg4", "yuv420p", False),
        ("a.webm", "libvpx-vp9", "yuv420p", True),
        ("a.avi", "mjpeg", "yuvj420p", False),
    ],
)
def test_only_what_every_browser_plays_is_copied(tmp_path, name, codec, pix_fmt, safe):
    path = write_video(tmp_path / name, gray_ramp(4), codec=codec, pix_fmt=pix_fmt)
    assert preview.plays_everywhere(path) is safe


def test_sound_that_browsers_cannot_play_is_not_copied(tmp_path):
    tone = np.sin(np.arange(24000) / 20).astype(np.float32)
    path = write_video(tmp_path / "a.mp4", gray_ramp(10), tone=tone)
    assert preview.plays_everywhere(path)
    assert not preview.plays_everywhere(DATA / "missing.mp4")
    assert not preview.plays_everywhere(tmp_path)


def test_a_copy_is_the_file_with_its_times(tmp_path):
    path = write_video(tmp_path / "a.mp4", gray_ramp(7), fps=12)
    found = preview.copied(path)
    assert found.data == path.read_bytes()
    assert found.times == pytest.approx([i / 12 for i in range(7)])
    assert found.duration == pytest.approx(7 / 12)
    assert (found.width, found.height, found.quality) == (64, 48, "")


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.webm", "libvpx-vp9"), ("a.gif", "gif")])
def test_pictures_survive_encoding_in_order(tmp_path, name, codec):
    options = {"pix_fmt": "rgb8"} if codec == "gif" else {}
    path = write_video(tmp_path / name, gray_ramp(9), codec=codec, fps=10, **options)
    found = preview.encoded(path)
    times, frames = decoded(found.data)
    assert len(found.times) == len(frames) == 9
    assert found.times == pytest.approx([i / 10 for i in range(9)], abs=0.02)
    assert times == pytest.approx(found.times, abs=1e-4)
    originals = [pixels for _, pixels in preview.list_frames(path)]
    for frame, original in zip(frames, originals, strict=True):
        assert abs(float(frame.mean()) - float(original.mean())) < 3
    assert found.quality == "64 x 48, H.264 crf 23"
    assert found.duration == pytest.approx(0.9, abs=0.02)


def test_the_same_pictures_give_the_same_bytes(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_ramp(5))
    assert preview.encoded(path).data == preview.encoded(path).data


def test_frames_are_shown_when_metrics_take_them(tmp_path):
    variable = write_at(tmp_path / "a.mkv", SLOW_THEN_FAST)
    assert preview.encoded(variable).times == pytest.approx(SLOW_THEN_FAST, abs=1e-3)
    stated_wrongly = remux_to_avi(
        write_video(tmp_path / "b.mp4", gray_ramp(12), fps=24, options={"bf": "2"}), tmp_path / "b.avi"
    )
    assert preview.encoded(stated_wrongly).times == pytest.approx([i / 24 for i in range(12)], abs=1e-3)


def test_arrays_are_shown_at_the_rate_of_images(tmp_path):
    np.savez(tmp_path / "a.npz", np.stack(gray_ramp(3)))
    found = preview.encoded(tmp_path / "a.npz")
    assert found.times == pytest.approx([0.0, 0.1, 0.2])
    assert (found.width, found.height, found.has_sound) == (64, 48, False)


def test_folders_of_images_and_odd_or_large_sizes(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, pixels in enumerate(gray_ramp(3, 61, 1301)):
        Image.fromarray(pixels).save(folder / f"{i}.png")
    found = preview.encoded(folder)
    assert (found.width, found.height) == (640, 30)
    assert found.times == (0.0, 0.1, 0.2)
    assert not found.has_sound
    one = preview.encoded(folder / "0.png")
    assert len(one.times) == 1
    assert one.duration == pytest.approx(0.1)


def test_turned_clips_are_upright(tmp_path):
    path = write_video(tmp_path / "a.mp4", gray_ramp(2), rotation=90)
    found, copy = preview.encoded(path), preview.copied(path)
    assert (found.width, found.height) == (copy.width, copy.height) == (48, 64)


def test_sound_goes_along(tmp_path):
    found = preview.encoded(DATA / "plain_stereo.mp4")
    assert found.has_sound
    with av.open(io.BytesIO(found.data)) as container:
        assert container.streams.audio[0].codec_context.name.startswith("aac")
    alone = preview.sound_only(DATA / "plain_stereo.mp4")
    assert alone.mime == "audio/mp4"
    assert alone.duration > 0
    with pytest.raises(MediaError, match="no audio stream"):
        preview.sound_only(DATA / "no_audio.mp4")


def test_a_still_is_the_frame_asked_for(tmp_path):
    path = write_video(tmp_path / "a.mp4", gray_ramp(6, 48, 640))
    stills = [np.asarray(Image.open(io.BytesIO(preview.still(path, i)))) for i in (0, 5, 99)]
    assert stills[0].shape == (24, 320, 3)
    assert stills[1].mean() > stills[0].mean() + 20
    assert (stills[1] == stills[2]).all()


@pytest.mark.parametrize("make", [preview.copied, preview.encoded, preview.still, preview.sound_only])
def test_a_file_that_is_not_media_is_named(tmp_path, make):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video")
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        make(path)
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        make(tmp_path / "gone.mp4")


def write_wav(path, samples, rate=16000):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_tone_is_a_line_in_the_picture_of_a_sound(tmp_path):
    seconds = np.arange(32000) / 16000
    path = write_wav(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * seconds) * (seconds > 1))
    found = sound_picture.picture_of(path)
    assert found.seconds == pytest.approx(2.0)
    assert len(found.envelope) == sound_picture.COLUMNS
    assert found.envelope[10] == (0.0, 0.0)
    assert found.envelope[-10] == pytest.approx((-0.5, 0.5), abs=0.02)
    pixels = np.asarray(Image.open(io.BytesIO(found.spectrogram)).convert("L")).astype(int)
    assert pixels.shape == (sound_picture.BANDS, sound_picture.COLUMNS)
    assert pixels[:, 100].max() < 10
    # 1000 Hz lies at 36 % of the mel scale; low tones are at the bottom.
    assert sound_picture.BANDS - 1 - pixels[:, 400].argmax() == pytest.approx(0.34 * sound_picture.BANDS, abs=2)


def test_a_clip_without_sound_has_no_picture_of_it():
    with pytest.raises(NoAudioStreamError):
        sound_picture.picture_of(DATA / "no_audio.mp4")


def test_previews_need_no_torch():
    code = (
        "import sys; from pathlib import Path; from pytest_vidmetrics.media import preview, sound_picture; "
        f"preview.encoded(Path({str(DATA / 'plain_stereo.mp4')!r})); "
        f"sound_picture.picture_of(Path({str(DATA / 'plain_stereo.mp4')!r})); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
