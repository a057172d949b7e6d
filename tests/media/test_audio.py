from __future__ import annotations

import shutil
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest

from pytest_vidmetrics.core.errors import MediaError, NoAudioStreamError
from pytest_vidmetrics.media.audio import extract_audio_track, load_audio
from tests.support.media_clips import gray_ramp, write_video

MEDIA = Path(__file__).parents[1] / "data/media"


def onset(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(samples) > 0.1)) / rate


def peak_hz(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * rate / len(samples)


def write_wav(path: Path, samples: np.ndarray, rate: int = 16000) -> Path:
    """16-bit PCM from ``(C, N)`` int16."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(len(samples))
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.ascontiguousarray(samples.T).astype("<i2").tobytes())
    return path


def test_late_sound_is_on_the_clock_of_the_video():
    clip = load_audio(MEDIA / "late_audio.mp4")
    assert (clip.rate, clip.start) == (24000, pytest.approx(0.457))
    # 10968 samples of silence, then the 37888 decoded ones: values of the reference decode.
    assert clip.samples.shape == (1, 10968 + 37888)
    assert not clip.samples[0, :10968].any()
    assert onset(clip.samples[0], 24000) == pytest.approx(0.69975, abs=0.003)


def test_resampled_sound_keeps_its_onset():
    clip = load_audio(MEDIA / "late_audio.mp4", rate=16000)
    assert clip.samples.shape == (1, -(-(10968 + 37888) * 2 // 3))
    assert onset(clip.samples[0], 16000) == pytest.approx(0.69975, abs=0.003)


def test_channels_are_kept_or_averaged():
    stereo = load_audio(MEDIA / "plain_stereo.mp4", mono=False)
    assert stereo.samples.shape == (2, 48128)
    assert stereo.samples.dtype == np.float32
    assert [peak_hz(row, 24000) for row in stereo.samples] == pytest.approx([440, 880], abs=5)
    mono = load_audio(MEDIA / "plain_stereo.mp4").samples
    np.testing.assert_allclose(mono[0], stereo.samples.mean(axis=0), atol=1e-7)


def test_the_first_of_two_tracks_is_read():
    assert peak_hz(load_audio(MEDIA / "two_tracks.mp4").samples[0], 16000) == pytest.approx(500, abs=5)


def test_sound_before_the_first_frame_is_cut(tmp_path):
    path = tmp_path / "early.mkv"
    sound = np.arange(8000, dtype=np.int16)
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("ffv1", rate=10), out.add_stream("pcm_s16le", rate=8000, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number, pixels in enumerate(gray_ramp(3)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number + 5
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        block.sample_rate, block.pts = 8000, 0
        out.mux(audio.encode(block))
        out.mux(audio.encode(None))
    clip = load_audio(path)
    assert clip.start == pytest.approx(-0.5)
    np.testing.assert_array_equal(clip.samples[0], sound[4000:] / np.float32(32768))


def test_integer_samples_are_scaled_by_their_full_range(tmp_path):
    path = write_wav(tmp_path / "edge.wav", np.array([[-32768, 0, 16384, 32767], [0, 1, 2, 3]]))
    clip = load_audio(path, mono=False)
    np.testing.assert_array_equal(clip.samples[0], np.array([-1, 0, 0.5, 32767 / 32768], np.float32))
    assert clip.start == 0.0


def test_errors_name_the_file(tmp_path):
    with pytest.raises(NoAudioStreamError, match=r"no_audio\.mp4"):
        load_audio(MEDIA / "no_audio.mp4")
    whole = write_wav(tmp_path / "whole.wav", np.ones((1, 400)))
    (tmp_path / "cut.wav").write_bytes(whole.read_bytes()[:-100])
    write_wav(tmp_path / "silent.wav", np.ones((1, 0)))
    for name, message in [("cut.wav", "truncated"), ("silent.wav", "no samples"), ("none.wav", "no such file")]:
        with pytest.raises(MediaError, match=message) as caught:
            load_audio(tmp_path / name)
        assert name in str(caught.value)


def test_extraction_keeps_offset_rate_channels_and_samples(tmp_path):
    for name in ("late_audio.mp4", "plain_stereo.mp4"):
        track = extract_audio_track(MEDIA / name, output_dir=tmp_path / "out")
        direct, extracted = load_audio(MEDIA / name, mono=False), load_audio(track, mono=False)
        assert extracted.rate == direct.rate
        np.testing.assert_allclose(extracted.samples, direct.samples, atol=0.51 / 32768)


def test_extraction_at_another_rate_and_codec(tmp_path):
    track = extract_audio_track(MEDIA / "late_audio.mp4", output_dir=tmp_path, sample_rate=16000, codec="pcm_f32le")
    direct = load_audio(MEDIA / "late_audio.mp4", rate=16000)
    np.testing.assert_array_equal(load_audio(track).samples, direct.samples)
    assert track != extract_audio_track(MEDIA / "late_audio.mp4", output_dir=tmp_path, sample_rate=16000)


def test_clips_of_one_name_do_not_share_a_track(tmp_path):
    for folder, source in [("gen", "plain_stereo.mp4"), ("ref", "late_audio.mp4"), ("copy", "late_audio.mp4")]:
        (tmp_path / folder).mkdir()
        shutil.copy(MEDIA / source, tmp_path / folder / "clip_000.mp4")
    gen, ref, copy = (
        extract_audio_track(tmp_path / folder / "clip_000.mp4", output_dir=tmp_path / "out")
        for folder in ("gen", "ref", "copy")
    )
    assert gen != ref == copy
    assert load_audio(gen).samples.shape != load_audio(ref).samples.shape


def test_a_changed_clip_and_a_cut_track_are_extracted_anew(tmp_path):
    video = tmp_path / "clip.mp4"
    shutil.copy(MEDIA / "late_audio.mp4", video)
    first = extract_audio_track(video, output_dir=tmp_path)
    content = first.read_bytes()
    stamp = first.stat().st_mtime_ns
    assert extract_audio_track(video, output_dir=tmp_path).stat().st_mtime_ns == stamp
    first.write_bytes(content[:1000])
    assert extract_audio_track(video, output_dir=tmp_path).read_bytes() == content
    shutil.copy(MEDIA / "plain_stereo.mp4", video)
    assert extract_audio_track(video, output_dir=tmp_path) != first


def test_a_failed_extraction_leaves_nothing_behind(tmp_path):
    with pytest.raises(NoAudioStreamError):
        extract_audio_track(MEDIA / "no_audio.mp4", output_dir=tmp_path / "out")
    with pytest.raises(ValueError, match="nonsense"):
        extract_audio_track(MEDIA / "late_audio.mp4", output_dir=tmp_path / "out", codec="nonsense")
    assert not list(tmp_path.rglob("*.*"))


def test_threads_may_extract_at_once(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        tracks = list(pool.map(lambda _: extract_audio_track(MEDIA / "late_audio.mp4", output_dir=tmp_path), range(8)))
    assert len(set(tracks)) == 1
    assert list(tmp_path.iterdir()) == tracks[:1]


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_any_number_of_channels_survives_extraction(tmp_path, channels):
    samples = np.arange(channels * 500).reshape(channels, 500) - 700
    track = extract_audio_track(write_wav(tmp_path / "many.wav", samples), output_dir=tmp_path / "out")
    np.testing.assert_array_equal(load_audio(track, mono=False).samples * 32768, samples)


def test_aac_priming_is_removed_from_a_written_video(tmp_path):
    tone = np.zeros(24000, np.float32)
    tone[6000:] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(18000) / 24000)
    clip = load_audio(write_video(tmp_path / "tone.mp4", gray_ramp(10), tone=tone))
    assert onset(clip.samples[0], 24000) == pytest.approx(0.25, abs=0.003)
