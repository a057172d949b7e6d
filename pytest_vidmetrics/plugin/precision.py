"""Which precision results have that were or will be computed: that of a device, asked without torch where it can be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.plugin.gpus import PINNED, device_of, visible_devices
from pytest_vidmetrics.plugin.settings import Settings

T = TypeVar("T")


def likely_device(settings: Settings) -> str:
    """Return :func:`device_of`, without torch where the driver knows: a run that only reads the store does not load it.

    Where the driver is wrong (a GPU that is not NVIDIA's) a metric refuses to be set up, and says what to do.
    """
    if settings.device == "auto" and "torch" not in sys.modules:
        if os.environ.get(PINNED):
            return "cuda:0"
        if not visible_devices(os.environ):
            return "cpu"
    return device_of(settings)


def devices_behind(
    settings: Settings, metrics: Callable[[], Iterable[object]], recorded: Callable[[], CorpusScore | None]
) -> list[str]:
    """Return the devices on which a gate's results may have been computed, the likeliest first; ``""`` for this one's.

    Only a process that judges what others computed has more than one, and only where the precision is part of the
    identity of the gate's ``metrics`` and neither it nor the device was named. The first is then the baseline's.
    """
    if not settings.judge or settings.device != "auto" or settings.precision == "fp32":
        return [""]
    if settings.precision == "tf32":
        return ["cuda:0"]
    if not any(isinstance(one, BaseMetric) and one.is_moved_by_tf32() for one in metrics()):
        return [""]
    baseline = recorded()
    return ["cuda:0", "cpu"] if baseline is not None and _in_tf32(baseline) else ["cpu", "cuda:0"]


def _in_tf32(scores: CorpusScore) -> bool:
    """Whether the precision of a GPU is part of what a score, or a part of it, is."""
    return any(one.get("precision") == "tf32" for one in (scores.metric, *scores.metric.get("parts", {}).values()))


def until_complete(
    devices: Sequence[str], score: Callable[[str], T], problems: Callable[[T], int]
) -> list[tuple[str, T]]:
    """Return what the store holds of each device, up to the first of which nothing is missing."""
    found: list[tuple[str, T]] = []
    for device in devices:
        found.append((device, score(device)))
        if not problems(found[-1][1]):
            break
    return found


def _problems(score: CorpusScore) -> int:
    return len(score.problems)


def most_complete(devices: Sequence[str], score: Callable[[str], CorpusScore]) -> CorpusScore:
    """Return the score on the first device for which the store holds all results, else on that with the most."""
    found = [one for _, one in until_complete(devices, score, _problems)]
    best = min(found, key=_problems)
    if not best.problems or len([one for one in found if one.n]) < 2:
        return best
    parts = " and ".join(f"{one.n} in {'tf32' if _in_tf32(one) else 'fp32'}" for one in found)
    text = f"the store holds {parts}; a gate's clips are scored in one: --vidmetrics-precision=fp32 on every machine"
    return replace(best, problems=(*best.problems, Problem("corpus", "failed", text)))
