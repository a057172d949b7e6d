"""Synchformer's front end, features and comparison against recorded ones; refused weights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.audio import desync_inputs
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks.synchformer.mel import count_segments, log_mel, synchformer_mel
from pytest_vidmetrics.networks.synchformer.network import Synchformer
from tests.support.oracle_fill import clip_uint8, fill_state_dict, tone

DATA = Path(__file__).parents[1] / "data" / "audio"
MEL = json.loads((DATA / "synchformer_mel.json").read_text())
SHALLOW = json.loads((DATA / "desync_shallow.json").read_text())
SAME = SHALLOW["tolerance"]["features_max_abs_same_frames"]


def filled(name):
    with gzip.open(DATA / f"{name}.keys.json.gz", "rt") as stream:
        return fill_state_dict({key: tuple(value[0]) for key, value in json.load(stream).items()})


@pytest.fixture(scope="module")
def network():
    return Synchformer(filled("desync_shallow"))


def drawn():
    stream = np.random.Generator(np.random.PCG64(3000))
    shapes = (1, 14, 8, 768), (1, 14, 6, 768)
    return [torch.from_numpy(stream.standard_normal(shape).astype(np.float32)) for shape in shapes]


def test_the_mel_spectrogram_is_the_recorded_one():
    sound, expected = tone(1.28, 16000, 3), MEL["expected"]
    found = synchformer_mel(sound)
    recorded = np.load(DATA / "synchformer_mel.npz")["normalised"][0]
    assert found.dtype == np.float32
    assert np.allclose(found, recorded, atol=MEL["tolerance"]["max_abs"], rtol=0)
    assert np.allclose(log_mel(sound)[0, :8, 0], expected["log_mel_first_segment_frame_0"], atol=1e-4, rtol=0)
    assert found[0, 0, -1] == pytest.approx(expected["padded_column_value"], abs=1e-6)


def test_fastvideo_fills_with_the_smallest_value_of_the_clip():
    found = synchformer_mel(tone(1.28, 16000, 3), "minimum")
    expected = MEL["expected"]["fastvideo_variant"]["padded_column_value"]
    assert np.allclose(found[..., -1], expected, atol=2e-5, rtol=0)
    assert np.array_equal(found[..., :-1], synchformer_mel(tone(1.28, 16000, 3))[..., :-1])


def test_silence_is_finite_and_constant():
    assert np.allclose(log_mel(np.zeros(10240)), MEL["expected"]["silence_log_mel"], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("samples", "count"), [(0, 0), (10239, 0), (10240, 1), (15359, 1), (15360, 2), (76800, 14)])
def test_only_whole_segments_count(samples, count):
    assert count_segments(samples) == count
    assert synchformer_mel(np.zeros(samples), "minimum").shape == (count, 128, 66)


@pytest.mark.parametrize("case", ["a", "b"])
def test_features_are_the_recorded_ones(case, network):
    frames, height, width, seed, fps, seconds, sound = {
        "a": (150, 120, 160, 300, 25.0, 6.0, 310),
        "b": (121, 120, 160, 301, 24.0, 5.0416875, 311),
    }[case]
    arrays = np.load(DATA / "desync_shallow.npz")
    ends = [0, SHALLOW["expected"][case]["segments_video"] - 1]
    clip = torch.from_numpy(clip_uint8(frames, height, width, seed)).permute(0, 3, 1, 2)
    picked = desync_inputs.nearest(frames, fps)
    (pixels,) = desync_inputs.segments(clip, picked, ends, "av-benchmark", 2)
    mel = torch.from_numpy(synchformer_mel(tone(seconds, 16000, sound))[ends])
    for found, name in ((network.video(pixels), "video"), (network.audio(mel), "audio")):
        assert np.allclose(found.numpy(), arrays[f"{case}_{name}_features_first_last"], atol=SAME, rtol=0)


@pytest.mark.parametrize("size", ["desync_shallow", pytest.param("desync", marks=pytest.mark.slow)])
def test_the_comparison_gives_the_recorded_logits(size):
    expected = json.loads((DATA / f"{size}.json").read_text())["expected"]["comparison_head"]
    logits = Synchformer(filled(size)).compare(*drawn())[0]
    assert np.allclose(logits.numpy(), expected["logits"], atol=SAME, rtol=0)
    assert int(logits.argmax()) == expected["argmax"]


@pytest.mark.parametrize("count", [13, 15])
def test_another_number_of_segments_is_refused(count, network):
    with pytest.raises(ValueError, match="14 segments are compared"):
        network.compare(torch.zeros(1, count, 8, 768), torch.zeros(1, count, 6, 768))


def test_batches_and_neighbours_do_not_change_a_segment(network):
    video = torch.from_numpy(clip_uint8(16, 224, 224, 9)).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    other = torch.zeros(1, 16, 3, 224, 224)
    alone = network.video(video[None])
    assert torch.allclose(network.video(torch.cat([other, video[None]]))[1:], alone, atol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(UnavailableError, match=r"vidmetrics fetch audio\.desync"):
        get_metric("audio.desync", weights=str(tmp_path / "none.pth")).setup()
    state = filled("desync_shallow")
    del state["transformer.OFF_tok"]
    for name, wrong in {"lacks": state, "other": {"weight": torch.zeros(2)}}.items():
        torch.save(wrong, tmp_path / f"{name}.pth")
        with pytest.raises(UnavailableError, match=rf"{name}\.pth does not hold the weights of synchformer"):
            get_metric("audio.desync", weights=str(tmp_path / f"{name}.pth")).setup()
