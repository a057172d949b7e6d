"""From a prompt to an answer: one token at a time, batch 1, the same tokens on every run of one machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch

Scores = Callable[[Sequence[int]], torch.Tensor]
"""Called with the tokens since the last call (the prompt at first); returns the ``(V,)`` logits of the next token."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen.

    ``temperature=None`` takes the likeliest token, the one of the smallest id where several are equal (in bfloat16
    that happens). Otherwise tokens are drawn: ``seed`` names the draws, which depend on nothing else but the logits.
    ``penalty`` divides (below 0: multiplies) the logits of tokens that the prompt or the answer already has. Both
    ``top_k`` (0: no limit) and ``top_p`` (1: no limit) leave tokens out when drawing.
    """

    most: int
    penalty: float = 1.0
    temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    seed: str = ""


@dataclass(frozen=True)
class Step:
    """What is kept of one step about the watched tokens: logits, and the log of the sum of all exponentials.

    ``logits`` are the network's, ``scores`` the same after penalty, temperature and limits (minus infinity: left
    out).
    """

    logits: tuple[float, ...]
    logits_sum: float
    scores: tuple[float, ...]
    scores_sum: float


@dataclass(frozen=True)
class Answer:
    """The tokens of an answer, without the one that ended it. ``ended``: there was one before the limit.

    ``steps[i]`` belongs to ``ids[i]``. ``gap`` is the smallest distance between the two best scores of a step: how
    little would have changed the answer.
    """

    ids: tuple[int, ...]
    ended: bool
    steps: tuple[Step, ...]
    gap: float


def decode(
    prompt: Sequence[int], scores_of: Scores, stops: Collection[int], how: Decoding, watched: Sequence[int] = ()
) -> Answer:
    """Return the answer to a prompt.

    Of each step only the watched logits, one sum and the chosen token are kept: all logits of 1,024 steps would take
    623 MB. Raises ``FloatingPointError`` when the network gives logits that are not numbers.
    """
    given: Sequence[int] = prompt
    ids: list[int] = []
    kept: list[torch.Tensor] = []
    gap = math.inf
    known: torch.Tensor | None = None
    places: torch.Tensor | None = None
    while len(ids) < how.most:
        logits = scores_of(given).float()
        if how.temperature is not None:
            logits = logits.cpu()  # sums along 152,064 logits differ between runs on some devices
        if known is None:
            # (V,) flags, made once: which tokens the penalty applies to
            known = torch.zeros_like(logits, dtype=torch.bool)
        known[torch.as_tensor(given, device=known.device)] = True
        scores = _penalised(logits, known, how.penalty)
        if how.temperature is not None:
            scores = _limited(scores / how.temperature, how.top_k, how.top_p)
        best, second, first = _two_best(scores)
        # A logit that is not a number sorts first, so that the best one tells.
        if math.isnan(best):
            raise FloatingPointError("the network gave logits that are not numbers")
        gap = min(gap, best - second)
        chosen = first if how.temperature is None else _drawn(scores, f"{how.seed}/{len(ids)}")
        if chosen in stops:
            return Answer(tuple(ids), True, _steps(kept, len(watched)), gap)
        if watched:
            # Copied to the device once.
            places = torch.tensor(list(watched), device=logits.device) if places is None else places
            kept.append(_watch(logits, scores, places))
        ids.append(chosen)
        given = (chosen,)
    return Answer(tuple(ids), False, _steps(kept, len(watched)), gap)


def _penalised(logits: torch.Tensor, known: torch.Tensor, penalty: float) -> torch.Tensor:
    if penalty == 1.0:
        return logits
    return torch.where(known, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def _limited(scores: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """Leave out all but the likeliest ``top_k`` (equal ones stay), then all beyond the mass ``top_p``."""
    if top_k:
        least = scores.topk(min(top_k, len(scores))).values[-1]
        scores = scores.masked_fill(scores < least, -math.inf)
    if top_p < 1.0:
        ascending, order = scores.sort()
        # Ascending: what is beyond the mass is at the front.
        beyond = ascending.softmax(-1).cumsum(-1) <= 1.0 - top_p
        # One token is always left.
        beyond[-1] = False
        scores = scores.masked_fill(torch.zeros_like(beyond).scatter(0, order, beyond), -math.inf)
    return scores


def _two_best(scores: torch.Tensor) -> tuple[float, float, int]:
    """Return the two best scores and the smallest token that has the best one, in one read of the device."""
    values = scores.topk(2).values
    tokens = torch.arange(len(scores), device=scores.device)
    # The smallest of equal ids: `argmax` promises none of them.
    first = tokens.where(scores == values[0], len(scores)).min()
    best, second, token = torch.cat([values.double(), first.double()[None]]).tolist()
    return best, second, int(token)


def _drawn(scores: torch.Tensor, name: str) -> int:
    """Return a token drawn by its probability, in float64."""
    # 56 bits: as many as a float64 holds exactly.
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big") / 2**56
    # Accumulated in float64: 152,064 small probabilities would not add up to 1 otherwise.
    mass = scores.double().softmax(-1).cumsum(-1)
    return min(int(torch.searchsorted(mass, share * mass[-1], right=True)), len(mass) - 1)


def _watch(logits: torch.Tensor, scores: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return watched values and sums of a step as one small vector, which stays on the device until the end."""
    rows = [torch.cat([values[places], values.logsumexp(-1, keepdim=True)]) for values in (logits, scores)]
    return torch.stack(rows)


def _steps(kept: list[torch.Tensor], count: int) -> tuple[Step, ...]:
    if not kept:
        return ()
    return tuple(
        Step(tuple(logits[:count]), logits[count], tuple(scores[:count]), scores[count])
        for logits, scores in torch.stack(kept).tolist()
    )
