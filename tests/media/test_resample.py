from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.media.resample import resample
from tests.support.oracle_fill import tone

ARRAYS = Path(__file__).parents[1] / "data/media/resample.npz"
RATES = [
    "r44100_16000",
    "r48000_32000",
    "r24000_48000",
    "r24000_16000",
    "r44100_48000",
    "r16000_16000",
    "r22050_32000",
]


@pytest.mark.parametrize(("seed", "name"), list(enumerate(RATES)))
def test_resampling_equals_torchaudio(seed, name):
    source, target = map(int, re.findall(r"\d+", name))
    with np.load(ARRAYS) as arrays:
        expected = arrays[name]
    out = resample(tone(0.15, source, seed=seed), source, target)
    assert out.dtype == np.float32
    assert out.shape == expected.shape
    # Tolerance of the recorded values: their kernel was built in float32.
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)


def test_channels_are_independent():
    both = np.stack([tone(0.15, 44100, seed=20), tone(0.15, 44100, seed=21)])
    out = resample(both, 44100, 16000)
    with np.load(ARRAYS) as arrays:
        np.testing.assert_allclose(out, arrays["stereo_44100_16000"], rtol=0, atol=2e-5)
    np.testing.assert_array_equal(out[1], resample(both[1], 44100, 16000))
    np.testing.assert_allclose(out.mean(0), resample(both.mean(0), 44100, 16000), rtol=0, atol=1e-6)


def test_equal_rates_return_the_input_and_bad_rates_are_refused():
    samples = tone(0.01, 16000)
    assert resample(samples, 16000, 16000) is samples
    with pytest.raises(ValueError, match="positive"):
        resample(samples, 16000, 0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 400), st.integers(1, 60), st.integers(1, 60))
def test_length_is_rounded_up_and_silence_stays_silent(length, source, target):
    out = resample(np.zeros((2, length), np.float32), source * 100, target * 100)
    assert out.shape == (2, -(-length * target // source))
    assert not out.any()
