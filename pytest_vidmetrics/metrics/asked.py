"""Metrics that ask a checkpoint of the Qwen family about a clip: which one, how it computes, and who it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.base import BaseMetric

if TYPE_CHECKING:
    from pytest_vidmetrics.networks.qwen.asking import Asker

Dtype = Literal["bfloat16", "float32"]
Attention = Literal["sdpa", "eager"]


class AskedMetric(BaseMetric):
    """Base of metrics whose answers come from one checkpoint; ``published`` is the one that they were made for.

    A subclass stores ``model_name`` (a repository or a folder), ``revision``, ``dtype`` and ``attention``. Each
    scored result says in ``details["made"]`` where its answer was computed.
    """

    published: ClassVar[Weights]
    backbone: ClassVar[str | None] = "qwen"
    needs_gpu: ClassVar[bool] = True
    noise_between_processes: ClassVar[bool] = True
    dependencies: ClassVar[tuple[str, ...]] = ("transformers", "jinja2")

    model_name: str
    revision: str | None
    dtype: Dtype
    attention: Attention

    def weights_files(self) -> tuple[Weights, ...]:
        """Return the checkpoint."""
        if self.model_name == self.published.source:
            return (replace(self.published, revision=self.revision),)
        return (checkpoint(self.model_name, self.revision),)

    def setup(self) -> None:
        """Check that the checkpoint is there. It is loaded for the first clip whose answer is not in the store."""
        self.asker().check()

    def asker(self) -> Asker:
        """Return what asks the checkpoint, or the store where it was asked before."""
        return asker_of(self, self.weights_files()[0], self.dtype, self.attention)

    def conditions(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        """Return on which kinds of device and with which torch the answers were computed.

        A judge of another kind of device is another judge: a token that flips moves a clip by a step or more.
        """
        made = [result.details["made"] for result in results.values() if "made" in result.details]
        return {key: sorted({one[key] for one in made}) for key in ("device", "torch")} if made else {}


def checkpoint(model_name: str, revision: str | None) -> Weights:
    """Return the weights of a repository or folder that somebody named."""
    return Weights(model_name.rstrip("/").rsplit("/", 1)[-1].lower(), model_name, revision=revision)


def asker_of(metric: BaseMetric, weights: Weights, dtype: Dtype, attention: Attention) -> Asker:
    """Return what asks a checkpoint on the metric's device."""
    from pytest_vidmetrics.networks.qwen.asking import Asker

    return Asker(weights, metric.device, dtype, attention, metric.name)


def check_computing(dtype: str, attention: str) -> None:
    """Raise ``ValueError`` for a way of computing that there is not."""
    one_of("dtype", dtype, ("bfloat16", "float32"))
    one_of("attention", attention, ("sdpa", "eager"))
