"""ImageBind's front ends and towers against recorded values on stand-in weights in the published layout."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.media.resample import resample
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks.imagebind import audio as imagebind_audio
from pytest_vidmetrics.networks.imagebind import network as imagebind
from pytest_vidmetrics.networks.imagebind import video as imagebind_video
from tests.support.oracle_fill import clip_uint8, fill_state_dict, tone

DATA = Path(__file__).parents[1] / "data" / "audio"
FRONT = json.loads((DATA / "imagebind_frontend.json").read_text())
EXPECTED = FRONT["expected"]
SOUNDS = {
    "a0": tone(5.0, 16000, 50),
    "a1": tone(1.3, 16000, 51),
    "a2": tone(2.0, 16000, 52),
    "a3": resample(tone(5.2, 24000, 53), 24000, 16000),
}
SEEDS = {"v0": 60, "v1": 61, "v2": 62, "v3": 63}


def filled(name: str) -> dict[str, torch.Tensor]:
    shapes = json.loads(gzip.decompress((DATA / f"{name}.keys.json.gz").read_bytes()))
    wanted = tuple(f"modality_{part}.{kind}." for part in imagebind._PARTS for kind in ("vision", "audio"))
    return fill_state_dict({key: tuple(shape) for key, (shape, _) in shapes.items() if key.startswith(wanted)})


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return filled("imagebind_score-shallow")


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(DATA / "imagebind_frontend.npz") as stored:
        return dict(stored)


def video(case: str) -> tuple[torch.Tensor, dict[str, Any]]:
    expected = EXPECTED["video_clips"][case]
    shape = expected["frames"], expected["height"], expected["width"]
    return torch.from_numpy(clip_uint8(*shape, SEEDS[case])).permute(0, 3, 1, 2), expected


def test_filter_bank_is_kaldis(arrays: dict[str, np.ndarray]) -> None:
    found = imagebind_audio.filter_bank(tone(2.0, 16000, 40))
    np.testing.assert_allclose(found, arrays["fbank_2s"], atol=FRONT["tolerance"]["fbank_max_abs"], rtol=0)
    left = imagebind_audio.filter_bank(tone(2.0, 16000, 41))
    assert left.mean() == pytest.approx(EXPECTED["fbank_stereo"]["mean"], abs=1e-5)
    assert left.std() == pytest.approx(EXPECTED["fbank_stereo"]["std"], abs=1e-5)


def test_silence_is_a_finite_constant() -> None:
    found = imagebind_audio.filter_bank(np.zeros(16000, np.float32))
    assert np.allclose(found, EXPECTED["fbank_silence"]["constant"], atol=1e-6, rtol=0)
    clips = imagebind_audio.sound_clips(np.zeros(32000, np.float32))
    assert np.allclose(clips[:, :, :198], EXPECTED["fbank_silence"]["normalised"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("offset", [0.01, -0.25])
def test_a_constant_offset_is_removed_per_frame(offset: float) -> None:
    sound = tone(0.5, 16000, 7)
    moved = imagebind_audio.filter_bank(sound + np.float32(offset))
    assert np.abs(moved - imagebind_audio.filter_bank(sound)).max() < 2e-2


@pytest.mark.parametrize("case", SOUNDS)
def test_clips_of_sound_are_the_recorded_ones(case: str, arrays: dict[str, np.ndarray]) -> None:
    found = imagebind_audio.sound_clips(SOUNDS[case])
    expected = EXPECTED["audio_clips"][case]
    assert found.shape == (3, 128, 204)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=(1, 2)), expected["per_clip_mean"], atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(1, 2), ddof=1), expected["per_clip_std"], atol=1e-5)
    kept = f"{case}_frames_0_100_197"
    part = (found[:, :, [0, 100, 197]], arrays[kept]) if kept in arrays else (found[0], arrays[f"{case}_clip0"])
    np.testing.assert_allclose(*part, atol=FRONT["tolerance"]["fbank_max_abs"] / 4, rtol=0)


def test_too_little_sound_for_a_frame_is_refused() -> None:
    assert imagebind_audio.sound_clips(np.ones(400, np.float32)).shape == (3, 128, 204)
    with pytest.raises(ValueError, match="at least 400 samples"):
        imagebind_audio.sound_clips(np.ones(399, np.float32))


def test_when_clips_begin() -> None:
    for seconds, table in EXPECTED["timing_tables"].items():
        for count, name in ((imagebind_video.CLIPS, "video_5"), (imagebind_audio.CLIPS, "audio_3")):
            found = [[float(start), float(start + 2)] for start in imagebind_audio.starts(float(seconds), count)]
            np.testing.assert_allclose(found, table[name], atol=1e-12)


@pytest.mark.parametrize("case", SEEDS)
def test_views_are_the_recorded_ones(case: str, arrays: dict[str, np.ndarray]) -> None:
    frames, expected = video(case)
    pairs = imagebind_video.clip_ends(len(frames), expected["fps"])
    assert [list(pair) for pair in pairs] == expected["frames_used"]
    found = imagebind_video.views(frames, pairs)
    assert list(found.shape) == expected["views"]
    chosen = slice(None) if case == "v0" else slice(0, None, 5)
    rows = torch.tensor([7, 63, 119, 175])
    tolerance = FRONT["tolerance"]["video_max_abs"]
    np.testing.assert_allclose(found[chosen][..., rows, :][..., rows], arrays[f"{case}_sub"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(found.mean(dim=(1, 2, 3, 4)), expected["per_view_mean"], atol=tolerance)


def test_every_clip_has_frames_whatever_the_rate() -> None:
    for fps in (0.4, 1.0, 7.99, 23.976, 29.97, 120.0):
        for total in (1, 2, 3, 50, 241):
            for first, last in imagebind_video.clip_ends(total, fps):
                assert 0 <= first <= last < total
                assert last - first < 2 * fps + 1


def test_pairs_of_frames_two_seconds_apart() -> None:
    assert imagebind_video.half_hertz_pairs(200, 25.0, 8.0) == [(24, 74), (74, 124), (124, 174)]
    assert imagebind_video.half_hertz_pairs(96, 24.0, 4.0) == [(23, 71)]
    assert imagebind_video.half_hertz_pairs(95, 24.0, 95 / 24) == []
    # Sound of 3.99 s leaves 96 frames, and no second frame to pair.
    assert imagebind_video.half_hertz_pairs(96, 24.0, 3.99) == []
    assert imagebind_video.half_hertz_pairs(1, 0.2, 5.0) == [(0, 0)]
    frames, _ = video("v3")
    found = imagebind_video.views(frames, imagebind_video.half_hertz_pairs(64, 8.0, 8.0), antialias=True)
    assert found.shape == (9, 3, 2, 224, 224)
    assert torch.equal(found[0, :, 1], found[3, :, 0])


def test_direct_inputs_give_the_recorded_vectors(state: dict[str, torch.Tensor]) -> None:
    network = imagebind.ImageBind(state)
    generator = np.random.Generator(np.random.PCG64(4000))
    views, banks = (
        torch.from_numpy(generator.standard_normal(shape).astype(np.float32))
        for shape in ((1, 3, 2, 224, 224), (1, 128, 204))
    )
    with np.load(DATA / "imagebind_score-shallow.npz") as stored:
        np.testing.assert_allclose(network.vision(views)[0], stored["direct_vision"], atol=1e-6, rtol=0)
        np.testing.assert_allclose(network.audio(banks)[0], stored["direct_audio"], atol=1e-5, rtol=0)


def test_building_draws_no_random_number(state: dict[str, torch.Tensor]) -> None:
    before = torch.get_rng_state()
    imagebind.ImageBind(state)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "nothing"])
def test_another_network_is_refused(state: dict[str, torch.Tensor], change: str, tmp_path: Path) -> None:
    key = "modality_heads.vision.2.weight"
    small = {name: value[:1].clone() if value.ndim > 1 else value for name, value in state.items()}
    wrong = {
        "missing": {name: value for name, value in small.items() if name != key},
        "extra": {**small, "modality_heads.audio.9.weight": torch.zeros(1)},
        "shape": small,
        "nothing": {"x": torch.zeros(1)},
    }[change]
    torch.save(wrong, tmp_path / "weights.pth")
    with pytest.raises(UnavailableError, match="does not hold the weights of imagebind"):
        get_metric("audio.imagebind_score", weights=str(tmp_path / "weights.pth")).setup()
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UnavailableError, match="does not hold the weights of imagebind"):
        get_metric("audio.imagebind_score", weights=str(tmp_path / "text.pth")).setup()


def test_the_licence_is_said_when_weights_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDMETRICS_IMAGEBIND", str(tmp_path / "absent.pth"))
    with pytest.raises(UnavailableError, match=r"CC BY-NC-SA 4.0 \(non-commercial use only\)"):
        get_metric("audio.imagebind_score").setup()
