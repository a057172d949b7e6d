"""CLAP's mel front end against the recorded values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.networks.clap import mel as clap_mel
from tests.support.oracle_fill import tone

DATA = Path(__file__).parents[1] / "data" / "audio"
ORACLE = json.loads((DATA / "clap_features.json").read_text())["expected"]
ARRAYS = np.load(DATA / "clap_features.npz")
SHORT = {"s0": (5.0, 70), "s1": (10.0, 71), "s2": (3.3, 72), "s3": (10.005, 73)}
LONG = {"l0": (12.0, 80), "l1": (10.03, 81), "l2": (31.0, 82)}


@pytest.mark.parametrize("name", SHORT)
def test_short_sound_is_repeated_and_padded(name):
    seconds, seed = SHORT[name]
    expected = ORACLE["short"][name]
    found = clap_mel.fused_features(tone(seconds, 48000, seed))
    assert found.dtype == np.float32
    assert found.shape == (4, 1001, 64)
    assert (found == found[:1]).all()
    np.testing.assert_allclose(found[0][expected["array_frames"]], ARRAYS[name], atol=2e-5)
    assert found[0].mean(dtype=float) == pytest.approx(expected["mean"], abs=1e-5)
    assert np.linalg.norm(found[0].astype(float)) == pytest.approx(expected["l2"], abs=1e-3)


@pytest.mark.parametrize("name", LONG)
def test_long_sound_is_the_whole_and_the_middles_of_three_thirds(name):
    seconds, seed = LONG[name]
    expected = ORACLE["long"][name]
    samples = tone(seconds, 48000, seed)
    assert list(clap_mel.chunk_starts(expected["total_frames"])) == expected["centre_starts"]
    assert clap_mel.log_mel_frames(len(samples)) == expected["total_frames"]
    found = clap_mel.fused_features(samples).astype(float)
    assert list(found.shape) == expected["shape"]
    for part, (mean, std) in zip(found, expected["chunk_mean_std_centre"], strict=True):
        assert part.mean() == pytest.approx(mean, abs=1e-5)
        assert part.std(ddof=1) == pytest.approx(std, abs=1e-5)
    if name in ARRAYS:
        np.testing.assert_allclose(found[:, expected["array_frames"]], ARRAYS[name], atol=2e-5)
    assert [len(part) for part in clap_mel.windows(samples)] == expected["windows_of_10_s"]["lengths"]


def test_the_banks():
    bank = clap_mel.mel_bank("htk")
    expected = ORACLE["mel_filters_htk_50_14000"]
    assert list(bank.shape) == expected["shape"]
    np.testing.assert_allclose(bank.sum(axis=0)[:8], expected["column_sums_first8"], atol=1e-12)
    assert np.linalg.norm(bank) == pytest.approx(expected["l2"], abs=1e-12)
    from transformers.audio_utils import mel_filter_bank

    slaney = mel_filter_bank(513, 64, 50, 14000, 48000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(clap_mel.mel_bank("slaney"), slaney, atol=1e-12)


def test_silence_is_finite_and_nothing_is_drawn():
    state = np.random.get_state()[1].copy()
    assert (clap_mel.fused_features(np.zeros(600000, np.float32)) == ORACLE["silence"]["min"]).all()
    assert (clap_mel.plain_features(np.zeros(1, np.float32)) == -100.0).all()
    assert (np.random.get_state()[1] == state).all()


def test_what_is_no_window_is_refused():
    with pytest.raises(ValueError, match="1 to 480000 samples, not 0"):
        clap_mel.fused_features(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="not 480001"):
        clap_mel.plain_features(np.zeros(480001, np.float32))
    with pytest.raises(ValueError, match="at least 513 samples"):
        clap_mel.log_mel(np.zeros(512, np.float32))


@settings(deadline=None, max_examples=40)
@given(frames=st.integers(1002, 400000))
def test_chunks_lie_inside_and_in_order(frames):
    starts = clap_mel.chunk_starts(frames)
    assert all(0 <= start <= frames - clap_mel.FRAMES for start in starts)
    assert frames < 1003 or starts[0] < starts[1]
    assert frames < 1004 or starts[1] < starts[2]
