"""audio.clap_score on filled weights, through the checkpoints it declares."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.clap import towers as clap
from tests.support.clap import filled, small, write_tokenizer
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import tone

DATA = Path(__file__).parents[1] / "data" / "audio"
RATE = 48000
PROMPT = "a car passes"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Yield a folder with the files of both protocols, which the override variables name."""
    folder = tmp_path_factory.mktemp("clap")
    state = small()
    torch.save(state, folder / "fused.bin")
    plain = {key: value for key, value in state.items() if ".fusion_model." not in key and "mel_conv2d" not in key}
    torch.save(plain, folder / "plain.bin")
    write_tokenizer(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDMETRICS_CLAP_FUSED", str(folder / "fused.bin"))
        patch.setenv("VIDMETRICS_CLAP_MUSIC_SPEECH", str(folder / "plain.bin"))
        patch.setenv("VIDMETRICS_CLAP_TOKENIZER", str(folder / "tokenizer.json"))
        yield folder


def score(audio, prompt=PROMPT, **params):
    return get_metric("audio.clap_score", **params).compute({"audio": audio, "text_prompt": prompt})


@pytest.fixture(scope="module")
def sound():
    return tone(2.0, RATE, 9)


@pytest.fixture(scope="module")
def whole(published, sound):
    return score((sound, RATE))


class Ids:
    """Stands for the tokeniser: the token ids of the recorded prompts."""

    rows = ([0, 102, 2335, 35828, 11, 5, 3912, 2], [0, 10, 39792, 2513, 2])

    def __call__(self, text):
        return self.rows[int(text)], 0


def test_scores_match_the_reference():
    state = filled("clap_score_shallow")
    expected = json.loads((DATA / "clap_score_shallow.json").read_text())["expected"]
    metric = get_metric("audio.clap_score", long_audio="windows")
    metric._towers, metric._tokenizer = (clap.ClapAudio(state), clap.ClapText(state)), Ids()
    long = {"audio": (tone(12.0, RATE, 401), RATE), "text_prompt": "0"}
    result = metric.compute(long)
    assert result.details["long_audio"] == "windows"
    parts = expected["windows_of_10_s"]["cosine_per_window_by_prompt"]
    assert result.details["window_scores"] == pytest.approx([part[0] for part in parts], abs=3e-6)
    assert result.score == pytest.approx(expected["windows_of_10_s"]["mean_cosine_by_prompt"][0], abs=3e-6)


def test_details(whole):
    assert -1 <= whole.score <= 1
    assert whole.details == {
        "window_scores": [whole.score],
        "seconds": 2.0,
        "tokens": len(PROMPT) + 2,
        "dropped_tokens": 0,
        "long_audio": None,
    }
    json.dumps(whole.details)


def test_gain_and_channels_do_not_change_the_score(whole, sound):
    quiet = np.stack([sound, sound]) * np.float32(0.1)
    assert score((quiet, RATE)).score == pytest.approx(whole.score, abs=1e-6)


def test_av_benchmark_hears_the_level_and_no_offset(published, sound):
    metric = get_metric("audio.clap_score", compat="av-benchmark")
    heard = metric._sound((sound + np.float32(0.1), RATE))
    np.testing.assert_allclose(heard, sound - sound.mean(), atol=1e-6)
    assert np.abs(metric._sound((sound * np.float32(0.1), RATE))).max() < 0.11 * np.abs(heard).max()
    silent = score((np.zeros(RATE, np.float32), RATE), compat="av-benchmark")
    assert silent.status == "scored"


def test_silence_and_a_clip_without_sound_are_skipped_with_the_reason(published, tmp_path):
    silent = score((np.zeros(RATE, np.float32), RATE))
    assert (silent.status, silent.reason) == ("skipped", "the audio is silent: every sample is zero")
    mute = write_video(tmp_path / "mute.mp4", gray_ramp(4))
    assert "mute.mp4: no audio stream" in score(str(mute)).reason
    assert score(Video(frames=torch.zeros(2, 3, 8, 8))).status == "skipped"


def test_only_the_beginning_is_heard(whole, sound):
    other = np.concatenate([sound, tone(1.0, RATE, 3)])
    result = score((other, RATE), seconds=2.0)
    assert result.details["seconds"] == 2.0
    # The peak is that of what is heard.
    assert result.score == pytest.approx(whole.score, abs=1e-6)


def test_a_long_prompt_is_cut(published, sound):
    metric = get_metric("audio.clap_score", max_tokens=20)
    long = metric.compute({"audio": (sound, RATE), "text_prompt": PROMPT + " and goes on and on" * 60})
    assert (long.details["tokens"], long.details["dropped_tokens"]) == (20, len(PROMPT) + 19 * 60 + 2 - 20)


def test_two_threads_give_the_same_numbers_and_draw_nothing(published):
    clips = [(tone(10.5, RATE, seed), RATE) for seed in (1, 2)]
    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    alone = [score(clip).score for clip in clips]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda clip: score(clip).score, clips)) == alone
    assert (np.random.get_state()[1] == numpy_state).all()
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_the_engine_scores_the_sound_of_a_video(published, tmp_path):
    video = str(write_video(tmp_path / "clip.mp4", gray_ramp(4), tone=tone(0.5, 24000, 1)))
    metric = get_metric("audio.clap_score")
    scorer = EvalWorker(FileStore(tmp_path / "store"))
    sample = {"video": video, "text_prompt": PROMPT}
    result = scorer.fill(sample, [metric])[0].result
    assert result.status == "scored"
    assert scorer.counts.decoded == 0
    scorer.fill(sample, [metric])
    assert scorer.counts.reused == 1
    absent = scorer.fill({"video": video}, [metric])[0].result
    assert absent.reason == "the sample has no text_prompt"


def test_missing_weights_are_named_with_the_command(monkeypatch, tmp_path):
    shared.clear()
    for name in ("FUSED", "TOKENIZER"):
        monkeypatch.delenv(f"VIDMETRICS_CLAP_{name}", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "1")
    with pytest.raises(UnavailableError, match=r"laion/clap-htsat-fused.*vidmetrics fetch audio\.clap_score"):
        get_metric("audio.clap_score").setup()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"compat": "laion"}, "compat must be one of"),
        ({"long_audio": "loud"}, "long_audio must be one of"),
        ({"compat": "av-benchmark", "long_audio": "fusion"}, "does not fuse"),
        ({"seconds": 0.0}, "seconds must be above 0"),
        ({"max_tokens": 600}, "max_tokens is 3 to 512"),
    ],
)
def test_wrong_arguments(params, message):
    with pytest.raises(ValueError, match=message):
        get_metric("audio.clap_score", **params)


def test_the_protocol_is_part_of_the_identity():
    assert get_metric("audio.clap_score").identity()["params"] == {
        "compat": "fastvideo",
        "long_audio": "fusion",
        "seconds": None,
        "max_tokens": 77,
    }
