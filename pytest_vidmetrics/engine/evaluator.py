"""Scoring from Python: metrics loaded once, samples in, results out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, overload

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.types import EvalResults, MetricResult
from pytest_vidmetrics.engine import combining
from pytest_vidmetrics.engine.devices import resolve_devices
from pytest_vidmetrics.engine.evaluator_worker import EvalWorker, failure
from pytest_vidmetrics.engine.inputs import as_video, check_frames
from pytest_vidmetrics.engine.loading import CLIP_KEYS, requests_for
from pytest_vidmetrics.engine.pool import VideoPool
from pytest_vidmetrics.engine.running import drain
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks import shared

Params = Mapping[str, Mapping[str, Any]]


class Evaluator:
    """Scores clips with a fixed set of metrics, loaded when it is made.

    - ``metrics``: a name, a group (``"vbench"``), ``"all"``, or a list of them. What comes in through a group and
      cannot be loaded is left out and listed in :attr:`unavailable`; a metric named itself raises.
    - ``device``: ``"auto"`` (the first GPU, else the CPU), a device, or a list with one worker per entry.
    - ``num_gpus``: more than 1 means a worker on each of the first ``num_gpus`` GPUs.
    - ``compile``: apply :func:`torch.compile` to the networks that metrics expose as ``_model``.
    - ``loader_threads``, ``prefetch_factor``: decoding threads, and clips decoded ahead per worker.
    - ``prefetch_bytes``: memory that decoded clips may take.
    - ``pre_upload``: keep a clip's frames on the device while all metrics read them; ``False`` uploads them for
      each metric and frees them in between.
    - ``skip_missing_deps``: treat metrics named themselves like those of a group.
    - ``metric_kwargs``: constructor arguments by metric name.

    One bad sample costs its own results and nothing else: a result's ``status`` and ``reason`` say what happened.
    """

    def __init__(
        self,
        metrics: Sequence[str] | str = "all",
        device: str | Sequence[str] = "auto",
        num_gpus: int = 1,
        compile: bool = False,
        *,
        loader_threads: int = 1,
        prefetch_factor: int = 2,
        prefetch_bytes: int = 4 << 30,
        pre_upload: bool = True,
        skip_missing_deps: bool = False,
        metric_kwargs: Params | None = None,
    ) -> None:
        selection = [metrics] if isinstance(metrics, str) else list(metrics)
        chosen = registry.expand(selection)
        self._explicit = frozenset(selection) & frozenset(chosen) - {
            name for name in selection if registry.resolve_group(name)
        }
        self._composites = combining.composites(chosen)
        self._names = [name for name in combining.with_parts(chosen) if name not in self._composites]
        if unknown := set(metric_kwargs or {}) - set(self._names):
            raise ValueError(f"metric_kwargs names metrics that are not selected: {', '.join(sorted(unknown))}")
        self._devices = resolve_devices(device, num_gpus)
        self._compile, self._pre_upload, self._params = compile, pre_upload, dict(metric_kwargs or {})
        named = frozenset() if skip_missing_deps else self._explicit
        self._optional = frozenset(self._names) - named
        self._optional_composites = frozenset(self._composites) - named
        self._loader_threads, self._prefetch = max(1, loader_threads), max(1, prefetch_factor)
        self._prefetch_bytes = prefetch_bytes
        self._workers: list[EvalWorker] = []
        self._running = 0
        self.unavailable: dict[str, str] = {}
        self.reload()

    @property
    def num_gpus(self) -> int:
        """How many workers there are, on whatever device."""
        return len(self._devices)

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each worker."""
        return tuple(self._devices)

    @property
    def metric_names(self) -> list[str]:
        """The metrics that are loaded; empty after :meth:`unload`."""
        if not self._workers:
            return []
        usable = [name for name in self._composites if name not in self.unavailable]
        return [*self._workers[0].metrics, *usable]

    @property
    def explicit_metrics(self) -> frozenset[str]:
        """The metrics that were named themselves, not through a group."""
        return self._explicit

    def reload(self) -> None:
        """Load the metrics again, with the same arguments, after :meth:`unload`."""
        if self._workers:
            return
        names, workers = self._names, []
        for device in self._devices:
            worker = EvalWorker(
                names,
                device,
                optional=self._optional,
                params=self._params,
                compile=self._compile,
                pre_upload=self._pre_upload,
            )
            # Every worker has the metrics that all have: results must not depend on who scored a sample.
            self.unavailable.update(worker.unavailable)
            names = list(worker.metrics)
            workers.append(worker)
        for worker in workers:
            worker.metrics = {name: worker.metrics[name] for name in names}
        self._workers = workers
        for name, metric in self._composites.items():
            if why := combining.lacking(metric, self._names, self.unavailable):
                if name not in self._optional_composites:
                    raise UnavailableError(why)
                self.unavailable[name] = why

    def unload(self) -> None:
        """Free the metrics and their networks. :meth:`reload` brings them back.

        Raises ``RuntimeError`` while :meth:`evaluate` runs, as when the generator of its samples calls this.
        """
        if self._running:
            raise RuntimeError("evaluate() is running: its metrics cannot be unloaded before it returns")
        workers, self._workers = self._workers, []
        shared.clear()
        for worker in workers:
            worker.metrics.clear()
            worker.release_cuda_memory()

    def shutdown(self) -> None:
        """Free everything; the same as :meth:`unload`."""
        self.unload()

    def release_cuda_memory(self) -> None:
        """Give unused device memory back to the system; the metrics stay loaded."""
        for worker in self._workers:
            worker.release_cuda_memory()

    def __enter__(self) -> Self:
        """Return the evaluator; leaving the block unloads it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unload."""
        self.unload()

    @overload
    def evaluate(
        self, samples: None = None, *, metrics: Sequence[str] | str | None = None, **sample: Any
    ) -> dict[str, MetricResult]: ...
    @overload
    def evaluate(
        self, samples: Iterable[Mapping[str, Any]], *, metrics: Sequence[str] | str | None = None
    ) -> EvalResults: ...
    def evaluate(
        self,
        samples: Iterable[Mapping[str, Any]] | None = None,
        *,
        metrics: Sequence[str] | str | None = None,
        **sample: Any,
    ) -> dict[str, MetricResult] | EvalResults:
        """Score one sample, given by keywords, or many, given as a list (or generator) of dicts.

        ``video`` and ``reference`` are a path, a :class:`Video`, or a ``(T, C, H, W)`` tensor (uint8, or floating
        point in [0, 1]); other keys are passed to the metrics as they are. ``metrics`` restricts the call to some
        of the loaded metrics (names, groups); set metrics outside of it keep what they have accumulated.

        Returns a dict of :class:`MetricResult` by name for one sample, and an :class:`EvalResults` for many: a
        list of such dicts in input order, with the results of set metrics in ``.corpus``. Samples with
        ``role="reference"`` only feed set metrics. A failed sample is left out of a set metric's score and counted
        in ``details["failed"]``.

        Raises ``ValueError`` for a set metric asked for by name with one sample, for a metric that is not loaded,
        and, for one sample, for a tensor that is no clip. Raises ``TypeError`` for both forms at once.
        """
        names = self._select(metrics)
        if samples is None:
            return self._evaluate_one(sample, names, metrics)
        if sample:
            raise TypeError(f"samples=[...] and keywords ({', '.join(sorted(sample))}) exclude each other")
        if isinstance(samples, Mapping | str):
            raise TypeError("samples must be a list of dicts; for one sample use evaluate(**sample)")
        return self._run(samples, names)

    def _select(self, metrics: Sequence[str] | str | None) -> list[str]:
        if not self._workers:
            raise RuntimeError("the evaluator is unloaded: call reload() first")
        if metrics is None:
            return self.metric_names
        names = registry.expand([metrics] if isinstance(metrics, str) else metrics)
        loaded = set(self.metric_names)
        asked = [metrics] if isinstance(metrics, str) else list(metrics)
        if missing := [name for name in names if name not in loaded and name in asked]:
            why = "; ".join(f"{name}: {self.unavailable.get(name, 'not selected')}" for name in missing)
            raise ValueError(f"not loaded in this evaluator: {why}")
        chosen = [name for name in names if name in loaded]
        if not chosen:
            raise ValueError(f"{', '.join(asked)}: none of these metrics is loaded in this evaluator")
        return chosen

    def _evaluate_one(
        self, sample: dict[str, Any], names: list[str], asked: Sequence[str] | str | None
    ) -> dict[str, MetricResult]:
        if not sample:
            raise TypeError("evaluate() needs samples=[...], or one sample as keywords: evaluate(video=..., ...)")
        metrics = self._workers[0].metrics
        sets = [name for name in names if name in self._composites or metrics[name].is_set_metric]
        wanted = self._explicit if asked is None else {asked} if isinstance(asked, str) else set(asked)
        if named := [name for name in sets if name in wanted]:
            raise ValueError(f"{', '.join(named)}: a set metric needs samples=[...] with at least 2 entries")
        _check_one(sample)
        found = self._run([sample], [name for name in names if name not in sets])[0]
        reason = "a metric of a whole set: it needs samples=[...]"
        return {name: found[name] if name in found else MetricResult.skipped(name, reason) for name in names}

    def _run(self, samples: Iterable[Mapping[str, Any]], names: list[str]) -> EvalResults:
        first = self._workers[0].metrics
        composites = [name for name in names if name in self._composites]
        names = [name for name in combining.with_parts(names) if name not in self._composites]
        sets = [name for name in names if first[name].is_set_metric]
        for worker in self._workers:
            worker.reset(sets)
        chosen = [first[name] for name in names]
        pool = VideoPool(
            samples,
            lambda sample: requests_for(chosen, sample),
            loader_threads=self._loader_threads,
            max_items=self._prefetch * len(self._workers),
            max_bytes=self._prefetch_bytes,
            pin=any(device.startswith("cuda") for device in self._devices),
        )
        self._running += 1
        try:
            results = drain(pool, self._workers, names)
        finally:
            self._running -= 1
        corpus = {name: self._finalize(name, results) for name in sets}
        corpus |= {name: combining.combine(self._composites[name], first, results) for name in composites}
        return EvalResults(results, corpus)

    def _finalize(self, name: str, results: list[dict[str, MetricResult]]) -> MetricResult:
        """Join the workers' parts of a set metric and score them."""
        metric, *others = [worker.metrics[name] for worker in self._workers]
        try:
            for other in others:
                metric.merge_from(other)  # type: ignore[attr-defined]
                other.reset()  # type: ignore[attr-defined]
            result: MetricResult = metric.finalize()  # type: ignore[attr-defined]
        except Exception as error:
            result = failure(name, error)
        bad = {i: found[name].reason for i, found in enumerate(results) if name in found}
        if bad:
            more = {"failed": len(bad), "failed_samples": [{"index": i, "reason": why} for i, why in bad.items()]}
            result = MetricResult(name, result.score, {**result.details, **more}, result.status)
        return result

    def provenance(self) -> dict[str, Any]:
        """Return what the scores depend on and mean: JSON values, by metric, and the software and devices."""
        from pytest_vidmetrics.engine.provenance import describe, environment

        metrics = self._workers[0].metrics if self._workers else {}
        return {
            "metrics": {name: describe(metric) for name, metric in metrics.items()},
            "unavailable": dict(self.unavailable),
            "devices": list(self._devices),
            "environment": environment(),
        }


def _check_one(sample: Mapping[str, Any]) -> None:
    """Refuse, before anything runs, what can never be scored."""
    for key in CLIP_KEYS:
        value = sample.get(key)
        if value is None:
            continue
        try:
            video = as_video(value)
        except TypeError:
            raise TypeError(f"{key} is a {type(value).__name__}: expected a path, a tensor or a Video") from None
        if video.frames is not None:
            check_frames(video.frames, key)
