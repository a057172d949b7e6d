"""How a gate decides: its metric, its parameters and its policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pytest_vidmetrics.core.clips import KINDS
from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.core.wording import shown

Decide = Literal["point", "strict", "lenient", "sequential"]


@dataclass(frozen=True)
class Policy(Wire):
    """How one gate decides. ``margin = max(abs, rel*|baseline|, sigma*noise, the metric's noise floor)``.

    Without ``abs``, ``rel`` and measured noise it is what neutral changes need. ``sees`` is a harm that the gate has to
    be able to catch; ``reason`` says why it sees less than when its baseline was recorded. ``allow`` names in what
    clips may differ from their references and from those of the baseline, see :data:`.clips.KINDS`. ``max_n`` is the
    most samples that ``decide = "sequential"`` looks at. ``ratchet`` asks for offers of a tighter margin.
    """

    abs: float | None = None
    rel: float | None = None
    sigma: float = 3.0
    decide: Decide = "point"
    alpha: float = 0.05
    min_n: int | None = None
    max_n: int | None = None
    sees: float | None = None
    reason: str | None = None
    allow: tuple[str, ...] = ()
    ratchet: bool = False

    def __post_init__(self) -> None:
        """Raise ``ValueError`` that names the first value that means nothing."""
        for key in ("abs", "rel", "sigma", "decide", "alpha", "min_n", "max_n", "sees", "reason", "allow", "ratchet"):
            if fault := policy_fault(key, getattr(self, key)):
                raise ValueError(fault)
        if self.max_n is not None and self.decide != "sequential":
            raise ValueError(f"max_n is for decide = 'sequential', and decide is {self.decide!r}")


def policy_fault(key: str, value: Any) -> str:
    """Return what is wrong with one value of a policy, as a sentence; empty when nothing is."""
    if key == "decide":
        good = isinstance(value, str) and value in get_args(Decide)
        return "" if good else f"decide must be one of {', '.join(get_args(Decide))}, got {shown(value)}"
    if key in ("min_n", "max_n"):
        # `type(...) is int`: true would be 1.
        good = value is None or (type(value) is int and 1 <= value <= _MOST)
        return "" if good else f"{key} must be a whole number of at least 1, got {shown(value)}"
    if key == "reason":
        good = value is None or (isinstance(value, str) and value.strip() != "")
        return "" if good else f"reason must be text that is not empty, got {shown(value)}"
    if key == "ratchet":
        return "" if isinstance(value, bool) else f"ratchet must be true or false, got {shown(value)}"
    if key == "allow":
        good = isinstance(value, (list, tuple)) and all(isinstance(one, str) and one in KINDS for one in value)
        return "" if good else f"allow must be a list of some of {', '.join(KINDS)}, got {shown(value)}"
    if value is None and key in ("abs", "rel", "sees"):
        return ""
    if type(value) not in (int, float):
        return f"{key} must be a number, got {shown(value)}"
    if not _is_finite(value) or value < 0:
        return f"{key} must be finite and not negative, got {shown(value)}"
    if key == "sees" and not value > 0:
        return f"sees must be above 0, got {shown(value)}"
    if key == "alpha" and not 0 < value <= 0.5:
        return f"alpha must lie between 0 and 0.5, got {shown(value)}"
    return ""


_MOST = 10**12


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


@dataclass(frozen=True)
class MetricConfig:
    """One gate: a metric with parameters. ``listed`` is false when only a group of ``--vidmetrics`` brought it in."""

    gate: str
    metric: str
    params: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    listed: bool = True
