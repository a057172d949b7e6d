"""videoscore2 on tiny checkpoints: recorded values end to end, and a judge that answers in the asked form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.videoscore2.prompt import question
from pytest_vidmetrics.metrics.videoscore2.reading import DIGITS, DIMENSIONS, Read, read, upstream
from pytest_vidmetrics.metrics.videoscore2.soft import Digits
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.qwen import chat, frames, pixels
from pytest_vidmetrics.networks.qwen.asking import Asker, Choice, Clip, Question, Said
from pytest_vidmetrics.networks.qwen.checkpoint import Qwen
from pytest_vidmetrics.networks.qwen.decode import Decoding, Step
from tests.support.qwen import frames_of, recorded, tiny_vl
from tests.support.qwen_actor import ENDLESS, UNREADABLE, judge, write_actor

TINY = recorded("videoscore2_tiny")


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_actor(tmp_path_factory.mktemp("judge") / "videoscore2", "vl", judge())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vl(tmp_path_factory.mktemp("judge") / "tiny", TINY["checkpoint"]["keys"])


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    return FileStore(tmp_path_factory.mktemp("answers"))


@pytest.fixture(autouse=True)
def _kept(answers: FileStore) -> Iterator[None]:
    """Tests that ask the same question share the answer, as metrics of one run do."""
    with shared.sample_scope(answers):
        yield


def metric(folder: Path, name: str = "videoscore2", **params: Any) -> BaseMetric:
    return registry.get_metric(name, model_name=str(folder), dtype="float32", **{"max_tokens": 40, **params})


def sample(seed: int = 0, prompt: str = "a cat", count: int = 16, **others: Any) -> dict[str, Any]:
    clip = frames_of({"frames": count, "h": 112, "w": 168, "seed": seed})
    return {"video": clip, "fps": 8.0, "text_prompt": prompt, **others}


@pytest.mark.parametrize("case", TINY["expected"], ids=["112x168", "180x320"])
def test_forced_answers_have_the_recorded_digits(tiny: Path, case: dict[str, Any]) -> None:
    """The recorded answers are read token by token: the logits before each score, raw and penalised."""
    qwen = Qwen(tiny, "cpu", "float32", "eager")
    chosen = frames.path_rule(case["frames"], case["fps"])
    shown = Clip(frames_of(case)[list(chosen.indices)]).seen()
    prompt = qwen.prompt([shown, question(case["t2v_prompt"])])
    digits = [qwen.word(digit) for digit in DIGITS]
    for forced in case["forced"]:
        ids = qwen.encode(forced["completion"])
        pieces, wanted = qwen.pieces(ids), forced["upstream"]
        assert len(ids) == forced["n_tokens"]
        found = upstream(pieces)
        assert (None if found.scores is None else list(found.scores)) == wanted["hard"]
        assert list(found.tokens) == wanted["token_index"]
        for i, token in enumerate(wanted["token_index"]):
            if token < 0 or wanted["hard"] is None:
                continue
            before = chat.Prompt((*prompt.ids, *ids[:token]), prompt.seen)
            step = qwen.answer(before, Decoding(1, penalty=1.05), digits).steps[0]
            assert step.logits == pytest.approx(wanted["digit_logits_raw"][i], abs=1e-4)
            assert step.scores == pytest.approx(wanted["digit_logits_penalty_1.05"][i], abs=1e-4)
            raw = Digits.of(step.logits, step.logits_sum)
            assert raw.soft == pytest.approx(wanted["soft_raw"][i], abs=2e-4)
            assert raw.expectation == pytest.approx(wanted["expectation_raw"][i], abs=1e-4)
            penalised = Digits.of(step.scores, step.scores_sum)
            assert penalised.soft == pytest.approx(wanted["soft_penalty_1.05"][i], abs=2e-4)
            if i:
                continue
            warm = qwen.answer(before, Decoding(1, 1.05, temperature=0.7, seed="x"), digits).steps[0]
            assert Digits.of(warm.scores, warm.scores_sum).soft == pytest.approx(
                wanted["soft_penalty_1.05_temp_0.7"][i], abs=2e-4
            )


def test_a_score_is_the_mean_expectation_and_the_details_say_what_it_is_made_of(actor: Path) -> None:
    result = metric(actor).compute(sample())
    assert result.score is not None
    rows = [result.details[name] for name in DIMENSIONS]
    assert result.score == pytest.approx(math.fsum(row["expectation"] for row in rows) / 3, abs=1e-12)
    for row in rows:
        assert 1 <= row["hard"] <= 5
        assert abs(row["expectation"] - row["hard"]) < 1
        assert 0.5 < row["digit_mass"] <= 1
    assert result.details["upstream"]["hard"] == [row["hard"] for row in rows]
    assert result.details["upstream"]["soft"] == [row["soft"] for row in rows]
    assert result.details["chosen"] == {"frames": [0, 5, 10, 15], "fps": 2.0}
    assert result.details["shown"]["height"] == 280
    assert result.details["made"]["device"] == "cpu"
    assert "(1) visual quality: " in result.details["answer"]


def test_another_clip_has_another_score(actor: Path) -> None:
    assert metric(actor).compute(sample(0)).score != metric(actor).compute(sample(1)).score


def test_an_answer_that_cannot_be_read_is_no_number_and_its_text_is_escaped(actor: Path) -> None:
    result = metric(actor).compute(sample(prompt=f"a cat {UNREADABLE}"))
    assert result.score is None
    assert result.is_unanswered
    assert result.reason.startswith("unparsed: the answer does not have the three lines")
    assert "\\x1b[31m\\u202e" in result.reason
    assert result.reason.isprintable()
    endless = metric(actor).compute(sample(prompt=f"a cat {ENDLESS}"))
    assert endless.reason.startswith("truncated: the answer did not end within 40 tokens")
    assert endless.details["fault"] == "truncated"


def test_failures_are_counted_on_the_same_answers(actor: Path, tmp_path: Path) -> None:
    score, failures = metric(actor), metric(actor, "videoscore2.failures")
    before = shared.forwards["qwen answers"]
    samples = {str(i): sample(i, "a cat ~" if i == 2 else "a cat") for i in range(3)}
    results = {}
    for id, one in samples.items():
        with shared.sample_scope():
            assert score.compute(one).is_unanswered == (id == "2")
            results[id] = failures.compute(one)
    assert shared.forwards["qwen answers"] == before + 3
    assert [results[id].score for id in sorted(results)] == [0.0, 0.0, 1.0]
    assert failures.corpus_details(results) == {"faults": {"unparsed": 1}}
    assert failures.remarks(results) == ("answers without a score: 1 unparsed",)
    assert failures.counts_failures
    assert not failures.higher_is_better


def test_answers_are_kept_in_the_store(actor: Path, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    before = shared.forwards["qwen answers"]
    results = []
    for _ in range(2):
        with shared.sample_scope(store):
            results.append(metric(actor).compute(sample()))
    assert shared.forwards["qwen answers"] == before + 1
    assert results[0] == results[1]
    with shared.sample_scope(store):
        metric(actor).compute(sample(prompt="another cat"))
    assert shared.forwards["qwen answers"] == before + 2


def test_what_is_kept_comes_back_as_it_was() -> None:
    step = Step((0.5, -math.inf, 1.0, 2.0, 3.0), 4.0, (0.1, 0.2, -math.inf, 0.3, 0.4), 5.0)
    said = Said((b"\xf0\x9f", b"4"), True, {1: step}, None, {"device": "cpu"}, {"frames": 4}, {"top_k": 50.0})
    assert Said.from_json(said.to_json()) == said


def test_drawn_answers_are_averaged_within_the_clip_and_are_the_same_again(actor: Path) -> None:
    drawn = metric(actor, seeds=3, temperature=0.9)
    result = drawn.compute(sample())
    with shared.sample_scope():
        assert drawn.compute(sample()) == result
    scores = [one["score"] for one in result.details["replicates"] if "score" in one]
    assert len(result.details["replicates"]) == 3
    assert len(scores) >= 2
    assert result.score == pytest.approx(math.fsum(scores) / len(scores))
    mean = math.fsum(scores) / len(scores)
    spread = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
    assert result.details["within_clip_sd"] == pytest.approx(spread)
    assert drawn.corpus_details({"a": result, "b": result})["within_clip_sd"] == pytest.approx(spread)
    answers = {one["answer"] for one in result.details["replicates"]}
    assert len(answers) > 1


def test_seeds_and_protocol_are_part_of_the_identity(actor: Path) -> None:
    plain = metric(actor).identity()
    for params in (
        {"seeds": 3},
        {"compat": "fixed"},
        {"compat": "fastvideo"},
        {"attention": "eager"},
        {"infer_fps": 4.0},
    ):
        assert metric(actor, **params).identity() != plain
    assert metric(actor, max_missing=0.5).identity() == plain
    assert plain["protocol"]["question"] != metric(actor, compat="fastvideo").identity()["protocol"]["question"]


def test_conditions_name_each_kind_of_device_once(actor: Path) -> None:
    results = {
        id: MetricResult("videoscore2", 3.0, {"made": {"device": kind, "torch": "2.14.1"}})
        for id, kind in (("a", "NVIDIA H100"), ("b", "cpu"), ("c", "cpu"))
    }
    assert metric(actor).conditions(results) == {"device": ["NVIDIA H100", "cpu"], "torch": ["2.14.1"]}
    assert metric(actor).conditions({}) == {}


def test_fastvideo_sees_other_pixels_and_says_what_it_reads(actor: Path) -> None:
    result = metric(actor, compat="fastvideo").compute(sample())
    assert result.details["fastvideo"]["hard"] == [result.details[name]["hard"] for name in DIMENSIONS]
    wide = {**sample(), "video": frames_of({"frames": 33, "h": 180, "w": 320, "seed": 1}), "fps": 24.0}
    assert metric(actor, compat="fastvideo").compute(wide).details["shown"]["height"] == 224
    assert metric(actor).compute(wide).details["shown"]["height"] == 252


def test_the_true_rate_moves_the_times(actor: Path) -> None:
    asked = metric(actor, compat="fixed")
    chosen = asked._chosen(sample(count=9, fps=16.0))  # type: ignore[attr-defined]
    question_ = asked._question(sample(count=9, fps=16.0), chosen).parts[0]  # type: ignore[attr-defined]
    assert chosen.rate == pytest.approx(4 / 9 * 16)
    assert question_.seconds == pytest.approx(2 / chosen.rate)
    assert metric(actor)._question(sample(), chosen).parts[0].seconds == 1.0  # type: ignore[attr-defined]


def test_clips_that_cannot_be_asked_about(actor: Path) -> None:
    with pytest.raises(IncompatibleSampleError, match=r"1 frame\(s\)"):
        metric(actor).compute(sample(count=1))
    with pytest.raises(IncompatibleSampleError, match='give "fps" in the sample'):
        metric(actor).compute(sample(fps=None))
    with pytest.raises(IncompatibleSampleError, match="more than 200 times"):
        metric(actor).compute({**sample(), "video": torch.zeros(4, 3, 8, 1700, dtype=torch.uint8)})
    with pytest.raises(IncompatibleSampleError, match=r"holds <\|im_end\|>"):
        metric(actor).compute(sample(prompt="a cat<|im_end|>"))
    assert metric(actor, compat="fastvideo").compute(sample(fps=None)).score is not None


@pytest.mark.parametrize("count", [2, 3])
def test_two_and_three_frames_are_asked_about(actor: Path, count: int) -> None:
    result = metric(actor).compute(sample(count=count))
    assert result.score is not None
    assert result.details["shown"]["frames"] == 2


@pytest.mark.parametrize("prompt", ["🐱🎹 naïve café {prompt} $5", "一只猫在弹钢琴"])
def test_prompts_in_any_script(actor: Path, prompt: str) -> None:
    assert metric(actor).compute(sample(prompt=prompt)).score is not None


@pytest.mark.parametrize("prompt", ["", "   ", None])
def test_a_clip_without_a_prompt_is_skipped(actor: Path, prompt: str | None) -> None:
    for name in ("videoscore2", "videoscore2.failures"):
        result = metric(actor, name).compute({**sample(), "text_prompt": prompt})
        assert result.status == "skipped"


def test_thin_digits_and_other_likelier_digits_are_named(actor: Path) -> None:
    good = metric(actor).compute(sample())
    thin = {**good.details, "visual_quality": {**good.details["visual_quality"], "digit_mass": 0.5, "likeliest": 1}}
    results = {"a": good, "b": MetricResult("videoscore2", 3.0, thin)}
    remarks = metric(actor).remarks(results)
    assert remarks[0].startswith("1 of 2 clips: the digits 1 to 5 have less than 0.9")
    assert remarks[1].startswith("1 of 2 clips: another digit is likelier")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"compat": "vbench"}, "compat must be one of"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"attention": "flash"}, "attention must be one of"),
        ({"infer_fps": 0}, "infer_fps"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"seeds": -1}, "seeds"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"max_missing": 1.0}, "max_missing is a share"),
    ],
)
def test_parameters_that_make_no_sense(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registry.get_metric("videoscore2", **params)


def test_a_checkpoint_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDMETRICS_VIDEOSCORE2", str(tmp_path / "nothing"))
    with pytest.raises(UnavailableError, match="VideoScore2"):
        registry.get_metric("videoscore2").setup()


def test_the_network_is_loaded_for_the_first_answer_only(actor: Path) -> None:
    shared.clear()
    one, other = metric(actor), metric(actor, "videoscore2.failures")
    one.setup()
    other.setup()
    loads = sum(shared.loads.values())
    with shared.sample_scope():
        one.compute(sample(7))
        other.compute(sample(7))
    assert sum(shared.loads.values()) == loads + 1


def test_the_answer_of_an_asker_can_be_read(actor: Path) -> None:
    weights = registry.get_metric("videoscore2", model_name=str(actor)).weights_files()[0]
    clip = Clip(frames_of({"frames": 4, "h": 112, "w": 112, "seed": 0}))
    asked = Question((clip, question("a dog")))
    said = Asker(weights, "cpu", "float32", "sdpa", "videoscore2").ask(asked, Choice(40), DIGITS)
    found = read(said.pieces, ended=said.ended)
    assert isinstance(found, Read)
    assert set(found.tokens) <= set(said.steps)
    assert said.shown["tokens"] == pixels.clip(pixels.clip_frames(clip.frames), 1.0).tokens
