"""The history of a gate: what its baseline said in each commit, and what runs scored whose records were kept."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.verdict import PASSING
from pytest_vidmetrics.gates.baseline_text import decode_baseline
from pytest_vidmetrics.gates.record import GateRecord, RunRecord, read_record

BASELINE = "BASELINE"
_SUFFIXES = (".json", ".html")
_SECONDS = 60


@dataclass(frozen=True)
class Point:
    """One score of a gate: recorded in a commit (``status`` is ``BASELINE``), or scored by a run (its verdict).

    ``time`` is in ISO format, in UTC; ``source`` is the subject of the commit, or the name of the record.
    """

    time: str
    status: str
    score: float | None
    interval: tuple[float, float] | None
    n: int
    checkpoint: str
    commit: str
    source: str

    def to_json(self) -> dict[str, Any]:
        """Return builtin values."""
        return asdict(self)


def of_baseline(path: Path) -> list[Point]:
    """Return what a baseline file said in each commit that changed it; nothing outside of git.

    Raises :class:`~pytest_vidmetrics.core.errors.BaselineError` for a commit in which it is not a baseline.
    """
    # AM: added or modified; a commit that deleted the file has nothing to show.
    log = _git(path.parent, "log", "--format=%H%x09%cI%x09%s", "--diff-filter=AM", "--", path.name)
    points = []
    for line in log.decode("utf-8", "replace").splitlines():
        # The subject comes last, and may hold tabs.
        commit, time, subject = line.split("\t", 2)
        # "./" is relative to the folder, wherever the repository starts.
        found = decode_baseline(_git(path.parent, "show", f"{commit}:./{path.name}"), f"{path} in commit {commit[:12]}")
        points.append(Point(_utc(time), BASELINE, found.score, found.interval, found.n, "", commit, subject))
    return points


def _git(folder: Path, *words: str) -> bytes:
    # A baseline that is gone may have left an empty place: git runs in the nearest folder that is there.
    while not folder.is_dir():
        folder = folder.parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout if done.returncode == 0 else b""


def records_in(folder: Path) -> dict[str, RunRecord]:
    """Return the run records of a folder and those below it, by their paths in it; other files are passed over.

    Raises :class:`~pytest_vidmetrics.core.errors.BaselineError` for a folder without any.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file()):
        try:
            found[str(path.relative_to(folder))] = read_record(path)
        except BaselineError:
            continue
    if not found:
        raise BaselineError(f"{folder} holds no run record (--vidmetrics-report=FILE.json or FILE.html makes one)")
    return found


def of_records(records: Mapping[str, RunRecord], file: str) -> list[Point]:
    """Return what runs scored for the gate of a baseline file; a record that does not say its time is left out.

    A run whose record and page are both there is one point.
    """
    points: dict[tuple[object, ...], Point] = {}
    for name, record in records.items():
        gate, facts = record.by_file().get(file), record.environment
        if gate is None or not (time := _utc(facts.get("time", ""))):
            continue
        verdict = gate.verdict
        checkpoint, commit = facts.get("checkpoint", ""), facts.get("commit", "")
        # Without the name: a page holds the same record as the file beside it.
        own = time, verdict.status, verdict.now, None, verdict.n, checkpoint, commit
        points.setdefault(own, Point(*own, name))
    return list(points.values())


def judged(records: Mapping[str, RunRecord], file: str) -> list[GateRecord]:
    """Return what runs found of the gate of a baseline file, by their times; undated records are left out."""
    found = [(_utc(one.environment.get("time", "")), name, one.by_file().get(file)) for name, one in records.items()]
    return [gate for time, _, gate in sorted(found, key=lambda one: one[:2]) if time and gate is not None]


def in_order(points: Iterable[Point]) -> list[Point]:
    """Return points by time, the oldest first."""
    return sorted(points, key=lambda point: (point.time, point.source))


def _utc(text: str) -> str:
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return ""
    # What says no zone is taken for UTC, as records are written.
    aware = time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)
    return aware.astimezone(datetime.UTC).isoformat(timespec="seconds")


def first_bad(points: Sequence[Point]) -> Point | None:
    """Return the run since which every judged one has regressed; ``None`` when the latest one has not.

    Runs that came to no verdict tell nothing and are passed over.
    """
    bad = None
    for point in reversed(points):
        if point.status in PASSING:
            break
        if point.status == "REGRESSED":
            bad = point
    return bad
