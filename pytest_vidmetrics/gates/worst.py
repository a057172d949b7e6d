"""The clips behind a worse score, worst first: what a reader looks at."""

from __future__ import annotations

import heapq
import sys

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.verdict import ClipChange
from pytest_vidmetrics.gates.baseline import Baseline

_MOST = 20


def worst_clips(observed: CorpusScore, baseline: Baseline) -> tuple[ClipChange, ...]:
    """Return the clips that got worse, worst first: by score, or by influence for a set metric."""
    sign = 1.0 if observed.higher_is_better else -1.0
    changes = (
        ClipChange(id, observed.paths.get(id, ""), was, now, _bounded(sign * (was - now)))
        for id, now in observed.samples.items()
        if (was := baseline.samples.get(id)) is not None and sign * (was - now) > 0
    )
    # Of a million clips only the worst are sorted; equal ones in the order of their ids.
    return tuple(heapq.nsmallest(_MOST, changes, key=lambda change: (-change.harm, change.id)))


def _bounded(harm: float) -> float:
    """Return a difference as a number: that of 1e308 and -1e308 has none."""
    return max(-sys.float_info.max, min(sys.float_info.max, harm))
