"""The metrics of one device: look into the store, load, run, keep. Every number of a sample comes from here."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any
from weakref import WeakValueDictionary

from pytest_vidmetrics.core.devices import spelled
from pytest_vidmetrics.core.errors import DeviceLostError, VidmetricsError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.hashing import digest_file, digest_json
from pytest_vidmetrics.core.precision import Precision, in_effect
from pytest_vidmetrics.core.processors import share
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import memory
from pytest_vidmetrics.engine.faults import checked_result, checked_rows, ends_run, fault
from pytest_vidmetrics.engine.given import GivenSample
from pytest_vidmetrics.engine.handed import Handed
from pytest_vidmetrics.engine.identity import Digest
from pytest_vidmetrics.engine.kept import MANY, kept
from pytest_vidmetrics.engine.loading import HeldClip
from pytest_vidmetrics.engine.planning import changed_since, plan_unit, stored
from pytest_vidmetrics.engine.pool import VideoPool
from pytest_vidmetrics.engine.precision import applied
from pytest_vidmetrics.engine.readiness import Instance, ReadyMetrics
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.engine.threads import fitting_threads
from pytest_vidmetrics.engine.values import source_of
from pytest_vidmetrics.engine.work import Counts, Job, Loaded, Outcome, Plan, Unit
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.networks.shared import company, sample_scope, using

_log = logging.getLogger("pytest_vidmetrics")
AHEAD_BYTES = 1 << 30
"""Memory that clips loaded ahead may take; one is always loaded, whatever its size."""


class EvalWorker:
    """Scores samples through a store on one device. :meth:`run` is used by one thread at a time.

    ``device`` may be a function: it is asked when something has to be computed, so that reading the store imports no
    torch. With ``compute=False`` nothing is decoded or computed: what is not stored is a failure that says so.
    ``pre_upload`` keeps a clip on the device while all metrics read it, ``compile`` applies :func:`torch.compile` to
    the network that a metric exposes as ``_model``. ``instance`` returns the metric to set up here for one that is
    asked for: another one where several workers are asked for the same. ``threads`` is how many processors it may use.
    ``precision``: by default tf32 on a GPU, fp32 elsewhere.
    ``digest`` hashes the files that samples name.
    ``share_clips`` reads a clip once for jobs that are in memory at the same time, which one worker then runs.
    """

    def __init__(
        self,
        store: Store,
        device: str | Callable[[], str] = "cpu",
        *,
        compute: bool = True,
        pre_upload: bool = True,
        compile: bool = False,
        threads: int | None = None,
        instance: Instance | None = None,
        share_clips: bool = True,
        precision: Precision | None = None,
        digest: Digest = digest_file,
    ) -> None:
        self.store, self.compute, self.pre_upload = store, compute, pre_upload
        self.digest = digest
        self.threads = share() if threads is None else threads
        self.counts = Counts()
        self._choose_device = device
        self._asked = precision
        self._ready = ReadyMetrics(instance, compile=compile)
        self._share_clips = share_clips
        # Weak: a clip goes with the last job that holds it.
        self._in_memory: WeakValueDictionary[str, HeldClip] = WeakValueDictionary()
        self._guard = threading.Lock()
        self._told: set[str] = set()
        self._known_weights: dict[int, tuple[BaseMetric, dict[str, str]]] = {}
        self._lost = ""

    @cached_property
    def device(self) -> str:
        """The torch device of this worker."""
        chosen = self._choose_device
        return spelled(chosen if isinstance(chosen, str) else chosen())

    @property
    def is_lost(self) -> bool:
        """Whether this process can use the device no more: what has to be computed fails, what is stored does not."""
        return bool(self._lost)

    @property
    def precision(self) -> Precision:
        """How exact the products are."""
        return in_effect(self._asked, self.device)

    @property
    def loaded(self) -> list[BaseMetric]:
        """The metrics that are set up."""
        return self._ready.loaded

    def sibling(self, store: Store) -> EvalWorker:
        """Return a worker with the same loaded metrics over another store."""
        other = EvalWorker(
            store,
            # Asked for late: what only reads the store chooses no device.
            lambda: self.device,
            compute=self.compute,
            pre_upload=self.pre_upload,
            threads=self.threads,
            share_clips=self._share_clips,
            precision=self._asked,
            digest=self.digest,
        )
        other._ready = self._ready
        return other

    def unload(self) -> None:
        """Forget the metrics that are set up, and give the device's memory back."""
        self._ready.clear()
        memory.release(self.device)

    def fill(self, values: Mapping[str, Any], metrics: Sequence[BaseMetric]) -> list[Outcome]:
        """Return one outcome per metric for one sample, see :meth:`run`."""
        return self.run(self.prepare(Job((Unit(values, metrics),))))[0]

    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        """Yield the outcomes of units in order, loading the next ones meanwhile."""
        if not self.compute:
            yield from self._read(units)
            return
        jobs = (Job((unit,)) for unit in units)
        with VideoPool(self.prepare, jobs, max_items=2, max_bytes=AHEAD_BYTES, in_order=True) as pool:
            while (item := pool.get()) is not None:
                try:
                    yield self.run(item)[0]
                finally:
                    pool.release(item)

    def _read(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        """Yield the outcomes of units that are only read, many at a time."""
        left = iter(units)
        while block := list(islice(left, MANY)):
            for unit, outcome in zip(block, kept(block, self.store, self._weights_once, self.digest), strict=True):
                if outcome is not None:
                    self.counts.reused += 1
                yield self.fill(unit.values, unit.metrics) if outcome is None else [outcome]

    def prepare(self, job: Job) -> Loaded:
        """Ask the store and read the clips of what is missing. Safe for several threads, beside :meth:`run` too."""
        device = (lambda: self.device) if self.compute else None
        weights = self.weights if self.compute else self._weights_once
        for metric in (one for unit in job.units for one in unit.metrics):
            if metric.run_precision is None and metric.is_moved_by_tf32():  # nobody said in which: this device's
                metric.run_in(self._asked, self.device)
        plans = [plan_unit(unit, self.store, weights, self.digest, device) for unit in job.units]
        loaded = Loaded(job, plans, {})
        for plan in plans if self.compute else ():
            for key, name in plan.clips.items():
                if name not in loaded.clips:
                    # What all metrics of a job want of a clip is decoded in one pass.
                    requests = [one for other in plans for one in other.requests.get(name, ())]
                    loaded.clips[name], new = self._clip(name, key, plan.values[key], requests)
                    loaded.decoded += new
        return loaded

    def is_current(self, item: Loaded) -> bool:
        """Whether preparing a job again would find the same: no file changed, and none was missing or unreadable."""
        unreadable = any(clip.error is not None for clip in item.clips.values())
        unfound = any(plan.unreadable for plan in item.plans)
        return not unreadable and not unfound and all(changed_since(plan) is None for plan in item.plans)

    def run(self, item: Loaded) -> list[list[Outcome]]:
        """Return the outcomes of a job, unit by unit. Never raises for a sample's or a metric's fault.

        Raises :class:`~pytest_vidmetrics.core.errors.StoreError` when the store cannot be written, and
        :class:`~pytest_vidmetrics.core.errors.DeviceLostError` when this process can use its device no more.
        """
        self.counts.reused += sum(len(plan.keys) - len(plan.missing) for plan in item.plans)
        # Counted by the one thread that runs jobs, not by those that load; and once.
        self.counts.decoded, item.decoded = self.counts.decoded + item.decoded, 0
        if any(plan.missing for plan in item.plans):
            names = {metric.name for plan in item.plans for metric in plan.metrics}
            with self._computing(), sample_scope(self.store, names):
                for plan in item.plans:
                    # Another process that wants the same results waits, and finds them below.
                    wanted = digest_json([key for key in plan.keys if key is not None])
                    with self.store.computing(wanted):
                        self._complete(plan, item.clips)
        absent = Outcome(MetricResult.failed("", "not computed"))
        return [[outcome or absent for outcome in plan.outcomes] for plan in item.plans]

    def weights(self, metric: BaseMetric) -> dict[str, str]:
        """Return ``{name: sha256}`` of what a metric loads, see :meth:`.readiness.ReadyMetrics.weights`."""
        return self._ready.weights(metric)

    def _weights_once(self, metric: BaseMetric) -> dict[str, str]:
        """Return :meth:`weights`, looked up for the first clip only: nothing loads them where nothing is computed."""
        if id(metric) not in self._known_weights:
            self._known_weights[id(metric)] = metric, self.weights(metric)
        return self._known_weights[id(metric)][1]

    def load(self, metric: BaseMetric) -> BaseMetric:
        """Return the metric set up on this device, once per configuration. Raises what its ``setup()`` raises."""
        with self._computing():
            return self._ready.load(metric, self.device, self.precision)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Turn gradients off, set the precision, and make this worker's GPU the one of code that does not name any."""
        if self._lost:
            raise DeviceLostError(self._lost)
        if not self.compute:
            yield
            return
        import torch

        on_device = torch.cuda.device(self.device) if self.device.startswith("cuda") else contextlib.nullcontext()
        with torch.no_grad(), on_device, applied(self.precision, self.device):
            yield

    def _clip(self, name: str, key: str, value: Any, requests: list[FrameRequest]) -> tuple[HeldClip, bool]:
        """Return a clip and whether a file was decoded for it: another job that is still in memory may have it."""
        with self._guard:
            # Not held while a clip is read: at worst two threads read the same one.
            held = self._in_memory.get(name)
        if held is not None and held.holds(requests):
            return held, False
        held = HeldClip.read(value, key, requests, pin=self.device.startswith("cuda"))
        if self._share_clips:
            with self._guard:
                self._in_memory[name] = held
        return held, held.clip is not None and source_of(value) is not None

    def _complete(self, plan: Plan, clips: Mapping[str, HeldClip]) -> None:
        """Find or compute the outcomes that are missing: another process may have been faster."""
        shared: dict[str, Outcome] = {}  # set metrics with one extractor have one key
        for i in plan.missing:
            metric, key = plan.metrics[i], plan.keys[i]
            found = shared.get(key or "") or stored(self.store, key, metric)
            self.counts.reused += found is not None and key not in shared
            plan.outcomes[i] = found or self._fresh(metric, key, plan, clips)
            if key is not None and (fresh := plan.outcomes[i]) is not None and fresh.rows is not None:
                shared[key] = fresh

    def _fresh(self, metric: BaseMetric, key: str | None, plan: Plan, clips: Mapping[str, HeldClip]) -> Outcome:
        """Compute one outcome, and keep it unless what it was computed from is no longer what ``key`` says."""
        if not self.compute:
            why = "not in the store: run without --vidmetrics-judge to compute it"
            return Outcome(MetricResult.failed(metric.name, why))
        ready = self._usable(metric)
        if isinstance(ready, MetricResult):
            return Outcome(ready)
        outcome, undeclared = self._attempts(ready, plan, clips)
        if not outcome.lasting:
            return outcome
        # Asked after computing: a file that was replaced meanwhile makes the key wrong.
        if (changed := changed_since(plan, metric)) is not None:
            return Outcome(changed)
        try:
            self.weights(metric)
        except VidmetricsError as error:
            return Outcome(fault(metric.name, error))
        if undeclared:
            self._tell_undeclared(metric, undeclared)
        elif key is not None and outcome.rows is not None:
            self.store.put_clips(key, outcome.clips)
            self.store.put_rows(key, outcome.rows)
        elif key is not None and outcome.result is not None:
            self.store.put_result(key, outcome.result, outcome.clips)
        return outcome

    def _tell_undeclared(self, metric: BaseMetric, keys: set[str]) -> None:
        if metric.name not in self._told:
            self._told.add(metric.name)
            _log.warning(
                "%s looks at %s, which it declares in neither requires nor reads: its results are not kept",
                metric.name,
                ", ".join(sorted(keys)),
            )

    def _usable(self, metric: BaseMetric) -> BaseMetric | MetricResult:
        """Return the metric set up, or why it cannot be."""
        if (problem := self._ready.broken(metric)) is not None:
            return problem
        while True:
            try:
                return self.load(metric)
            except BaseException as error:  # weights that do not fit, sys.exit(): the fault of this metric alone
                self._raise_if_over(error)
                problem, ran_out = self._ready.give_up(metric, error), memory.ran_out(error)
            # Outside of the handler: an exception's traceback holds tensors.
            memory.release(self.device)
            if not ran_out or not (self._make_room(company() | {metric.name}) or self._make_room({metric.name})):
                return problem

    def _make_room(self, keep: Container[str]) -> bool:
        """Unload the networks of other metrics, where there are any: those of earlier cases, or all but one."""
        found = self._ready.make_room(self.device, keep)
        memory.release(self.device)
        return found

    def _attempts(self, metric: BaseMetric, plan: Plan, clips: Mapping[str, HeldClip]) -> tuple[Outcome, set[str]]:
        """Return a metric's outcome and the undeclared keys it saw.

        Without memory, try again: without the networks that this sample does not need, then in smaller chunks, then
        without any other network.
        """
        attempt = 0
        while True:
            outcome, undeclared, ran_out = self._attempt(metric, plan, clips)
            if not ran_out:
                return outcome, undeclared
            if self._make_room(company() | {metric.name}):
                continue
            smaller = memory.halve(metric)
            # The first time it is tried again even so: unused memory was given back.
            if attempt == memory.RETRIES or not (smaller or attempt == 0 or self._make_room({metric.name})):
                return outcome, undeclared
            attempt += 1

    def _attempt(self, metric: BaseMetric, plan: Plan, clips: Mapping[str, HeldClip]) -> tuple[Outcome, set[str], bool]:
        """Return an outcome, the undeclared keys that the metric saw, and whether the device ran out of memory."""
        handed = Handed(metric, plan, self.device, keep=self.pre_upload)
        undeclared: set[str] = set()
        ran_out = False
        try:
            sample = handed.sample(clips)
            with using(metric.name):
                outcome = self._compute(metric, sample)
            undeclared = sample.undeclared
        except BaseException as error:  # the one place where a metric's fault ends
            self._raise_if_over(error)
            outcome, ran_out = Outcome(fault(metric.name, error)), memory.ran_out(error)
        # After a fault too: a metric may write first and raise then.
        if spoiled := handed.spoiled():
            return Outcome(MetricResult.failed(metric.name, spoiled)), set(), False
        if outcome.lasting:
            outcome = replace(outcome, clips=handed.facts())
        return outcome, undeclared, ran_out

    def _raise_if_over(self, error: BaseException) -> None:
        """Raise again what is not a metric's fault, and what ends this worker."""
        if ends_run(error):
            raise error
        if memory.is_lost(error):
            self._lost = f"{self.device} cannot be used any more: {error}"
            raise DeviceLostError(self._lost) from error

    def _compute(self, metric: BaseMetric, sample: GivenSample) -> Outcome:
        self.counts.computed += 1
        with fitting_threads(metric, self.threads):
            if isinstance(metric, SetMetric):
                return Outcome(rows=checked_rows(metric.features(sample)))
            return Outcome(checked_result(metric.compute(sample)))
