from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import musiq
from tests.support.oracle_fill import clip_uint8, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "vbench"
CASES = json.loads((DATA / "imaging_quality.json").read_text())["expected"]["cases"]
ARRAYS = np.load(DATA / "imaging_quality.npz")


@pytest.fixture(scope="module")
def state():
    with gzip.open(DATA / "imaging_quality.keys.json.gz", "rt") as stream:
        return fill_state_dict({key: tuple(value[0]) for key, value in json.load(stream).items()})


@pytest.fixture(scope="module")
def network(state):
    return musiq.build(state)


def clip(case):
    return torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)


def test_weights_of_a_file_are_loaded(tmp_path, monkeypatch, state):
    torch.save(state, tmp_path / "musiq.pth")
    monkeypatch.setenv("VIDMETRICS_MUSIQ_SPAQ", str(tmp_path / "musiq.pth"))
    metric = get_metric("vbench.imaging_quality")
    metric.setup()
    assert torch.equal(metric._network.head.weight, state["head.weight"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['case']}-{case['mode']}")
def test_scores_match_upstream(case, network):
    metric = get_metric("vbench.imaging_quality", preprocess=case["mode"].lower())
    metric._network = network
    prepared = metric._prepare(clip(case))
    assert list(prepared.shape[-2:]) == case["model_input_hw"]
    result = metric.compute({"video": clip(case)})
    assert result.details["frame_results"] == pytest.approx(case["frame_scores"], abs=2e-5)
    assert result.score == pytest.approx(case["aggregate_0_1"], abs=2e-7)


def test_features_and_cells_match_upstream(network):
    case = CASES[0]
    levels = musiq.pyramid(clip(case).float() / 255 * 2 - 1)
    parts = [network._scale(level, i) for i, level in enumerate(levels)]
    assert [part[0].shape[1] for part in parts] == case["valid_tokens_per_scale"]
    assert parts[0][1].tolist() == case["spatial_index"][: len(parts[0][1])]
    expected = ARRAYS["0_tokens_first_16_dims"][: parts[0][0].shape[1]]
    np.testing.assert_allclose(parts[0][0][0, :, :16].detach().numpy(), expected, atol=2e-5)
    with torch.no_grad():
        features = network.features(clip(case)[:1].float() / 255)
    np.testing.assert_allclose(features[0].numpy(), ARRAYS["0_encoder_cls"], atol=2e-5)


def test_chunks_do_not_change_the_score(network):
    scores = []
    for size in (1, 8):
        metric = get_metric("vbench.imaging_quality", chunk_size=size)
        metric._network = network
        scores.append(metric.compute({"video": clip(CASES[0])}).score)
    assert scores[0] == pytest.approx(scores[1], abs=1e-8)


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="shorter_centercrop"):
        get_metric("vbench.imaging_quality", preprocess="widest")
