"""Corrupted sounds keep the order that they have by ear: everything of it that needs no published weights.

The networks are replaced by listeners that say what the front ends hand them: mean and spread of each mel band for
PaSST, loudness over time for Synchformer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import SilentAudioError
from pytest_vidmetrics.metrics.audio.desync import GRID, Desync
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.passt import Audio
from pytest_vidmetrics.networks.passt_mel import passt_mel
from tests.support.audio_sounds import CORRUPTIONS, clipped, flashes, low_pass, noisy, voice
from tests.support.audio_weights import shallow_weights

RATE = 32000
CLIPS = 10
SECONDS = 2.0


class Listener:
    """Stands for PaSST: the bands' means and spreads as embedding, the mean spectrum's contrast as logits."""

    def __call__(self, samples: np.ndarray) -> Audio:
        mel = passt_mel(samples).astype(np.float64)
        means, spreads = mel.mean(axis=1), mel.std(axis=1)
        embedding = np.zeros(768, np.float32)
        embedding[:256] = np.concatenate([means, spreads])
        logits = np.interp(np.linspace(0, 127, 527), np.arange(128), means)
        return Audio((8 * logits).astype(np.float32), embedding)


class Watcher:
    """Stands for Synchformer: compares when it is bright with when it is loud, at the 21 offsets of its grid."""

    def video(self, frames: torch.Tensor) -> torch.Tensor:
        return _tokens(frames.unflatten(1, (8, 2)).mean(dim=(2, 3, 4, 5)))

    def audio(self, mel: torch.Tensor) -> torch.Tensor:
        return _tokens(mel.mean(dim=1).unflatten(1, (6, 11)).mean(dim=2))

    def compare(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        # Segments overlap by half: the first halves, one after the other, are the clip.
        grid = np.arange(0, 14 * 0.32, 0.02)
        bright, loud = (_series(row[0, :, :, 0].numpy(), grid) for row in (video, audio))
        return torch.tensor([[_agreement(bright, loud, round(offset / 0.02)) for offset in GRID]])


def _tokens(levels: torch.Tensor) -> torch.Tensor:
    return levels[..., None].expand(-1, -1, 768)


def _series(levels: np.ndarray, grid: np.ndarray) -> np.ndarray:
    half = levels.shape[1] // 2
    values = levels[:, :half].reshape(-1)
    return np.interp(grid, (np.arange(len(values)) + 0.5) * 0.32 / half, values)


def _agreement(bright: np.ndarray, loud: np.ndarray, lag: int) -> float:
    """Return the correlation of the parts that overlap when the sound comes ``lag`` steps too late."""
    first = bright[: len(bright) - lag] if lag >= 0 else bright[-lag:]
    second = loud[lag:] if lag >= 0 else loud[:lag]
    a, b = first - first.mean(), second - second.mean()
    return float((a @ b) / (np.sqrt((a @ a) * (b @ b)) + 1e-9))


def listening(name: str, network: Any, **params: Any) -> Any:
    metric = get_metric(name, **params)
    metric._network = network
    return metric


def divergences() -> dict[str, float]:
    metric, original = listening("audio.kl_divergence", Listener()), voice(3.0, RATE, 0)
    return {
        name: metric.compute({"audio": (corrupt(original, RATE), RATE), "reference_audio": (original, RATE)}).score
        for name, corrupt in CORRUPTIONS.items()
        if name != "silence"
    }


def test_divergence_of_the_corruptions_of_one_clip() -> None:
    found = divergences()
    assert found["original"] == 0.0
    assert found["low_volume"] == pytest.approx(0.0, abs=1e-9)
    mild = [found[name] for name in ("reversed", "delay", "advance")]
    assert min(mild) > 0
    assert min(found["white_noise"], found["unrelated"]) > 5 * max(mild)
    # A pitch moves bands, which only the trained network hears as the same speech.
    assert max(mild) < found["pitch_up"] < min(found["white_noise"], found["unrelated"])


def test_silence_has_no_divergence() -> None:
    metric, original = listening("audio.kl_divergence", Listener()), voice(1.0, RATE, 0)
    pair = {"audio": (CORRUPTIONS["silence"](original, RATE), RATE), "reference_audio": (original, RATE)}
    with pytest.raises(SilentAudioError, match="every sample is zero"):
        metric.compute(pair)


@pytest.mark.parametrize("compat", ["fastvideo", "av-benchmark"])
def test_the_offset_of_a_shifted_sound(compat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desync, "_network", Watcher())
    metric = get_metric("audio.desync", compat=compat)
    frames, sound = flashes(8.0, 16000, 25, 3)
    found = {
        name: metric.compute({"video": frames, "fps": 25.0, "audio": (corrupt(sound, 16000), 16000)})
        for name, corrupt in CORRUPTIONS.items()
    }
    assert found["original"].score == found["low_volume"].score == 0.0
    assert found["delay"].score == pytest.approx(1.0, abs=0.2)
    assert found["advance"].score == pytest.approx(1.0, abs=0.2)
    assert found["delay"].details["offset_s"] == -found["advance"].details["offset_s"]
    assert all(found[name].score > 0.2 for name in ("silence", "white_noise", "unrelated", "reversed"))


def corpus(corrupt: Callable[[np.ndarray, int], np.ndarray], first: int = 0) -> FeatureSet:
    """Return what the listener says of ten voices, at the level that the metrics bring them to."""
    metric = listening("audio.frechet_distance", Listener())
    ids = [f"{i:02d}" for i in range(CLIPS)]
    rows = [
        metric.features({"audio": (corrupt(voice(SECONDS, RATE, first + i), first + i), RATE)}) for i in range(CLIPS)
    ]
    return FeatureSet(np.concatenate(rows), tuple(ids))


LADDERS: dict[str, list[Callable[[np.ndarray, int], np.ndarray]]] = {
    "noise": [lambda sound, seed, db=db: noisy(sound, db, seed) for db in (30, 20, 10, 0)],
    "low-pass": [lambda sound, seed, hz=hz: low_pass(sound, hz, RATE) for hz in (8000, 4000, 2000, 1000)],
    "clipping": [lambda sound, seed, share=share: clipped(sound, share) for share in (0.5, 0.25, 0.1, 0.03)],
}


@pytest.fixture(scope="module")
def reference() -> FeatureSet:
    return corpus(lambda sound, seed: sound, first=100)


@pytest.fixture(scope="module")
def original() -> FeatureSet:
    return corpus(lambda sound, seed: sound)


@pytest.mark.parametrize("ladder", ["noise", "low-pass", pytest.param("clipping", marks=pytest.mark.slow)])
def test_distances_of_sets_grow_with_the_corruption(ladder: str, original: FeatureSet, reference: FeatureSet) -> None:
    steps = [original, *(corpus(corrupt) for corrupt in LADDERS[ladder])]
    for name in ("audio.frechet_distance", "audio.kad"):
        metric = get_metric(name)
        scores = [metric.score_sets(step, reference).score for step in steps]
        assert scores == sorted(scores), name
        assert scores[-1] > 1.5 * scores[0], name


def test_a_gain_or_a_copy_is_at_no_distance(original: FeatureSet) -> None:
    quiet = corpus(lambda sound, seed: (0.1 * sound).astype(np.float32))
    np.testing.assert_allclose(quiet.rows, original.rows, atol=1e-5)
    assert get_metric("audio.frechet_distance").score_sets(quiet, original).score == pytest.approx(0.0, abs=1e-6)


@pytest.fixture(scope="module")
def filled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shallow_weights("clap_score", "kl_divergence").items():
            patch.setenv(name, value)
        yield
    shared.clear()


@pytest.mark.usefixtures("filled")
def test_networks_hear_no_gain() -> None:
    sound, other = voice(1.0, RATE, 0), voice(1.0, RATE, 1)
    quiet = CORRUPTIONS["low_volume"](sound, RATE)
    prompt = {"text_prompt": "someone talks"}
    clap = get_metric("audio.clap_score")
    scores = [clap.compute({"audio": (one, RATE), **prompt}).score for one in (sound, quiet, other)]
    assert scores[1] == pytest.approx(scores[0], abs=1e-5)
    assert abs(scores[2] - scores[0]) > 1e-4
    kl = get_metric("audio.kl_divergence")
    first, second = (kl.compute({"audio": (one, RATE), "reference_audio": (sound, RATE)}) for one in (quiet, other))
    assert first.score == pytest.approx(0.0, abs=1e-8)
    assert second.score > 1e-6
