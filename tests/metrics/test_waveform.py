"""Sound of a sample value: paths, pairs and Videos; one decode per sample; gain and silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_vidmetrics.core.errors import MediaError, NoAudioStreamError, SilentAudioError
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.media.audio import load_audio
from pytest_vidmetrics.media.resample import resample
from pytest_vidmetrics.metrics.audio.waveform import peak_normalise, waveform
from pytest_vidmetrics.networks.shared import forwards, sample_scope
from tests.support.audio_weights import write_wav
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import tone

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "audio" / "peak_normalise.json").read_text())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sound") / "clip.mp4"
    return str(write_video(path, gray_ramp(10), tone=tone(1.0, 24000, 1)))


def test_the_sound_of_a_video_file(clip: str) -> None:
    found = waveform(clip, 16000)
    assert found.dtype == np.float32
    assert found.ndim == 1
    assert len(found) == pytest.approx(16000, abs=700)
    assert np.array_equal(found, waveform(Path(clip), 16000))
    assert np.array_equal(found, waveform(Video(source=clip), 16000))
    assert waveform(clip, 16000, mono=False).shape == (1, len(found))


def test_samples_in_memory_are_mixed_and_resampled() -> None:
    left, right = tone(0.5, 48000, 1), tone(0.5, 48000, 2)
    stereo = np.stack([left, right])
    expected = resample(((left.astype(np.float64) + right) / 2).astype(np.float32), 48000, 32000)
    assert np.allclose(waveform((stereo, 48000), 32000), expected, atol=1e-6)
    assert waveform((stereo, 48000), 32000, mono=False).shape == (2, 16000)
    assert np.array_equal(waveform(Video(audio=left, audio_sr=48000), 48000), left)
    assert np.array_equal(waveform((np.stack([left, left]), 48000), 48000), left)


def test_a_file_is_decoded_once_for_the_metrics_of_one_sample(clip: str) -> None:
    before = forwards["audio", clip]
    with sample_scope():
        assert waveform(clip, 16000) is waveform(clip, 16000)
        waveform(clip, 32000)
        waveform(clip, 16000, mono=False)
    assert forwards["audio", clip] == before + 1


def test_samples_in_memory_are_prepared_once_for_the_metrics_of_one_sample() -> None:
    value = (tone(0.1, 24000, 1), 24000)
    with sample_scope():
        first = waveform(value, 16000)
        assert waveform(value, 16000) is first
        assert waveform((value[0], 48000), 16000) is not first
        assert waveform((value[0].copy(), 24000), 16000) is not first


def test_the_mean_of_the_channels_and_the_channels_come_from_one_decode(tmp_path: Path) -> None:
    sound = np.stack([tone(0.5, 48000, 1), tone(0.5, 48000, 2)])
    path = write_wav(tmp_path / "two.wav", sound, 48000)
    expected = load_audio(path, rate=16000).samples[0]
    for order in ((True, False), (False, True)):
        with sample_scope():
            found = {mono: waveform(path, 16000, mono=mono) for mono in order}
        assert np.array_equal(found[True], expected)
        assert np.array_equal(found[False], load_audio(path, rate=16000, mono=False).samples)


def test_a_clip_without_sound(tmp_path: Path) -> None:
    mute = write_video(tmp_path / "mute.mp4", gray_ramp(4))
    with pytest.raises(NoAudioStreamError, match=r"mute\.mp4: no audio stream"):
        waveform(str(mute), 16000)
    with pytest.raises(NoAudioStreamError, match="frames, without audio"):
        waveform(Video(), 16000)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (3.0, TypeError, "audio is a float"),
        ((np.zeros(5, np.int16), 8000), ValueError, "int16"),
        ((np.zeros((1, 2, 3), np.float32), 8000), ValueError, r"\(1, 2, 3\)"),
        ((np.zeros((8000, 2), np.float32), 8000), ValueError, r"expected \(N,\) or \(channels, N\)"),
        ((np.array([0.0, np.nan], np.float32), 8000), MediaError, "not finite"),
        ((np.zeros(0, np.float32), 8000), MediaError, "no samples"),
        ((np.zeros(8, np.float32), 22050.5), ValueError, "22050.5: expected a whole number of Hz"),
        (Video(audio=np.zeros(8, np.float32)), ValueError, "audio_sr"),
    ],
)
def test_what_is_no_sound_is_refused(value, error, message) -> None:
    with pytest.raises(error, match=message):
        waveform(value, 16000)


_INPUTS = [(5, 1.0), (5, 0.1), (6, 3.0), (7, 1e-6)]


@pytest.mark.parametrize("number", range(len(_INPUTS)))
def test_peak_normalisation_is_the_reference_one(number: int) -> None:
    seed, gain = _INPUTS[number]
    case = ORACLE["expected"]["cases"][number]
    found = peak_normalise(tone(0.02, 48000, seed) * np.float32(gain))
    assert found.dtype == np.float32
    assert np.allclose(found[:8], case["first8"], atol=ORACLE["tolerance"]["max_abs"], rtol=0)
    assert np.abs(found).max() == pytest.approx(ORACLE["expected"]["target_peak"], abs=1e-6)


def test_gain_does_not_survive_peak_normalisation() -> None:
    sound = tone(0.5, 32000, 3)
    for gain in (0.1, 1e-4, 30.0):
        assert np.allclose(peak_normalise(sound * np.float32(gain)), peak_normalise(sound), atol=1e-6, rtol=0)


def test_silence_is_said_and_never_becomes_nan() -> None:
    with pytest.raises(SilentAudioError, match="silent"):
        peak_normalise(np.zeros(100, np.float32))
    assert np.isfinite(peak_normalise(np.full(10, 1e-45, np.float32))).all()
