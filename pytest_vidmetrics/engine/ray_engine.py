"""Rows on a Ray cluster. Only rows and lines travel: the actors read, decode, score and store.

An actor owns one :class:`.rows.RowScorer`, scores a batch at a time and seals what it stored. Whatever a row does is
caught there, but for a death of the process: so an actor marks in the store that it begins a batch. One that was begun
before is tried row by row, with marks at the beginning and the end of each. A row that was begun three times and never
ended is an ERROR that says so. Restarts and retries are bounded, and as many lines come out as rows went in.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import UnavailableError, VidmetricsError
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.engine.object_store import open_store
from pytest_vidmetrics.engine.rows import ROW_SUFFIXES, Row, RowScorer, RowTask, checked_row, failed_line, metric_names

if TYPE_CHECKING:
    from pytest_vidmetrics.engine.engines import Resources

_BATCH = 256
"""Most rows of a batch: a death costs what it had not sealed, and every batch is a segment that readers look into."""
_DEATHS = 3


def ray_engine(rows: Path, task: RowTask, resources: Resources) -> Iterator[dict[str, Any]]:
    """Score on the cluster that ``ray`` finds (``RAY_ADDRESS``), or on this machine.

    Raises :class:`VidmetricsError` before anything starts for no rows, a store that only this process sees, and a
    cluster with too few GPUs or cores for one worker; at the end when rows were lost.
    """
    ray = _ray()
    if task.store.startswith("memory:"):
        raise VidmetricsError("a store in memory is not shared between machines: give --store=URL or a shared folder")
    if rows.suffix.lower() not in ROW_SUFFIXES:
        raise VidmetricsError(f"{rows}: rows are in a {' or '.join(ROW_SUFFIXES)} file")
    if not rows.is_file():
        raise VidmetricsError(f"{rows} does not exist")
    if not ray.is_initialized():
        ray.init(address=os.environ.get("RAY_ADDRESS"), include_dashboard=False, log_to_driver=False)
    workers = _fitting(ray.cluster_resources(), resources)
    data = ray.data.read_text(str(rows)) if rows.suffix.lower() == ".jsonl" else ray.data.read_parquet(str(rows))
    count = data.count()
    if not count:
        raise VidmetricsError(f"{rows} has no rows")
    # Eight batches for each worker, so that all end at about the same time.
    batch = max(16, min(_BATCH, count // (8 * workers)))
    retries = _DEATHS * batch + 2  # every row may kill its actor as often as it is tried, and the batch once
    lines = data.map_batches(
        _Actor,
        fn_constructor_args=(task, uuid.uuid4().hex),
        batch_format="pyarrow",
        batch_size=batch,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        num_gpus=resources.gpus_per_worker or None,
        num_cpus=resources.cpus_per_worker,
        max_restarts=retries,
        max_task_retries=retries,
    )
    found = 0
    for one in lines.iter_rows():
        found += 1
        yield json.loads(one["line"])
    if found != count:
        raise VidmetricsError(f"{count} rows went in and {found} lines came out: run again, what is stored is kept")


class _Actor:
    """What runs on a worker of the cluster."""

    def __init__(self, task: RowTask, run: str) -> None:
        self._scorer = RowScorer(task)
        self._marks = open_store(task.store)
        self._run, self._names = run, metric_names(task)

    def __call__(self, batch: Any) -> dict[str, Any]:
        rows = [_row(one) for one in batch.to_pylist()]
        lines = self._together(rows) or [self._line(row) for row in rows]
        return {"line": [json.dumps(line, sort_keys=True) for line in lines]}

    def _together(self, rows: list[Row | str]) -> list[dict[str, Any]]:
        """Return the lines of a batch; none where it was begun before, or where a row is none."""
        whole = [row for row in rows if not isinstance(row, str)]
        # Named by content, as a batch has no number that survives a restart.
        key = digest_json([self._run, [dict(row) for row in whole]])
        if len(whole) < len(rows) or self._marks.get_json("attempts", key) is not None:
            return []
        self._marks.put_json("attempts", key, {})
        try:
            return list(self._scorer.score(whole))
        except Exception:  # found again, and said, with the row that it belongs to
            return []

    def _line(self, row: Row | str) -> dict[str, Any]:
        if isinstance(row, str):
            return failed_line({"row": row}, self._names, f"not a row: {row[:80]}")
        begun = self._begun(row)
        if begun >= _DEATHS:
            return failed_line(row, self._names, f"its worker died {begun} times while it scored this row")
        # A mark for each try, as entries are never overwritten.
        self._mark(row, f"begun-{begun}")
        try:
            line = next(self._scorer.score([row]))
        except Exception as error:
            line = failed_line(row, self._names, f"{type(error).__name__}: {error}")
        self._mark(row, f"ended-{begun}")
        return line

    def _begun(self, row: Row) -> int:
        """Return how often the row was begun in this run, 0 when the last try came to its end."""
        begun = 0
        while self._marks.get_json("attempts", self._key(row, f"begun-{begun}")) is not None:
            begun += 1
        ended = begun and self._marks.get_json("attempts", self._key(row, f"ended-{begun - 1}")) is not None
        return 0 if ended else begun

    def _mark(self, row: Row, what: str) -> None:
        self._marks.put_json("attempts", self._key(row, what), {})

    def _key(self, row: Row, what: str) -> str:
        return digest_json([self._run, dict(row), what])


def _row(values: Mapping[str, Any]) -> Row | str:
    """Return a row of a text or Parquet file, or the text that is none."""
    if set(values) != {"text"}:
        # Parquet fills in None where a row has no value.
        return {key: value for key, value in values.items() if value is not None}
    try:
        return checked_row(json.loads(values["text"]), "")
    except ValueError:
        return str(values["text"])


def _fitting(cluster: Mapping[str, float], resources: Resources) -> int:
    """Return how many workers to have. Raises :class:`VidmetricsError` when not one fits."""
    most = []
    for what, each in (("CPU", resources.cpus_per_worker), ("GPU", resources.gpus_per_worker)):
        have = cluster.get(what, 0.0)
        if each > have:
            raise VidmetricsError(f"a worker takes {each:g} {what}, and the cluster has {have:g}: nothing could start")
        if each:
            most.append(int(have / each))
    return min([*most, resources.workers] if resources.workers else most, default=1) or 1


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UnavailableError(
            "the engine 'ray' needs Ray: pip install 'pytest-vidmetrics[ray]', or use --engine=local"
        ) from error
    return ray
