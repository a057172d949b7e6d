"""Physics-IQ against recorded values of the original benchmark and of FastVideo."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.media.resize import cv2_bilinear_uint8
from pytest_vidmetrics.metrics.physics_iq.masks import blurred_grey, motion_masks
from pytest_vidmetrics.metrics.physics_iq.rates import resample
from pytest_vidmetrics.metrics.physics_iq.scores import PhysicsIQ
from pytest_vidmetrics.metrics.registry import get_metric, resolve_group
from tests.support.oracle_fill import clip_uint8
from tests.support.oracle_inputs import array_sha256, physics_scene

DATA = Path(__file__).parent.parent / "data" / "physics_iq"
TRIPLES = json.loads((DATA / "triples.json").read_text())
EDGES = json.loads((DATA / "edges.json").read_text())
BLEND = json.loads((DATA / "fps_blend.json").read_text())
PRIMITIVES = json.loads((DATA / "cv_primitives.json").read_text())
SCALARS = ("spatial_iou", "weighted_spatial_iou", "mse_mean", "spatiotemporal_iou_mean")


def scene(*args: int, **kwargs: float) -> torch.Tensor:
    return torch.from_numpy(physics_scene(*args, **kwargs)).permute(0, 3, 1, 2)


def named(call: str) -> torch.Tensor:
    return eval(call, {"physics_scene": scene})


@cache
def full() -> dict[str, torch.Tensor]:
    return {
        "reference": scene(150, 128, 160, 20),
        "reference_take2": scene(150, 128, 160, 21, shift=1.0, speed=1.02),
        "video": scene(150, 128, 160, 22, shift=3.0, speed=0.9),
    }


def check(result: MetricResult, expected: dict[str, Any]) -> None:
    assert result.score == pytest.approx(expected["score"], abs=0.0101)
    for key in SCALARS:
        assert result.details[key] == pytest.approx(expected[key], abs=1.01e-4)
        assert result.details["pv_" + key] == pytest.approx(expected["pv_" + key], abs=1.01e-4)


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("scene_128x160", lambda: physics_scene(8, 128, 160, 0)),
        ("clip_118x150", lambda: clip_uint8(6, 118, 150, 3)),
        ("clip_37x53", lambda: clip_uint8(5, 37, 53, 4)),
    ],
)
def test_primitives_equal_opencv_bit_for_bit(name: str, clip: Any) -> None:
    frames = torch.from_numpy(clip()).permute(0, 3, 1, 2)
    expected = PRIMITIVES[name]
    blurred = blurred_grey(frames).to(torch.uint8)
    assert array_sha256(blurred.numpy()) == expected["blurred"]
    masks = motion_masks(frames, 10, 0.3)
    assert array_sha256((masks.to(torch.uint8) * 255).numpy()) == expected["mask"]
    quarter = cv2_bilinear_uint8(frames, (frames.shape[2] // 4, frames.shape[3] // 4))
    assert array_sha256(np.ascontiguousarray(quarter.permute(0, 2, 3, 1).numpy())) == expected["quarter_rgb"]


def test_triples_and_corpus_scores() -> None:
    metric = PhysicsIQ(duration_seconds=2)
    results = []
    for clip in TRIPLES["clips"]:
        sample = {
            "video": named(clip["generated"]),
            "reference": named(clip["take1"]),
            "reference_take2": named(clip["take2"]),
            "scenario": clip["scenario"],
            "view": clip["view"],
        }
        result = metric.compute(sample)
        expected = TRIPLES["per_view"][f"{clip['scenario']}/{clip['view']}"]
        check(result, expected)
        assert result.details["mse_per_frame"] == pytest.approx(expected["mse_per_frame"], abs=1.01e-4)
        assert result.details["spatiotemporal_iou_per_frame"] == pytest.approx(
            expected["spatiotemporal_iou_per_frame"], abs=1.01e-4
        )
        results.append(result)
    assert PhysicsIQ.aggregate(results)["physics_iq"] == pytest.approx(TRIPLES["upstream"], abs=0.0101)
    by_id = {str(number): result for number, result in enumerate(results)}
    assert metric.corpus_score(by_id) == PhysicsIQ.aggregate(results)["physics_iq"]
    pooled = PhysicsIQ(duration_seconds=2, compat="pooled")
    assert pooled.corpus_score(by_id) == PhysicsIQ.aggregate(results, "pooled")["physics_iq"]
    assert pooled.identity() != metric.identity()
    for key, value in TRIPLES["corpus"].items():
        assert PhysicsIQ.aggregate(results, "pooled")[key] == pytest.approx(value, abs=0.0101)


def variants() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    sample = full()
    longer = scene(170, 128, 160, 22, shift=3.0, speed=0.9)
    still = sample["reference"][:1].expand(150, -1, -1, -1)
    return {
        "full_length": (sample, {}),
        "generated_longer_first": ({**sample, "video": longer}, {}),
        "generated_longer_last": ({**sample, "video": longer}, {"video_time_selection": "last"}),
        "generated_other_size": ({**sample, "video": scene(150, 96, 120, 22, shift=2.0, speed=0.9)}, {}),
        "perfect_generation": ({**sample, "video": sample["reference"]}, {}),
        "static_generation": ({**sample, "video": still}, {}),
        "all_static": (dict.fromkeys(sample, still), {}),
        "threshold_20_alpha_0.5": (sample, {"threshold": 20, "alpha": 0.5}),
    }


@pytest.mark.parametrize("name", sorted(set(EDGES) - {"full_length_per_frame", "explicit_masks_equal_to_computed"}))
def test_edges(name: str) -> None:
    sample, params = variants()[name]
    check(PhysicsIQ(**params).compute(sample), EDGES[name])


def test_given_masks_equal_to_computed_ones() -> None:
    sample: dict[str, Any] = dict(full())
    for key in ("video", "reference", "reference_take2"):
        mask = motion_masks(sample[key], 10, 0.3).numpy().astype(np.uint8) * 255
        sample[f"{key}_mask"] = np.repeat(mask[..., None], 3, axis=3)
    check(PhysicsIQ().compute(sample), EDGES["explicit_masks_equal_to_computed"])


def test_other_lengths_and_rates_are_refused() -> None:
    sample = full()
    with pytest.raises(IncompatibleSampleError, match="149"):
        PhysicsIQ().compute({**sample, "video": sample["video"][:149]})
    slower = {key: clip[:120] for key, clip in sample.items()}
    with pytest.raises(IncompatibleSampleError, match="96 and 120"):
        PhysicsIQ().compute({**slower, "fps": 24.0})
    assert PhysicsIQ(target_fps=24).compute({**slower, "fps": 24.0}).details["fps"] == 24
    with pytest.raises(IncompatibleSampleError, match="frame rate of reference must be above 0"):
        PhysicsIQ().compute({**sample, "reference_fps": 0})
    with pytest.raises(IncompatibleSampleError, match="mask frames"):
        PhysicsIQ().compute({**sample, "video_mask": np.zeros((3, 128, 160), np.uint8)})


def test_recordings_are_brought_to_the_rate_of_the_clip() -> None:
    sample = full()
    slow = {key: resample(clip, 30, 24, 5) for key, clip in sample.items()}
    expected = PhysicsIQ(target_fps=24).compute(slow)
    found = PhysicsIQ().compute({**sample, "video": slow["video"], "fps": 24.0})
    assert len(found.details["mse_per_frame"]) == 120
    assert (found.score, found.details["pv_mse_mean"]) == (expected.score, expected.details["pv_mse_mean"])
    # Masks of another rate would be those of other moments.
    masks = {f"{key}_mask": np.ones((150, 128, 160), np.uint8) for key in ("reference", "reference_take2")}
    assert PhysicsIQ().compute({**sample, **masks, "video": slow["video"], "fps": 24.0}).score == expected.score
    assert PhysicsIQ().compute({**sample, "fps": 29.97, "reference_fps": 30}).details["fps"] == 30


@pytest.mark.parametrize("rate", sorted(BLEND))
def test_blended_frames_equal_those_of_the_benchmark(rate: str) -> None:
    clip = torch.from_numpy(clip_uint8(30, 24, 32, 9)).permute(0, 3, 1, 2)
    found = np.ascontiguousarray(resample(clip, 30, float(rate), 5).permute(0, 2, 3, 1).numpy())
    assert len(found) == BLEND[rate]["count"]
    assert array_sha256(found) == BLEND[rate]["sha256"]


def test_takes_without_common_motion_are_undefined() -> None:
    still = full()["reference"][:1].repeat(20, 1, 1, 1)
    left, right = still.clone(), still.clone()
    left[1::2, :, 20:50, 5:25] = 255
    right[1::2, :, 20:50, 135:155] = 255
    result = PhysicsIQ().compute({"video": left, "reference": left, "reference_take2": right})
    assert result.status == "skipped"
    assert "undefined" in result.reason


def test_one_frame_and_the_group() -> None:
    one = {key: clip[:1] for key, clip in full().items()}
    assert PhysicsIQ().compute(one).details["spatial_iou"] == 1.0
    members = resolve_group("physics_iq")
    assert members is not None
    assert members[0] == "physics_iq"
    assert len(members) == 5
    whole = PhysicsIQ().compute(full()).details
    for name, key in (
        ("mse", "mse_mean"),
        ("spatial_iou", "spatial_iou"),
        ("weighted_spatial_iou", "weighted_spatial_iou"),
        ("spatiotemporal_iou", "spatiotemporal_iou_mean"),
    ):
        assert get_metric(f"physics_iq.{name}").compute(full()).score == whole[key]


def test_aggregate_of_nothing() -> None:
    with pytest.raises(ValueError, match="compat must be"):
        PhysicsIQ(compat="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no scored samples"):
        PhysicsIQ.aggregate([])
