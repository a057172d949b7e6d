"""One device: its metrics, and what they say about one sample."""

from __future__ import annotations

import contextlib
import gc
import logging
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import NoAudioStreamError, UnavailableError, VidmetricsError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.faults import checked_rows
from pytest_vidmetrics.engine.loading import keys_read, rate_key, source_of
from pytest_vidmetrics.engine.pool import Loaded
from pytest_vidmetrics.engine.threads import fitting_threads
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric, SetMetric
from pytest_vidmetrics.networks import shared

if TYPE_CHECKING:
    import torch

_log = logging.getLogger("pytest_vidmetrics")


class EvalWorker:
    """The metrics of one device, loaded. Used by one thread at a time.

    ``optional`` names the metrics that are left out, with the reason in :attr:`unavailable`, when they cannot be
    loaded; for the others the error is raised. ``compile`` applies :func:`torch.compile` to a metric's ``_model``.
    """

    def __init__(
        self,
        names: Sequence[str],
        device: str,
        *,
        optional: Iterable[str] = (),
        params: Mapping[str, Mapping[str, Any]] | None = None,
        compile: bool = False,
        pre_upload: bool = True,
    ) -> None:
        self.device, self.pre_upload = device, pre_upload
        self.metrics: dict[str, BaseMetric] = {}
        self.unavailable: dict[str, str] = {}
        left_out = frozenset(optional)
        with self._on_device():
            for name in names:
                self._load(name, dict((params or {}).get(name, {})), name in left_out, compile)

    def _load(self, name: str, params: dict[str, Any], optional: bool, compile: bool) -> None:
        try:
            metric = registry.get_metric(name, **params).to(self.device)
            metric.setup()
        except TypeError:
            raise
        except Exception as error:
            if not optional:
                raise
            self.unavailable[name] = str(error) or type(error).__name__
            _log.warning("%s is left out: %s", name, self.unavailable[name])
            return
        model = getattr(metric, "_model", None)
        if compile and model is not None:
            import torch

            metric._model = torch.compile(model)  # type: ignore[attr-defined]
        self.metrics[name] = metric

    @contextlib.contextmanager
    def _on_device(self) -> Any:
        """Make this worker's GPU the current one of the thread, for code that does not name a device."""
        if not self.device.startswith("cuda"):
            yield
            return
        import torch

        with torch.cuda.device(self.device):
            yield

    def score(self, item: Loaded, names: Iterable[str]) -> dict[str, MetricResult]:
        """Return the results of the named metrics for one sample. Never raises for a sample's or metric's fault.

        A set metric has a result here only when it could not use the sample. Per-sample metrics say nothing about
        a sample of the reference set.
        """
        import torch

        view = _View(item, self.device, self.pre_upload)
        is_reference = item.sample.get("role") == "reference"
        results: dict[str, MetricResult] = {}
        with self._on_device(), torch.no_grad(), shared.sample_scope():
            for name in names:
                metric = self.metrics[name]
                if is_reference and (not metric.is_set_metric or view.lacks(metric)):
                    continue
                result = _run(metric, view)
                if result is not None:
                    results[name] = result
        return results

    def reset(self, names: Iterable[str]) -> None:
        """Forget what the named set metrics have accumulated."""
        for name in names:
            self.metrics[name].reset()  # type: ignore[attr-defined]

    def release_cuda_memory(self) -> None:
        """Give unused device memory back to the system."""
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            with torch.cuda.device(self.device):
                torch.cuda.empty_cache()
                torch.cuda.ipc_collect()


