"""Scoring from Python: metrics loaded once, samples in, results out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.precision import PRECISIONS, Precision, in_effect
from pytest_vidmetrics.core.processors import share
from pytest_vidmetrics.core.types import EvalResults, MetricResult
from pytest_vidmetrics.engine import memory
from pytest_vidmetrics.engine.batch import Batch
from pytest_vidmetrics.engine.devices import resolve_devices
from pytest_vidmetrics.engine.inputs import check_sample
from pytest_vidmetrics.engine.object_store import open_store
from pytest_vidmetrics.engine.pool import VideoPool
from pytest_vidmetrics.engine.running import drain
from pytest_vidmetrics.engine.store import MemoryStore, Store
from pytest_vidmetrics.engine.whole_batch import WholeBatch
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric, absent_text, is_composite, with_parts
from pytest_vidmetrics.networks import shared

Params = Mapping[str, Mapping[str, Any]]
_log = logging.getLogger("pytest_vidmetrics")


class Evaluator:
    """Scores clips with a fixed set of metrics, loaded when it is made.

    - ``metrics``: a name, a group (``"vbench"``), ``"all"``, or a list of them. What comes in through a group and
      cannot be loaded is left out and listed in :attr:`unavailable`; a metric named itself raises.
    - ``device``: ``"auto"`` (the first GPU, else the CPU), a device, or a list with one worker per entry.
    - ``num_gpus``: more than 1 means a worker on each of the first ``num_gpus`` GPUs.
    - ``compile``: compile the networks that metrics declare, or expose as ``_model``, when they first run.
    - ``loader_threads``, ``prefetch_factor``: decoding threads, and clips decoded ahead per worker.
    - ``prefetch_bytes``: memory that decoded clips may take.
    - ``pre_upload``: keep a clip's frames on the device while all metrics read them; ``False`` uploads them for
      each metric and frees them in between.
    - ``skip_missing_deps``: treat metrics named themselves like those of a group.
    - ``metric_kwargs``: constructor arguments by metric name.
    - ``precision``: ``"tf32"`` (the default on a GPU), ``"fp32"`` (elsewhere), or ``"bf16"`` for the transformers. It
      holds while something is computed; what the program set for itself comes back.
    - ``store``: where results and features are kept and looked for, by content: a folder, a URL (see
      :func:`~pytest_vidmetrics.engine.object_store.open_store`) or a store. By default this evaluator's memory.

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
        store: Store | str | Path | None = None,
        precision: Precision | None = None,
    ) -> None:
        selection = [metrics] if isinstance(metrics, str) else list(metrics)
        chosen = registry.expand(selection)
        # A name that is a group too counts as the group.
        self._explicit = frozenset(selection) & frozenset(chosen) - {
            name for name in selection if registry.resolve_group(name)
        }
        made = {name: registry.get_metric(name) for name in chosen if is_composite(name)}
        self._composites = {name: one for name, one in made.items() if isinstance(one, CompositeMetric)}
        # Composites are not scored on clips: their parts are, chosen or not.
        self._names = [name for name in with_parts(chosen) if name not in self._composites]
        if unknown := set(metric_kwargs or {}) - set(self._names):
            raise ValueError(f"metric_kwargs names metrics that are not selected: {', '.join(sorted(unknown))}")
        self._devices = resolve_devices(device, num_gpus)
        self._compile, self._pre_upload, self._params = compile, pre_upload, dict(metric_kwargs or {})
        named = frozenset() if skip_missing_deps else self._explicit
        self._optional = frozenset(self._names) - named
        self._optional_composites = frozenset(self._composites) - named
        self._loader_threads, self._prefetch = max(1, loader_threads), max(1, prefetch_factor)
        self._prefetch_bytes = prefetch_bytes
        if precision is not None:
            one_of("precision", precision, PRECISIONS)
        self._precision = precision
        self._store = store if isinstance(store, Store) or store is None else open_store(store)
        self._metrics: dict[str, BaseMetric] = {}
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
        return [*self._metrics, *usable]

    @property
    def explicit_metrics(self) -> frozenset[str]:
        """The metrics that were named themselves, not through a group."""
        return self._explicit

    def reload(self) -> None:
        """Load the metrics again, with the same arguments, after :meth:`unload`."""
        if self._workers:
            return
        store = MemoryStore() if self._store is None else self._store
        self._workers = [self._worker(number, device, store) for number, device in enumerate(self._devices)]
        try:
            for name in self._names:
                self._load(name)
            for name, metric in self._composites.items():
                if why := self._lacking(metric):
                    if name not in self._optional_composites:
                        raise UnavailableError(why)
                    self.unavailable[name] = why
        except BaseException:
            self._workers, self._metrics = [], {}
            raise

    def _worker(self, number: int, device: str, store: Store) -> EvalWorker:
        return EvalWorker(
            store,
            device,
            pre_upload=self._pre_upload,
            compile=self._compile,
            # Workers divide the processor between them.
            threads=max(1, share() // len(self._devices)),
            # Each further worker needs objects of its own: a metric holds the networks of its device.
            instance=self._made if number else None,
            # A clip in memory is used by one worker at a time.
            share_clips=len(self._devices) == 1,
            precision=self._precision,
        )

    def _made(self, metric: BaseMetric) -> BaseMetric:
        return registry.get_metric(metric.name, **self._params.get(metric.name, {}))

    def _load(self, name: str) -> None:
        """Set a metric up in every worker: results must not depend on who scored a sample."""
        try:
            metric = registry.get_metric(name, **self._params.get(name, {})).run_in(self._precision, self._devices[0])
            for worker in self._workers:
                worker.load(metric)
        # A wrong argument is the caller's mistake, also for a metric that a group brought in.
        except TypeError:
            raise
        except Exception as error:
            if name not in self._optional:
                raise
            self.unavailable[name] = str(error) or type(error).__name__
            _log.warning("%s is left out: %s", name, self.unavailable[name])
            return
        self._metrics[name] = metric

    def _lacking(self, metric: CompositeMetric) -> str:
        """Return why a composite cannot be given; empty when it can."""
        if text := absent_text(metric):
            return text
        gone = [name for name in metric.parts if name in self.unavailable]
        return f"{metric.name} needs {gone[0]}: {self.unavailable[gone[0]]}" if gone else ""

    def unload(self) -> None:
        """Free the metrics and their networks. :meth:`reload` brings them back.

        Raises ``RuntimeError`` while :meth:`evaluate` runs, as when the generator of its samples calls this.
        """
        if self._running:
            raise RuntimeError("evaluate() is running: its metrics cannot be unloaded before it returns")
        workers, self._workers = self._workers, []
        self._metrics = {}
        shared.clear()
        for worker in workers:
            worker.unload()

    def shutdown(self) -> None:
        """Free everything; the same as :meth:`unload`."""
        self.unload()

    def release_cuda_memory(self) -> None:
        """Give unused device memory back to the system; the metrics stay loaded."""
        for worker in self._workers:
            memory.release(worker.device)

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
        of the loaded metrics (names, groups).

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
        # What a group brings in may be missing; what is named must be there.
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
        sets = [name for name in names if name in self._composites or self._metrics[name].is_set_metric]
        wanted = self._explicit if asked is None else {asked} if isinstance(asked, str) else set(asked)
        if named := [name for name in sets if name in wanted]:
            raise ValueError(f"{', '.join(named)}: a set metric needs samples=[...] with at least 2 entries")
        check_sample(sample)
        found = self._run([sample], [name for name in names if name not in sets])[0]
        reason = "a metric of a whole set: it needs samples=[...]"
        return {name: found[name] if name in found else MetricResult.skipped(name, reason) for name in names}

    def _run(self, samples: Iterable[Mapping[str, Any]], names: list[str]) -> EvalResults:
        composites = [self._composites[name] for name in names if name in self._composites]
        metrics = [self._metrics[name] for name in with_parts(names) if name in self._metrics]
        batch = Batch(metrics)
        pool = VideoPool(
            self._workers[0].prepare,
            batch.jobs(samples),
            loader_threads=self._loader_threads,
            max_items=self._prefetch * len(self._workers),
            max_bytes=self._prefetch_bytes,
        )
        # Counted, not a flag: a generator of samples may call evaluate() again.
        self._running += 1
        try:
            batch.take(drain(pool, self._workers))
        finally:
            self._running -= 1
        results = batch.results()
        whole = WholeBatch(batch, self._workers[0].threads)
        corpus = {metric.name: whole.of_set(metric, results) for metric in metrics if metric.is_set_metric}
        corpus |= {metric.name: whole.of_composite(metric, self._metrics) for metric in composites}
        return EvalResults(results, corpus)

    def provenance(self) -> dict[str, Any]:
        """Return what the scores depend on and mean: JSON values, by metric, and the software and devices."""
        from pytest_vidmetrics.engine.provenance import describe, environment

        return {
            "metrics": {name: describe(metric) for name, metric in self._metrics.items()},
            "unavailable": dict(self.unavailable),
            "devices": list(self._devices),
            "precision": [in_effect(self._precision, device) for device in self._devices],
            "environment": environment(),
        }
