"""Rows in, outcomes out: what an engine runs on each of its machines. Results go to the store, a line comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.precision import Precision
from pytest_vidmetrics.core.text import json_lines
from pytest_vidmetrics.core.types import PATH_KEYS, MetricResult
from pytest_vidmetrics.engine.ahead import Lookahead
from pytest_vidmetrics.engine.digest_index import DigestIndex
from pytest_vidmetrics.engine.object_store import open_store
from pytest_vidmetrics.engine.urls import is_url, placed
from pytest_vidmetrics.engine.work import Job, Outcome, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.composite import is_composite, with_parts
from pytest_vidmetrics.metrics.sets.base import SetMetric

Row = Mapping[str, Any]
_AT_ONCE = 16
"""How many rows' clips are copied from their URLs at a time."""
ROW_SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class RowTask:
    """What to do with every row, as plain values that reach another machine.

    Paths in rows are relative to ``root``, and kept as they are when they are absolute or URLs.
    """

    metrics: tuple[str, ...]
    store: str
    root: str
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str = "auto"
    precision: Precision | None = None


class RowScorer:
    """Scores rows on one device through the task's store. A row never raises: its faults are part of its line."""

    def __init__(self, task: RowTask) -> None:
        from pytest_vidmetrics.engine.devices import resolve_devices

        self._root = Path(task.root)
        self.store = open_store(task.store, segments=True)
        self._names = metric_names(task)
        self._metrics = [registry.get_metric(name, **task.params.get(name, {})) for name in self._names]
        self._sets = [metric for metric in self._metrics if isinstance(metric, SetMetric)]
        self._digests = DigestIndex(self.store, trusted=False)
        device = resolve_devices(task.device, 1)[0]
        self.worker = EvalWorker(self.store, device, precision=task.precision, digest=self._digests.digest)

    def score(self, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
        """Yield a line for each row, in order; the next rows are decoded meanwhile. Seals what was stored at the end.

        Clips at URLs are copied to this machine, a few rows ahead, once for all metrics, and removed when scored.
        A line has the row's ``id`` and, by metric, ``status``, ``score`` and ``reason``. The status of a set metric's
        row is ``"kept"``: its features are in the store.
        """
        try:
            if any(map(_urls, rows)):
                yield from self._from_urls(rows)
            else:
                yield from self._lines(rows, rows)
        finally:
            self.store.flush()
            self._digests.flush()

    def _from_urls(self, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
        parts = [rows[at : at + _AT_ONCE] for at in range(0, len(rows), _AT_ONCE)]
        # One thread ahead: the next part is copied while this one is scored.
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._copied, parts[0])
            for i, part in enumerate(parts):
                folder, copies = coming.result()
                if i + 1 < len(parts):
                    coming = ahead.submit(self._copied, parts[i + 1])
                # Removed when its rows are scored: corpora are larger than disks.
                with folder:
                    here = [(row, one) for row, one in zip(part, copies, strict=True) if isinstance(one, dict)]
                    lines = self._lines([row for row, _ in here], [one for _, one in here])
                    for row, one in zip(part, copies, strict=True):
                        yield next(lines) if isinstance(one, dict) else failed_line(row, self._names, str(one))

    def _copied(self, rows: Sequence[Row]) -> tuple[TemporaryDirectory[str], list[dict[str, Any] | str]]:
        """Return rows whose clips lie in a folder of this machine, or why one cannot be had."""
        folder = TemporaryDirectory(prefix="vidmetrics-")

        def copied(row: Row) -> dict[str, Any] | str:
            try:
                return {**row, **{key: str(self._digests.fetched(row[key], Path(folder.name))) for key in _urls(row)}}
            except OSError as error:
                return f"cannot read {error.filename}: {error.strerror}"

        with ThreadPoolExecutor(_AT_ONCE) as several:
            return folder, list(several.map(copied, rows))

    def _lines(self, rows: Sequence[Row], values: Sequence[Row]) -> Iterator[dict[str, Any]]:
        """Yield the line of each row, scored with the values that stand for it here."""
        ahead = Lookahead(self.worker)
        jobs = [self._job(row) for row in values]
        ahead.announce(jobs)
        try:
            for row, job in zip(rows, jobs, strict=True):
                results: dict[str, dict[str, Any]] = {}
                for unit, outcomes in zip(job.units, ahead.run(job), strict=True):
                    for metric, outcome in zip(unit.metrics, outcomes, strict=True):
                        # What is told of a clip and its reference is the failure, where one failed.
                        said = _said(outcome)
                        if metric.name not in results or said["status"] not in ("scored", "kept"):
                            results[metric.name] = said
                yield {"id": id_of(row), "results": results}
        finally:
            ahead.close()

    def _job(self, row: Row) -> Job:
        # They name a row; metrics do not read them.
        values = {key: self._placed(key, value) for key, value in row.items() if key not in ("id", "role")}
        if row.get("role") == "reference":
            return Job((Unit(values, self._sets),))
        units = [Unit(values, self._metrics)]
        for key, clip in (("reference", "video"), ("reference_audio", "audio")):
            sets = [metric for metric in self._sets if metric.reference_key() == key]
            # A paired reference is a clip of its own, under the key of that clip alone.
            if sets and key in values:
                units.append(Unit({clip: values[key]}, sets))
        return Job(tuple(units))

    def _placed(self, key: str, value: Any) -> Any:
        return placed(value, self._root) if key in PATH_KEYS and isinstance(value, str) else value


def _urls(row: Row) -> list[str]:
    return [key for key, value in row.items() if key in PATH_KEYS and is_url(value)]


def id_of(row: Row) -> str:
    """Return a row's id, or a hash of its content."""
    return str(row["id"]) if row.get("id") not in (None, "") else digest_json(dict(row))[:16]


def failed_line(row: Row, metrics: Iterable[str], reason: str) -> dict[str, Any]:
    """Return the line of a row that no metric could score."""
    result = {"status": "failed", "score": None, "reason": reason}
    return {"id": id_of(row), "results": {name: dict(result) for name in metrics}}


def is_bad(line: Mapping[str, Any]) -> bool:
    """Whether some metric failed on a row or was not available."""
    return any(one["status"] in ("failed", "unavailable") for one in line["results"].values())


def read_row_file(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the number and the values of each row of a ``.jsonl`` or ``.parquet`` file, a part of it at a time.

    Raises :class:`~pytest_vidmetrics.core.text.TextError` with the line of a row that is not an object, ``ValueError``
    for another suffix, and ``ImportError`` where Parquet needs pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        for number, row in json_lines(path):
            yield number, checked_row(row, f"{path}:{number}")
    elif suffix == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise ImportError(f"{path}: Parquet needs pyarrow: pip install pyarrow, or write .jsonl") from error
        number = 0
        for batch in parquet.ParquetFile(path).iter_batches(1024):
            for row in batch.to_pylist():
                number += 1
                # Parquet fills in None where a row has no value.
                yield number, {key: value for key, value in row.items() if value is not None}
    else:
        raise ValueError(f"{path}: rows are in a {' or '.join(ROW_SUFFIXES)} file")


def checked_row(row: Any, where: str) -> Row:
    """Return a row. Raises ``ValueError`` for what is not an object."""
    if not isinstance(row, dict):
        raise ValueError(f"{where}: a row is an object of sample keys, not a {type(row).__name__}")
    return row


def _said(outcome: Outcome) -> dict[str, Any]:
    result: MetricResult | None = outcome.result
    if result is None:
        return {"status": "kept", "score": None, "reason": ""}
    return {"status": result.status, "score": result.score, "reason": result.reason}


def metric_names(task: RowTask) -> tuple[str, ...]:
    """Return the metrics that a task scores rows with: parts in place of composites."""
    return tuple(name for name in with_parts(registry.expand(task.metrics)) if not is_composite(name))
