"""How a gate decides: its metric, its parameters and its policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Decide = Literal["point", "strict", "lenient"]


@dataclass(frozen=True)
class Policy:
    """How one gate decides. ``margin = max(abs, rel*|baseline|, sigma*noise, the metric's noise floor)``."""

    abs: float = 0.0
    rel: float = 0.0
    sigma: float = 3.0
    decide: Decide = "point"
    alpha: float = 0.05
    min_n: int | None = None


@dataclass(frozen=True)
class MetricConfig:
    """One gate: a metric with parameters. ``listed`` is false when only a group brought it in."""

    gate: str
    metric: str
    params: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    listed: bool = True
