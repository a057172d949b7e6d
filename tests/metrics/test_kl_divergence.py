"""Divergence of classes heard: recorded values, closed forms, silence, short and missing sound."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_vidmetrics.core.errors import (
    IncompatibleSampleError,
    NoAudioStreamError,
    SilentAudioError,
    UnavailableError,
)
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.metrics.audio.kl_divergence import KLDivergence
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks.passt import Audio, Passt
from pytest_vidmetrics.networks.shared import forwards
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import tone
from tests.support.passt_weights import DATA, passt_file, passt_state

RATE = 32000
SEEDS = {"gen": (12.0, 210), "ref": (15.5, 211), "short": (1.2, 212)}


def _sound(name: str) -> np.ndarray:
    if name == "silent":
        return np.zeros(320000, np.float32)
    if name == "quiet":
        return _sound("gen") * np.float32(0.1)
    seconds, seed = SEEDS[name]
    return tone(seconds, RATE, seed)


class Remembering:
    """A network that hears each sound once for all tests."""

    def __init__(self, network: Any) -> None:
        self.network, self.known = network, {}

    def __call__(self, samples: np.ndarray) -> Audio:
        key = samples.tobytes()
        if key not in self.known:
            self.known[key] = self.network(samples)
        return self.known[key]


@pytest.fixture(scope="module")
def network() -> Remembering:
    return Remembering(Passt(passt_state()))


class Fake:
    """Classes of a sound without weights: its first samples."""

    def __call__(self, samples: np.ndarray) -> Audio:
        row = np.resize(samples[:1000], 1000)
        return Audio(row[:527].copy(), np.resize(row, 768))


def _metric(network: Any, **params: Any) -> KLDivergence:
    metric = KLDivergence(**params)
    metric._network = network
    return metric


def _compute(metric: KLDivergence, generated: Any, reference: Any) -> Any:
    return metric.compute({"audio": (generated, RATE), "reference_audio": (reference, RATE)})


def _check(network: Any, name: str) -> None:
    oracle = json.loads((DATA / f"{name}.json").read_text())
    tolerance, metric = oracle["tolerance"], _metric(network)
    for pair in oracle["expected"]["pairs"].values():
        result = _compute(metric, _sound(pair["generated"]), _sound(pair["reference"]))
        assert result.score == result.details["kl_softmax"]
        assert result.score == pytest.approx(pair["kl_softmax"], abs=tolerance["kl_softmax_abs"])
        assert result.details["kl_sigmoid"] == pytest.approx(pair["kl_sigmoid"], abs=tolerance["kl_sigmoid_abs"])
    largest = _compute(_metric(network, collect="max"), _sound("gen"), _sound("ref"))
    expected = oracle["expected"]["collect_max"]["gen|ref"]["kl_softmax"]
    assert largest.score == pytest.approx(expected, abs=tolerance["kl_softmax_abs"])
    upstream = _compute(_metric(network, compat="av-benchmark"), _sound("gen"), _sound("ref"))
    expected = oracle["expected"]["upstream_single_window"]["gen|ref"]
    assert upstream.score == pytest.approx(expected["kl_softmax"], abs=tolerance["kl_softmax_abs"])
    assert upstream.details["kl_sigmoid"] == pytest.approx(expected["kl_sigmoid"], abs=tolerance["kl_sigmoid_abs"])


def test_scores_match_the_reference(network: Remembering) -> None:
    _check(network, "kl_divergence_shallow")


@pytest.mark.slow
def test_scores_of_the_whole_network_match_the_reference() -> None:
    _check(Remembering(Passt(passt_state("passt"))), "kl_divergence")


def test_details_say_what_was_read() -> None:
    generated, reference = _sound("gen"), _sound("ref")
    details = _compute(_metric(Fake()), generated, reference).details
    assert (details["windows"], details["reference_windows"]) == (2, 3)
    assert (details["unread_s"], details["reference_unread_s"]) == (0.0, 0.0)
    details = _compute(_metric(Fake(), compat="av-benchmark"), generated, reference).details
    assert (details["windows"], details["unread_s"], details["reference_unread_s"]) == (1, 2.0, 5.5)
    json.dumps(details)


def test_a_sound_against_itself_is_exactly_zero(network: Remembering) -> None:
    sound = tone(0.4, RATE, 9)
    for compat in ("fastvideo", "av-benchmark"):
        metric = _metric(network.network, compat=compat, protocol={"pad_above_s": 10.0})
        result = _compute(metric, sound, sound)
        assert (result.score, result.details["kl_sigmoid"]) == (0.0, 0.0)


def test_a_gain_changes_nothing_where_the_peak_is_normalised(network: Remembering) -> None:
    sound, rules = tone(0.4, RATE, 9), {"pad_above_s": 10.0}
    assert abs(_compute(_metric(network, protocol=rules), sound * np.float32(0.01), sound).score) < 1e-6
    other = _metric(network, compat="av-benchmark", protocol=rules)
    assert _compute(other, sound * np.float32(0.01), sound).score > 1e-4


class Fixed:
    """Gives chosen logits, one per call."""

    def __init__(self, *logits: np.ndarray) -> None:
        self.logits = list(logits)

    def __call__(self, samples: np.ndarray) -> Audio:
        return Audio(self.logits.pop(0).astype(np.float32), np.zeros(768, np.float32))


LOGITS = arrays.arrays(np.float32, 527, elements=st.floats(-80, 80, width=32))


@settings(deadline=None, max_examples=30)
@given(first=LOGITS, second=LOGITS, shift=st.integers(-16, 16))
def test_divergence_is_not_negative_and_blind_to_a_constant(first: np.ndarray, second: np.ndarray, shift: int) -> None:
    sound = np.ones(16000, np.float32)
    score = _compute(_metric(Fixed(first, second)), sound, sound).score
    assert score >= -1e-9
    p, q = (np.exp(x.astype(np.float64) - np.logaddexp.reduce(x.astype(np.float64))) for x in (second, first))
    used = p > 0
    assert score == pytest.approx(float((p[used] * np.log(p[used] / q[used])).sum()), rel=1e-9, abs=1e-9)
    whole = np.float32(shift)
    shifted = _compute(_metric(Fixed(np.round(first) + whole, np.round(second))), sound, sound).score
    plain = _compute(_metric(Fixed(np.round(first), np.round(second))), sound, sound).score
    assert shifted == pytest.approx(plain, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("side", ["audio", "reference_audio"])
def test_silence_is_a_skip_that_names_the_side(side: str) -> None:
    sounds = {"audio": (_sound("short"), RATE), "reference_audio": (_sound("short"), RATE)}
    with pytest.raises(SilentAudioError, match=f"^{side}: the audio is silent"):
        _metric(Fake()).compute({**sounds, side: (_sound("silent"), RATE)})


def test_silence_has_a_finite_score_without_normalisation(network: Remembering) -> None:
    metric, silent = (
        _metric(network, compat="av-benchmark", protocol={"pad_above_s": 10.0}),
        np.zeros(16000, np.float32),
    )
    assert np.isfinite(_compute(metric, silent, tone(0.5, RATE, 9)).score)
    assert _compute(metric, silent, silent).score == 0.0


def test_short_sounds(network: Remembering) -> None:
    metric = _metric(network)
    assert _compute(metric, tone(0.16, RATE, 1), tone(0.2, RATE, 2)).score > 0
    short = _compute(metric, tone(0.1, RATE, 1), tone(1.0, RATE, 2))
    assert short.status == "skipped"
    assert short.reason.startswith("audio: the audio lasts 0.100 s: PaSST reads 0.15 s")
    padded = _metric(network, protocol={"pad_above_s": 0.0, "window_s": 0.5, "hop_s": 0.5})
    assert np.isfinite(_compute(padded, tone(0.1, RATE, 1), tone(0.2, RATE, 2)).score)


def test_numbers_that_are_not_finite_are_refused() -> None:
    bad = np.full(527, np.nan)
    with pytest.raises(IncompatibleSampleError, match="audio: PaSST gives numbers that are not finite"):
        _compute(_metric(Fixed(bad, bad)), tone(1.0, RATE, 1), tone(1.0, RATE, 2))


def test_a_clip_without_sound_is_a_skip_with_the_reason(tmp_path: Path) -> None:
    mute = str(write_video(tmp_path / "mute.mp4", gray_ramp(4)))
    with pytest.raises(NoAudioStreamError, match=r"reference_audio: .*mute\.mp4: no audio stream"):
        _metric(Fake()).compute({"audio": (tone(1.0, RATE, 1), RATE), "reference_audio": mute})


def _heard() -> int:
    return sum(count for key, count in forwards.items() if isinstance(key, tuple) and key[0] == "passt")


def test_the_evaluator_scores_skips_and_shares_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDMETRICS_PASST", passt_file(tmp_path))
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    sounds = {"a": tone(2.0, 24000, 1), "b": tone(2.0, 24000, 2), "none": None, "zero": np.zeros(24000, np.float32)}
    clips = {name: str(write_video(tmp_path / f"{name}.mp4", gray_ramp(4), tone=s)) for name, s in sounds.items()}
    pairs = [{"video": clips[name], "reference": clips["b"]} for name in clips]
    with Evaluator(["audio.kl_divergence", "audio.frechet_distance"], device="cpu") as evaluator:
        before = _heard()
        found = evaluator.evaluate(pairs)
        heard = _heard() - before
        kl, fad = (worker for worker in evaluator._workers[0].loaded)
    assert kl._network is fad._network
    # Two sounds in the first sample, one in the second, for both metrics together.
    assert heard == 3
    scores = [result["audio.kl_divergence"] for result in found]
    assert scores[0].score > 0
    assert scores[1].score == 0.0
    assert "no audio stream" in scores[2].reason
    assert [result.status for result in scores[2:]] == ["skipped", "skipped"]
    details = found.corpus["audio.frechet_distance"].details
    assert (details["n_gen"], details["n_gen_dropped_nonfinite"], details["failed"]) == (2, 2, 2)


def test_nothing_global_is_touched(network: Remembering) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), torch.stft
    _compute(_metric(network.network), tone(1.0, RATE, 5), tone(1.0, RATE, 6))
    after = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), torch.stft
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_two_threads_give_identical_numbers(network: Remembering) -> None:
    metric = _metric(network.network)
    pairs = [(tone(0.4, RATE, seed), tone(0.5, RATE, seed + 50)) for seed in range(4)]
    alone = [_compute(metric, *pair).details for pair in pairs]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda pair: _compute(metric, *pair).details, pairs)) == alone


def test_the_protocol_is_part_of_the_identity() -> None:
    identities = [
        KLDivergence(**params).identity()  # type: ignore[arg-type]
        for params in ({}, {"compat": "av-benchmark"}, {"collect": "max"}, {"protocol": {"hop_s": 10.0}})
    ]
    assert len({json.dumps(identity, sort_keys=True) for identity in identities}) == 4
    assert KLDivergence(weights="a.pt").identity() == identities[0]
    assert identities[0]["rules"]["peak_normalise"] is True
    with pytest.raises(ValueError, match="collect must be"):
        KLDivergence(collect="median")  # type: ignore[arg-type]


def test_a_missing_library_is_unavailable_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_vidmetrics.metrics.registry._importable", lambda module: module != "hear21passt")
    for name in ("audio.kl_divergence", "audio.frechet_distance", "audio.kad"):
        with pytest.raises(UnavailableError, match=r"needs hear21passt: pip install 'pytest-vidmetrics\[audio\]'"):
            get_metric(name)


def test_missing_weights_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDMETRICS_PASST", "/nonexistent/passt.pt")
    for name in ("audio.kl_divergence", "audio.frechet_distance", "audio.kad"):
        with pytest.raises(UnavailableError, match=f"vidmetrics fetch {name}"):
            get_metric(name).setup()