class _View:
    """One sample as each metric wants it. Frames are uploaded once and freed with the view."""

    def __init__(self, item: Loaded, device: str, keep: bool) -> None:
        self.item, self._device, self._keep = item, device, keep
        self._uploaded: dict[str, torch.Tensor] = {}
        self._prepared: dict[Any, torch.Tensor] = {}
        self._given: dict[str, tuple[torch.Tensor, int]] = {}

    def lacks(self, metric: BaseMetric) -> list[str]:
        """Return the required keys that the sample does not have."""
        keys = metric.requires if metric.is_set_metric else metric.required_keys()
        return [key for key in keys if self.item.sample.get(key) is None]

    def values(self, metric: BaseMetric) -> dict[str, Any]:
        """Return the sample for one metric. Raises what reading one of its clips raised."""
        sample = dict(self.item.sample)
        self._given.clear()
        for key in keys_read(metric):
            if key in self.item.errors:
                raise self.item.errors[key]
            if key in self.item.clips:
                sample[key] = frames = self._frames(key, metric)
                self._given[key] = (frames, frames._version)
                source = source_of(self.item.sample[key])
                if source is not None:
                    sample.setdefault(f"{key}_path", source)
        for key, clip in self.item.clips.items():
            if sample.get(name := rate_key(key)) is None and clip.fps is not None:
                sample[name] = clip.fps
        return sample

    def check_untouched(self, metric: BaseMetric) -> None:
        """Raise when the metric wrote into the frames, which the others read too; those fail as well then."""
        for key, (frames, version) in self._given.items():
            if frames._version != version:
                self.item.errors[key] = VidmetricsError(f"{metric.name} changed the frames of {key!r} in place")
                raise self.item.errors[key]

    def _frames(self, key: str, metric: BaseMetric) -> torch.Tensor:
        request = metric.frames()
        name = (key, request, metric.pixels)
        if name in self._prepared:
            return self._prepared[name]
        clip = self.item.clips[key]
        if self._keep:
            if key not in self._uploaded:
                self._uploaded[key] = clip.frames.to(self._device, non_blocking=True)
            clip = replace(clip, frames=self._uploaded[key])
            frames = _as_pixels(clip.select(request), metric.pixels)
            self._prepared[name] = frames
            return frames
        return _as_pixels(clip.select(request).to(self._device), metric.pixels)


def _as_pixels(frames: torch.Tensor, pixels: str) -> torch.Tensor:
    """Return frames as uint8 in 0..255, or as float32 in [0, 1]."""
    import torch

    if pixels == "uint8":
        return frames.mul(255).round_().clamp_(0, 255).to(torch.uint8) if frames.is_floating_point() else frames
    return frames.float() if frames.is_floating_point() else frames.float().div_(255)


def _run(metric: BaseMetric, view: _View) -> MetricResult | None:
    if absent := view.lacks(metric):
        return MetricResult.skipped(metric.name, f"the sample has no {', '.join(absent)}")
    try:
        with fitting_threads(metric):
            if metric.is_set_metric:
                _accumulate(metric, view)
                return None
            result: Any = metric.compute(view.values(metric))
        view.check_untouched(metric)
        if not isinstance(result, MetricResult):
            raise TypeError(f"compute() returned a {type(result).__name__}, not a MetricResult")
        if result.score is not None and type(result.score) is not float:
            result = replace(result, score=float(result.score))
        return result
    except Exception as error:
        return failure(metric.name, error)


def _accumulate(metric: BaseMetric, view: _View) -> None:
    if "id" in view.item.errors:
        raise view.item.errors["id"]
    sample = view.values(metric)
    try:
        metric.accumulate(sample)  # type: ignore[attr-defined]
        if isinstance(metric, SetMetric):
            _check_rows(metric, sample)
        view.check_untouched(metric)
    except Exception:
        if isinstance(metric, SetMetric):
            _withdraw(metric, sample)
        raise


def _withdraw(metric: SetMetric, sample: Mapping[str, Any]) -> None:
    """Take back what a failed :meth:`SetMetric.accumulate` added: a pair counts on both sides or on none."""
    for role in _touched(metric, sample):
        getattr(metric, "_sets", {}).get(role, {}).pop(str(sample["id"]), None)


def _check_rows(metric: SetMetric, sample: Mapping[str, Any]) -> None:
    for role in _touched(metric, sample):
        rows = getattr(metric, "_sets", {}).get(role, {}).get(str(sample["id"]))
        if rows is not None:
            checked_rows(rows)


def _touched(metric: SetMetric, sample: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sets that a sample adds to."""
    if sample.get("role") == "reference":
        return ("reference",)
    return ("generated", "reference") if sample.get(metric.reference_key()) is not None else ("generated",)


def failure(name: str, error: Exception) -> MetricResult:
    """Return the result that says why a metric has no score."""
    if isinstance(error, UnavailableError | ImportError):
        return MetricResult.unavailable(name, str(error))
    if isinstance(error, NoAudioStreamError):
        return MetricResult.skipped(name, str(error))
    if isinstance(error, VidmetricsError):
        return MetricResult.failed(name, str(error))
    trace = "".join(traceback.format_exception(error))
    return MetricResult(name, None, {"reason": f"{type(error).__name__}: {error}", "traceback": trace}, "failed")
