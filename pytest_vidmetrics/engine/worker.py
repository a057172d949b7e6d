"""One sample, many metrics, one decode: what is stored is read, what is missing is computed and stored."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import NoAudioStreamError, UnavailableError, VidmetricsError
from pytest_vidmetrics.core.frames import FrameRequest
from pytest_vidmetrics.core.hashing import digest_file, digest_json
from pytest_vidmetrics.core.types import PATH_KEYS, MetricResult
from pytest_vidmetrics.core.weights import Weights, weights_sha256
from pytest_vidmetrics.engine.faults import checked_result, checked_rows
from pytest_vidmetrics.engine.loading import CLIP_KEYS, rate_key, read, with_sound
from pytest_vidmetrics.engine.masks import with_masks
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.engine.threads import fitting_threads
from pytest_vidmetrics.metrics.base import BaseMetric, SetMetric
from pytest_vidmetrics.networks.shared import once, sample_scope

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pytest_vidmetrics.media.video import Clip

_KEPT = 2
"""Clips kept between two calls: a sample and its reference."""

_LEAVE = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends a process, and is no fault of a metric."""


@dataclass
class Counts:
    """How much work a process did: clips decoded, results computed, results reused from the store."""

    decoded: int = 0
    computed: int = 0
    reused: int = 0


@dataclass(frozen=True)
class Outcome:
    """What one metric yields for one clip: a result, or the feature rows of a set metric."""

    result: MetricResult | None = None
    rows: np.ndarray | None = None

    @property
    def problem(self) -> MetricResult | None:
        """The result when it carries no score."""
        return self.result if self.result is not None and self.result.score is None else None

    @property
    def lasting(self) -> bool:
        """Whether it would come out the same again: failures and missing weights are tried anew next time."""
        return self.rows is not None or (self.result is not None and self.result.status in ("scored", "skipped"))


