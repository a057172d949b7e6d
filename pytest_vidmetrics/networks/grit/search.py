"""How GRiT picks the words of a text: the likeliest next one, never the same twice in a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

LENGTH = 40
"""Most ids of a text, the begin token among them."""
_NEVER = -10000.0

Step = Callable[[torch.Tensor, int], torch.Tensor]
"""``(rows,)`` ids at a position, counted from 0, to ``(rows, words)`` logits of the next one; called in order."""


@dataclass(frozen=True)
class Texts:
    """``ids`` is ``(rows, L)``, begin token first, rows that ended filled up with the end token.

    Where every row ended at once there is no begin token, as upstream: it is the end token that readers drop first.
    ``mean_logprob`` is ``(rows,)``: of the chosen ids up to the first end token.
    """

    ids: torch.Tensor
    mean_logprob: torch.Tensor


def search(step: Step, rows: int, begin: int, end: int, device: torch.device | str, beams: int = 1) -> Texts:
    """Return the text of each row. With several ``beams`` that of the likeliest sum among as many first words.

    A beam always goes on with its single best word, so that beams never mix and each is searched by itself.
    """
    if beams < 1:
        raise ValueError(f"beams must be at least 1, got {beams}")
    start = torch.full((rows,), begin, dtype=torch.long, device=device)
    first = step(start, 0).log_softmax(dim=-1)
    values, words = first.max(dim=-1, keepdim=True) if beams == 1 else first.topk(beams, dim=-1)
    found = [_follow(step, start, words[:, i], values[:, i], end) for i in range(beams)]
    if beams == 1:
        ids, total = found[0]
        if bool((ids[:, 1] == end).all()):
            return Texts(ids[:, 1:], total)
    else:
        length = max(ids.shape[1] for ids, _ in found)
        # Shorter ones end in end tokens, which cost nothing.
        every = torch.stack([F.pad(ids, (0, length - ids.shape[1]), value=end) for ids, _ in found])
        total, best = torch.stack([total for _, total in found]).max(dim=0)
        ids = every[best, torch.arange(rows, device=device)]
    chosen = 1 + (ids[:, 1:] != end).sum(dim=1).clamp(max=ids.shape[1] - 2)
    return Texts(ids, total / chosen)


def _follow(
    step: Step, start: torch.Tensor, word: torch.Tensor, total: torch.Tensor, end: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``(rows, L)`` ids and ``(rows,)`` sums of log-probabilities of the texts that go on with ``word``."""
    ids, ended = [start, word], word == end
    # The begin token and the first word are there.
    for position in range(1, LENGTH - 1):
        if bool(ended.all()):
            break
        logits = step(word, position).scatter(1, word[:, None], _NEVER)
        value, likeliest = logits.max(dim=-1)
        # What has ended stays ended; its sum is not touched.
        word = torch.where(ended, end, likeliest)
        total = total + torch.where(ended, 0.0, value - logits.logsumexp(dim=-1))
        ids.append(word)
        ended = ended | (word == end)
    return torch.stack(ids, dim=1), total
