"""Gates on the sound of clips against sound files, from the manifest to the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.audio_sounds import machine, voice
from tests.support.audio_weights import shallow_weights, write_clip, write_wav
from tests.support.oracle_fill import clip_uint8

MANIFEST = """\
schema = 1

[case.talk]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "first"
reference_audio = "sounds/*.wav"
metrics = ["audio.kl_divergence", "fad"]

[case.talk.metric.fad]
use = "audio.frechet_distance"
protocol = { window_s = 0.6, hop_s = 0.6 }

[case.talk.gate.default]
rel = 0.02
"""
RATE = 32000


def write(path: Path, number: int, *, wrong: bool = False) -> None:
    heard = (machine if wrong else voice)(0.6, RATE, number)
    write_clip(path, clip_uint8(6, 24, 32, number), heard, fps=10, rate=RATE)


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name, value in shallow_weights("kl_divergence").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIDMETRICS_CACHE", str(pytester.path / "cache"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("FASTVIDEO_FAD_REF_FEATURES", raising=False)
    for checkpoint in ("first", "wrong"):
        (pytester.path / "clips" / checkpoint).mkdir(parents=True)
    (pytester.path / "sounds").mkdir()
    for i in range(3):
        write_wav(pytester.path / "sounds" / f"{i}.wav", voice(0.6, RATE, 10 + i), RATE)
        write(pytester.path / "clips" / "first" / f"{i}.mp4", i)
        write(pytester.path / "clips" / "wrong" / f"{i}.mp4", i, wrong=True)
    (pytester.path / "talk.vidmetrics.toml").write_text(MANIFEST)
    pytester.makeini("[pytest]")
    return pytester


def run(bench: pytest.Pytester, checkpoint: str, *more: str) -> pytest.RunResult:
    options = ("-p", "no:randomly", "--vidmetrics=all", f"--vidmetrics-checkpoint={checkpoint}", *more)
    return bench.runpytest_subprocess(*options)


@pytest.mark.slow
def test_gates_of_sound(bench: pytest.Pytester) -> None:
    assert run(bench, "first", "--update-baselines").ret == 0
    wrong = run(bench, "wrong")
    assert wrong.parseoutcomes()["failed"] >= 1
    wrong.stdout.fnmatch_lines(["*::talk", "audio.kl_divergence * 3 *", "fad * 3 *REGRESSED"])
