"""Scores made of other metrics' corpus scores, such as the total of a leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric


class CompositeMetric(BaseMetric):
    """A corpus score that is an affine function of the corpus scores of other metrics.

    A subclass names its ``parts`` and implements :meth:`combine`. It never looks at a clip. A part that this
    version does not have, or that cannot run, makes the whole unavailable: a sum without it would be another number
    of the same name.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    requires_reference: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ()

    def combine(self, scores: Mapping[str, float]) -> float:
        """Return the score from the corpus score of every part, by name."""
        raise NotImplementedError(f"{type(self).__name__} must implement combine(scores)")

    def describe(self, scores: Mapping[str, float]) -> dict[str, Any]:
        """Return what a report shows beside the score: JSON values."""
        return {"parts": dict(scores)}

    def slopes(self) -> dict[str, float]:
        """Return by how much the score moves per unit of each part's score."""
        zero = dict.fromkeys(self.parts, 0.0)
        start = self.combine(zero)
        return {name: self.combine({**zero, name: 1.0}) - start for name in self.parts}

    def weights_files(self) -> tuple[Weights, ...]:
        """Return the weights of all parts."""
        found = (one for name in present(self) for one in registry.metric_class(name)().weights_files())
        return tuple(dict.fromkeys(found))

    @classmethod
    def every_weights(cls) -> tuple[Weights, ...]:
        """Return the weights that any configuration of any part can load."""
        found = (one for name in present(cls) for one in registry.metric_class(name).every_weights())
        return tuple(dict.fromkeys(found))

    def compute(self, sample: Mapping[str, Any]) -> Any:
        """Raise: there is no score of one sample."""
        raise UnavailableError(f"{self.name} is a score of a whole corpus")


def present(metric: CompositeMetric | type[CompositeMetric]) -> tuple[str, ...]:
    """Return the parts that are registered."""
    known = set(registry.list_metrics())
    return tuple(name for name in metric.parts if name in known)


def with_parts(names: Mapping[str, Any] | tuple[str, ...] | list[str]) -> list[str]:
    """Return metric names, each composite one followed by the parts that are registered, without repeats."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        cls = registry.metric_class(name)
        if issubclass(cls, CompositeMetric):
            found.update(dict.fromkeys(present(cls)))
    return list(found)


def is_composite(name: str) -> bool:
    """Whether a registered metric is a composite."""
    return issubclass(registry.metric_class(name), CompositeMetric)


def absent_text(metric: CompositeMetric | type[CompositeMetric]) -> str:
    """Return which parts this version does not have, as a sentence; empty when it has all."""
    gone = [name for name in metric.parts if name not in present(metric)]
    return f"{metric.name} needs {', '.join(gone)}, which this version does not have" if gone else ""
