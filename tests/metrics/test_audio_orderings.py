"""The damaged sounds of one clip, ordered by the metrics of sound: with published weights, on a clip of your own.

``VIDMETRICS_TEST_SPEECH`` is a video of at least 6 s in which somebody is seen speaking, ``_SPEECH_TEXT`` what is said,
``_SPEECH_PROMPT`` a description of the sound, ``VIDMETRICS_TEST_OTHER`` a file with the sound of something else::

    VIDMETRICS_TEST_SPEECH=... pytest -m weights tests/metrics/test_audio_orderings.py
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.media.audio import load_audio
from pytest_vidmetrics.media.video import read_clip
from pytest_vidmetrics.metrics.registry import get_metric
from tests.oracle_fill import tone

RATE = 48000
SHIFTED = ("delay", "advance")
NO_SPEECH = ("noise", "reversed", "unrelated")


def variants(sound: np.ndarray, other: np.ndarray) -> dict[str, np.ndarray]:
    """Return damaged copies of ``(N,)`` samples at 48 kHz, all of the same length."""
    noise = np.random.Generator(np.random.PCG64(0)).standard_normal(len(sound)) * 0.1
    still = np.zeros(RATE, np.float32)
    found = {
        "original": sound,
        "silence": np.zeros_like(sound),
        "noise": noise.astype(np.float32),
        "low_volume": sound * np.float32(0.1),
        "reversed": sound[::-1].copy(),
        "delay": np.concatenate([still, sound[:-RATE]]),
        "advance": np.concatenate([sound[RATE:], still]),
        "unrelated": np.resize(other, len(sound)),
    }
    assert {len(one) for one in found.values()} == {len(sound)}
    return found


def test_variants_are_what_their_names_say() -> None:
    sound, other = tone(3.0, RATE, 1), tone(2.0, RATE, 2)
    made = variants(sound, other)
    assert all(one.dtype == np.float32 for one in made.values())
    assert 20 * np.log10(np.abs(sound).max() / np.abs(made["low_volume"]).max()) == pytest.approx(20, abs=1e-4)
    assert np.array_equal(made["delay"][RATE:], sound[:-RATE])
    assert np.array_equal(made["advance"][:-RATE], sound[RATE:])
    assert np.array_equal(made["unrelated"][: len(other)], other)


def given(name: str) -> str:
    value = os.environ.get(f"VIDMETRICS_TEST_{name}")
    if not value:
        pytest.skip(f"$VIDMETRICS_TEST_{name} is not set")
    return value


def scores(metric: str, *names: str, **values: Any) -> dict[str, float | None]:
    """Return the scores of some variants (default: all) of the clip's sound."""
    path = given("SPEECH")
    sound, other = (load_audio(where, rate=RATE).samples[0] for where in (path, given("OTHER")))
    scorer, made, sample = get_metric(metric), variants(sound, other), dict(values)
    if "video" in scorer.requires:
        clip = read_clip(path)
        sample |= {"video": clip.frames, "fps": clip.fps}
    if "reference_audio" in scorer.requires:
        sample["reference_audio"] = (sound, RATE)
    return {name: scorer.compute({**sample, "audio": (made[name], RATE)}).score for name in names or made}


@pytest.mark.weights
def test_imagebind_hears_what_is_seen() -> None:
    found = scores("audio.imagebind_score")
    strangers = max(found.pop(name) for name in ("silence", "noise", "unrelated"))
    assert min(found.values()) - strangers >= 0.1


@pytest.mark.weights
def test_whisper_understands_speech_alone() -> None:
    found = scores("audio.wer", reference_text=given("SPEECH_TEXT"))
    assert found["original"] == found["low_volume"] <= 0.1
    assert found["silence"] == 1.0
    assert min(found[name] for name in NO_SPEECH) >= 0.9
    assert max(found[name] for name in SHIFTED) < 0.9


@pytest.mark.weights
def test_synchformer_finds_a_shift_of_a_second() -> None:
    found = scores("audio.desync")
    assert found["original"] <= 0.2
    assert all(abs(found[name] - 1.0) <= 0.2 for name in SHIFTED)
    assert min(found[name] for name in ("silence", "noise", "unrelated")) > found["original"]


@pytest.mark.weights
def test_noise_has_the_lowest_quality() -> None:
    found = scores("audio.audiobox_aesthetics", "original", "noise", "low_volume", "reversed", "unrelated")
    noise = found.pop("noise")
    assert noise < min(found.values())
    assert max(found["reversed"], found["unrelated"]) < found["original"]


@pytest.mark.weights
def test_clap_ranks_the_sound_by_its_description() -> None:
    found = scores("audio.clap_score", "original", "noise", "unrelated", text_prompt=given("SPEECH_PROMPT"))
    assert found["unrelated"] < found["noise"] < found["original"]


@pytest.mark.weights
def test_kl_is_small_for_the_same_source() -> None:
    found = scores("audio.kl_divergence", "original", "low_volume", "reversed", *SHIFTED, "noise", "unrelated")
    strangers = min(found.pop(name) for name in ("noise", "unrelated"))
    assert found["original"] == pytest.approx(0, abs=1e-6)
    assert strangers > 5 * max(found.values())
