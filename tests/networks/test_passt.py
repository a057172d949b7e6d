"""PaSST and its front end against recorded values, and what loading it must not do."""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.metrics.audio.waveform import peak_normalise
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.mel import kaldi_bank
from pytest_vidmetrics.networks.passt import MAX_SAMPLES, MIN_SAMPLES, Passt
from pytest_vidmetrics.networks.passt_mel import passt_mel
from pytest_vidmetrics.networks.published.sound import PASST_S
from tests.support.oracle_fill import tone
from tests.support.passt_weights import DATA, passt_file, passt_state

TEN_SECONDS = 320000


def _ten_seconds(samples: np.ndarray) -> np.ndarray:
    kept = peak_normalise(samples)[:TEN_SECONDS]
    return np.pad(kept, (0, TEN_SECONDS - len(kept)))


def _inputs() -> dict[str, np.ndarray]:
    return {
        "a": _ten_seconds(tone(10.0, 32000, 200)),
        "b": _ten_seconds(tone(6.5, 32000, 201)),
        "silence": np.zeros(TEN_SECONDS, np.float32),
        **{f"short_{n}": peak_normalise(tone(n / 32000, 32000, 202)) for n in (5120, 16000, 48000)},
    }


def _check(network: Passt, name: str) -> None:
    with np.load(DATA / f"{name}.npz") as expected:
        for case, samples in _inputs().items():
            found = network(samples)
            np.testing.assert_allclose(found.logits, expected[f"{case}_logits"], atol=5e-5, rtol=0)
            if f"{case}_embedding" in expected:
                np.testing.assert_allclose(found.embedding, expected[f"{case}_embedding"], atol=5e-5, rtol=0)


@pytest.fixture(scope="module")
def network() -> Passt:
    return Passt(passt_state())


@pytest.mark.parametrize(("case", "seconds", "seed"), [("a", 1.5, 0), ("b", 10.0, 1), ("c", 0.16, 2)])
def test_mel_matches_the_reference(case: str, seconds: float, seed: int) -> None:
    found = passt_mel(tone(seconds, 32000, seed))
    assert found.dtype == np.float32
    with np.load(DATA / "passt_mel.npz") as expected:
        parts = {"b_head": found[:, :16], "b_tail": found[:, -16:]} if case == "b" else {case: found}
        for name, part in parts.items():
            np.testing.assert_allclose(part, expected[name], atol=5e-5, rtol=0)


def test_mel_bank_matches_the_reference() -> None:
    expected = np.zeros((128, 513))
    with np.load(DATA / "passt_mel.npz") as bank:
        expected[bank["bank_rows"], bank["bank_cols"]] = bank["bank_values"]
    np.testing.assert_allclose(kaldi_bank(128, 1024, 32000, 0, 15000), expected, atol=2e-5, rtol=0)


def test_mel_of_silence_is_a_finite_constant() -> None:
    found = passt_mel(np.zeros(TEN_SECONDS, np.float32))
    assert found.shape == (128, 1000)
    assert np.unique(found).tolist() == pytest.approx([-1.4025850296020508], abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(count=st.integers(514, 20000), scale=st.floats(1e-4, 10.0))
def test_mel_frames_and_level(count: int, scale: float) -> None:
    samples = tone(count / 32000, 32000, count)
    first, second = passt_mel(samples), passt_mel(samples.astype(np.float64) * scale)
    assert first.shape == second.shape == (128, 1 + (count - 1) // 320)
    # A gain shifts the logarithm of the power, less where the floor 1e-5 counts.
    shift = (second - first) * np.sign(scale - 1.0)
    assert shift.min() >= -1e-5
    assert shift.max() <= abs(2 * np.log(scale)) / 5 + 1e-5


def test_mel_refuses_what_cannot_be_reflected() -> None:
    with pytest.raises(ValueError, match="at least 514 samples"):
        passt_mel(np.zeros(513, np.float32))
    with pytest.raises(ValueError, match="one dimension"):
        passt_mel(np.zeros((2, 9000), np.float32))


def test_logits_and_embeddings_match_the_reference(network: Passt) -> None:
    _check(network, "passt_shallow")


@pytest.mark.slow
def test_the_whole_network_matches_the_reference() -> None:
    _check(Passt(passt_state("passt")), "passt")


def test_the_limits_are_those_of_the_network(network: Passt) -> None:
    for count in (MIN_SAMPLES, MAX_SAMPLES):
        assert np.isfinite(network(tone(count / 32000, 32000, 1)).logits).all()
    for count in (MIN_SAMPLES - 1, MAX_SAMPLES + 1):
        with pytest.raises(IncompatibleSampleError, match=r"PaSST reads 0\.15 s to 10\.05 s"):
            network(np.zeros(count, np.float32))


def test_nothing_global_is_touched(capfd: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), torch.stft, torch.linspace
    Passt(passt_state())(tone(0.2, 32000, 3))
    after = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), torch.stft, torch.linspace
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert before[2:] == after[2:]
    assert capfd.readouterr() == ("", "")


def test_two_threads_give_identical_numbers(network: Passt) -> None:
    inputs = [tone(0.5, 32000, seed) for seed in range(4)]
    alone = [network(samples) for samples in inputs]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(network, inputs))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.logits, other.logits)
        assert np.array_equal(one.embedding, other.embedding)


def test_only_the_network_module_is_imported(network: Passt) -> None:
    loaded = {name for name in sys.modules if name.startswith("hear21passt.")}
    # Every other module of the package imports torchaudio.
    assert not {name for name in loaded if "preprocess" in name or "base" in name or "wrapper" in name}


def test_weights_are_loaded_once_from_a_file(tmp_path: Path) -> None:
    path = passt_file(tmp_path)
    shared.clear()
    assert _loaded(path) is _loaded(path)
    metrics = get_metric("audio.kl_divergence", weights=path), get_metric("audio.kl_divergence")
    assert [one.source for metric in metrics for one in metric.weights_files()] == [path, PASST_S.source]
    shared.clear()


def _loaded(weights: str | None) -> Passt:
    return get_metric("audio.kl_divergence", weights=weights)._network


def test_weights_that_are_missing_or_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"head.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UnavailableError, match="does not hold the weights of passt-s"):
        _loaded(str(tmp_path / "other.pt"))
    state = passt_state()
    del state["blocks.1.norm1.bias"]
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(UnavailableError, match=r"blocks\.1\.norm1\.bias"):
        _loaded(str(tmp_path / "part.pt"))
    (tmp_path / "text.pt").write_text("not found")
    with pytest.raises(UnavailableError, match="does not hold the weights of passt-s"):
        _loaded(str(tmp_path / "text.pt"))
    monkeypatch.setenv("VIDMETRICS_PASST", str(tmp_path / "gone.pt"))
    with pytest.raises(UnavailableError, match=r"vidmetrics fetch audio\.kl_divergence"):
        _loaded(None)


def test_a_library_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hear21passt.models", None)
    with pytest.raises(UnavailableError, match=r"hear21passt cannot be imported .*pip install 'pytest-vidmetrics"):
        Passt(passt_state())
