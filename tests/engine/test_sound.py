"""A clip with sound feeds metrics of sound: in the worker of the gates and in the evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.core.types import MetricResult, Video
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.values import with_sound
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.audio.waveform import waveform
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import tone


class Loudness(BaseMetric):
    name = "test.loudness"
    requires = ("audio", "reference_audio")
    requires_reference = False

    def compute(self, sample: Any) -> MetricResult:
        found = [waveform(sample[key], 16000) for key in self.requires]
        return MetricResult(self.name, float(np.abs(found[0]).mean() - np.abs(found[1]).mean()))


class Lengths(SetMetric):
    name = "test.lengths"
    requires = ("audio",)

    def features(self, sample: Any) -> np.ndarray:
        return np.array([[len(waveform(sample["audio"], 16000)) / 16000]])

    def score_sets(self, candidate: FeatureSet, reference: FeatureSet) -> MetricResult:
        return MetricResult(self.name, float(candidate.rows.mean() - reference.rows.mean()))


@pytest.fixture
def clips(tmp_path: Path) -> dict[str, str]:
    named = {"loud": tone(1.0, 24000, 1), "soft": tone(1.0, 24000, 1) * 0.25, "mute": None}
    return {name: str(write_video(tmp_path / f"{name}.mp4", gray_ramp(4), tone=sound)) for name, sound in named.items()}


def test_a_path_stands_for_its_own_sound(clips: dict[str, str], tmp_path: Path) -> None:
    assert with_sound({"video": "a.mp4", "reference": Path("b.mp4")}) == {
        "video": "a.mp4",
        "reference": Path("b.mp4"),
        "audio": "a.mp4",
        "reference_audio": "b.mp4",
    }
    assert with_sound({"video": "a.mp4", "audio": "a.wav"})["audio"] == "a.wav"
    assert "audio" not in with_sound({"video": str(tmp_path)})
    assert "audio" not in with_sound({"video": Video()})
    assert with_sound({"video": Video(source="a.mp4")})["audio"] == "a.mp4"
    sound = np.ones(4, np.float32)
    assert with_sound({"audio": Video(audio=sound, audio_sr=8000)})["audio"] == (sound, 8000)


def test_the_scorer_of_the_gates_takes_sound_from_clips(clips: dict[str, str], tmp_path: Path) -> None:
    worker = EvalWorker(FileStore(tmp_path / "store"))
    pair = {"video": clips["loud"], "reference": clips["soft"]}
    first, rows = worker.fill(pair, [Loudness(), Lengths()])
    assert first.result is not None
    assert first.result.score is not None
    assert first.result.score > 0.05
    assert rows.rows is not None
    assert rows.rows[0, 0] == pytest.approx(1.0, abs=0.1)
    assert worker.counts.decoded == 0


def test_a_clip_without_sound_is_skipped_with_the_reason(clips: dict[str, str], tmp_path: Path) -> None:
    worker = EvalWorker(FileStore(tmp_path / "store"))
    for outcome in worker.fill({"video": clips["mute"], "reference": clips["soft"]}, [Loudness(), Lengths()]):
        assert outcome.problem is not None
        assert outcome.problem.status == "skipped"
        assert "mute.mp4: no audio stream" in outcome.problem.reason


@pytest.mark.parametrize("wrap", [str, Path, lambda path: Video(source=path)])
def test_the_evaluator_takes_sound_from_clips(clips: dict[str, str], metrics: dict[str, Any], wrap: Any) -> None:
    register("test.loudness")(Loudness)
    register("test.lengths")(Lengths)
    pairs = [{"video": wrap(clips[a]), "reference": wrap(clips["soft"])} for a in ("loud", "soft", "mute")]
    with Evaluator(["test.loudness", "test.lengths"], device="cpu") as evaluator:
        found = evaluator.evaluate(pairs)
    assert found[0]["test.loudness"].score > 0.05
    assert found[1]["test.loudness"].score == 0.0
    assert found[2]["test.loudness"].status == "skipped"
    assert "no audio stream" in found[2]["test.loudness"].reason
    assert found.corpus["test.lengths"].score == 0.0
    assert found.corpus["test.lengths"].details["failed"] == 1
