"""The corruption table of the audio metrics on the published weights, for one clip with speech.

    vidmetrics fetch audio
    VIDMETRICS_AUDIO_CLIP=clip.mp4 VIDMETRICS_AUDIO_PROMPT="a woman talks to the camera" \\
        VIDMETRICS_AUDIO_TRANSCRIPT="what she says" python -m pytest -m weights tests/metrics/test_audio_table.py

The clip has sound and picture for at least 7 s, and its sound is speech that belongs to the picture. Asserted is the
order that holds of FastVideo's published table, not its numbers: those are of another clip.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.media.audio import load_audio
from pytest_vidmetrics.media.video import read_clip
from tests.support.audio_sounds import CORRUPTIONS, machine

pytestmark = pytest.mark.weights
SHIFTED = ("delay", "advance")
GONE = ("silence", "white_noise", "unrelated")
Scores = dict[str, float | None]


def given(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"${variable} is not set: the table needs a clip with speech, its prompt and its transcript")
    return value


@pytest.fixture(scope="module")
def samples() -> dict[str, dict[str, Any]]:
    """Return the clip with each of the nine sounds."""
    path = given("VIDMETRICS_AUDIO_CLIP")
    clip, sound = read_clip(path), load_audio(path)
    original = sound.samples[0]
    if len(original) < 7 * sound.rate:
        pytest.skip(f"{Path(path).name} has {len(original) / sound.rate:.1f} s of sound: the table needs 7 s")
    common = {"video": clip.frames, "fps": clip.fps, "reference_audio": (original, sound.rate), "language": "en"}
    return {name: {**common, "audio": (f(original, sound.rate), sound.rate)} for name, f in CORRUPTIONS.items()}


@pytest.fixture(scope="module")
def scores(samples: dict[str, dict[str, Any]]) -> Callable[..., Scores]:
    """Return what scores the nine sounds; skips the test when the weights are not there."""

    def of(metric: str, **more: str) -> Scores:
        try:
            evaluator = Evaluator([metric])
        except UnavailableError as error:
            pytest.skip(str(error))
        with evaluator:
            found = evaluator.evaluate([{**sample, **more, "id": name} for name, sample in samples.items()])
        assert all(row[metric].status != "failed" for row in found)
        return {name: row[metric].score for name, row in zip(samples, found, strict=True)}

    return of


def others(found: Scores, *names: str) -> list[float]:
    return [score for name, score in found.items() if name not in names and score is not None]


def test_aesthetics(scores: Callable[..., Scores]) -> None:
    found = scores("audio.audiobox_aesthetics")
    assert found["white_noise"] < min(others(found, "white_noise"))
    assert max(found[name] for name in ("pitch_up", "unrelated", "reversed", "silence")) < found["original"]


def test_clap(scores: Callable[..., Scores]) -> None:
    found = scores("audio.clap_score", text_prompt=given("VIDMETRICS_AUDIO_PROMPT"))
    assert found["silence"] is None
    assert max(found["unrelated"], found["white_noise"]) < found["original"]
    assert found["low_volume"] == pytest.approx(found["original"], abs=1e-4)


def test_divergence(scores: Callable[..., Scores]) -> None:
    found = scores("audio.kl_divergence")
    assert found["silence"] is None
    assert found["original"] == 0.0
    assert min(found["white_noise"], found["unrelated"]) > 5 * max(others(found, *GONE))


def test_word_errors(scores: Callable[..., Scores]) -> None:
    found = scores("audio.wer", reference_text=given("VIDMETRICS_AUDIO_TRANSCRIPT"))
    assert found["original"] <= 0.2
    assert found["low_volume"] == pytest.approx(found["original"], abs=0.1)
    assert min(found[name] for name in (*GONE, "reversed")) >= 0.8
    assert max(found[name] for name in SHIFTED) < 1.0


def test_offsets(scores: Callable[..., Scores]) -> None:
    found = scores("audio.desync")
    assert found["original"] <= 0.2
    assert all(found[name] == pytest.approx(1.0, abs=0.2) for name in SHIFTED)
    assert min(found[name] for name in GONE) > found["original"]


def test_picture_and_sound(scores: Callable[..., Scores]) -> None:
    found = scores("audio.imagebind_score")
    assert min(others(found, *GONE)) > max(found[name] for name in GONE) + 0.1


def test_sets(samples: dict[str, dict[str, Any]]) -> None:
    names = ["audio.frechet_distance", "audio.kad"]
    try:
        evaluator = Evaluator(names, metric_kwargs={name: {"cache_mode": "off"} for name in names})
    except UnavailableError as error:
        pytest.skip(str(error))
    rate = samples["original"]["audio"][1]
    voices = [samples[name] for name in ("original", "low_volume", "reversed", "delay")]
    with evaluator:
        near = evaluator.evaluate([{**sample, "id": str(i)} for i, sample in enumerate(voices)]).corpus
        far = evaluator.evaluate(
            [{**sample, "audio": (machine(8.0, rate, i), rate), "id": str(i)} for i, sample in enumerate(voices)]
        ).corpus
    assert near["audio.frechet_distance"].score < far["audio.frechet_distance"].score
