"""Audiobox Aesthetics against recorded values on stand-in weights in the published layout."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pytest_vidmetrics.core.errors import NoAudioStreamError, UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import audiobox, shared
from pytest_vidmetrics.networks.wavlm import WavLM
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import fill_state_dict, tone

DATA = Path(__file__).parents[1] / "data" / "audio"
SHALLOW, FULL = "audiobox_aesthetics-shallow", "audiobox_aesthetics"
AXES = ("CE", "CU", "PC", "PQ")
SOUNDS: dict[str, Any] = {
    "a": (tone(5.0, 16000, 500), 16000),
    "b": (tone(13.0, 16000, 501), 16000),
    "c": (tone(10.0, 16000, 502), 16000),
    "d": (np.stack([tone(3.7, 24000, 503), tone(3.7, 24000, 553)]), 24000),
    "e": (tone(0.5, 16000, 504), 16000),
}


def oracle(name: str) -> dict[str, Any]:
    return json.loads((DATA / f"{name}.json").read_text())


def filled(name: str) -> dict[str, torch.Tensor]:
    shapes = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    return fill_state_dict({key: tuple(shape) for key, (shape, _) in shapes.items()})


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return filled(SHALLOW)


@pytest.fixture(scope="module")
def published(state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("audiobox")
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(oracle(SHALLOW)["checkpoint"]["config"]))
    return str(folder / "model.safetensors")


@pytest.fixture(scope="module")
def metric(published: str) -> BaseMetric:
    found = get_metric("audio.audiobox_aesthetics", weights=published)
    found.setup()
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sound") / "clip.mp4"
    return str(write_video(path, gray_ramp(5), tone=tone(0.5, 24000, 3)))


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the work, where only scores of this code are compared."""
    monkeypatch.setattr(audiobox, "WINDOW", 16000)


def check(result: MetricResult, expected: dict[str, Any], tolerance: float) -> None:
    assert result.score == result.details["PQ"]
    for axis in AXES:
        assert result.details[axis] == pytest.approx(expected["axes"][axis], abs=tolerance)
    windows = result.details["windows"]
    assert len(windows) == expected["windows"]


@pytest.mark.parametrize("case", ["a", "b", "d", "e"])
def test_scores_are_the_recorded_ones(metric: BaseMetric, case: str) -> None:
    expected = oracle(SHALLOW)
    found = metric.compute({"audio": SOUNDS[case]})
    check(found, expected["expected"][case], expected["tolerance"]["axes_abs"] / 10)
    scale = audiobox.Settings.read(expected["checkpoint"]["config"]).scale
    for axis, (mean, std) in scale.items():
        raw = [(window[axis] - mean) / std for window in found.details["windows"]]
        np.testing.assert_allclose(raw, expected["expected"][case]["raw_per_window"][axis], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", list(SOUNDS))
def test_full_depth(tmp_path: Path, case: str) -> None:
    expected = oracle(FULL)
    save_file(filled(FULL), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(expected["checkpoint"]["config"]))
    full = get_metric("audio.audiobox_aesthetics", weights=str(tmp_path / "model.safetensors"))
    check(full.compute({"audio": SOUNDS[case]}), expected["expected"][case], expected["tolerance"]["axes_abs"])


@pytest.mark.parametrize(("case", "seconds"), [("a", 5.0), ("e", 0.5)])
def test_layers_of_a_padded_window_are_the_recorded_ones(
    state: dict[str, torch.Tensor], case: str, seconds: float
) -> None:
    encoder = WavLM({key.removeprefix("wavlm_model."): v for key, v in state.items() if key.startswith("wavlm")})
    padded = torch.zeros(audiobox.WINDOW)
    padded[: round(seconds * 16000)] = torch.from_numpy(SOUNDS[case][0])
    with torch.inference_mode():
        frames = encoder.frames(padded, audiobox.WINDOW)
        kept = oracle(SHALLOW)["expected"][case]["frames_kept_per_window"][0]
        assert len(frames) == 499
        assert kept == round(seconds * 50)
        layers = torch.stack(list(encoder.hidden_states(frames[:kept]))).numpy()
    with np.load(DATA / f"{SHALLOW}.npz") as arrays:
        np.testing.assert_allclose(layers[:, 0], arrays[f"{case}_hidden_first_frame"], atol=2e-5)
        np.testing.assert_allclose(layers[:, -1], arrays[f"{case}_hidden_last_kept_frame"], atol=2e-5)


@pytest.mark.parametrize("count", [1, 320, 321, 8000])
def test_zeros_that_are_left_out_change_nothing(state: dict[str, torch.Tensor], count: int) -> None:
    encoder = WavLM({key.removeprefix("wavlm_model."): v for key, v in state.items() if key.startswith("wavlm")})
    kept = -(-count // 320)
    padded = torch.zeros(32000)
    padded[:count] = torch.from_numpy(SOUNDS["a"][0][:count])
    with torch.inference_mode():
        whole = encoder.frames(padded, 32000)
        part = encoder.frames(padded[: kept * 320 + 80], 32000)
    assert len(whole) == 99
    assert len(part) == kept
    torch.testing.assert_close(part, whole[:kept], atol=1e-5, rtol=0)


def test_a_single_silent_sample_has_a_score(metric: BaseMetric) -> None:
    found = metric.compute({"audio": (np.zeros(1, np.float32), 16000)})
    assert found.status == "scored"
    assert all(np.isfinite(found.details[axis]) for axis in AXES)


@pytest.mark.usefixtures("short_windows")
def test_two_equal_channels_are_one(metric: BaseMetric) -> None:
    mono = SOUNDS["e"][0]
    one, two = (metric.compute({"audio": (sound, 16000)}) for sound in (mono, np.stack([mono, mono])))
    assert one == two


@pytest.mark.usefixtures("short_windows")
def test_axes_share_one_pass_and_are_told_apart(published: str, clip: str) -> None:
    metric = get_metric("audio.audiobox_aesthetics", weights=published)
    other = get_metric("audio.audiobox_aesthetics", axis="CE", weights=published)
    for each in (metric, other):
        each.setup()
    key = ("audiobox", id(metric._network))  # type: ignore[attr-defined]
    before = shared.forwards[key]
    with shared.sample_scope():
        found, first = (each.compute({"audio": clip}) for each in (other, metric))
    assert shared.forwards[key] == before + 1
    assert found.details == first.details
    assert found.score == found.details["CE"] != found.details["PQ"]
    assert other.identity() != metric.identity()
    assert other._network is metric._network  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="axis must be one of CE, CU, PC, PQ"):
        get_metric("audio.audiobox_aesthetics", axis="pq")


@pytest.mark.usefixtures("short_windows")
def test_threads_agree_and_random_numbers_are_left_alone(published: str) -> None:
    shared.clear()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    before = torch.stft, torch.nn.functional.conv1d, torch.backends.cudnn.allow_tf32
    metric = get_metric("audio.audiobox_aesthetics", weights=published)
    metric.setup()
    samples = [{"audio": (SOUNDS[case][0][: 15000 + i], 16000)} for i, case in enumerate("ab")]
    alone = [metric.compute(sample) for sample in samples]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(metric.compute, samples))
    assert alone == together
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert before == (torch.stft, torch.nn.functional.conv1d, torch.backends.cudnn.allow_tf32)


