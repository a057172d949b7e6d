"""Answers of VideoScore2: what the two projects read in the recorded ones, and what the metric reads."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.metrics.videoscore2 import reading
from pytest_vidmetrics.metrics.videoscore2.prompt import question, question_digest
from pytest_vidmetrics.metrics.videoscore2.reading import Read, read
from pytest_vidmetrics.metrics.videoscore2.soft import Digits
from tests.support.qwen import recorded

CASES = {case["name"]: case for case in recorded("videoscore2_parse")["expected"]["cases"]}
PIECES = recorded("videoscore2_pieces")["pieces"]
FAULTS = {
    "decimals": "unparsed",
    "out_of_range": "out_of_range",
    "two_digits": "out_of_range",
    "negative": "out_of_range",
    "zero": "out_of_range",
    **dict.fromkeys(
        (
            *("missing_third", "missing_second", "missing_first", "reversed", "empty", "only_think"),
            *(
                "truncated_in_label",
                "words",
                "fullwidth_digits",
                "arabic_indic_digits",
                "cjk_labels",
                "short_label",
                "json",
            ),
        ),
        "unparsed",
    ),
}
"""What the metric makes of the recorded answers that it does not read; all others it reads."""


def pieces_of(name: str) -> list[bytes]:
    return [piece.encode("latin-1") for piece in PIECES[name]]


def cut(text: str) -> list[bytes]:
    """Return a text as tokens of one character each."""
    return [letter.encode() for letter in text]


@pytest.mark.parametrize("name", CASES)
def test_both_projects_read_what_was_recorded(name: str) -> None:
    case, pieces = CASES[name], pieces_of(name)
    assert b"".join(pieces).decode() == case["text"]
    for rules, project in ((reading.upstream, "upstream"), (reading.fastvideo, "fastvideo")):
        found = rules(pieces)
        assert (None if found.scores is None else list(found.scores)) == case[project]["hard"]
        assert list(found.tokens) == case[project]["token_index"]


@pytest.mark.parametrize("name", CASES)
def test_the_metric_reads_three_digits_and_their_own_tokens_or_says_why_not(name: str) -> None:
    pieces = pieces_of(name)
    found = read(pieces)
    if name in FAULTS:
        assert found == FAULTS[name]
        return
    assert isinstance(found, Read)
    assert [pieces[token].decode() for token in found.tokens] == [str(score) for score in found.scores]


def test_scores_in_the_thinking_are_not_the_answer() -> None:
    for name in ("scores_in_think", "all_three_in_think", "label_then_prose_digit", "label_in_think_no_digit"):
        found = read(pieces_of(name))
        assert isinstance(found, Read)
        assert found.scores == (4, 3, 5)
    unclosed = (
        "<think>\n(1) visual quality: 4\n(2) text-to-video alignment: 3\n(3) physical/common-sense consistency: 5"
    )
    assert read(cut(unclosed)) == "unparsed"
    assert read(cut(f"{unclosed}\n</think> I cannot say.")) == "unparsed"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("4", 4),
        ("**4**", 4),
        ("<4>;", 4),
        ("4/5", 4),
        ("4 out of 5", 4),
        ("4 - sharp in all 16 frames", 4),
        ("3-4", "unparsed"),
        ("3 – 4", "unparsed"),
        ("4/10", "unparsed"),
        ("3.5", "unparsed"),
        ("four", "unparsed"),
        ("40", "out_of_range"),
    ],
)
def test_forms_of_a_number(given: str, found: int | str) -> None:
    lines = (f"visual quality: {given}", "text-to-video alignment: 3,", "physical/common-sense consistency: 5")
    answer = read(cut("\n".join(lines)))
    assert (answer.scores[0] if isinstance(answer, Read) else answer) == found


def test_an_answer_without_an_end_is_truncated_whatever_it_says() -> None:
    assert read(pieces_of("plain_list"), ended=False) == "truncated"


def test_a_number_whose_token_holds_more_than_the_digit_is_not_read() -> None:
    pieces = pieces_of("plain_list")
    at = pieces.index(b"4")
    glued = [*pieces[: at - 1], pieces[at - 1] + b"4", *pieces[at + 1 :]]
    assert read(glued) == "unparsed"


def test_bytes_that_are_no_text_do_not_move_the_tokens() -> None:
    found = read([b"\xff\xfe\x80 ", "🐱".encode()[:2], *pieces_of("plain_list")])
    assert isinstance(found, Read)
    assert found.tokens == (9, 20, 32)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scores=st.tuples(*[st.integers(-3, 30)] * 3), thoughts=st.text(max_size=80), tail=st.text(max_size=40))
def test_whatever_stands_around_it_only_1_to_5_are_scores(
    scores: tuple[int, int, int], thoughts: str, tail: str
) -> None:
    lines = "\n".join(f"({i}) {label}: {s}" for i, (label, s) in enumerate(zip(reading.LABELS, scores, strict=True), 1))
    found = read(cut(f"<think>{thoughts}</think>\n{lines}\n{tail}"))
    if "think>" in (thoughts + tail).lower():
        return
    if all(1 <= score <= 5 for score in scores):
        assert isinstance(found, Read)
        assert found.scores == scores
    else:
        assert found == "out_of_range"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=6), max_size=60))
def test_no_answer_raises(pieces: list[bytes]) -> None:
    for rules in (reading.read, reading.upstream, reading.fastvideo):
        rules(pieces)


@pytest.mark.parametrize("case", recorded("videoscore2_softscore")["expected"]["cases"], ids=lambda case: case["name"])
def test_soft_scores_and_expectations_are_the_recorded_ones(case: dict[str, Any]) -> None:
    logits = [-math.inf if value == "-inf" else value for value in case["digit_logits_1_to_5"]]
    others = case["other_logits_logsumexp"]
    top = max(*logits, others)
    log_sum = top + math.log(math.fsum(math.exp(value - top) for value in (*logits, others)))
    digits = Digits.of(logits, log_sum)
    if case["hard"] is not None:  # upstream asks for no soft score without a digit
        assert digits.soft == pytest.approx(case["upstream_normed"], abs=1e-4)
    assert digits.mass == pytest.approx(case["digit_mass"], abs=1e-6)
    assert digits.best == case["argmax"]
    assert digits.expectation == (case["expectation"] and pytest.approx(case["expectation"], abs=1e-6))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(-12, 12), min_size=5, max_size=5), st.floats(0.01, 3))
def test_the_expectation_rises_with_a_better_digit_and_the_soft_score_need_not(
    logits: list[float], more: float
) -> None:
    def of(values: list[float]) -> float:
        found = Digits.of(values, math.log(math.fsum(map(math.exp, values)))).expectation
        assert found is not None
        return found

    better = [*logits]
    better[4] += more
    assert of(better) >= of(logits)
    worse = [*logits]
    worse[0] += more
    assert of(worse) <= of(logits)
    even = Digits((0.0, 0.0, 0.0, 0.5, 0.5))
    assert even.soft == 2.0
    assert even.expectation == 4.5


@pytest.mark.parametrize(
    "case", recorded("videoscore2_prompt")["expected"]["cases"], ids=lambda case: case["t2v_prompt"][:12]
)
def test_the_question_is_that_of_both_projects_byte_for_byte(case: dict[str, Any]) -> None:
    for project in ("upstream", "fastvideo"):
        asked = question(case["t2v_prompt"], fastvideo=project == "fastvideo")
        assert hashlib.sha256(asked.encode()).hexdigest() == case[project]["query_sha256"]


def test_the_digest_tells_the_two_questions_apart() -> None:
    assert question_digest() != question_digest(fastvideo=True)
    assert question("{prompt} $t2v_prompt {blank}").count("{prompt} $t2v_prompt {blank}") == 1
    assert json.dumps(question("x")).endswith('\\n    "')
