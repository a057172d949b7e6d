"""audio.wer end to end on a Whisper of one layer, and its protocol with transcripts given."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.asr import Heard
from tests.support.asr import write_whisper
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import tone

RATE = 16000


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    folder = write_whisper(tmp_path_factory.mktemp("whisper"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDMETRICS_WHISPER", str(folder))
        yield folder


class Says:
    """Stands for a recogniser: says the same words about every chunk and remembers what it was asked."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.asked = list(texts), []

    def __call__(self, samples, language=None):
        self.asked.append((len(samples) / RATE, language))
        return Heard(self.texts[min(len(self.asked), len(self.texts)) - 1], truncated=len(self.asked) == 2)


def metric_that_hears(*texts, **params):
    metric = get_metric("audio.wer", **params)
    setattr(metric, f"_{metric.backend}", Says(*texts))
    return metric


def sample(seconds=1.0, **more):
    return {"audio": (tone(seconds, RATE, 1), RATE), **more}


def test_a_transcript_is_compared():
    metric = metric_that_hears("The quick brown fox jumped over a lazy dog!", "")
    result = metric.compute(sample(reference_text="The quick brown fox jumps over the lazy dog.", language="en"))
    assert result.score == pytest.approx(2 / 9)
    assert result.details == {
        "transcription": "The quick brown fox jumped over a lazy dog!",
        "reference_text": "the quick brown fox jumps over the lazy dog",
        "asr_backend": "whisper",
        "char_level": False,
        "hits": 7,
        "substitutions": 2,
        "deletions": 0,
        "insertions": 0,
        "reference_length": 9,
        "chunks": 1,
        "dropped_seconds": 0.0,
        "truncated_chunks": 0,
        "silent": False,
    }
    json.dumps(result.details)
    assert metric.recogniser.asked == [(1.0, "en")]


def test_long_sound_is_heard_whole():
    metric = metric_that_hears("one two", "three")
    result = metric.compute(sample(35.0, reference_text="one two three"))
    assert result.score == 0.0
    assert result.details["transcription"] == "one two three"
    assert (result.details["chunks"], result.details["truncated_chunks"]) == (2, 1)
    assert sum(seconds for seconds, _ in metric.recogniser.asked) == pytest.approx(35.0)


def test_fastvideo_hears_30_seconds_and_no_language():
    metric = metric_that_hears("one two", "three", compat="fastvideo")
    result = metric.compute(sample(35.0, text_prompt="one two three", language="en"))
    assert result.score == pytest.approx(1 / 3)
    assert (result.details["chunks"], result.details["dropped_seconds"]) == (1, 5.0)
    assert metric.recogniser.asked == [(30.0, None)]
    glm = metric_that_hears("one", compat="fastvideo", backend="glm_asr")
    assert glm.compute(sample(35.0, reference_text="one")).details["dropped_seconds"] == 0.0
    assert glm.compute(sample(640.0, reference_text="one")).details["dropped_seconds"] == 10.0


def test_a_prompt_is_the_reference_only_where_the_sample_says_so():
    metric = metric_that_hears("hello")
    silent = metric.compute(sample(text_prompt="hello"))
    assert silent.status == "skipped"
    assert "no reference_text" in silent.reason
    told = sample(text_prompt="hello", auxiliary_info={"prompt_is_transcript": True})
    assert metric.compute(told).score == 0.0
    assert metric.compute({**told, "reference_text": "bye"}).score == 1.0


def test_characters_by_language_and_by_script():
    metric = metric_that_hears("今天 天汽 很好")
    named = metric.compute(sample(reference_text="今天天气很好。", language="Chinese"))
    assert (named.score, named.details["char_level"]) == (pytest.approx(1 / 6), True)
    assert metric.compute(sample(reference_text="今天天气很好。")).details["char_level"]
    assert not metric.compute(sample(reference_text="今天天气很好。", language="en")).details["char_level"]
    old = metric_that_hears("今天 天气 很好", compat="fastvideo")
    assert old.compute(sample(reference_text="今天天气很好", language="Chinese")).score == 3.0


def test_english_counts_in_the_spelling_with_fewer_errors():
    text = "It’s twenty-five years — “well known”."
    numbers = metric_that_hears("It is 25 years, well known.")
    told = numbers.compute(sample(reference_text=text, language="en"))
    assert (told.score, told.details["reference_text"]) == (0.0, "it is 25 years well known")
    assert numbers.compute(sample(reference_text=text)).score == 3 / 6
    plain = metric_that_hears("its twenty five years well known").compute(sample(reference_text=text, language="en"))
    assert (plain.score, plain.details["reference_text"]) == (0.0, "its twenty five years well known")
    old = metric_that_hears("Its twenty five years well known", compat="fastvideo")
    assert old.compute(sample(reference_text=text, language="en")).score == 5 / 5


