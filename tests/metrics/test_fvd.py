"""The video set metrics from clips to scores."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.common.fvd import FVD
from pytest_vidmetrics.metrics.common.kvd import KVD
from pytest_vidmetrics.metrics.common.prdc import PRDC
from pytest_vidmetrics.metrics.sets import extractors as fvd_extractors
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.extractors import Extractor
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.metrics.sets.video_features import VideoSetMetric
from tests.support.oracle_fill import clip_uint8, fill_array, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "fvd"


def _clip(frames: int, height: int, width: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(frames, height, width, seed)).permute(0, 3, 1, 2)


def _fill(metric: SetMetric, seeds: range, role: str = "generated") -> Any:
    for seed in seeds:
        metric.accumulate({"id": f"{role}{seed:02d}", "role": role, "video": _clip(9, 48, 64, seed)})
    return metric


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    shapes = json.loads(gzip.decompress((DATA / "i3d.keys.json.gz").read_bytes()))
    state = {k: torch.from_numpy(fill_array(k, tuple(s))) for k, (s, kind) in shapes.items() if kind == "float32"}
    path = tmp_path_factory.mktemp("i3d") / "i3d.pt"
    torch.save(state, path)
    return str(path)


def _rows(metric: SetMetric, specs: list[str]) -> FeatureSet:
    clips = {}
    for index, spec in enumerate(specs):
        numbers = [int(v) for v in spec.removeprefix("clip_uint8(").removesuffix(")").split(",")]
        clips[f"{index:02d}"] = metric.features({"video": _clip(*numbers)})
    return FeatureSet.join(clips)


def test_i3d_score_matches_the_reference_implementation(weights: str) -> None:
    oracle = json.loads((DATA / "fvd_end_to_end.json").read_text())
    metric = FVD(weights=weights)
    sets = [_rows(metric, oracle["inputs"]["i3d"][side]) for side in ("generated", "reference")]
    result = metric.score_sets(*sets)
    assert result.score == pytest.approx(oracle["expected"]["i3d"]["frechet_eps0_nuclear_norm_float64"], rel=1e-2)
    assert result.details["dimension"] == 400


@pytest.mark.parametrize(
    ("protocol", "key"),
    [("fastvideo", "logits400"), ("videogpt", "videogpt_logits400"), ("usage-guide", "features1024")],
)
def test_preprocessing_of_a_small_wide_clip(weights: str, protocol: str, key: str) -> None:
    metric = FVD(protocol=protocol, weights=weights)
    row = metric.features({"video": _clip(16, 96, 128, 3)})
    compared = metric.compared(FeatureSet(np.concatenate([row, row]), ("a", "b")))[0]
    with np.load(DATA / "i3d.npz") as expected:
        np.testing.assert_allclose(compared, expected[f"16x96x128_seed3_{key}"], atol=2e-6, rtol=0)


def test_one_stored_row_serves_both_layers(weights: str) -> None:
    logits, pooled = (FVD(protocol={"layer": layer}, weights=weights) for layer in ("logits", "pooled"))
    assert logits.feature_identity() == pooled.feature_identity()
    assert logits.identity() != pooled.identity()
    row = logits.features({"video": _clip(9, 32, 32, 0)})
    rows = FeatureSet(np.concatenate([row, row]), ("a", "b"))
    state = torch.load(weights, weights_only=True)
    weight, bias = (
        state[f"logits.conv3d.{part}"].double().flatten(1 if part == "weight" else 0) for part in ("weight", "bias")
    )
    features = pooled.compared(rows)
    assert features.shape == (2, 1024)
    np.testing.assert_allclose(logits.compared(rows), features @ weight.numpy().T + bias.numpy(), atol=1e-12)


def test_a_score_is_reduced_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDMETRICS_I3D", "/nonexistent/i3d.pt")
    generator = np.random.default_rng(0)
    sets = [FeatureSet(generator.random((4, 1424)), ("a", "b", "c", "d")) for _ in range(2)]
    for layer in ("logits", "pooled"):
        assert FVD(protocol={"layer": layer}).score_sets(*sets).score is not None


def test_short_clip_names_the_needed_length(weights: str) -> None:
    with pytest.raises(IncompatibleSampleError, match="12 frames, protocol 'fvd2048_16f' needs at least 16"):
        FVD(protocol="fvd2048_16f", weights=weights).features({"video": _clip(12, 32, 32, 0)})
    with pytest.raises(IncompatibleSampleError, match="needs at least 9"):
        FVD(weights=weights).features({"video": _clip(8, 32, 32, 0)})


def test_missing_weights_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDMETRICS_I3D", "/nonexistent/i3d.pt")
    with pytest.raises(UnavailableError, match=r"vidmetrics fetch common\.fvd"):
        FVD().setup()


def test_other_weights_are_unavailable(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UnavailableError, match="not an I3D state dict"):
        FVD(weights=str(tmp_path / "other.pt")).setup()


def test_identical_sets_score_zero_and_details_add_up() -> None:
    metric = _fill(_fill(FVD("motion_energy"), range(6)), range(6), "reference")
    assert metric.finalize().score == pytest.approx(0, abs=1e-9)
    other = _fill(_fill(FVD("motion_energy"), range(6)), range(6, 12), "reference").finalize()
    assert other.score == other.details["mean_term"] + other.details["covariance_term"] > 0
    assert set(other.details["influence"]) == {f"generated{i:02d}" for i in range(6)}
    assert sum(other.details["influence"].values()) == pytest.approx(0, abs=1e-9)
    assert other.details["null_floor_n"] == 3
    json.dumps(other.details)


@pytest.mark.parametrize(("count", "there"), [(46, False), (47, True)])
def test_extrapolation_only_from_a_quarter_more_clips_than_dimensions(count: int, there: bool) -> None:
    generator = np.random.default_rng(5)
    sets = [FeatureSet(generator.standard_normal((n, 37)), tuple(f"c{i:02d}" for i in range(n))) for n in (count, 60)]
    for first, second in (sets, sets[::-1]):
        details = FVD("motion_energy").score_sets(first, second).details
        assert ("fvd_infinity" in details) == there


NAMES = [f"n{i:02d}" for i in range(9)]
ROWS = {name: np.random.default_rng(i).standard_normal((1, 37)) for i, name in enumerate(NAMES)}
REFERENCE = np.random.default_rng(99).standard_normal((6, 1, 37))


def _holding(kind: type[VideoSetMetric], clips: Iterable[tuple[str, np.ndarray]]) -> VideoSetMetric:
    metric = kind("motion_energy", cache_mode="off")
    for name, rows in clips:
        metric.add("generated", name, rows)
    return metric


def _against_reference(metric: VideoSetMetric) -> MetricResult:
    for i, rows in enumerate(REFERENCE):
        metric.add("reference", str(i), rows)
    return metric.finalize()


@pytest.mark.parametrize("kind", [FVD, KVD, PRDC])
@settings(deadline=None, max_examples=20)
@given(parts=st.lists(st.integers(0, 4), min_size=9, max_size=9), order=st.permutations(range(5)), named=st.booleans())
def test_merging_any_parts_in_any_order_is_bit_identical(
    kind: type[VideoSetMetric], parts: list[int], order: list[int], named: bool
) -> None:
    workers: list[list[tuple[str, np.ndarray]]] = [[] for _ in range(5)]
    for name, part in zip(NAMES, parts, strict=True):
        workers[part].append((name if named else "", ROWS[name]))
    whole = _holding(kind, [])
    for index in order:
        whole.merge_from(_holding(kind, workers[index]))
    direct = _holding(kind, [(name if named else "", rows) for name, rows in ROWS.items()])
    merged, expected = _against_reference(whole), _against_reference(direct)
    assert merged.score == expected.score
    assert merged.details["se"] == expected.details["se"]
    assert merged.details["n_generated"] == 9
    assert sorted(merged.details["influence"].values()) == sorted(expected.details["influence"].values())


def test_another_configuration_is_not_merged() -> None:
    with pytest.raises(ValueError, match="cannot merge"):
        FVD("motion_energy").merge_from(FVD())


@pytest.mark.parametrize(
    ("extractor", "tolerance"), [("clip", 1e-4), pytest.param("videomae", 1e-3, marks=pytest.mark.slow)]
)
def test_clip_and_videomae_match_the_reference_implementation(tmp_path: Path, extractor: str, tolerance: float) -> None:
    name = {"clip": "clip_vit_b32_shallow", "videomae": "videomae_base_shallow"}[extractor]
    keys = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    used = ("vision_model.", "visual_projection.", "videomae.")
    state = fill_state_dict({k: tuple(s) for k, (s, kind) in keys.items() if kind == "float32" and k.startswith(used)})
    torch.save(state, tmp_path / "weights.bin")
    oracle = json.loads((DATA / "fvd_end_to_end.json").read_text())
    metric = FVD(extractor, weights=str(tmp_path / "weights.bin"))
    sets = [_rows(metric, oracle["inputs"][extractor][side]) for side in ("generated", "reference")]
    with np.load(DATA / "fvd_end_to_end.npz") as arrays:
        for side, found in zip(("generated", "reference"), sets, strict=True):
            np.testing.assert_allclose(found.rows, arrays[f"{extractor}_{side}"], atol=2e-5, rtol=0)
    expected = oracle["expected"][extractor]["frechet_eps0_nuclear_norm_float64"]
    assert metric.score_sets(*sets).score == pytest.approx(expected, rel=tolerance)


def test_videomae_reads_any_number_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorder(Extractor):
        def extract(self, frames: torch.Tensor) -> np.ndarray:
            return frames[:, 0, 0, 0].numpy().astype(float)

    monkeypatch.setitem(fvd_extractors.EXTRACTORS, "videomae", Recorder)
    for total in (1, 7, 16, 24, 120):
        clip = torch.arange(total, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
        row = FVD("videomae").features({"video": clip})[0]
        assert row.tolist() == [i * (total - 1) // 15 for i in range(16)]


def test_protocols_differ_in_identity_and_layers_share_rows() -> None:
    assert FVD().identity() != FVD(protocol="fvd2048_16f").identity()
    assert FVD().feature_identity() == KVD().feature_identity() == PRDC().feature_identity()
    assert FVD().feature_identity() != FVD(protocol="usage-guide").feature_identity()
    with pytest.raises(ValueError, match="protocol of extractor 'motion_energy'"):
        FVD("motion_energy", "fastvideo")
    with pytest.raises(ValueError, match="extractor must be one of"):
        FVD("vgg")


def test_non_finite_features_name_the_clip() -> None:
    rows = np.zeros((3, 37))
    rows[1] = np.inf
    with pytest.raises(ValueError, match="not finite: b"):
        FVD("motion_energy").score_sets(FeatureSet(rows, ("a", "b", "c")), FeatureSet(rows, ("d", "e", "f")))


@pytest.mark.parametrize("kind", [KVD, PRDC])
def test_companions_score_the_same_clips(kind: type[SetMetric]) -> None:
    metric = _fill(_fill(kind(extractor="motion_energy"), range(7)), range(7), "reference")  # type: ignore[call-arg]
    result = metric.finalize()
    assert result.status == "scored"
    expected = {"common.prdc": ("coverage", 1.0), "common.kvd": ("p_value", 1.0)}[kind.name]
    assert result.details[expected[0]] == pytest.approx(expected[1], abs=0.05)


@pytest.mark.parametrize("kind", [FVD, KVD, PRDC])
def test_every_set_metric_says_how_much_each_clip_moves_it(kind: type[SetMetric]) -> None:
    generator = np.random.default_rng(3)
    rows, reference = generator.standard_normal((40, 37)) + 0.3, generator.standard_normal((30, 37))
    metric = kind(extractor="motion_energy")  # type: ignore[call-arg]
    sets = [FeatureSet(r, tuple(f"c{i:02d}" for i in range(len(r)))) for r in (rows, reference)]
    details = metric.score_sets(*sets).details
    assert tuple(details["influence"]) == sets[0].ids
    shares = np.array(list(details["influence"].values()))
    assert shares.sum() == pytest.approx(0, abs=1e-9)
    assert details["se"] == pytest.approx(shares.std(ddof=1) * np.sqrt(40), rel=1e-9)
    assert details["se"] > 0
