from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.metrics.registry import get_metric
from tests.support.oracle_fill import clip_uint8, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "vbench"


def oracle(name):
    return json.loads((DATA / f"{name}.json").read_text())


def filled(keys, prefixes=("",)):
    with gzip.open(DATA / f"{keys}.keys.json.gz", "rt") as stream:
        shapes = json.load(stream)
    return fill_state_dict({k: tuple(v[0]) for k, v in shapes.items() if k.startswith(prefixes)})


def clip(case):
    return torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)


def saved(path, state):
    torch.save(state, path)
    return str(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    keys = ("vision_model.", "visual_projection.")
    return {
        "VIDMETRICS_CLIP_B32": saved(folder / "b32.bin", filled("background_consistency_shallow", keys)),
        "VIDMETRICS_CLIP_L14": saved(folder / "l14.bin", filled("aesthetic_quality_shallow", keys)),
        "VIDMETRICS_LAION_AESTHETIC": saved(folder / "head.pth", fill_state_dict({"weight": (1, 768), "bias": (1,)})),
    }


@pytest.fixture
def use_weights(weights, monkeypatch):
    for name, path in weights.items():
        monkeypatch.setenv(name, path)


@pytest.mark.usefixtures("use_weights")
def test_background_consistency_matches_upstream():
    expected = oracle("background_consistency_shallow")["expected"]
    metric = get_metric("vbench.background_consistency")
    metric.setup()
    sums = counts = 0
    for case in expected["videos"]:
        result = metric.compute({"video": clip(case)})
        assert result.score == pytest.approx(case["video_result"], abs=2e-6)
        assert result.details["to_first"] == pytest.approx(case["similarity"]["to_first"], abs=2e-6)
        assert result.details["to_previous"] == pytest.approx(case["similarity"]["to_previous"], abs=2e-6)
        sums, counts = sums + result.details["video_sim"], counts + result.details["cnt_per_video"]
    assert sums / counts == pytest.approx(expected["aggregate_frame_weighted"], abs=2e-6)


@pytest.mark.usefixtures("use_weights")
def test_image_embeddings_match_upstream():
    from pytest_vidmetrics.metrics.vbench.frames import clip_float, encode

    cases = oracle("background_consistency_shallow")["expected"]["videos"]
    arrays = np.load(DATA / "background_consistency_shallow.npz")
    metric = get_metric("vbench.background_consistency")
    metric.setup()
    for case in cases[:2]:
        found = encode(clip(case), clip_float, metric._image, 32)
        np.testing.assert_allclose(found.numpy(), arrays[f"{case['case']}_image_features"], atol=2e-5)


@pytest.mark.usefixtures("use_weights")
def test_aesthetic_quality_matches_upstream():
    expected = oracle("aesthetic_quality_shallow")["expected"]
    metric = get_metric("vbench.aesthetic_quality")
    metric.setup()
    scores = []
    for case in expected["videos"][:2]:
        result = metric.compute({"video": clip(case)})
        scores.append(result.score)
        assert result.score == pytest.approx(case["video_result"], abs=1e-6)
        frames = [value / 10 for value in case["frame_head_output"]]
        assert result.details["frame_results"] == pytest.approx(frames, abs=1e-6)
    smaller = get_metric("vbench.aesthetic_quality", chunk_size=2)
    assert smaller.compute({"video": clip(expected["videos"][0])}).score == pytest.approx(scores[0], abs=5e-7)
    assert smaller.identity() == metric.identity()


@pytest.mark.slow
@pytest.mark.usefixtures("use_weights")
def test_aesthetic_quality_of_a_clip_longer_than_a_chunk():
    case = oracle("aesthetic_quality_shallow")["expected"]["videos"][3]
    result = get_metric("vbench.aesthetic_quality").compute({"video": clip(case)})
    assert result.score == pytest.approx(case["video_result"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variable"),
    [("background_consistency", "VIDMETRICS_CLIP_B32"), ("aesthetic_quality", "VIDMETRICS_CLIP_L14")],
)
def test_full_depth(name, variable, tmp_path, monkeypatch, use_weights):
    state = filled(name, ("vision_model.", "visual_projection."))
    monkeypatch.setenv(variable, saved(tmp_path / "full.bin", state))
    metric = get_metric(f"vbench.{name}")
    for case in oracle(name)["expected"]["videos"]:
        assert metric.compute({"video": clip(case)}).score == pytest.approx(case["video_result"], abs=3e-6)


@pytest.mark.usefixtures("use_weights")
def test_metrics_on_one_checkpoint_share_one_network():
    first, second = (get_metric("vbench.background_consistency") for _ in range(2))
    first.setup()
    second.setup()
    assert first._image is second._image


def test_wrong_frames_are_named():
    metric = get_metric("vbench.background_consistency")
    with pytest.raises(IncompatibleSampleError, match="at least 2 frames"):
        metric.compute({"video": torch.zeros(1, 3, 8, 8, dtype=torch.uint8)})
    with pytest.raises(IncompatibleSampleError, match=r"\(T, 3, H, W\)"):
        metric.compute({"video": torch.zeros(4, 1, 8, 8, dtype=torch.uint8)})


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDMETRICS_CLIP_B32", str(tmp_path / "absent.bin"))
    with pytest.raises(UnavailableError, match=r"vidmetrics fetch vbench\.background_consistency"):
        get_metric("vbench.background_consistency").setup()
