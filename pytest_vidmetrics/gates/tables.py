"""Baselines of very many clips: what a reviewer can read stays in the file, the scores by clip lie in the store.

The file holds the sha256 of the table of clips, so that nothing of it can change unnoticed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_vidmetrics.core.clips import ClipFacts, facts_from
from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.samples import LARGE
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.gates.baseline import Baseline, Table
from pytest_vidmetrics.gates.digits import digits

_KIND = "baselines"
_SHARES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def without_table(baseline: Baseline, store: Store) -> Baseline:
    """Return a baseline whose table of clips is kept in a store; the same for one of few clips."""
    scores = baseline.scores
    if baseline.n <= LARGE or baseline.table is not None:
        return baseline
    body = _body(baseline)
    # The digest of the table is its key: whoever reads it back proves its content.
    key = digest_json(body)
    store.put_json(_KIND, key, body)
    # The file must not name a table that is not there yet.
    store.flush()
    # Influences are about 1 / n of a score, and rounded that much finer.
    floor = scores.noise_floor / max(1, baseline.n) if scores.is_set else scores.noise_floor
    values = sorted(scores.samples.values())
    table = Table(
        key,
        baseline.n,
        digits(math.fsum(values) / len(values), floor),
        digits(statistics.pstdev(values), floor),
        {f"{share:g}": values[round(share * (len(values) - 1))] for share in _SHARES},
    )
    return replace(baseline.without_clips(), table=table)


def with_table(baseline: Baseline, store: Store | None, where: str) -> Baseline:
    """Return a baseline with the table of its clips. Raises ``BaselineError`` where the store does not hold it."""
    if baseline.table is None:
        return baseline
    key = baseline.table.sha256
    body = None if store is None else store.get_json(_KIND, key)
    # A store may be shared: what it returns is believed by its digest only.
    if body is None or digest_json(body) != key:
        asked = "no store is named" if store is None else "the store does not hold them"
        raise BaselineError(
            f"the baseline {where} keeps the scores of its {baseline.n} clips in the store that it was recorded with, "
            f"and {asked}: give that one with --vidmetrics-store=URL, or record it again with --update-baselines"
        )
    ids: Sequence[str] = body["ids"]
    scores = replace(
        baseline.scores,
        samples={id: float(score) for id, score in zip(ids, body["scores"], strict=True) if score is not None},
        inputs=_decoded(ids, body["inputs"]),
        clips=_facts(ids, body["clips"]),
        reference_clips=_facts(ids, body["reference_clips"]),
    )
    return replace(baseline, scores=scores, table=None)


def _body(baseline: Baseline) -> dict[str, Any]:
    """Return the table in columns. What few values make up is a list of these and a number for each clip."""
    scores = baseline.scores
    ids = sorted(scores.samples.keys() | scores.inputs.keys())
    return {
        "ids": ids,
        "scores": [scores.samples.get(id) for id in ids],
        "inputs": _coded(ids, scores.inputs),
        "clips": _coded(ids, scores.clips),
        "reference_clips": _coded(ids, scores.reference_clips),
    }


def _coded(ids: Sequence[str], column: Mapping[str, Any]) -> dict[str, Any]:
    numbers: dict[Any, int] = {}
    # Dicts keep the order of insertion: the number of a value is its place in the list.
    at = [numbers.setdefault(column[id], len(numbers)) if id in column else None for id in ids] if column else []
    return {"values": [one.brief() if isinstance(one, ClipFacts) else one for one in numbers], "at": at}


def _decoded(ids: Sequence[str], column: Mapping[str, Any]) -> dict[str, Any]:
    pairs = zip(ids, column["at"], strict=True) if column["at"] else ()
    return {id: column["values"][at] for id, at in pairs if at is not None}


def _facts(ids: Sequence[str], column: Mapping[str, Any]) -> dict[str, ClipFacts]:
    return _decoded(ids, {**column, "values": [facts_from(one) for one in column["values"]]})
