"""Noise that falls into two modes is named when it is measured, and with every verdict that it concerns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.gates.baseline import Noise
from pytest_vidmetrics.gates.baseline_text import baseline_text, decode_baseline
from pytest_vidmetrics.gates.calibrate import _noise
from pytest_vidmetrics.gates.judge import judge
from pytest_vidmetrics.gates.lifecycle import _noise_text
from tests.gates.test_margin import gate, recorded, scores

RUNS = [0.9861, 0.9859, 0.9860, 0.9581, 0.9860, 0.9579, 0.9862, 0.9580]
"""One image model on one machine: two attention back ends took turns."""
NAMED = "two modes, 0.986 and 0.958; a margin between them cannot hold"


def test_two_modes_are_named_with_what_sigma_does_to_the_margin() -> None:
    noise = _noise(RUNS, "generation")
    assert noise.modes == (pytest.approx(0.958, abs=1e-4), pytest.approx(0.986, abs=1e-4))
    text = _noise_text(recorded(scores([0.98] * 8), Policy(), noise))
    assert NAMED in text
    assert f"so that the margin is at least {3 * noise.sigma:.4f}" in text


def test_one_mode_is_not_two() -> None:
    noise = _noise([0.9861, 0.9859, 0.9860, 0.9858, 0.9863, 0.9857, 0.9862, 0.9860], "generation")
    assert noise.modes is None
    assert "modes" not in _noise_text(recorded(scores([0.98] * 8), Policy(), noise))


def test_a_baseline_keeps_them() -> None:
    new = recorded(scores([0.98] * 8), Policy(), _noise(RUNS, "generation"))
    again = decode_baseline(baseline_text(new).encode(), "b.json")
    assert again.noise == new.noise
    one = replace(new, noise=Noise(0.01, 4, "scoring"))
    assert '"modes"' not in baseline_text(one)
    assert decode_baseline(baseline_text(one).encode(), "b.json").noise == one.noise


def test_a_margin_between_them_is_named_and_a_wider_one_is_not() -> None:
    observed = scores([0.98 + 0.001 * i for i in range(8)])
    narrow = recorded(observed, noise=Noise(0.001, 8, "generation", (0.958, 0.986)))
    assert any(NAMED in note for note in judge(gate(), observed, narrow).notes)
    assert not any("modes" in note for note in judge(gate(abs=0.03), observed, narrow).notes)
