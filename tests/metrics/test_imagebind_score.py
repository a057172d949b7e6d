"""ImageBind score: recorded values, protocols, silence, skips, threads."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, NoAudioStreamError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.imagebind import network as imagebind
from pytest_vidmetrics.networks.imagebind import video as imagebind_video
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import clip_uint8, fill_state_dict, tone

DATA = Path(__file__).parents[1] / "data" / "audio"
SHALLOW, FULL = "imagebind_score-shallow", "imagebind_score"


def filled(name: str) -> dict[str, torch.Tensor]:
    """Return the tensors of both towers, and one of a modality that is left out."""
    shapes = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    wanted = tuple(f"modality_{part}.{kind}." for part in imagebind._PARTS for kind in ("vision", "audio"))
    state = fill_state_dict({key: tuple(shape) for key, (shape, _) in shapes.items() if key.startswith(wanted)})
    return {**state, "modality_heads.text.proj.0.bias": torch.zeros(3)}


def clip(frames: int, height: int, width: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(frames, height, width, seed)).permute(0, 3, 1, 2)


CASES = {
    "v+a": lambda: {"video": clip(125, 120, 160, 600), "fps": 25.0, "audio": (tone(5.0, 16000, 610), 16000)},
    "v2+a2": lambda: {"video": clip(48, 90, 64, 601), "fps": 24.0, "audio": (tone(1.5, 16000, 611), 16000)},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("imagebind") / "imagebind_huge.pth"
    torch.save(filled(SHALLOW), path)
    return str(path)


@pytest.fixture(scope="module")
def metric(published: str) -> BaseMetric:
    found = get_metric("audio.imagebind_score", weights=published)
    found.setup()
    return found


class Recorded:
    """Pass on to the towers, and keep the mean over all views and clips of what they return."""

    def __init__(self, towers: imagebind.ImageBind) -> None:
        self.towers = towers

    def vision(self, views: torch.Tensor, chunk: int) -> torch.Tensor:
        found = self.towers.vision(views, chunk)
        self.seen = found.mean(dim=0).numpy()
        return found

    def audio(self, banks: torch.Tensor, chunk: int) -> torch.Tensor:
        found = self.towers.audio(banks, chunk)
        self.heard = found.mean(dim=0).numpy()
        return found


def check(name: str, case: str, towers: imagebind.ImageBind) -> MetricResult:
    """Compare the score of a case, and the two vectors that it is the cosine of, with the recorded ones."""
    oracle = json.loads((DATA / f"{name}.json").read_text())
    tolerance, metric, network = oracle["tolerance"], get_metric("audio.imagebind_score"), Recorded(towers)
    metric._network = network  # type: ignore[attr-defined]
    found = metric.compute(CASES[case]())
    assert found.score == pytest.approx(oracle["expected"][case]["score"], abs=tolerance["score_abs"] / 20)
    number = case[1:2].strip("+")
    with np.load(DATA / f"{name}.npz") as stored:
        seen, heard = stored[f"v{number}_embedding"], stored[f"a{number}_embedding"]
    np.testing.assert_allclose(network.seen, seen, atol=tolerance["embedding_max_abs_vision"] / 10, rtol=0)
    np.testing.assert_allclose(network.heard, heard, atol=tolerance["embedding_max_abs_audio"] / 50, rtol=0)
    return found


class Means:
    """Stands for the towers where only what goes in matters."""

    def __init__(self) -> None:
        self.views = self.banks = torch.zeros(0)

    def vision(self, views: torch.Tensor, chunk: int) -> torch.Tensor:
        self.views = views
        return views.mean(dim=(2, 3, 4)) + 2

    def audio(self, banks: torch.Tensor, chunk: int) -> torch.Tensor:
        self.banks = banks
        return banks.mean(dim=2)[:, :3] + 3


def plumbing(**params: Any) -> tuple[BaseMetric, Means]:
    found, towers = get_metric("audio.imagebind_score", **params), Means()
    found._network = towers  # type: ignore[attr-defined]
    return found, towers


@pytest.mark.parametrize("case", ["v2+a2", pytest.param("v+a", marks=pytest.mark.slow)])
def test_scores_are_the_recorded_ones(published: str, case: str) -> None:
    found = check(SHALLOW, case, get_metric("audio.imagebind_score", weights=published)._network)
    assert (found.details["views"], found.details["audio_clips"]) == (15, 3)
    assert len(found.details["clip_scores"]) == len(found.details["clips"]) == 5
    assert not found.details["silent"]


@pytest.mark.slow
def test_full_depth() -> None:
    check(FULL, "v+a", imagebind.ImageBind(filled(FULL)))


def test_silence_has_a_score_and_says_so(metric: BaseMetric) -> None:
    frames = clip(4, 32, 48, 1)
    found = metric.compute({"video": frames, "fps": 4.0, "audio": (np.zeros(8000, np.float32), 16000)})
    assert found.status == "scored"
    assert found.details["silent"]
    assert np.isfinite(found.details["clip_scores"]).all()


def test_threads_agree_and_random_numbers_are_left_alone(published: str) -> None:
    shared.clear()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    before = torch.stft, torch.nn.functional.interpolate, torch.backends.cudnn.allow_tf32
    metric = get_metric("audio.imagebind_score", weights=published)
    metric.setup()
    samples = [
        {"video": clip(2, 32, 48, i), "fps": 2.0, "audio": (tone(0.5, 16000, i), 16000), "id": str(i)} for i in range(2)
    ]
    alone = [metric.compute(sample) for sample in samples]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(metric.compute, samples))
    assert alone == together
    assert alone[0].score != alone[1].score
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert before == (torch.stft, torch.nn.functional.interpolate, torch.backends.cudnn.allow_tf32)


def test_a_clip_brings_its_sound_and_its_rate(metric: BaseMetric, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", gray_ramp(6), fps=12, tone=tone(0.5, 24000, 3))
    mute = write_video(tmp_path / "mute.mp4", gray_ramp(6))
    scorer = EvalWorker(FileStore(tmp_path / "store"))
    [found] = scorer.fill({"video": str(path)}, [metric])
    assert found.result is not None
    assert found.result.status == "scored"
    assert found.result.details["fps"] == 12.0
    assert found.result.details["video_s"] == 0.5
    [skipped] = scorer.fill({"video": str(mute)}, [metric])
    assert skipped.problem is not None
    assert skipped.problem.status == "skipped"
    assert "no audio stream" in skipped.problem.reason
    with pytest.raises(NoAudioStreamError):
        metric.compute({"video": clip(2, 32, 32, 1), "fps": 2.0, "audio": str(mute)})


def test_a_sound_file_without_video_is_not_enough(metric: BaseMetric) -> None:
    assert metric.required_keys() == ("video", "audio")
    with pytest.raises(IncompatibleSampleError, match=r"\(T, 3, H, W\)"):
        metric.compute({"video": torch.zeros(2, 1, 8, 8), "fps": 2.0, "audio": (tone(0.5, 16000, 1), 16000)})


def test_the_rate_may_come_from_the_metric() -> None:
    sample = {"video": clip(8, 32, 32, 1), "audio": (tone(1.0, 16000, 1), 16000)}
    skipped = plumbing()[0].compute(sample)
    assert (skipped.status, "src_fps" in skipped.reason) == ("skipped", True)
    found, _ = plumbing(src_fps=8.0)
    assert found.compute(sample).details["video_s"] == 1.0
    assert found.compute({**sample, "fps": 4.0}).details["video_s"] == 2.0


def test_channels_are_told_apart() -> None:
    left, right = tone(1.0, 16000, 1), tone(1.0, 16000, 2)
    sample = {"video": clip(8, 32, 32, 1), "fps": 8.0, "audio": (np.stack([left, right]), 16000)}
    first, towers = plumbing()
    first.compute(sample)
    stereo = towers.banks
    first.compute({**sample, "audio": (left, 16000)})
    assert torch.equal(stereo, towers.banks)
    mixed, towers = plumbing(channels="mean")
    mixed.compute(sample)
    assert not torch.equal(stereo, towers.banks)
    assert first.identity() != mixed.identity()


def test_av_benchmark_pairs_frames_of_the_common_length() -> None:
    metric, towers = plumbing(compat="av-benchmark")
    sample = {"video": clip(40, 32, 48, 1), "fps": 4.0, "audio": (tone(8.5, 16000, 1), 16000)}
    found = metric.compute(sample)
    assert found.details["clips"] == [[3, 11], [11, 19], [19, 27]]
    assert towers.views.shape == (9, 3, 2, 224, 224)
    metric.compute({**sample, "video": clip(40, 32, 48, 1)[:34]})
    banks = towers.banks
    metric.compute({**sample, "audio": (tone(8.5, 16000, 1)[:136000], 16000), "video": clip(40, 32, 48, 1)[:34]})
    assert torch.equal(banks, towers.banks)
    short = metric.compute({**sample, "audio": (tone(3.9, 16000, 1), 16000)})
    assert (short.status, "4 s" in short.reason) == ("skipped", True)


def closed_form(looks: np.ndarray, banks: torch.Tensor) -> tuple[float, list[float]]:
    """Return the cosine of both means, and that of each clip of the picture, from ``(15, 3)`` vectors of ``Means``."""
    heard = banks.double().mean(dim=2)[:, :3].mean(dim=0).numpy() + 3
    means = [looks.mean(axis=0), *looks.reshape(-1, 3, 3).mean(axis=1)]
    score, *clips = [float(mean @ heard / np.linalg.norm(mean) / np.linalg.norm(heard)) for mean in means]
    return score, clips


@pytest.mark.parametrize(("shape", "views", "clips"), [((48, 64), 15, 5), ((48, 48), 5, 5)])
def test_the_score_is_the_cosine_of_two_means(shape: tuple[int, int], views: int, clips: int) -> None:
    metric, towers = plumbing()
    frames = clip(32, *shape, 4)
    found = metric.compute({"video": frames, "fps": 8.0, "audio": (tone(4.0, 16000, 4), 16000)})
    # The three crops of a square picture are one, and go through the network once.
    assert len(towers.views) == views
    every = imagebind_video.views(frames, imagebind_video.clip_ends(32, 8.0))
    looks = (every.mean(dim=(3, 4))[..., 0].double() + every.mean(dim=(3, 4))[..., 1].double()).numpy() / 2 + 2
    score, per_clip = closed_form(looks, towers.banks)
    assert found.score == pytest.approx(score, abs=1e-6)
    assert found.details["clip_scores"] == pytest.approx(per_clip, abs=1e-6)
    assert (len(per_clip), found.details["views"]) == (clips, 15)


def test_equal_clips_go_through_the_network_once() -> None:
    metric, towers = plumbing()
    found = metric.compute({"video": clip(16, 48, 64, 4), "fps": 8.0, "audio": (tone(2.0, 16000, 4), 16000)})
    assert len(towers.views) == 3
    assert found.details["clips"] == [[0, 15]] * 5
    assert found.details["clip_scores"] == pytest.approx([found.score] * 5, abs=1e-12)


def test_gain_is_not_part_of_the_protocol() -> None:
    metric, towers = plumbing()
    sample = {"video": clip(8, 32, 32, 1), "fps": 8.0}
    loud, sound = tone(1.0, 16000, 1), []
    for gain in (1.0, 0.1):
        metric.compute({**sample, "audio": (loud * np.float32(gain), 16000)})
        sound.append(towers.banks)
    # A tenth of the level is 2 ln 10 lower in every band that is above the floor.
    moved = (sound[0] - sound[1])[:, 40:60, :90] * 9.138
    assert moved.numpy() == pytest.approx(2 * np.log(10), abs=0.05)


def test_a_fixed_length_cuts_both_streams() -> None:
    metric, towers = plumbing(seconds=3.0)
    frames, sound = clip(40, 32, 48, 1), tone(10.0, 16000, 1)
    cut = metric.compute({"video": frames, "fps": 8.0, "audio": (sound, 16000)})
    banks = towers.banks
    same = metric.compute({"video": frames[:24], "fps": 8.0, "audio": (sound[:48000], 16000)})
    assert cut.score == same.score
    assert cut.details["clips"] == same.details["clips"]
    assert torch.equal(banks, towers.banks)
    short = metric.compute({"video": frames[:8], "fps": 8.0, "audio": (sound, 16000)})
    assert "seconds=3 are compared; the clip has 1.00 s of video" in short.reason


def test_too_little_sound_is_a_skip_that_names_the_length() -> None:
    metric, _ = plumbing()
    found = metric.compute({"video": clip(2, 32, 32, 1), "fps": 8.0, "audio": (tone(0.02, 16000, 1), 16000)})
    assert found.reason == "the sound needs at least 0.025 s, it has 0.02 s"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"compat": "upstream"}, "compat must be one of"),
        ({"channels": "left"}, "channels must be one of"),
        ({"seconds": 0}, "seconds is a positive number"),
        ({"src_fps": float("nan")}, "src_fps is a positive number"),
        ({"chunk_size": 0}, "chunk_size is at least 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_metric("audio.imagebind_score", **params)


def test_what_makes_two_scores_comparable() -> None:
    params = get_metric("audio.imagebind_score", weights="/tmp/x.pth", chunk_size=1).params()
    assert params == {"compat": "fastvideo", "channels": "first", "seconds": None, "src_fps": None}
    [checkpoint] = get_metric("audio.imagebind_score").weights_files()
    assert checkpoint.licence.startswith("CC BY-NC-SA 4.0")
