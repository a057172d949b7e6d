"""Where rows are scored: on this machine, on a Ray cluster, or by an engine of an installed package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from pytest_vidmetrics.core.entry_points import load_all
from pytest_vidmetrics.core.errors import VidmetricsError, closest
from pytest_vidmetrics.engine.rows import RowScorer, RowTask, read_row_file

ENTRY_POINT_GROUP = "pytest_vidmetrics.engines"
_ROWS_AT_A_TIME = 256


@dataclass(frozen=True)
class Resources:
    """What one worker takes, and how many there are; 0 workers: as many as fit."""

    workers: int = 0
    gpus_per_worker: float = 0.0
    cpus_per_worker: float = 1.0


class Engine(Protocol):
    """Scores the rows of a file. Every row comes back as one line, in any order; what it stores, gates judge."""

    def __call__(self, rows: Path, task: RowTask, resources: Resources) -> Iterator[dict[str, Any]]:
        """Yield a line for each row of ``rows``, as :meth:`.rows.RowScorer.score` makes them."""
        ...


def local(rows: Path, task: RowTask, resources: Resources) -> Iterator[dict[str, Any]]:
    """Score on one device of this machine, in the order of the rows."""
    del resources
    scorer, every, empty = RowScorer(task), read_row_file(rows), True
    while part := [row for _, row in islice(every, _ROWS_AT_A_TIME)]:
        empty = False
        yield from scorer.score(part)
    if empty:
        raise VidmetricsError(f"{rows} has no rows")


def get_engine(name: str) -> Engine:
    """Return the engine ``"local"``, ``"ray"``, or one of an installed package. Raises ``ValueError`` for another."""
    if name == "local":
        return local
    if name == "ray":
        from pytest_vidmetrics.engine.ray_engine import ray_engine

        return ray_engine
    others = load_all(ENTRY_POINT_GROUP, "engine")
    if name not in others:
        known = ["local", "ray", *others]
        raise ValueError(f"unknown engine {name!r}{closest(name, known)} (known: {', '.join(known)})")
    found: Engine = others[name]
    return found
