from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.vbench import dynamic_degree as dd
from pytest_vidmetrics.networks.flow.clip_flow import largest_motion
from pytest_vidmetrics.networks.flow.raft import RaftThings, pad
from tests.support.oracle_fill import clip_uint8, fill_array

DATA = Path(__file__).parents[1] / "data" / "vbench"
PLAIN = json.loads((DATA / "dynamic_degree.json").read_text())["expected"]
SMALL = json.loads((DATA / "dynamic_degree_small_flow.json").read_text())["expected"]
RULE = PLAIN["rule"]
DAMPED = "module.update_block.flow_head.conv2."


@pytest.fixture(scope="module")
def state():
    with gzip.open(DATA / "dynamic_degree.keys.json.gz", "rt") as stream:
        shapes = json.load(stream)
    return {
        key: torch.from_numpy(fill_array(key, tuple(shape))) if kind == "float32" else torch.tensor(0)
        for key, (shape, kind) in shapes.items()
    }


@pytest.fixture(scope="module")
def small(state):
    return RaftThings({key: value * 0.02 if key.startswith(DAMPED) else value for key, value in state.items()})


def clip(case):
    video = torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)
    return video[:1].expand_as(video) if "then" in case["input"] else video


def metric_with(network, **params):
    metric = get_metric("vbench.dynamic_degree", **params)
    metric._network = network
    return metric


@pytest.mark.parametrize(
    "case",
    [
        SMALL["videos"][0],
        SMALL["videos"][2],
        *(pytest.param(case, marks=pytest.mark.slow) for case in SMALL["videos"][1::2]),
    ],
)
def test_decisions_and_pair_scores_match_upstream(case, small):
    metric = metric_with(small)
    result = metric.compute({"video": clip(case), "fps": case["input"]["fps"]})
    assert result.score == float(case["dynamic"])
    assert result.details["threshold"] == case["threshold"]
    assert result.details["needed"] == case["needed"]
    seen = result.details["pair_scores"]
    assert seen == pytest.approx(case["pair_scores"][: len(seen)], rel=1e-5)


def test_all_pairs_and_flows_match_upstream(small):
    case = SMALL["videos"][1]
    scores = list(metric_with(small, chunk_size=2).pair_scores(clip(case)))
    assert scores == pytest.approx(case["pair_scores"], rel=1e-5)
    flow = small(pad(clip(case)[:2].float())[0])[0]
    expected = case["pair0"]["flow"]
    assert list(flow.shape) == expected["shape"]
    assert flow.flatten()[:8].tolist() == pytest.approx(expected["first"], abs=1e-4)
    assert float(flow.max()) == pytest.approx(expected["max"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", PLAIN["videos"], ids=lambda case: str(case["case"]))
def test_large_flows_match_upstream(case, state):
    metric = metric_with(RaftThings(state))
    result = metric.compute({"video": clip(case), "fps": case["input"]["fps"]})
    assert result.score == float(case["dynamic"])
    step = dd.frame_step(case["input"]["fps"])
    assert step == case["interval"]
    assert list(metric.pair_scores(clip(case)[::step])) == pytest.approx(case["pair_scores"], rel=1e-5)


def test_steps_counts_and_thresholds_match_upstream():
    for row in RULE["frame_stride"]:
        assert dd.frame_step(row["fps"]) == row["interval"]
        assert len(range(0, 37, row["interval"])) == row["frames_used_of_37"]
    assert [dd.pairs_needed(n) for n in range(1, 65)] == RULE["needed_for_n_1_to_64"]
    for row in RULE["threshold"]:
        assert dd.threshold(row["h"], row["w"]) == row["threshold"]


@pytest.mark.parametrize("case", RULE["decision"])
def test_decision_rule_matches_upstream(case):
    limit, needed = dd.threshold(case["h"], case["w"]), dd.pairs_needed(case["n_frames"])
    assert (limit, needed) == (case["threshold"], case["needed"])
    count = dd.Count(limit, needed, len(case["scores"]))
    seen = dd.decide(iter(case["scores"]), count)
    dynamic = count.dynamic
    assert dynamic == case["dynamic"]
    assert seen == case["scores"][: len(seen)]


def test_largest_motion_matches_upstream():
    rng = np.random.Generator(np.random.PCG64(5))
    for case in RULE["top5"]["cases"]:
        flow = torch.from_numpy(rng.standard_normal((2, *case["hw"])).astype(np.float32))
        assert largest_motion(flow[None])[0] == pytest.approx(case["score"], rel=1e-6)


def test_fixed_leaves_the_padding_out_and_asks_for_a_pair():
    def still(frames):
        flow = torch.zeros(len(frames) - 1, 2, *frames.shape[-2:])
        flow[..., 0, :] = 100.0
        return flow

    sample = {"video": torch.zeros(2, 3, 135, 136, dtype=torch.uint8), "fps": 8}
    rows = torch.zeros(2, 3, 132, 136, dtype=torch.uint8)
    assert metric_with(still).compute(sample).score == 1.0
    assert metric_with(still).compute({**sample, "video": rows}).details["pair_scores"][0] > 10
    fixed = metric_with(still, compat="fixed").compute({**sample, "video": rows})
    assert (fixed.score, fixed.details["pair_scores"]) == (0.0, [0.0])
    assert metric_with(still).identity() != metric_with(still, compat="fixed").identity()
    with pytest.raises(ValueError, match="compat must be"):
        metric_with(still, compat="newest")


def test_weights_of_a_file_are_loaded(tmp_path, monkeypatch, state):
    torch.save(state, tmp_path / "raft.pth")
    monkeypatch.setenv("VIDMETRICS_RAFT_THINGS", str(tmp_path / "raft.pth"))
    metric = get_metric("vbench.dynamic_degree")
    result = metric.compute({"video": torch.zeros(1, 3, 136, 136, dtype=torch.uint8), "fps": 8})
    assert result.score == 0.0
    loaded = metric._network._update._head[1].weight
    assert torch.equal(loaded, state[f"{DAMPED}weight"])


def test_unusable_samples_are_named():
    metric = get_metric("vbench.dynamic_degree")
    with pytest.raises(IncompatibleSampleError, match="frame rate above 0"):
        metric.compute({"video": torch.zeros(2, 3, 128, 128, dtype=torch.uint8), "fps": 0})
    with pytest.raises(IncompatibleSampleError, match="frame rate above 0"):
        metric.compute({"video": torch.zeros(2, 3, 128, 128, dtype=torch.uint8)})
    with pytest.raises(IncompatibleSampleError, match="at least 121 pixels"):
        metric.compute({"video": torch.zeros(2, 3, 120, 128, dtype=torch.uint8), "fps": 8})


def test_loading_leaves_the_global_generator_alone(state):
    before = torch.random.get_rng_state()
    RaftThings(state)
    assert torch.equal(torch.random.get_rng_state(), before)
