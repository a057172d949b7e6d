"""Before anything is computed: where a sample's results are kept, which of them are there, and what is to be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import ContentError, VidmetricsError
from pytest_vidmetrics.core.hashing import digest_file, digest_json
from pytest_vidmetrics.core.types import PATH_KEYS, MetricResult, Video
from pytest_vidmetrics.engine.faults import fault
from pytest_vidmetrics.engine.identity import Digest, UnkeyedError, content, key_of, keys_read
from pytest_vidmetrics.engine.loading import requests_for
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.engine.values import completed
from pytest_vidmetrics.engine.work import Outcome, Plan, Unit
from pytest_vidmetrics.metrics.base import BaseMetric

WeightsOf = Callable[[BaseMetric], Mapping[str, str]]
"""Returns ``{name: sha256}`` of a metric's weights; raises what :func:`.identity.weights_of` raises."""


def plan_unit(
    unit: Unit,
    store: Store,
    weights: WeightsOf,
    digest: Digest = digest_file,
    device: Callable[[], str] | None = None,
) -> Plan:
    """Return what is known of a unit's results without computing anything. ``digest`` hashes its files.

    ``device`` is where the missing ones would be computed: a clip that does not fit there is not decoded for them.
    """
    values = completed(unit.values)
    plan = Plan(values, unit.metrics, [], [], {}, given=frozenset(unit.values), digest=digest)
    declared = [_declared(metric) for metric in unit.metrics]
    # Each value once, however many metrics read it.
    faults = _hash(values, dict.fromkeys(key for keys in declared if isinstance(keys, tuple) for key in keys), plan)
    for metric, keys in zip(unit.metrics, declared, strict=True):
        where = keys if isinstance(keys, MetricResult) else _where(metric, plan, faults, weights)
        if isinstance(where, MetricResult):
            plan.keys.append(None)
            plan.outcomes.append(Outcome(where))
        else:
            plan.keys.append(where)
            plan.outcomes.append(stored(store, where, metric))
    if device is not None:
        _refuse_large(plan, device)
    missing = [unit.metrics[i] for i in plan.missing]
    for key, requests in requests_for(missing, values).items():
        # What has no content hash is told apart by the object, and so never taken for another one.
        name = digest_json(plan.contents[key]) if key in plan.contents else f"{key} {id(values[key])}"
        plan.clips[key] = name
        plan.requests.setdefault(name, []).extend(requests)
    return plan


def _refuse_large(plan: Plan, device: Callable[[], str]) -> None:
    """Give the metrics that cannot hold frames of a clip's size their outcome, from what its file states."""
    sizes: dict[str, tuple[int, int] | None] = {}
    for i in plan.missing:
        metric = plan.metrics[i]
        if type(metric).check_size is BaseMetric.check_size:
            continue
        # Not at the top: a run that computes nothing does not load PyAV.
        from pytest_vidmetrics.media.container import stored_size

        for key in ("video", "reference"):
            value = plan.values.get(key)
            if key not in keys_read(metric) or not _is_file(key, value):
                continue
            if key not in sizes:
                path = Path(str(value.source if isinstance(value, Video) else value))
                sizes[key] = stored_size(path) if path.is_file() else None
            try:
                if (size := sizes[key]) is not None:
                    metric.check_size(*size, device())
            except VidmetricsError as error:
                plan.outcomes[i] = Outcome(fault(metric.name, error))
                break


def _declared(metric: BaseMetric) -> tuple[str, ...] | MetricResult:
    """Return the keys that a metric reads, or its fault when it cannot say so."""
    # Metrics of others may raise in what they declare.
    try:
        metric.frames()
        return keys_read(metric)
    except Exception as error:
        return fault(metric.name, error)


def stored(store: Store, key: str | None, metric: BaseMetric) -> Outcome | None:
    """Return the outcome that is kept under a key, or ``None``."""
    if key is None:
        return None
    if metric.is_set_metric and (rows := store.get_rows(key)) is not None:
        clips = store.get_clips(key)
        # Rows without the facts of their clips are of an older layout, and computed again.
        return None if clips is None else Outcome(rows=rows, clips=clips)
    found = store.get_scored(key)
    return None if found is None else Outcome(found[0], clips=found[1])


def changed_since(plan: Plan, metric: BaseMetric | None = None) -> MetricResult | None:
    """Return why a result would not be what its key says, when a file was replaced since the plan was made.

    ``metric`` is the one whose files count; all of the plan's files do without.
    """
    name = metric.name if metric is not None else ""
    for key in keys_read(metric) if metric is not None else tuple(plan.contents):
        value = plan.values.get(key)
        if key not in plan.contents or not _is_file(key, value):
            continue
        try:
            now = content(key, value, plan.digest)
        except OSError as error:
            return MetricResult.failed(name, _unreadable(error))
        except ContentError as error:
            return MetricResult.failed(name, str(error))
        if now != plan.contents[key]:
            return MetricResult.failed(name, "a file changed while it was being scored: run again")
    return None


def _hash(values: Mapping[str, Any], keys: Iterable[str], plan: Plan) -> dict[str, Exception]:
    """Fill in the hash of each value that some metric reads; return why others have none, by key."""
    faults: dict[str, Exception] = {}
    for key in keys:
        if values.get(key) is None:
            continue
        try:
            plan.contents[key] = content(key, values[key], plan.digest)
        except OSError as error:
            faults[key] = VidmetricsError(_unreadable(error))
            # What is missing now may be there later: such a plan is made anew.
            plan.unreadable = True
        except (UnkeyedError, ContentError) as error:
            faults[key] = error
    return faults


def _unreadable(error: OSError) -> str:
    return f"cannot read {error.filename}: {error.strerror}"


def _where(
    metric: BaseMetric, plan: Plan, faults: Mapping[str, Exception], weights: WeightsOf
) -> str | MetricResult | None:
    """Return the key of a metric's outcome, ``None`` when it cannot be kept, or a result when there will be none."""
    required = metric.requires if metric.is_set_metric else metric.required_keys()
    if absent := [key for key in required if plan.values.get(key) is None]:
        return MetricResult.skipped(metric.name, f"the sample has no {', '.join(absent)}")
    read = keys_read(metric)
    problems = [faults[key] for key in read if key in faults]
    try:
        # Before problems of clips: a metric that is unavailable is so for every sample.
        found = weights(metric)
        if unreadable := [one for one in problems if isinstance(one, VidmetricsError)]:
            return MetricResult.failed(metric.name, str(unreadable[0]))
        return None if problems else key_of(metric, found, {k: plan.contents[k] for k in read if k in plan.contents})
    except UnkeyedError:
        return None
    except OSError as error:
        return MetricResult.failed(metric.name, _unreadable(error))
    except Exception as error:
        return fault(metric.name, error)


def _is_file(key: str, value: Any) -> bool:
    if isinstance(value, Video):
        return value.frames is None and value.source is not None
    return isinstance(value, os.PathLike) or (isinstance(value, str) and key in PATH_KEYS)
