"""Speech recognisers on filled weights, loaded from folders like the published ones."""

from __future__ import annotations

import random
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.audio.wer import WordErrorRate
from pytest_vidmetrics.networks import asr
from pytest_vidmetrics.networks.published.speech import files_of
from tests.support.asr import write_glm, write_whisper
from tests.support.oracle_fill import tone

RATE = asr.SAMPLE_RATE


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return asr.Whisper(write_whisper(tmp_path_factory.mktemp("whisper")), "cpu", 20)


def test_whisper_hears_the_sound_and_is_told_the_language(whisper):
    sounds = [tone(3.0, RATE, seed) for seed in (1, 2)]
    english = [whisper(sound, "en") for sound in sounds]
    assert english[0].text != english[1].text
    assert all(one.truncated and len(one.text) == 20 for one in english)
    assert whisper._task("en") == {"task": "transcribe", "language": "en"}
    # An unknown language and none are found out alike.
    assert whisper._task("fr") == whisper._task(None) == {"task": "transcribe"}
    assert whisper(sounds[0], "fr") == whisper(sounds[0])


def test_loading_draws_no_random_number(whisper, tmp_path):
    folders = write_whisper(tmp_path / "whisper"), write_glm(tmp_path / "glm")
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    asr.Whisper(folders[0], "cpu", 3)
    asr.GlmAsr(folders[1], "cpu", 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_an_english_whisper_takes_no_language(tmp_path):
    whisper = asr.Whisper(write_whisper(tmp_path, multilingual=False), "cpu", 3)
    assert whisper._task("en") == {}
    assert len(whisper(tone(1.0, RATE, 1), "en").text) == 3


def test_glm_asr_runs_its_transcription_request(tmp_path):
    glm = asr.GlmAsr(write_glm(tmp_path), "cpu", 5)
    found = glm(tone(2.0, RATE, 1), "zh")
    assert found == glm(tone(2.0, RATE, 1))
    assert found.truncated
    assert found.text


def test_two_threads_hear_the_same_and_draw_nothing(whisper):
    sounds = [tone(2.0, RATE, seed) for seed in range(4)]
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    alone = [whisper(sound, "en") for sound in sounds]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda sound: whisper(sound, "en"), sounds)) == alone
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_a_folder_that_lacks_a_tensor_is_refused(tmp_path, monkeypatch):
    from safetensors.torch import load_file, save_file

    write_whisper(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.encoder.conv1.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    monkeypatch.setenv("VIDMETRICS_WHISPER", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"model\.encoder\.conv1\.weight \(32, 80, 3\) is missing"):
        WordErrorRate("whisper").setup()
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UnavailableError, match="hold the weights of whisper"):
        WordErrorRate("whisper").setup()


def test_cuts_lie_where_it_is_quiet():
    sound = tone(70.0, RATE, 1)
    sound[int(27.3 * RATE) : int(27.6 * RATE)] = 0.0
    first, second, third = asr.quiet_chunks(sound)
    assert 27.3 * RATE <= len(first) <= 27.6 * RATE
    assert len(second) + len(third) == len(sound) - len(first)
    assert asr.quiet_chunks(sound[: 30 * RATE])[0] is not None
    assert len(asr.quiet_chunks(sound[: 30 * RATE])) == 1


@settings(deadline=None, max_examples=30)
@given(length=st.integers(0, 40000), longest=st.floats(0.1, 1.0), seed=st.integers(0, 3))
def test_chunks_are_the_input(length, longest, seed):
    samples = np.random.Generator(np.random.PCG64(seed)).standard_normal(length).astype(np.float32)
    parts = asr.quiet_chunks(samples, longest)
    assert np.array_equal(np.concatenate(parts), samples)
    assert all(len(part) <= longest * RATE for part in parts)
    assert length == 0 or all(len(part) for part in parts)


@pytest.fixture
def funasr(monkeypatch):
    """Stand for the library: it writes what it was asked, and does to the process what the real one does."""
    calls = []

    class AutoModel:
        def __init__(self, **options):
            calls.append(options)
            torch.manual_seed(0)
            np.random.seed(0)
            random.seed(0)
            torch.set_num_threads(torch.get_num_threads() + 1)

        def generate(self, **options):
            calls.append(options)
            return [{"text": f"<|{options['language']}|>hello"}, {"text": "<|en|>world"}]

    module, utils = types.ModuleType("funasr"), types.ModuleType("funasr.utils")
    post = types.ModuleType("funasr.utils.postprocess_utils")
    module.AutoModel = AutoModel
    post.rich_transcription_postprocess = lambda text: text.split(">")[-1]
    for name, one in {"funasr": module, "funasr.utils": utils, "funasr.utils.postprocess_utils": post}.items():
        monkeypatch.setitem(sys.modules, name, one)
    return calls


def test_sensevoice_leaves_the_process_as_it_was(funasr, tmp_path):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), torch.get_num_threads()
    heard = asr.SenseVoice(tmp_path, tmp_path / "vad", "cpu")(tone(1.0, RATE, 1), "yue")
    assert heard == asr.Heard("hello world")
    assert funasr[0]["vad_model"] == str(tmp_path / "vad")
    assert funasr[0]["trust_remote_code"] is False
    assert funasr[1]["use_itn"] is True
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert (random.getstate(), torch.get_num_threads()) == before[2:]


def test_sensevoice_without_its_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "funasr", None)
    # Said before anything is fetched.
    monkeypatch.setenv("VIDMETRICS_SENSEVOICE", str(tmp_path / "absent"))
    with pytest.raises(UnavailableError, match="pip install funasr"):
        WordErrorRate("sensevoice", trust_model_folder=True).setup()


def test_a_named_model_goes_before_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDMETRICS_WHISPER", str(tmp_path))
    default, named = files_of("whisper")[0], files_of("whisper", "openai/whisper-large-v3")[0]
    assert default.overridden() == tmp_path / "config.json"
    assert (named.overridden(), named.source, named.licence) == (None, "openai/whisper-large-v3", "unknown")
    with pytest.raises(UnavailableError, match=r"\$VIDMETRICS_WHISPER names .*config\.json, which does not exist"):
        WordErrorRate("whisper").setup()
