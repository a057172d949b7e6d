"""The suite for a machine with a network collects on one without: all files, all networks, all that was published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from pytest_vidmetrics.metrics import registry
from tests import test_published_weights as suite
from tests.support.audio_sounds import voice
from tests.support.audio_weights import write_wav
from tests.support.media_clips import gray_ramp, write_video

ROOT = Path(__file__).parents[1]


def test_it_collects_without_a_network() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "weights", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "tests/test_published_weights.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    names = {line.partition("::")[2] for line in done.stdout.splitlines()}
    assert {f"test_a_file_is_fetched_and_is_the_recorded_one[{name}]" for name in suite.FILES} <= names
    assert "test_a_network_loads[common.fvd-4]" in names
    assert "test_scores_are_those_that_fastvideo_published[vbench.aesthetic_quality]" in names
    assert "test_the_quickstart_is_scored" in names


def test_every_metric_with_files_is_loaded_with_all_of_them() -> None:
    loaded = {name for name, _ in suite._loading()}
    for name in registry.list_metrics():
        cls = registry.metric_class(name)
        assert (name in loaded) == (bool(cls.every_weights()) and not hasattr(cls, "parts")), name
    for name, options in suite.OPTIONS.items():
        for one in options:
            registry.get_metric(name, **one).weights_files()


def test_what_it_does_with_scores_of_the_quickstart_holds_without_weights() -> None:
    suite.scored_in_range(("common.psnr", "vbench.temporal_flickering"))


def test_offline_it_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(pytest.fail.Exception, match=r"HF_HUB_OFFLINE=0 .*python -m pytest -m weights"):
        suite._network.__wrapped__()  # type: ignore[attr-defined]


class _Towers:
    """Stands for two networks: what a picture or a sound is turned into is its mean, so that inputs can be checked."""

    def vision(self, views: torch.Tensor) -> torch.Tensor:
        assert views.shape == (3, 3, 2, 224, 224)
        return views.mean(dim=(2, 3, 4))

    def audio(self, banks: torch.Tensor) -> torch.Tensor:
        assert banks.shape[1:] in [(128, 204), (128, 66)]
        return banks.mean(dim=(1, 2))[:, None].repeat(1, 3)

    def video(self, frames: torch.Tensor) -> torch.Tensor:
        assert frames.shape == (14, 16, 3, 224, 224)
        return frames.mean(dim=(1, 2, 3, 4))

    def compare(self, seen: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        assert seen.shape == (1, 14)
        assert heard.shape == (1, 14, 3)
        return torch.linspace(float(seen.mean()), -1, 21)[None]


def test_pictures_and_sounds_of_a_readme_reach_the_towers(tmp_path: Path) -> None:
    for number, name in enumerate(("dog", "car", "bird")):
        Image.new("RGB", (300 + number, 250), (200, 100 * number, 50)).save(tmp_path / f"{name}_image.jpg")
        write_wav(tmp_path / f"{name}_audio.wav", voice(3.0, 16000, number), 16000)
    found = suite.pictures_against_sounds(_Towers(), tmp_path)
    assert found.shape == (3, 3)
    assert found.sum(dim=1).tolist() == pytest.approx([1.0] * 3)


def test_a_clip_of_a_readme_reaches_the_network(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", gray_ramp(250, 232, 240), fps=25, tone=voice(10.0, 24000, 1))
    logits = suite.offsets_of_the_readme(_Towers(), path)
    assert (len(logits), logits.index(max(logits))) == (21, 0)
