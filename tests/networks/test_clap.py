"""CLAP's towers on filled weights in the published layouts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.audio.waveform import peak_normalise
from pytest_vidmetrics.networks.clap import mel as clap_mel
from pytest_vidmetrics.networks.clap import towers as clap
from pytest_vidmetrics.networks.clap.laion import as_transformers, is_laion
from pytest_vidmetrics.networks.loading import load
from tests.support.clap import filled, laion_of, small, write_tokenizer
from tests.support.oracle_fill import tone

DATA = Path(__file__).parents[1] / "data" / "audio"
PROMPTS = ([0, 102, 2335, 35828, 11, 5, 3912, 2], [0, 10, 39792, 2513, 2])
SOUNDS = {"short": (5.0, 400), "edge": (10.005, 402), "long_centre": (12.0, 401)}


def oracle(name: str) -> dict:
    return json.loads((DATA / f"{name}.json").read_text())["expected"]


def check_parity(name: str, sounds: list[str]) -> None:
    state, expected, arrays = filled(name), oracle(name), np.load(DATA / f"{name}.npz")
    audio, text = clap.ClapAudio(state), clap.ClapText(state)
    texts = np.stack([text(row).numpy() for row in PROMPTS])
    np.testing.assert_allclose(texts, arrays["text"], atol=2e-6)
    for sound in sounds:
        seconds, seed = SOUNDS[sound]
        found = audio(clap_mel.fused_features(peak_normalise(tone(seconds, 48000, seed)))).numpy()
        np.testing.assert_allclose(found, arrays[f"audio_{sound}"], atol=2e-6)
        np.testing.assert_allclose(texts @ found, expected["cosine_audio_by_prompt"][sound], atol=2e-6)
    short = clap_mel.fused_features(peak_normalise(tone(5.0, 48000, 400)))
    np.testing.assert_allclose(audio(short, longer=False).numpy(), arrays["audio_short_is_longer_false"], atol=2e-6)


def test_embeddings_match_the_reference():
    check_parity("clap_score_shallow", ["short", "long_centre"])


@pytest.mark.slow
def test_embeddings_match_the_reference_at_full_size():
    check_parity("clap_score", list(SOUNDS))


def test_a_checkpoint_of_laion_clap_is_the_same_network():
    state = small()
    laion = laion_of(state)
    assert is_laion(laion)
    assert not is_laion(state)
    again = as_transformers(laion)
    weights = {key for key in state if not key.startswith("logit_scale")}
    assert set(again) == weights
    assert all(torch.equal(again[key], state[key]) for key in weights)


def test_published_files_are_read_and_shared(tmp_path):
    state = small()
    plain, pickled = tmp_path / "pytorch_model.bin", tmp_path / "epoch.pt"
    torch.save({**state, "text_model.embeddings.position_ids": torch.arange(514)[None]}, plain)
    torch.save({"epoch": 15, "name": "clap", "state_dict": laion_of(state)}, pickled)
    audio, text = load("clap", clap.read, [Weights("one", str(plain))], "cpu")
    assert load("clap", clap.read, [Weights("one", str(plain))], "cpu")[0] is audio
    other, words = load("clap", clap.read, [Weights("two", str(pickled))], "cpu")
    row = [0, 30, 40, 2]
    # Only the epsilon of the text tower's norms tells the two layouts apart.
    assert torch.allclose(text(row), words(row), atol=1e-3)
    features = clap_mel.fused_features(tone(1.0, 48000, 1))
    assert torch.equal(audio(features), other(features))


def test_a_missing_tensor_is_named():
    state = small()
    del state["audio_projection.linear2.bias"]
    with pytest.raises(ValueError, match=r"audio_projection\.linear2\.bias"):
        clap.ClapAudio(state)


def test_the_tokenizer_keeps_both_markers(tmp_path):
    tokenizer = clap.ClapTokenizer(str(write_tokenizer(tmp_path)), 6)
    assert tokenizer("ab") == ([0, 101, 102, 2], 0)
    assert tokenizer("abcabcabc") == ([0, 101, 102, 103, 101, 2], 5)
    assert tokenizer("") == ([0, 2], 0)
