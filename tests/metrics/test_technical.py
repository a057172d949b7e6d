"""Metrics that need no weights, against FFmpeg's command line (values recorded once) and against plain numpy."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pytest_vidmetrics.core.errors import IncompatibleSampleError, MediaError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.media.filters import converted
from pytest_vidmetrics.metrics.registry import expand, get_metric, list_metrics, metric_class
from tests.support.technical_clips import damaged, textured

FFMPEG = json.loads((Path(__file__).parents[1] / "data" / "video" / "ffmpeg.json").read_text())
GROUP = ["video.black", "video.blockiness", "video.blur", "video.freeze", "video.si_ti"]
PAIRED = ["common.flicker_excess", "common.vif", "common.xpsnr"]


def scored(name: str, video: torch.Tensor, reference: torch.Tensor | None = None, **params: object) -> MetricResult:
    sample = {"video": video} | ({} if reference is None else {"reference": reference})
    result = get_metric(name, **params).compute(sample)
    assert result.status == "scored", result
    return result


def luma(clip: torch.Tensor) -> np.ndarray:
    """BT.601 in studio range, in floats: what the integers of the package round."""
    red, green, blue = clip.numpy().astype(np.float64).transpose(1, 0, 2, 3)
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def near(found: list[float | None], expected: list[float | None], tolerance: float = 1e-6) -> bool:
    pairs = list(zip(found, expected, strict=True))
    return all(a is b if a is None or b is None else abs(a - b) <= tolerance for a, b in pairs)


def test_they_are_listed_in_their_groups() -> None:
    assert expand(["video"]) == GROUP
    assert set(PAIRED) <= set(expand(["common"]))
    assert "common.latent_cosine" in list_metrics()
    assert "common.latent_cosine" not in expand(["common"])


def test_the_planes_are_those_that_the_command_line_was_given() -> None:
    for name, clip in (("damaged", damaged()), ("textured", textured())):
        planes = b"".join(one.tobytes() for one in converted(clip, "yuv444p"))
        assert hashlib.sha256(planes).hexdigest() == FFMPEG["sha256"][name]
    assert np.abs(np.stack(list(converted(damaged(), "gray"))) - luma(damaged())).max() <= 0.502


@pytest.mark.parametrize(("name", "key"), [("video.blur", "blur"), ("video.blockiness", "block")])
def test_values_of_frames_are_those_of_ffmpeg(name: str, key: str) -> None:
    result = scored(name, damaged())
    assert near(result.details["per_frame"], FFMPEG[key])
    there = [value for value in FFMPEG[key] if value is not None]
    assert result.score == pytest.approx(sum(there) / len(there), abs=1e-6)


@pytest.mark.parametrize("part", ["si", "ti"])
def test_spatial_and_temporal_information(part: str) -> None:
    result = scored("video.si_ti", damaged(), part=part)
    expected = FFMPEG["si"] if part == "si" else [None, *FFMPEG["ti"][1:]]
    assert near(result.details["per_frame"], expected)
    # P.910 by itself: standard deviations over the picture, inside the border for Sobel.
    full = np.stack(list(converted(damaged(), "gray"))).astype(np.float64)
    if part == "ti":
        plain = [None, *((after - before).std() for before, after in itertools.pairwise(full))]
    else:
        plain = [_sobel(frame).std() for frame in full]
    assert near(expected, plain, 0.0051)
    assert result.details["most"][part] == max(value for value in expected if value is not None)


def _sobel(frame: np.ndarray) -> np.ndarray:
    rows = frame[:-2] + 2 * frame[1:-1] + frame[2:]
    columns = frame[:, :-2] + 2 * frame[:, 1:-1] + frame[:, 2:]
    return np.hypot(rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2])


def test_a_standstill_is_named_with_its_frames() -> None:
    result = scored("video.freeze", damaged())
    (begun,), (ended,) = (
        [round(float(one[f"freezedetect.freeze_{key}"]) * 24) for one in FFMPEG["freezedetect=n=0.001:d=0.0833"]
         if f"freezedetect.freeze_{key}" in one]
        for key in ("start", "end")
    )  # fmt: skip
    assert result.details["frozen"] == [[begun, ended - 1]] == [[3, 5]]
    assert result.details["per_frame"] == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert result.score == pytest.approx(2 / 9)


@pytest.mark.parametrize("repeats", [[1], [9], [4, 5, 6, 7, 8, 9], [2, 6, 7], []])
@pytest.mark.parametrize("least", [1, 2])
def test_standstills_are_those_of_a_plain_count(repeats: list[int], least: int) -> None:
    clip = textured()
    for index in repeats:
        clip[index] = clip[index - 1]
    runs = [[*run] for _, run in itertools.groupby(repeats, lambda index: index - repeats.index(index))]
    kept = [index for run in runs if len(run) >= least for index in run]
    result = scored("video.freeze", clip, least=least)
    assert [index for index, one in enumerate(result.details["per_frame"]) if one] == kept
    assert result.score == pytest.approx(len(kept) / 9)


def test_a_black_frame_is_named() -> None:
    result = scored("video.black", damaged())
    assert result.details["black"] == [[round(float(FFMPEG["blackdetect=d=0"][0]["black_start"]) * 24)] * 2] == [[8, 8]]
    plain = [int((frame <= 16 + 21.9).mean() >= 0.98) for frame in luma(damaged())]
    assert result.details["per_frame"] == plain
    assert result.score == pytest.approx(0.1)
    assert scored("video.black", textured()).score == 0


def test_xpsnr_is_that_of_ffmpeg() -> None:
    result = scored("common.xpsnr", damaged(), textured())
    assert near(result.details["per_frame"], FFMPEG["xpsnr"]["y"])
    assert near(result.details["u"], FFMPEG["xpsnr"]["u"])
    assert near(result.details["v"], FFMPEG["xpsnr"]["v"])
    assert scored("common.xpsnr", textured(), textured()).score == 100.0


def test_vif_is_that_of_ffmpeg() -> None:
    result = scored("common.vif", damaged(), textured())
    scales = [list(one) for one in zip(*result.details["scales"], strict=True)]
    # The filter computes in float32 and writes six decimals.
    assert all(near(ours, theirs, 3e-6) for ours, theirs in zip(scales, FFMPEG["vif"], strict=True))
    assert scored("common.vif", textured(), textured()).score == pytest.approx(1, abs=1e-9)


def test_flicker_excess_is_what_the_reference_does_not_have() -> None:
    clean = textured()
    assert scored("common.flicker_excess", clean, clean).score == 0
    still = clean[:1].repeat(10, 1, 1, 1)
    assert scored("common.flicker_excess", still, clean).score == 0
    flicker = still.clone()
    flicker[1::2] = (flicker[1::2].int() - 5).clamp(min=0).to(torch.uint8)
    result = scored("common.flicker_excess", flicker, still)
    assert result.score == pytest.approx(np.abs(np.diff(flicker.numpy().astype(float), axis=0)).mean())
    a, b = (np.abs(np.diff(one.numpy().astype(float), axis=0)).mean(axis=(1, 2, 3)) for one in (damaged(), clean))
    assert scored("common.flicker_excess", damaged(), clean).details["per_frame"] == pytest.approx(
        [0, *np.maximum(a - b, 0)], abs=1e-9
    )


@pytest.mark.parametrize("name", PAIRED)
def test_worse_is_worse(name: str) -> None:
    clean = textured()
    noise = np.random.default_rng(3).integers(-6, 7, tuple(clean.shape))
    mild, strong = (torch.from_numpy(np.clip(clean.numpy() + dose * noise, 0, 255).astype(np.uint8)) for dose in (1, 4))
    scores = [scored(name, clip, clean).score for clip in (clean, mild, strong)]
    assert scores == sorted(scores, reverse=metric_class(name).higher_is_better)
    assert len(set(scores)) == 3


@pytest.mark.parametrize("name", [*GROUP, *PAIRED])
def test_frames_that_cannot_be_measured_are_refused_or_skipped(name: str) -> None:
    metric = get_metric(name)
    flat = torch.full((3, 3, 80, 96), 128, dtype=torch.uint8)
    result = metric.compute({"video": flat, "reference": flat})
    if name in ("video.blur", "video.blockiness"):
        assert result.status == "skipped"
    else:
        assert result.status == "scored"
    if name in PAIRED:
        with pytest.raises(IncompatibleSampleError, match=r"80x96|96x80"):
            metric.compute({"video": flat, "reference": flat.transpose(2, 3)})


def test_latents(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 5, 6)), rng.normal(size=(4, 5, 6))
    np.save(tmp_path / "a.npy", a)
    np.savez(tmp_path / "b.npz", latent=b, other=a)
    save_file({"x": torch.from_numpy(a).bfloat16()}, tmp_path / "a.safetensors")

    def compare(one: str, two: str, **params: object) -> MetricResult:
        sample = {"latent": str(tmp_path / one), "reference_latent": str(tmp_path / two)}
        return get_metric("common.latent_cosine", **params).compute(sample)

    plain = sum(x * y for x, y in zip(a.flat, b.flat, strict=True)) / ((a**2).sum() * (b**2).sum()) ** 0.5
    np.save(tmp_path / "b.npy", b)
    found = compare("a.npy", "b.npy", time_axis=0)
    assert found.score == pytest.approx(plain, abs=1e-12)
    assert found.details["relative_l2"] == pytest.approx(((a - b) ** 2).sum() ** 0.5 / (b**2).sum() ** 0.5)
    assert len(found.details["per_frame"]) == 4
    assert compare("a.npy", "a.npy").score == pytest.approx(1, abs=1e-15)
    assert compare("a.safetensors", "a.npy").score == pytest.approx(1, abs=1e-4)
    with pytest.raises(MediaError, match="it holds 'latent', 'other'"):
        compare("b.npz", "b.npz")
    assert compare("b.npz", "b.npz", key="latent").score == pytest.approx(1, abs=1e-15)
    np.save(tmp_path / "short.npy", a[:2])
    with pytest.raises(IncompatibleSampleError, match="save both alike"):
        compare("a.npy", "short.npy")
    np.save(tmp_path / "nan.npy", np.full(3, np.nan))
    with pytest.raises(MediaError, match="NaN"):
        compare("nan.npy", "nan.npy")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(MediaError, match=r"bad\.safetensors"):
        compare("bad.safetensors", "a.npy")
