"""Beam search as transformers 4.33 did it: three beams, and lengths that count the prompt.

Later releases divide a sum by the number of generated tokens only, which may choose another caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

BEAMS = 3
LONGEST = 30
SHORTEST = 10
_UNUSED = -1e9
"""What the second and third beam start from, so that the first token comes from the first."""


class NextToken(Protocol):
    """A model of the next token of several items at once; one row per sequence that is continued."""

    def start(self, prompt: Sequence[int]) -> torch.Tensor:
        """Return the ``(items, vocabulary)`` logits behind the prompt, one row per item."""

    def step(self, items: Sequence[int], parents: Sequence[int], tokens: Sequence[int]) -> torch.Tensor:
        """Return the ``(len(tokens), vocabulary)`` logits behind one more token per row.

        ``items`` are the numbers of the present items that go on, in order, with :data:`BEAMS` rows each; row ``i``
        continues the present row ``parents[i]`` with ``tokens[i]``.
        """


@dataclass(frozen=True)
class Found:
    """The best sequence: its ids, with the prompt and with the end where it ended, and its score.

    The score is the sum of log-probabilities (that of the end included) divided by the length without the end.
    """

    ids: tuple[int, ...]
    score: float


@dataclass
class _Item:
    """One item's open beams and finished sequences."""

    number: int
    beams: list[tuple[int, ...]]
    sums: list[float]
    finished: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)
    done: bool = False

    def finish(self, ids: tuple[int, ...], total: float) -> None:
        """Offer a finished sequence: the :data:`BEAMS` best stay, worst first; of equals the newest is the best."""
        # The prompt counts, the end does not: as in transformers 4.33.
        score = total / len(ids)
        if len(self.finished) == BEAMS:
            if score <= self.finished[0][0]:
                return
            del self.finished[0]
        self.finished.append((score, ids))
        self.finished.sort(key=lambda pair: pair[0])

    def advance(self, choices: Sequence[tuple[float, int, int]], end: int) -> tuple[list[int], list[int]]:
        """Take the ``2 * BEAMS`` best continuations (sum, beam, token), best first.

        Returns the beams that are continued and their tokens.
        """
        length = len(self.beams[0])
        beams, sums, parents, tokens = [], [], [], []
        for rank, (total, beam, token) in enumerate(choices):
            if token == end:
                # Only among the best three: a worse end would not have been a beam.
                if rank < BEAMS:
                    self.finish(self.beams[beam], total)
                continue
            beams.append((*self.beams[beam], token))
            sums.append(total)
            parents.append(beam)
            tokens.append(token)
            if len(beams) == BEAMS:
                break
        self.beams, self.sums = beams, sums
        best = max(total for total, _, _ in choices)
        # No open beam can become better than the worst that is finished.
        self.done = len(self.finished) == BEAMS and self.finished[0][0] >= best / (length + 1)
        return parents, tokens

    def best(self, end: int) -> Found:
        """Return the best sequence; what is still open counts as it is."""
        if not self.done:
            for ids, total in zip(self.beams, self.sums, strict=True):
                self.finish(ids, total)
        score, ids = self.finished[-1]
        return Found(ids + ((end,) if len(ids) < LONGEST else ()), score)


def search(model: NextToken, prompt: Sequence[int], end: int) -> list[Found]:
    """Return the best continuation of ``prompt`` for every item of ``model``, in order.

    Items do not influence each other. One read of device values per token, for all items together.
    """
    logits = model.start(prompt)
    items = [_Item(i, [tuple(prompt)] * BEAMS, [0.0] + [_UNUSED] * (BEAMS - 1)) for i in range(len(logits))]
    live = items
    # The three beams are still the same sequence, so one row stands for them.
    # One row for three equal beams.
    width = 1
    for length in range(len(prompt), LONGEST):
        choices = _choices(logits, [item.sums[:width] for item in live], end, allow_end=length >= SHORTEST)
        offsets = range(0, len(live) * width, width)
        moves = [item.advance(found, end) for item, found in zip(live, choices, strict=True)]
        kept = [i for i, item in enumerate(live) if not item.done]
        if not kept or length + 1 == LONGEST:
            break
        parents = [offsets[i] + beam for i in kept for beam in moves[i][0]]
        tokens = [token for i in kept for token in moves[i][1]]
        logits = model.step(kept, parents, tokens)
        # From the second token on every item has a row for each beam.
        live, width = [live[i] for i in kept], BEAMS
    return [item.best(end) for item in items]


def _choices(
    logits: torch.Tensor, sums: Sequence[Sequence[float]], end: int, *, allow_end: bool
) -> list[list[tuple[float, int, int]]]:
    """Return the ``2 * BEAMS`` best (sum, beam, token) of every item, best first."""
    scores = logits.float().log_softmax(-1)
    if not allow_end:
        scores[:, end] = -torch.inf
    vocabulary = scores.shape[1]
    # (items, beams, vocabulary) plus (items, beams, 1)
    totals = scores.view(len(sums), -1, vocabulary) + scores.new_tensor(sums).unsqueeze(-1)
    # Six, as three of them may be ends.
    values, places = totals.flatten(1).topk(2 * BEAMS)
    # In float64 a token's number is exact, so that both travel in one read.
    both = torch.stack([values.double(), places.double()]).tolist()
    return [
        [(total, int(place) // vocabulary, int(place) % vocabulary) for total, place in zip(*row, strict=True)]
        for row in zip(*both, strict=True)
    ]
