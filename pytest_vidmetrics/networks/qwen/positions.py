"""Where each token of a prompt stands: in time, in height and in width."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pytest_vidmetrics.networks.qwen.pixels import MERGE, Seen


@dataclass(frozen=True)
class Positions:
    """Positions of a prompt: ``prompt`` is ``(3, 1, N)`` int64 (time, height, width); the answer starts at ``next``."""

    prompt: torch.Tensor
    next: int


def positions(ids: Sequence[int], seen: Sequence[Seen], placeholders: Sequence[int], per_second: int) -> Positions:
    """Return the positions of ``ids``, whose runs of ``placeholders`` stand for ``seen``, in order.

    Text counts up by one in all three axes. A clip starts where the text before it ended; a step of its time moves by
    ``per_second`` times the seconds that the step stands for, cut to an integer. The text after it goes on behind the
    largest position, as in the releases of transformers that the published judges were made with (4.53); releases 5
    go on behind the height or width only, which is the same for clips that are shorter than they are large.
    Raises ``ValueError`` when runs and ``seen`` do not fit.
    """
    shown = iter(seen)
    parts: list[torch.Tensor] = []
    start = 0
    # Consecutive placeholders of one kind are one clip; words between them separate two.
    for kind, group in itertools.groupby(ids, lambda id: id if id in placeholders else None):
        length = len(list(group))
        if kind is None:
            # The three axes of text are the same.
            part = torch.arange(length).expand(3, -1)
        else:
            one = next(shown, None)
            if one is None or one.tokens != length:
                raise ValueError(f"{length} placeholders for {one.tokens if one else 'no'} tokens of a clip")
            part = _grid(one, per_second)
        parts.append(part + start)
        start = int(parts[-1].max()) + 1
    if next(shown, None) is not None:
        raise ValueError("the prompt has fewer placeholders than clips")
    # (3, 1, N)
    return Positions(torch.cat(parts, dim=1)[:, None], start)


def _grid(seen: Seen, per_second: int) -> torch.Tensor:
    t, h, w = seen.grid[0], seen.grid[1] // MERGE, seen.grid[2] // MERGE
    interval = per_second * (1.0 if seen.seconds is None else seen.seconds)
    times = (torch.arange(t) * torch.tensor(interval, dtype=torch.float32)).long()
    axes = torch.meshgrid(times, torch.arange(h), torch.arange(w), indexing="ij")
    return torch.stack([axis.flatten() for axis in axes])
