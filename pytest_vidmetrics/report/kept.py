"""What the store kept of a clip's score, found by what a record says: metric, weights, and the files as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.core.types import PATH_KEYS, MetricResult
from pytest_vidmetrics.engine.identity import UnkeyedError, content, key_of, keys_read
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric


class Kept:
    """Looks up results of a run in a store. ``root`` is where the paths of the record start."""

    def __init__(self, store: Store, record: RunRecord, root: Path) -> None:
        self._store, self._cases, self._root = store, record.cases, root
        self._metrics: dict[str, BaseMetric | None] = {}

    def details(self, gate: GateRecord, clip: str) -> Mapping[str, Any] | None:
        """Return the details of one clip's score; ``None`` where there are none, or the files are others by now."""
        found = self._result(gate, clip, {})
        return found.details if found is not None else None

    def picked(self, gate: GateRecord) -> FrameRequest:
        """Return which frames of a clip the metric of a gate looks at."""
        metric = self._metric(gate)
        return ALL_FRAMES if metric is None else metric.frames()

    def score(self, gate: GateRecord, clip: str, instead: Mapping[str, str]) -> float | None:
        """Return what a clip would score with other files ``instead``; ``None`` where the store does not know."""
        found = self._result(gate, clip, instead)
        return found.score if found is not None else None

    def _result(self, gate: GateRecord, clip: str, instead: Mapping[str, str]) -> MetricResult | None:
        metric = self._metric(gate)
        values = self._cases.get(gate.gate.rpartition("::")[0], {}).get(clip)
        if metric is None or values is None or metric.is_set_metric or gate.scores is None:
            return None
        values = {**values, **instead}
        weights = gate.scores.metric.get("weights", {})
        try:
            # Hashed anew: a file that was replaced since the run no longer finds its score.
            contents = {
                key: content(key, str(self._root / values[key]) if key in PATH_KEYS else values[key])
                for key in keys_read(metric)
                if key in values
            }
            return self._store.get_result(key_of(metric, weights, contents))
        except (OSError, UnkeyedError, VidmetricsError):
            return None

    def _metric(self, gate: GateRecord) -> BaseMetric | None:
        """Return the metric of a gate; ``None`` for one that is not installed here, or takes other parameters."""
        if gate.gate not in self._metrics:
            # Remembered before it is tried: what cannot be made is not tried for each clip.
            self._metrics[gate.gate] = None
            if gate.scores is not None:
                params = gate.scores.metric.get("params", {})
                with contextlib.suppress(KeyError, TypeError, ValueError, VidmetricsError):
                    metric = registry.get_metric(str(gate.scores.metric.get("name")), **params)
                    # The precision is part of the key that the score was stored under.
                    metric.run_precision = gate.scores.metric.get("precision", "fp32")
                    self._metrics[gate.gate] = metric
        return self._metrics[gate.gate]