@pytest.mark.parametrize("compat", ["fixed", "fastvideo"])
def test_a_hint_of_scripts_and_one_that_is_not_text(compat):
    metric = metric_that_hears("ab cd", compat=compat)
    assert metric.compute(sample(reference_text="abcd", language="cjk")).details["char_level"] is True
    assert metric.compute(sample(reference_text="abcd", language=3)).details["char_level"] is False
    assert metric.recogniser.asked == [(1.0, None), (1.0, None)]


def test_silence_is_an_empty_transcript():
    metric = metric_that_hears("thank you for watching")
    quiet = (np.zeros(RATE, np.float32), RATE)
    result = metric.compute({"audio": quiet, "reference_text": "two words"})
    assert (result.score, result.details["silent"], result.details["chunks"]) == (1.0, True, 0)
    assert result.details["deletions"] == 2
    assert metric.compute({"audio": quiet, "reference_text": "..."}).score == 0.0
    old = metric_that_hears("thank you for watching", compat="fastvideo")
    assert old.compute({"audio": quiet, "reference_text": "two words"}).score == 2.0


def test_a_silent_stretch_is_not_transcribed():
    metric = metric_that_hears("one")
    sound = np.concatenate([tone(28.0, RATE, 1), np.zeros(60 * RATE, np.float32)])
    result = metric.compute({"audio": (sound, RATE), "reference_text": "one"})
    assert result.score == 0.0
    assert (result.details["chunks"], result.details["dropped_seconds"], result.details["silent"]) == (1, 0.0, False)


def test_a_reference_without_words_counts_insertions():
    assert metric_that_hears("three extra words").compute(sample(reference_text="")).score == 3.0


def test_a_clip_without_sound_is_skipped(whisper, tmp_path):
    mute = write_video(tmp_path / "mute.mp4", gray_ramp(4))
    result = get_metric("audio.wer").compute({"audio": str(mute), "reference_text": "a"})
    assert result.status == "skipped"
    assert "no audio stream" in result.reason


def test_the_corpus_score_is_errors_over_words():
    metric = metric_that_hears("a")
    results = {
        "long": metric.compute(sample(reference_text="a b c d e f g h i j")),
        "short": metric.compute(sample(reference_text="b")),
        "skipped": MetricResult.skipped("audio.wer", "no sound"),
    }
    assert [results[name].score for name in ("long", "short")] == [0.9, 1.0]
    assert metric.corpus_score(results) == pytest.approx(10 / 11)
    assert metric.corpus_score({"skipped": results["skipped"]}) is None


def test_the_engine_runs_whisper_on_the_sound_of_a_video(whisper, tmp_path):
    shared.clear()
    video = str(write_video(tmp_path / "clip.mp4", gray_ramp(4), tone=tone(1.0, 24000, 1)))
    metric = get_metric("audio.wer", max_new_tokens=8)
    scorer = EvalWorker(FileStore(tmp_path / "store"))
    values = {"video": video, "reference_text": "hello world", "language": "en"}
    result = scorer.fill(values, [metric])[0].result
    assert result.status == "scored"
    assert len(result.details["transcription"]) == 8
    assert scorer.fill(values, [metric])[0].result == result
    assert scorer.counts.reused == 1
    other = scorer.fill({**values, "reference_text": "something else"}, [metric])[0].result
    assert other.details["reference_text"] == "something else"


def test_whisper_hears_every_chunk(whisper):
    metric = get_metric("audio.wer", max_new_tokens=4)
    result = metric.compute(sample(64.0, reference_text="a", language="zh"))
    assert result.details["chunks"] == 3
    assert result.details["truncated_chunks"] == 3
    assert len(result.details["transcription"].replace(" ", "")) >= 12


def test_missing_files_are_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.delenv("VIDMETRICS_WHISPER", raising=False)
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        UnavailableError, match=r"openai/whisper-base.*vidmetrics fetch audio\.wer, or set \$VIDMETRICS_WHISPER"
    ):
        get_metric("audio.wer").setup()
    names = [one.name for one in get_metric("audio.wer", backend="sensevoice", trust_model_folder=True).weights_files()]
    assert names == ["SenseVoiceSmall", "fsmn-vad"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backend": "ear"}, "backend must be one of"),
        ({"compat": "old"}, "compat must be one of"),
        ({"max_new_tokens": 0}, "at least 1"),
    ],
)
def test_wrong_arguments(params, message):
    with pytest.raises(ValueError, match=message):
        get_metric("audio.wer", **params)


def test_the_protocol_is_part_of_the_identity():
    params = get_metric("audio.wer").identity()["params"]
    assert params == {"backend": "whisper", "model": None, "compat": "fixed", "max_new_tokens": 256}


def test_code_of_a_model_folder_is_run_only_where_it_is_trusted():
    with pytest.raises(
        ValueError, match=r"what the config\.yaml of the model's folder names.*trust_model_folder = true"
    ):
        get_metric("audio.wer", backend="sensevoice")
    trusted = get_metric("audio.wer", backend="sensevoice", trust_model_folder=True)
    assert "trust_model_folder" not in trusted.params()
    assert get_metric("audio.wer", backend="glm_asr").weights_files()[0].revision
    assert all(one.revision for one in trusted.weights_files())