class Scorer:
    """Scores samples through a store on one device. One per process; not shared between threads.

    ``device`` is asked for the torch device when something has to be computed: reading the store imports no torch.
    With ``compute=False`` nothing is decoded or computed: what is not stored is a failure that says so.
    """

    def __init__(self, store: Store, device: Callable[[], str] = lambda: "cpu", *, compute: bool = True) -> None:
        self.store, self.compute = store, compute
        self._choose_device = device
        self.counts = Counts()
        self._ready: dict[str, BaseMetric | MetricResult] = {}
        self._weights: dict[Weights, str] = {}
        self._recent: dict[str, Clip] = {}

    @cached_property
    def device(self) -> str:
        """The torch device of this process."""
        return self._choose_device()

    def release(self) -> None:
        """Free the frames that are kept for the next call on the same clips."""
        self._recent.clear()

    def fill(self, values: Mapping[str, Any], metrics: Sequence[BaseMetric]) -> list[Outcome]:
        """Return one outcome per metric for one sample. Never raises for the sample's or a metric's faults.

        Raises :class:`~pytest_vidmetrics.core.errors.StoreError` when the store cannot be written.
        """
        values = with_masks(with_sound(values))
        keys = [self._key(values, metric) for metric in metrics]
        outcomes = [self._stored(key, metric) for key, metric in zip(keys, metrics, strict=True)]
        self.counts.reused += sum(outcome is not None for outcome in outcomes)
        if any(outcome is None for outcome in outcomes):
            wanted = digest_json([key for key in keys if isinstance(key, str)])
            with self.store.computing(wanted):
                self._complete(values, metrics, keys, outcomes)
        return [outcome or Outcome(MetricResult.failed("", "not computed")) for outcome in outcomes]

    def _complete(
        self,
        values: Mapping[str, Any],
        metrics: Sequence[BaseMetric],
        keys: Sequence[str | MetricResult],
        outcomes: list[Outcome | None],
    ) -> None:
        """Compute the outcomes that are still ``None``, after another look into the store."""
        for i, metric in enumerate(metrics):
            if outcomes[i] is None:
                outcomes[i] = self._stored(keys[i], metric)
        missing = [i for i, outcome in enumerate(outcomes) if outcome is None]
        ready: dict[int, BaseMetric] = {}
        for i in missing:
            loaded = self._load(metrics[i])
            if isinstance(loaded, MetricResult):
                outcomes[i] = Outcome(loaded)
            else:
                ready[i] = loaded
        clips = self._decode(values, list(ready.values()))
        shared: dict[str, Outcome] = {}  # set metrics with one extractor have one key
        with sample_scope(self.store):
            for i, metric in ready.items():
                key = str(keys[i])
                if key not in shared:
                    shared[key] = self._fresh(key, metric, values, clips)
                outcomes[i] = shared[key]

    def _fresh(
        self, key: str, metric: BaseMetric, values: Mapping[str, Any], clips: Mapping[str, Clip | Exception]
    ) -> Outcome:
        """Compute and keep one outcome, unless what it was computed from is no longer what ``key`` says."""
        if not self.compute:
            return Outcome(self._absent(metric))
        outcome = self._run(metric, values, clips)
        if not outcome.lasting:
            return outcome
        now = self._key(values, metric)
        if isinstance(now, MetricResult):
            return Outcome(now)
        if now != key:
            return Outcome(MetricResult.failed(metric.name, "a file changed while it was being scored: run again"))
        self._keep(key, outcome)
        return outcome

    def _absent(self, metric: BaseMetric) -> MetricResult:
        return MetricResult.failed(metric.name, "not in the store: run without --vidmetrics-judge to compute it")

    def _key(self, values: Mapping[str, Any], metric: BaseMetric) -> str | MetricResult:
        """Return the store key of a metric on a sample, or why there is none."""
        required = metric.requires if metric.is_set_metric else metric.required_keys()
        if absent := [key for key in required if values.get(key) is None]:
            return MetricResult.skipped(metric.name, f"the sample has no {', '.join(absent)}")
        try:
            return digest_json(
                {
                    "metric": _identity(metric),
                    "weights": self.weights(metric),
                    "decoder": _decoder(),
                    "inputs": {key: _digest(key, values[key]) for key in _read_keys(metric) if key in values},
                }
            )
        except UnavailableError as error:
            return MetricResult.unavailable(metric.name, str(error))
        except VidmetricsError as error:
            return MetricResult.failed(metric.name, str(error))
        except OSError as error:
            return MetricResult.failed(metric.name, f"cannot read {error.filename}: {error.strerror}")

    def weights(self, metric: BaseMetric) -> dict[str, str]:
        """Return ``{checkpoint name: sha256}`` of what a metric loads: the same answer as long as this process runs.

        A network that is loaded stays in memory when its file is replaced, so that its results would be stored under
        the new file's name. Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for a file that was
        replaced, and ``UnavailableError`` for one that is missing.
        """
        found = weights_of(metric)
        for checkpoint in metric.weights_files():
            first, now = self._weights.setdefault(checkpoint, found[checkpoint.name]), found[checkpoint.name]
            if first != now:
                raise VidmetricsError(
                    f"the weights {checkpoint.name} changed during the run (sha256 {first[:12]} at first, "
                    f"{now[:12]} now): run again"
                )
        return found

    def _stored(self, key: str | MetricResult, metric: BaseMetric) -> Outcome | None:
        if isinstance(key, MetricResult):
            return Outcome(key)
        if metric.is_set_metric:
            rows = self.store.get_rows(key)
            if rows is not None:
                return Outcome(rows=rows)
        found = self.store.get_result(key)
        return Outcome(found) if found is not None else None

    def _keep(self, key: str, outcome: Outcome) -> None:
        if outcome.rows is not None:
            self.store.put_rows(key, outcome.rows)
        elif outcome.result is not None:
            self.store.put_result(key, outcome.result)

    def _load(self, metric: BaseMetric) -> BaseMetric | MetricResult:
        """Return the metric set up on this device, once per configuration and process."""
        if not self.compute:
            return metric
        key = digest_json(metric.identity())
        if key not in self._ready:
            try:
                metric.to(self.device).setup()
                self._ready[key] = metric
            except UnavailableError as error:
                self._ready[key] = MetricResult.unavailable(metric.name, str(error))
            except _LEAVE:
                raise
            except BaseException as error:  # a checkpoint that does not fit, no memory on the device, pytest.skip()
                self._ready[key] = crashed(metric, error)
        return self._ready[key]

    def _decode(self, values: Mapping[str, Any], metrics: Sequence[BaseMetric]) -> dict[str, Clip | Exception]:
        """Decode every clip that some metric reads, once, with only the frames that they ask for."""
        clips: dict[str, Clip | Exception] = {}
        if not self.compute:
            return clips
        for key in CLIP_KEYS:
            requests = [metric.frames() for metric in metrics if key in _read_keys(metric)]
            if not requests or not isinstance(values.get(key), str):
                continue
            try:
                clips[key] = self._read(values[key], requests)
            except Exception as error:
                clips[key] = error
        return clips

    def _read(self, path: str, requests: Sequence[FrameRequest]) -> Clip:
        """Decode a clip, or take it from the call before: a paired reference is scored right after its pair."""
        digest = digest_file(path)
        known = self._recent.get(digest)
        if known is not None and all(known.holds(request) for request in requests):
            return known
        clip = read(path, "clip", list(requests))
        self.counts.decoded += 1
        while len(self._recent) >= _KEPT:
            del self._recent[next(iter(self._recent))]
        if digest_file(path) == digest:  # else it was replaced meanwhile, and these may be the frames of either
            self._recent[digest] = clip
        return clip

    def _run(self, metric: BaseMetric, values: Mapping[str, Any], clips: Mapping[str, Clip | Exception]) -> Outcome:
        try:
            sample = self._sample(metric, values, clips)
            self.counts.computed += 1
            with fitting_threads(metric):
                if isinstance(metric, SetMetric):
                    return Outcome(rows=checked_rows(metric.features(sample)))
                return Outcome(checked_result(metric.compute(sample)))
        except UnavailableError as error:
            return Outcome(MetricResult.unavailable(metric.name, str(error)))
        except NoAudioStreamError as error:
            return Outcome(MetricResult.skipped(metric.name, str(error)))
        except VidmetricsError as error:
            return Outcome(MetricResult.failed(metric.name, str(error)))
        except _LEAVE:
            raise
        except BaseException as error:  # pytest.skip() and its like are no Exception: other metrics go on
            return Outcome(crashed(metric, error))

    def _sample(
        self, metric: BaseMetric, values: Mapping[str, Any], clips: Mapping[str, Clip | Exception]
    ) -> dict[str, Any]:
        sample = dict(values)
        for key in _read_keys(metric):
            clip = clips.get(key)
            if isinstance(clip, Exception):
                raise clip
            if clip is not None:
                sample[key] = self._uploaded(clip, metric)
                sample.setdefault(f"{key}_path", values[key])
        for key, clip in clips.items():
            if sample.get(name := rate_key(key)) is None and not isinstance(clip, Exception):
                sample[name] = clip.fps
        return sample

    def _uploaded(self, clip: Clip, metric: BaseMetric) -> torch.Tensor:
        """Return the frames on the device: uint8 ones once per sample, so that metrics can share what they compute."""
        if metric.pixels == "float32":
            return _frames(clip, metric).to(self.device)
        name = ("frames", metric.frames(), self.device)
        return once(name, lambda: _frames(clip, metric).to(self.device), of=clip)


