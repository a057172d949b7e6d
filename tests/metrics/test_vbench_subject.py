from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.vbench.frames import dino
from pytest_vidmetrics.networks.dino import Dino, position_table
from tests.support.oracle_fill import clip_uint8, fill_array, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "vbench"
ORACLE = json.loads((DATA / "subject_consistency_shallow.json").read_text())["expected"]
ARRAYS = np.load(DATA / "subject_consistency_shallow.npz")


def filled(name):
    with gzip.open(DATA / f"{name}.keys.json.gz", "rt") as stream:
        return fill_state_dict({key: tuple(value[0]) for key, value in json.load(stream).items()})


def clip(case):
    return torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "dino.bin"
    torch.save(filled("subject_consistency_shallow"), path)
    return path


def test_scores_match_upstream(weights, monkeypatch):
    monkeypatch.setenv("VIDMETRICS_DINO_B16", str(weights))
    metric = get_metric("vbench.subject_consistency")
    metric.setup()
    sums = counts = 0
    results = []
    for case in ORACLE["videos"]:
        result = metric.compute({"video": clip(case)})
        results.append(result.score)
        assert result.score == pytest.approx(case["video_result"], abs=2e-6)
        assert result.details["to_first"] == pytest.approx(case["similarity"]["to_first"], abs=2e-6)
        sums, counts = sums + result.details["video_sim"], counts + result.details["cnt_per_video"]
    assert sums / counts == pytest.approx(ORACLE["aggregate_single_process_frame_weighted"], abs=2e-6)
    mean = ORACLE["aggregate_multi_process_mean_of_videos"]
    assert sum(results) / len(results) == pytest.approx(mean, abs=2e-6)
    one_by_one = get_metric("vbench.subject_consistency", chunk_size=1)
    assert one_by_one.compute({"video": clip(ORACLE["videos"][1])}).score == pytest.approx(results[1], abs=5e-7)


def test_features_match_upstream():
    network = Dino(filled("subject_consistency_shallow"))
    for case in ORACLE["videos"][1:3]:
        found = network(dino(clip(case)))
        np.testing.assert_allclose(found.numpy(), ARRAYS[f"{case['case']}_cls_features"], atol=2e-5)


def test_position_table_matches_upstream():
    key = "embeddings.position_embeddings"
    table = torch.from_numpy(fill_array(key, (1, 197, 768)))
    for case in ORACLE["videos"]:
        found = position_table(table, *case["patch_grid"])
        assert list(found.shape) == case["positional_table"]["shape"]
        expected = ARRAYS[f"{case['case']}_positional_table_every_7th_token_16_dims"]
        np.testing.assert_allclose(found[0, ::7, :16].numpy(), expected, atol=1e-7)


def test_a_checkpoint_with_a_hole_is_refused():
    state = filled("subject_consistency_shallow")
    del state["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ValueError, match="does not fit"):
        Dino(state)


@pytest.mark.slow
def test_full_depth(tmp_path, monkeypatch):
    torch.save(filled("subject_consistency"), tmp_path / "dino.bin")
    monkeypatch.setenv("VIDMETRICS_DINO_B16", str(tmp_path / "dino.bin"))
    metric = get_metric("vbench.subject_consistency")
    expected = json.loads((DATA / "subject_consistency.json").read_text())["expected"]
    for case in expected["videos"]:
        assert metric.compute({"video": clip(case)}).score == pytest.approx(case["video_result"], abs=3e-6)


def test_loading_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    Dino(filled("subject_consistency_shallow"))
    assert torch.equal(torch.random.get_rng_state(), before)
