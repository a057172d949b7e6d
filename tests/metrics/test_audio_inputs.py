"""Unusual sounds through all audio metrics in one run: each has a finite score, or says clearly why it has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.types import EvalResults, MetricResult, Video
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks import audiobox, shared
from pytest_vidmetrics.networks.imagebind import network as imagebind
from pytest_vidmetrics.networks.synchformer import network as synchformer
from tests.support.audio_weights import METRICS, shallow_weights, write_clip, write_wav
from tests.support.oracle_fill import clip_uint8, tone

SECONDS, RATE = 5.0, 16000
SETS = {"frechet_distance", "kad"}
NORMALISED = {"clap_score", "kl_divergence", *SETS}
"""Metrics that bring the sound to a level: silence has none."""
NEEDING_LENGTH = {"kl_divergence": "0.15 s", "desync": "4.8 s", "imagebind_score": "0.025 s"}
SCORED = ["mono", "stereo", "5.1", "8 kHz", "96 kHz", "late", "early", "pair", "clip", "integer wav"]
SHORT = ["one sample", "10 ms"]
BROKEN = {"nan": "not finite", "empty": "no samples", "missing": "No such file"}


class Synchformer:
    """Stands for the network, whose 14 segments take seconds: features and logits are levels."""

    def video(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.mean(dim=(1, 2, 3, 4))[:, None, None].expand(-1, 8, 768)

    def audio(self, mel: torch.Tensor) -> torch.Tensor:
        return mel.mean(dim=(1, 2))[:, None, None].expand(-1, 6, 768)

    def compare(self, video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        return (video.mean() + audio.mean() * torch.arange(21))[None]


class ImageBind:
    """Stands for the towers: embeddings are levels."""

    def vision(self, views: torch.Tensor, chunk: int) -> torch.Tensor:
        return views.mean(dim=(2, 3, 4)) + 2

    def audio(self, banks: torch.Tensor, chunk: int) -> torch.Tensor:
        return banks.mean(dim=2)[:, :3] + 3


def sounds(folder: Path) -> dict[str, Any]:
    """Return the sample keys that differ, by name."""
    frames, sound = clip_uint8(125, 24, 32, 3), tone(SECONDS, RATE, 1)
    wide, narrow = tone(SECONDS, 96000, 2), tone(SECONDS, 8000, 2)
    six = np.stack([tone(SECONDS, 48000, 10 + i) for i in range(6)])
    broken = np.where(np.arange(len(sound)) == 1000, np.nan, sound)
    return {
        "mono": {"audio": (sound, RATE)},
        "stereo": {"audio": write_wav(folder / "two.wav", np.stack([sound, sound[::-1]]), RATE)},
        "5.1": {"video": write_clip(folder / "six.mp4", frames, six)},
        "8 kHz": {"audio": write_wav(folder / "narrow.wav", narrow, 8000)},
        "96 kHz": {"audio": write_wav(folder / "wide.wav", wide, 96000)},
        "late": {"video": write_clip(folder / "late.mp4", frames, tone(4.5, 48000, 4), late=0.5)},
        "early": {"video": write_clip(folder / "early.mkv", frames, tone(6.0, 48000, 4), late=-0.5)},
        "pair": {"audio": (np.stack([sound, -0.5 * sound]).astype(np.float64), RATE)},
        "clip": {"video": Video(frames=video(), fps=25.0, audio=torch.from_numpy(sound), audio_sr=RATE)},
        "integer wav": {"audio": write_wav(folder / "loud.wav", 3 * sound, RATE)},
        "silence": {"audio": (np.zeros_like(sound), RATE)},
        "one sample": {"audio": (sound[1000:1001], RATE)},
        "10 ms": {"audio": (sound[1000:1160], RATE)},
        "no stream": {"video": write_clip(folder / "mute.mp4", frames, None)},
        "no audio": {},
        "nan": {"audio": (broken, RATE)},
        "empty": {"audio": (sound[:0], RATE)},
        "missing": {"audio": str(folder / "missing.wav")},
    }


def video() -> torch.Tensor:
    return torch.from_numpy(clip_uint8(125, 24, 32, 3)).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, dict[str, MetricResult]], EvalResults]]:
    folder = tmp_path_factory.mktemp("inputs")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shallow_weights(*sorted(set(METRICS) - {"desync", "imagebind_score"})).items():
            patch.setenv(name, value)
        patch.setenv("VIDMETRICS_CACHE", str(folder / "cache"))
        patch.delenv("FASTVIDEO_FAD_REF_FEATURES", raising=False)
        for name in ("desync", "imagebind_score"):  # their networks are stand-ins: no file of theirs is read
            for one in registry.get_metric(f"audio.{name}").weights_files():
                assert one.override is not None
                (folder / one.override).write_bytes(b"not read")
                patch.setenv(one.override, str(folder / one.override))
        patch.setattr(synchformer, "read", lambda *_, **__: Synchformer())
        patch.setattr(imagebind, "read", lambda *_, **__: ImageBind())
        patch.setattr(audiobox, "WINDOW", 16000)
        cases = sounds(folder)
        common = {"video": video(), "fps": 25.0, "text_prompt": "a car", "reference_text": "hello"}
        short = {"protocol": {"window_s": 1.6, "hop_s": 1.6}}
        params = {f"audio.{name}": short for name in ("kl_divergence", "frechet_distance", "kad")}
        with Evaluator([f"audio.{name}" for name in METRICS], "cpu", metric_kwargs=params) as evaluator:
            results = evaluator.evaluate(
                {**common, "reference_audio": (tone(0.5, RATE, 50 + i), RATE), **case, "id": name}
                for i, (name, case) in enumerate(cases.items())
            )
        yield dict(zip(cases, results, strict=True)), results
    shared.clear()


def result(found: Any, case: str, name: str) -> MetricResult | None:
    return found[0][case].get(f"audio.{name}")


@pytest.mark.parametrize("case", SCORED)
def test_every_form_of_sound_has_a_finite_score(found: Any, case: str) -> None:
    for name in METRICS:
        outcome = result(found, case, name)
        if name in SETS:
            assert outcome is None
            assert case in found[1].corpus[f"audio.{name}"].details["influence"]
        else:
            assert outcome is not None
            assert (name, outcome.status, outcome.reason) == (name, "scored", "")
            assert np.isfinite(outcome.score)


def test_silence_is_a_score_or_a_skip_that_says_so(found: Any) -> None:
    for name in METRICS:
        outcome = result(found, "silence", name)
        assert outcome is not None
        if name in NORMALISED:
            assert outcome.status == "skipped"
            assert "the audio is silent: every sample is zero" in outcome.reason
        else:
            assert (name, outcome.status) == (name, "scored")
            assert np.isfinite(outcome.score)


@pytest.mark.parametrize("case", SHORT)
def test_short_sounds_are_scored_or_skipped_with_the_needed_length(found: Any, case: str) -> None:
    for name in METRICS:
        outcome = result(found, case, name)
        if name in NEEDING_LENGTH:
            assert outcome is not None
            assert (name, outcome.status) == (name, "skipped")
            assert NEEDING_LENGTH[name] in outcome.reason
        elif name in SETS:
            assert outcome is None
        else:
            assert outcome is not None
            assert np.isfinite(outcome.score)


@pytest.mark.parametrize(("case", "reason"), [("no stream", "mute.mp4: no audio stream"), ("no audio", "no audio")])
def test_clips_without_sound_are_skipped(found: Any, case: str, reason: str) -> None:
    for name in METRICS:
        outcome = result(found, case, name)
        assert outcome is not None
        assert (name, outcome.status) == (name, "skipped")
        assert reason in outcome.reason


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_sound_fails_with_the_reason(found: Any, case: str) -> None:
    for name in METRICS:
        outcome = result(found, case, name)
        assert outcome is not None
        assert (name, outcome.status) == (name, "failed")
        assert BROKEN[case] in outcome.reason
        assert "traceback" not in outcome.details


def test_sets_count_what_they_left_out(found: Any) -> None:
    for name in SETS:
        corpus = found[1].corpus[f"audio.{name}"]
        assert np.isfinite(corpus.score)
        assert corpus.details["n_gen"] == corpus.details["n_ref"] == len(SCORED) + len(SHORT)
        assert corpus.details["failed"] == 3 + len(BROKEN)