def crashed(metric: BaseMetric, error: BaseException) -> MetricResult:
    """Return the result of a metric that raised: its error, with the traceback among the details."""
    details = {"reason": f"{type(error).__name__}: {error}", "traceback": "".join(traceback.format_exception(error))}
    return MetricResult(metric.name, None, details, "failed")


def weights_of(metric: BaseMetric) -> dict[str, str]:
    """Return ``{checkpoint name: sha256}`` of everything a metric loads.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` when a file that is not pinned is missing.
    """
    return {checkpoint.name: weights_sha256(checkpoint) for checkpoint in metric.weights_files()}


def _identity(metric: BaseMetric) -> dict[str, Any]:
    return metric.feature_identity() if isinstance(metric, SetMetric) else metric.identity()


def _read_keys(metric: BaseMetric) -> tuple[str, ...]:
    """Return the sample keys that a metric's per-clip work depends on, in a fixed order."""
    if metric.is_set_metric:
        return metric.requires
    return tuple(sorted({*metric.required_keys(), *metric.reads}))


def _digest(key: str, value: Any) -> Any:
    return {"sha256": digest_file(value)} if key in PATH_KEYS and isinstance(value, str) else value


def _decoder() -> str:
    from pytest_vidmetrics.media.recipe import DECODER_ID

    return DECODER_ID


def _frames(clip: Clip, metric: BaseMetric) -> torch.Tensor:
    """Return the frames that the metric asked for, as it wants its pixels."""
    frames = clip.select(metric.frames())
    return frames if metric.pixels == "uint8" else frames.float().div_(255)