@pytest.mark.usefixtures("short_windows")
def test_a_clip_stands_for_its_sound_and_one_without_is_skipped(metric: BaseMetric, clip: str, tmp_path: Path) -> None:
    scorer = EvalWorker(FileStore(tmp_path / "store"))
    mute = write_video(tmp_path / "mute.mp4", gray_ramp(5))
    [found] = scorer.fill({"video": clip}, [metric])
    assert found.result is not None
    assert found.result.score == metric.compute({"audio": clip}).score
    [skipped] = scorer.fill({"video": str(mute)}, [metric])
    assert skipped.problem is not None
    assert skipped.problem.status == "skipped"
    assert "no audio stream" in skipped.problem.reason
    with pytest.raises(NoAudioStreamError):
        metric.compute({"audio": str(mute)})


@pytest.mark.usefixtures("short_windows")
def test_the_older_container_holds_its_own_configuration(
    state: dict[str, torch.Tensor], metric: BaseMetric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dict(oracle(SHALLOW)["checkpoint"]["config"])
    transform = config.pop("target_transform")
    contents = {
        "state_dict": {f"model.{key}": value for key, value in state.items()},
        "model_cfg": config,
        "target_transform": transform,
    }
    torch.save(contents, tmp_path / "checkpoint.pt")
    monkeypatch.setenv("VIDMETRICS_AUDIOBOX", str(tmp_path / "checkpoint.pt"))
    older = get_metric("audio.audiobox_aesthetics")
    assert [checkpoint.name for checkpoint in older.weights_files()] == ["audiobox-aesthetics"]
    sound = {"audio": SOUNDS["e"]}
    # Not equal to the bit: matrix products round by how a file happens to align its tensors in memory.
    assert older.compute(sound).score == pytest.approx(metric.compute(sound).score, abs=1e-5)


def test_where_the_published_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDMETRICS_AUDIOBOX", raising=False)
    files = get_metric("audio.audiobox_aesthetics").weights_files()
    assert [(file.source, file.filename, file.licence) for file in files] == [
        ("facebook/audiobox-aesthetics", "model.safetensors", "CC-BY-4.0"),
        ("facebook/audiobox-aesthetics", "config.json", "CC-BY-4.0"),
    ]
    local = get_metric("audio.audiobox_aesthetics", weights="/models/model.safetensors")
    assert local.weights_files()[1] == Weights("audiobox-aesthetics-config", "/models/config.json")
    assert "weights" not in local.params()


def test_files_of_another_network_are_refused(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    config = oracle(SHALLOW)["checkpoint"]["config"]
    path = tmp_path / "model.safetensors"
    metric = get_metric("audio.audiobox_aesthetics", weights=str(path))
    with pytest.raises(UnavailableError, match="does not exist"):
        metric.setup()
    for tensors, settings in (
        ({"x": torch.zeros(1)}, config),
        ({**state, "extra": torch.zeros(1)}, config),
        ({**state, "layer_weights.PQ": torch.zeros(4)}, config),
        (state, {**config, "proj_act_fn": "tanh"}),
        (state, {**config, "proj_ln": False}),
        (state, {key: value for key, value in config.items() if key != "target_transform"}),
    ):
        save_file(tensors, path)
        (tmp_path / "config.json").write_text(json.dumps(settings))
        with pytest.raises(UnavailableError, match="not hold the weights of audiobox"):
            metric.setup()


def test_a_head_without_norms_and_with_dropout() -> None:
    config = {**oracle(SHALLOW)["checkpoint"]["config"], "proj_ln": False, "proj_dropout": 0.1, "proj_act_fn": "ReLU"}
    state = {"0.weight": -torch.eye(2), "0.bias": torch.zeros(2), "3.weight": torch.ones(1, 2), "3.bias": torch.ones(1)}
    head = audiobox._head(state, audiobox.Settings.read(config))
    assert float(head(torch.tensor([-2.0, 3.0]))) == 3.0
