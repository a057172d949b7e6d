"""The choice of tokens: penalties and limits against transformers, draws that depend on their name only."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from pytest_vidmetrics.networks.qwen.decode import Answer, Decoding, decode

STOP = 9


class Script:
    """Logits that are given step by step, whatever the tokens."""

    def __init__(self, *steps: Sequence[float]) -> None:
        self._steps = list(steps)
        self.given: list[list[int]] = []

    def __call__(self, ids: Sequence[int]) -> torch.Tensor:
        self.given.append(list(ids))
        return torch.tensor(self._steps[min(len(self.given), len(self._steps)) - 1])


def _logits(seed: int, size: int = 50) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 3


def _answer(how: Decoding, *steps: Sequence[float], watched: Sequence[int] = ()) -> Answer:
    return decode((1, 2, 3), Script(*steps), {STOP}, how, watched)


def test_the_likeliest_token_is_taken_until_a_stop() -> None:
    one = [0.0] * 10
    script = Script([*one[:4], 5.0, *one[5:]], [*one[:6], 2.0, *one[7:]], [*one[:9], 3.0])
    answer = decode((1, 2, 3), script, {STOP}, Decoding(20))
    assert answer.ids == (4, 6)
    assert answer.ended
    assert answer.gap == 2.0
    assert script.given == [[1, 2, 3], [4], [6]]


def test_the_limit_is_no_end() -> None:
    answer = _answer(Decoding(3), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert answer.ids == (1, 1, 1)
    assert not answer.ended


def test_of_equal_tokens_the_smallest_is_taken() -> None:
    assert _answer(Decoding(1), [0.0, 0.0, 7.0, 1.0, 7.0, 7.0]).ids == (2,)
    assert _answer(Decoding(1), [0.0, 0.0, 7.0, 1.0, 7.0, 7.0]).gap == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_penalty_temperature_and_limits_are_those_of_transformers(seed: int) -> None:
    from transformers.generation.logits_process import (
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    logits, watched = _logits(seed), list(range(50))
    how = Decoding(1, penalty=1.3, temperature=0.7, top_k=12, top_p=0.8, seed="x")
    step = _answer(how, logits.tolist(), watched=watched).steps
    given = torch.tensor([[1, 2, 3]])
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(given, logits[None].clone())
    for warp in (TemperatureLogitsWarper(0.7), TopKLogitsWarper(12), TopPLogitsWarper(0.8)):
        theirs = warp(given, theirs)
    assert step[0].scores == pytest.approx(theirs[0].tolist(), abs=1e-6)
    assert step[0].logits == pytest.approx(logits.tolist())
    assert step[0].scores_sum == pytest.approx(float(theirs[0].logsumexp(-1)), abs=1e-5)


def test_draws_follow_the_probabilities_and_depend_on_their_name_only() -> None:
    logits = [0.0, math.log(3.0), -math.inf, 0.0, 0.0]
    drawn = [_answer(Decoding(1, temperature=1.0, seed=f"clip/{i}"), logits).ids[0] for i in range(600)]
    again = [_answer(Decoding(1, temperature=1.0, seed=f"clip/{i}"), logits).ids[0] for i in range(20)]
    assert drawn[:20] == again
    assert 2 not in drawn
    # Three in six; the standard error of 600 draws is 0.02.
    assert drawn.count(1) / 600 == pytest.approx(0.5, abs=0.08)


def test_tokens_of_one_answer_are_drawn_apart() -> None:
    answer = _answer(Decoding(40, temperature=1.0, seed="a"), [0.0] * 8)
    assert len(set(answer.ids)) > 4


def test_only_watched_logits_are_kept() -> None:
    answer = _answer(Decoding(4), _logits(1, 1000).tolist(), watched=(5, 7))
    assert len(answer.steps) == 4
    assert all(len(step.logits) == len(step.scores) == 2 for step in answer.steps)
    assert not _answer(Decoding(4), _logits(1, 1000).tolist()).steps


def test_logits_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(FloatingPointError, match="not numbers"):
        _answer(Decoding(4), [0.0, math.nan, 1.0, 2.0])
