"""Gain, windows and padding before PaSST, against the recorded tables."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import SilentAudioError
from pytest_vidmetrics.metrics.audio import kl_divergence, passt_features
from pytest_vidmetrics.metrics.audio.passt_protocol import Protocol, choose
from tests.support.oracle_fill import tone

TABLE = json.loads((Path(__file__).parents[1] / "data" / "audio" / "segment_tables.json").read_text())
DURATIONS = TABLE["expected"]["by_duration"]


@pytest.mark.parametrize("seconds", DURATIONS)
def test_windows_match_the_reference(seconds: str) -> None:
    count = round(float(seconds) * 32000)
    found = kl_divergence.PROTOCOLS["fastvideo"].cut(count)
    listed = [
        {"start": w.start, "samples": w.stop - w.start, "padded": w.zeros > 0, "fed": w.stop - w.start + w.zeros}
        for w in found
    ]
    assert listed == DURATIONS[seconds]["passt_kl_windows"]
    (first,) = passt_features.PROTOCOLS["fastvideo"].cut(count)
    kept = DURATIONS[seconds]["passt_fd"]
    assert (first.start, first.stop, first.zeros) == (0, kept["samples_kept"], kept["zeros"])


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 4_000_000),
    window=st.floats(0.2, 10.0),
    share=st.floats(0.1, 1.0),
    above=st.floats(0.0, 1.0),
)
def test_all_windows_cover_the_sound(count: int, window: float, share: float, above: float) -> None:
    rules = Protocol(window_s=window, hop_s=window * share, pad_above_s=window * above)
    windows = rules.cut(count)
    assert windows[0].start == 0
    assert rules.unread(count) == 0
    for before, after in itertools.pairwise(windows):
        assert before.start < after.start <= before.stop
    assert all(w.start < w.stop and w.zeros >= 0 for w in windows)


def test_level_of_either_suite() -> None:
    sound = tone(0.3, 32000, 4) + np.float32(0.05)
    assert np.abs(Protocol().level(sound)).max() == pytest.approx(10 ** (-1 / 20), abs=1e-6)
    centred = passt_features.PROTOCOLS["av-benchmark"].level(sound)
    assert centred.dtype == np.float32
    assert centred.mean(dtype=np.float64) == pytest.approx(0, abs=1e-7)
    assert np.ptp(centred) == pytest.approx(np.ptp(sound), abs=1e-6)
    with pytest.raises(SilentAudioError, match="silent"):
        Protocol().level(np.zeros(100, np.float32))
    # A constant is silence once its mean is gone.
    with pytest.raises(SilentAudioError, match="silent"):
        Protocol(remove_mean=True).level(np.full(100, 0.5, np.float32))


@pytest.mark.parametrize(
    ("compat", "changes", "message"),
    [
        ("upstream", None, "compat must be one of fastvideo, av-benchmark"),
        ("fastvideo", {"window": 5}, "unknown rule 'window'; did you mean 'window"),
        ("fastvideo", {"window_s": 11.0}, "at most 10.05"),
        ("fastvideo", {"hop_s": 0.0}, "hop_s must be above 0"),
        ("fastvideo", {"pad_above_s": 10.5}, "pad_above_s"),
        ("fastvideo", {"windows": "some"}, "windows must be one of first, all"),
        ("fastvideo", {"peak_normalise": "yes"}, "true or false"),
    ],
)
def test_rules_that_nobody_can_follow(compat, changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        choose(kl_divergence.PROTOCOLS, compat, changes)
