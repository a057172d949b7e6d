"""``fastvideo.eval.worker``: one device, one sample at a time, for scripts that spread samples themselves."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.types import MetricResult, Video
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.inputs import load_video
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric

_log = logging.getLogger("pytest_vidmetrics")


class EvalWorker:
    """Metrics of one device. Metrics of one sample go through an :class:`Evaluator`; set metrics collect here.

    :meth:`evaluate` adds a sample to the set metrics, whose score is ``worker.set_metrics()[name].finalize()``; those
    of other workers are added by ``merge_from``. :class:`pytest_vidmetrics.engine.worker.EvalWorker` is the engine's
    own worker, which keeps rows in a store instead.
    """

    def __init__(
        self,
        metric_names: Sequence[str],
        device: str = "auto",
        *,
        compile: bool = False,
        pre_upload: bool = True,
        skip_missing_deps: bool = False,
    ) -> None:
        names = registry.expand(metric_names)
        self._set_names = [name for name in names if issubclass(registry.metric_class(name), SetMetric)]
        self._evaluator = Evaluator(
            [name for name in names if name not in self._set_names],
            device,
            compile=compile,
            pre_upload=pre_upload,
            skip_missing_deps=skip_missing_deps,
        )
        self._skip_missing, self._sets = skip_missing_deps, dict[str, SetMetric]()
        self._load_sets()

    @property
    def device(self) -> str:
        """The torch device of this worker."""
        return self._evaluator.devices[0]

    @property
    def metric_names(self) -> list[str]:
        """The metrics that are loaded; empty after :meth:`unload`."""
        return [*self._evaluator.metric_names, *self._sets]

    def set_metrics(self) -> dict[str, BaseMetric]:
        """Return the set metrics with what they collected, by name."""
        return dict(self._sets)

    def reset_set_metrics(self, names: Sequence[str] | None = None) -> None:
        """Forget what the set metrics (of ``names``) collected."""
        for name, metric in self._sets.items():
            if names is None or name in names:
                metric.reset()

    def evaluate(self, *, metrics: Sequence[str] | None = None, **sample: Any) -> dict[str, MetricResult]:
        """Score one sample; set metrics (within ``metrics``) collect it and are not in the result.

        A sample with ``role="reference"`` only feeds set metrics. Raises ``RuntimeError`` after :meth:`unload`,
        ``ValueError`` for a metric that is not loaded, and what a set metric's ``accumulate`` raises.
        """
        if not self.metric_names:
            raise RuntimeError("the worker is unloaded: call reload() first")
        wanted = self.metric_names if metrics is None else list(metrics)
        if unknown := sorted(set(wanted) - set(self.metric_names)):
            raise ValueError(f"not loaded in this worker: {', '.join(unknown)}")
        if own := [name for name in wanted if name in self._sets]:
            clip = _collected(sample)
            for name in own:
                self._sets[name].accumulate(clip)
        single = [name for name in wanted if name not in self._sets]
        if sample.get("role") == "reference" or not single:
            return {}
        results: dict[str, MetricResult] = self._evaluator.evaluate(metrics=single, **sample)
        return results

    def release_cuda_memory(self) -> None:
        """Give unused device memory back to the system."""
        self._evaluator.release_cuda_memory()

    def unload(self) -> None:
        """Free the metrics, with what the set metrics collected."""
        self._evaluator.unload()
        self._sets = {}

    def reload(self) -> None:
        """Load the metrics again after :meth:`unload`."""
        self._evaluator.reload()
        self._load_sets()

    def _load_sets(self) -> None:
        for name in self._set_names:
            try:
                metric = registry.get_metric(name).to(self.device)
                metric.setup()
            except UnavailableError as error:
                if not self._skip_missing:
                    raise
                _log.warning("%s is left out: %s", name, error)
                continue
            assert isinstance(metric, SetMetric)
            self._sets[name] = metric


def _collected(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample as set metrics collect it: with frames in place of paths and clips."""
    clip = dict(sample)
    for key in ("video", "reference"):
        value = clip.get(key)
        if isinstance(value, Video):
            value = value.frames if value.frames is not None else value.source
        if isinstance(value, str) or hasattr(value, "__fspath__"):
            value = load_video(value)
        if value is not None:
            clip[key] = value
    return clip
