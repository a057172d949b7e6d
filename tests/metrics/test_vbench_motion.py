from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks.amt import network as amt
from pytest_vidmetrics.networks.flow import memory as correlation
from tests.support.oracle_fill import clip_uint8, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "vbench"
NAMES = ("motion_smoothness", "motion_smoothness_small_output")
DAMPED = (
    *(f"decoder{i}.convblock.2." for i in (1, 2, 3, 4)),
    *(f"update{i}.flow_head.2." for i in (2, 3, 4)),
    "comb_block.2.",
)


def oracle(name):
    return json.loads((DATA / f"{name}.json").read_text())["expected"]


@pytest.fixture(scope="module")
def state():
    with gzip.open(DATA / "motion_smoothness.keys.json.gz", "rt") as stream:
        return fill_state_dict({key: tuple(value[0]) for key, value in json.load(stream).items()})


@pytest.fixture(scope="module")
def networks(state):
    damped = {key: value * 0.1 if key.startswith(DAMPED) else value for key, value in state.items()}
    return {NAMES[0]: amt.build(state), NAMES[1]: amt.build(damped)}


def clip(case):
    video = torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)
    then = case["input"].get("then", "")
    if then.startswith("repeat"):
        return video[:1].expand_as(video)
    if then.startswith("invert"):
        video = video.clone()
        video[1::2] = 255 - video[1::2]
    return video


def scored(network, case, **params):
    metric = get_metric("vbench.motion_smoothness", **params)
    metric._network = network
    return metric.compute({"video": clip(case)})


@pytest.mark.parametrize("name", NAMES)
def test_scores_match_upstream(name, networks):
    scores = []
    for case in oracle(name)["videos"]:
        result = scored(networks[name], case)
        assert result.score == pytest.approx(case["score"], abs=2e-5)
        assert result.details["pair_differences"] == pytest.approx(case["pair_diff_0_255"], abs=5e-3)
        scores.append(result.score)
    assert sum(scores) / len(scores) == pytest.approx(oracle(name)["aggregate"], abs=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_predictions_match_upstream(name, networks):
    arrays = np.load(DATA / f"{name}.npz")
    for case in (oracle(name)["videos"][0], oracle(name)["videos"][3]):
        frames, _ = amt.pad_to(clip(case)[[0, 2]].float() / 255)
        assert list(frames.shape[-2:]) == case["padded_hw"]
        found = networks[name](frames)[0]
        expected = arrays[f"{case['case']}_pair0_prediction_every_5th"]
        np.testing.assert_allclose(found[:, ::5, ::5].numpy(), expected, atol=1e-4)


def test_pairs_at_a_time_do_not_change_the_score(networks, monkeypatch):
    monkeypatch.setattr(correlation, "PAIRS_ON_PROCESSOR", 50)
    case = oracle(NAMES[1])["videos"][0]
    one = scored(networks[NAMES[1]], case, chunk_size=1)
    assert scored(networks[NAMES[1]], case, chunk_size=3).score == pytest.approx(one.score, abs=2e-6)


def test_weights_of_a_file_are_loaded(tmp_path, monkeypatch, state):
    torch.save({"state_dict": state}, tmp_path / "amt.pth")
    monkeypatch.setenv("VIDMETRICS_AMT_S", str(tmp_path / "amt.pth"))
    metric = get_metric("vbench.motion_smoothness")
    metric.setup()
    assert torch.equal(metric._network.comb_block[2].bias, state["comb_block.2.bias"])
    assert "non-commercial" in metric.weights_files()[0].licence


@pytest.mark.parametrize(("frames", "side"), [(2, 128), (5, 112)])
def test_clips_that_upstream_cannot_score_are_named(frames, side):
    metric = get_metric("vbench.motion_smoothness")
    with pytest.raises(IncompatibleSampleError, match="at least"):
        metric.compute({"video": torch.zeros(frames, 3, side, side, dtype=torch.uint8)})
