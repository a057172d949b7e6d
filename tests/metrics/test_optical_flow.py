"""Flow metrics against recorded values, and what protocol v2 changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.metrics.optical_flow.camera import Calibration, synthetic_flow
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.stats.flow import FlowOptions, compare_flows, focus, summarise
from tests.support.oracle_inputs import flow_pair

DATA = Path(__file__).parent.parent / "data" / "optical_flow"
FLOWS = json.loads((DATA / "flow_metrics.json").read_text())
SYNTHETIC = json.loads((DATA / "synthetic_flow.json").read_text())
SEED = FlowOptions("fastvideo")
CASES: dict[str, tuple[tuple[int, ...], dict[str, float], FlowOptions]] = {
    "mixed_7_frames": ((7, 96, 128, 0), {}, SEED),
    "odd_size": ((3, 71, 93, 1), {}, SEED),
    "odd_size__grid4_min1_pct95": ((3, 71, 93, 1), {}, FlowOptions("fastvideo", 1.0, 95.0, 4)),
    "small_gap": ((6, 64, 80, 2), {"gap": 0.1, "noise": 0.02}, SEED),
    "large_gap": ((5, 64, 80, 3), {"gap": 2.0}, SEED),
    "one_frame": ((1, 64, 64, 4), {}, SEED),
}


def close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if value is None:
            assert found[key] is None
            continue
        rel = 1e-3 if key.startswith("foe") else 1e-5
        # The arccosine is flat at 0 and 180 degrees; the recorded tolerance allows 0.05 there only.
        tolerance = 0.05 if "angle" in key and min(abs(value), abs(180 - value)) < 2 else 1e-5
        assert found[key] == pytest.approx(value, rel=rel, abs=tolerance), key


@pytest.mark.parametrize("name", sorted(CASES))
def test_fastvideo_protocol_reproduces_recorded_values(name: str) -> None:
    args, options, how = CASES[name]
    reference, generated = flow_pair(*args, **options)  # type: ignore[arg-type]
    frames = [compare_flows(a, b, how) for a, b in zip(reference, generated, strict=True)]
    for found, expected in zip(frames, FLOWS[name]["per_frame"], strict=True):
        close(found, expected)
    close(summarise(frames), FLOWS[name]["summary"])


def pan(u: float, v: float) -> np.ndarray:
    return np.broadcast_to(np.array([u, v], np.float32), (64, 96, 2)).copy()


def zoom(k: float, cx: float, cy: float) -> np.ndarray:
    y, x = np.meshgrid(np.arange(64), np.arange(96), indexing="ij")
    return np.stack([k * (x - cx), k * (y - cy)], axis=-1).astype(np.float32)


def boxed(base: np.ndarray, rows: slice, columns: slice, value: tuple[float, float]) -> np.ndarray:
    base[rows, columns] = value
    return base


def hand_made() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        "identical_pan": (pan(4, -2), pan(4, -2)),
        "opposite_pan": (pan(5, 0), pan(-5, 0)),
        "static_vs_pan": (pan(0, 0), pan(5, 0)),
        "both_static": (pan(0, 0), pan(0, 0)),
        "uniform_8_vs_80": (pan(8, 0), pan(80, 0)),
        "fast_object_vs_static": (boxed(pan(3, 0), slice(10, 30), slice(20, 50), (40, 0)), pan(0, 0)),
        "small_object_vs_static": (boxed(pan(0, 0), slice(20, 26), slice(30, 38), (6, -4)), pan(0, 0)),
        "zoom_centre_shift": (zoom(0.05, 48, 32), zoom(0.05, 60, 25)),
        "zoom_vs_pan": (zoom(0.08, 30, 40), pan(2, 1)),
        "below_min_magnitude": (pan(0.2, 0.1), pan(0.1, 0.3)),
        "tiny_mean": (pan(0.05, 0), pan(3, 0)),
    }


@pytest.mark.parametrize("name", sorted(hand_made()))
def test_hand_made_fields(name: str) -> None:
    a, b = hand_made()[name]
    expected = FLOWS["hand_made_frames"][name]
    close(compare_flows(a, b, SEED), expected["metrics"])
    assert focus(a) == pytest.approx(expected["foe_reference"], rel=1e-3, abs=1e-5)


def test_v2_sees_speed_and_keeps_fast_pixels() -> None:
    fields = hand_made()
    assert compare_flows(*fields["uniform_8_vs_80"], SEED)["flow_kl_2d"] == 0
    assert compare_flows(*fields["uniform_8_vs_80"], FlowOptions())["flow_kl_2d"] > 1
    assert compare_flows(*fields["static_vs_pan"], FlowOptions())["flow_kl_2d"] > 0.1
    assert compare_flows(*fields["fast_object_vs_static"], SEED)["pixel_epe_max"] == 3
    assert compare_flows(*fields["fast_object_vs_static"], FlowOptions())["pixel_epe_max"] == 40
    small = compare_flows(*fields["small_object_vs_static"], FlowOptions())
    assert small["pixel_epe_mean"] == pytest.approx(np.hypot(6, 4))


@pytest.mark.parametrize("name", sorted(FLOWS["temporal_series"]))
def test_summary_over_time(name: str) -> None:
    expected = dict(FLOWS["temporal_series"][name])
    close(summarise([{"pixel_epe_mean": v} for v in expected.pop("series")]), expected)


def test_summary_of_nothing() -> None:
    assert summarise([]) == {"n_frames": 0}


def rig_flow(rig: str, *, sign: int = 1, keys: int = 6, actions: int = 6) -> np.ndarray:
    inputs = SYNTHETIC["inputs"]
    keyboard, mouse = np.array(inputs["keyboard"])[:actions, :keys], np.array(inputs["mouse"])[:actions]
    return synthetic_flow(keyboard, mouse, Calibration.read(inputs["calibrations"][rig]), (36, 64), pitch_sign=sign)


@pytest.mark.parametrize("rig", ["shipped", "orbit"])
@pytest.mark.parametrize("sign", [1, -1])
def test_synthetic_flow(rig: str, sign: int) -> None:
    flows = rig_flow(rig, sign=sign)
    expected = SYNTHETIC["expected"][f"{rig}_sign{sign:+d}"]["per_flow"]
    for flow, values in zip(flows, expected, strict=True):
        assert flow[..., 0].mean(dtype=np.float64) == pytest.approx(values["mean_u"], abs=1e-4, rel=1e-6)
        assert flow[..., 1].mean(dtype=np.float64) == pytest.approx(values["mean_v"], abs=1e-4, rel=1e-6)
        assert flow[0, 0] == pytest.approx(values["corner_top_left"], abs=1e-4, rel=1e-6)
        assert flow[-1, -1] == pytest.approx(values["corner_bottom_right"], abs=1e-4, rel=1e-6)
    with np.load(DATA / "synthetic_flow.npz") as arrays:
        recorded = arrays[f"{rig}_sign{'p' if sign > 0 else 'm'}1"]
    assert flows.dtype == recorded.dtype
    np.testing.assert_allclose(flows[: len(recorded)], recorded, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("rig", ["shipped", "orbit"])
def test_an_action_moves_a_frame_to_the_next(rig: str) -> None:
    counts = SYNTHETIC["expected"][f"{rig}_counts"]
    assert len(rig_flow(rig)) == counts["n_pairs None"]
    assert len(rig_flow(rig, actions=4)) == counts["n_pairs 3"]
    assert len(rig_flow(rig, actions=1)) == counts["one action"]


def test_four_keys_do_not_turn() -> None:
    first, expected = rig_flow("shipped", keys=4)[0], SYNTHETIC["expected"]["four_key_action_ignores_turn"]
    assert first[..., 0].mean(dtype=np.float64) == pytest.approx(expected["mean_u"], abs=1e-4, rel=1e-6)
    assert first[..., 1].mean(dtype=np.float64) == pytest.approx(expected["mean_v"], abs=1e-4, rel=1e-6)


def test_synthetic_flow_against_observed() -> None:
    expected = SYNTHETIC["expected"]["compare_observed_0.9x_plus_(0.7,-0.3)"]
    caused = rig_flow("shipped")
    observed = 0.9 * caused + np.array([0.7, -0.3], np.float32)
    frames = [compare_flows(a, b, SEED) for a, b in zip(caused, observed, strict=True)]
    for found, values in zip(frames, expected["per_frame"], strict=True):
        close(found, values)
    close(summarise(frames), expected["summary"])


def test_focal_length_follows_the_size() -> None:
    values = {**SYNTHETIC["inputs"]["calibrations"]["shipped"], "frame_shape": [352, 640]}
    calibration = Calibration.read(values)
    assert calibration.focal(1280, rescale=True) == 914
    assert calibration.focal(1280, rescale=False) == 457


def test_unusable_clips_are_refused_before_the_network_loads() -> None:
    clip = torch.zeros(3, 3, 128, 128, dtype=torch.uint8)
    gt = get_metric("optical_flow.gt_optical_flow")
    with pytest.raises(IncompatibleSampleError, match="two frames"):
        gt.compute({"video": clip[:1], "reference": clip})
    with pytest.raises(IncompatibleSampleError, match="one size"):
        gt.compute({"video": clip[..., :120], "reference": clip})
    with pytest.raises(IncompatibleSampleError, match="121 pixels"):
        gt.compute({"video": clip[..., :120], "reference": clip[..., :120]})
    actions = {"keyboard": np.zeros((2, 6)), "mouse": np.zeros((2, 2))}
    sample = {"video": clip, "actions": actions, "calibration": {}}
    with pytest.raises(IncompatibleSampleError, match="2 key and 2 mouse actions for 3 frames"):
        get_metric("optical_flow.synthetic_optical_flow").compute(sample)
