"""Outcomes of many samples that are only read: keys first, then the store's entries as they lie there.

It finds what :func:`.planning.plan_unit` finds, for a part of its cost. What it does not find, and every fault, is left
to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_vidmetrics.core.clips import Clips
from pytest_vidmetrics.core.hashing import canonical_json
from pytest_vidmetrics.core.types import PATH_KEYS
from pytest_vidmetrics.engine.digest_index import DigestIndex
from pytest_vidmetrics.engine.identity import Digest, KeyMaker, content, keys_read
from pytest_vidmetrics.engine.planning import WeightsOf, stored
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.engine.values import IMPLIED, completed
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.metrics.base import BaseMetric

FEW = 256
"""Fewer samples are looked up one by one."""
MANY = 1 << 16
"""How many samples are looked up at a time: what of them is in memory, and how often a segment may be read again."""


def kept(units: Sequence[Unit], store: Store, weights: WeightsOf, digest: Digest) -> list[Outcome | None]:
    """Return the outcomes of units of one metric that are in the store; ``None`` for what is to be looked at alone.

    ``digest`` hashes the files that samples name: many at a time where it is an index.
    """
    found: list[Outcome | None] = [None] * len(units)
    metrics = {id(metric): metric for unit in units for metric in unit.metrics}
    if len(units) < FEW or len(metrics) != 1 or not all(len(unit.metrics) == 1 for unit in units):
        return found
    (metric,) = metrics.values()
    try:
        keys = dict(_keys(units, metric, weights, digest))
    except Exception:  # whatever it is, it is said of each sample
        return found
    if metric.is_set_metric:
        for i, key in keys.items():
            found[i] = stored(store, key, metric)
        return found
    numbers, brief = list(keys), all(unit.brief for unit in units)
    shared: dict[tuple[Any, ...], Clips] = {}
    for at, (result, clips) in store.each_scored(list(keys.values())):
        outcome = Outcome(result, clips=clips)
        found[numbers[at]] = outcome.brief(shared) if brief else outcome
    return found


def _keys(units: Sequence[Unit], metric: BaseMetric, weights: WeightsOf, digest: Digest) -> Iterator[tuple[int, str]]:
    """Yield the numbers and the keys of the units that have one."""
    metric.frames()
    read = keys_read(metric)
    required = metric.requires if metric.is_set_metric else metric.required_keys()
    maker = KeyMaker(metric, weights(metric))
    spelled = [(key, canonical_json(key)) for key in read]
    implied = any(key in IMPLIED for key in read)
    samples = [completed(unit.values) if implied else unit.values for unit in units]
    files = _files(samples, [key for key in read if key in PATH_KEYS], digest)
    texts: dict[tuple[str, type, Any], str] = {}
    for i, values in enumerate(samples):
        if any(values.get(key) is None for key in required):
            continue
        parts: list[str] = []
        for key, name in spelled:
            value = values.get(key)
            if value is None:
                continue
            if isinstance(value, str) and key in PATH_KEYS:
                sha256 = files.get(value)
                text = None if sha256 is None else f'{{"sha256":"{sha256}"}}'
            elif isinstance(value, str | int | float):
                which = (key, type(value), value)
                text = texts.get(which) or texts.setdefault(which, canonical_json(content(key, value, digest)))
            else:
                text = None
            if text is None:
                break
            parts.append(f"{name}:{text}")
        else:
            yield i, maker.key(parts)


def _files(samples: Sequence[Mapping[str, Any]], keys: Sequence[str], digest: Digest) -> dict[str, str]:
    """Return the sha256 of the files that samples name, as far as it is known."""
    if not isinstance(digest, DigestIndex):
        return {}
    paths = [path for key in keys for values in samples if isinstance(path := values.get(key), str)]
    return {path: sha256 for path, sha256 in zip(paths, digest.known(paths), strict=True) if sha256 is not None}
