"""A report on disk: one file, or a folder with its media beside it. Whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.engine.store import Store
from pytest_vidmetrics.gates.history import Point
from pytest_vidmetrics.gates.record import GateRecord, RunRecord, packed
from pytest_vidmetrics.report.baseline_clips import BaselineClips
from pytest_vidmetrics.report.clips import Seats
from pytest_vidmetrics.report.curves import Curve, curves_of
from pytest_vidmetrics.report.history import drawn
from pytest_vidmetrics.report.kept import Kept
from pytest_vidmetrics.report.page import page
from pytest_vidmetrics.report.shelf import MOST_PLAYED, InFolder, InPage, Media, shelve
from pytest_vidmetrics.report.tables import comparison, rankings
from pytest_vidmetrics.report.view import RunView, view

BUDGET_MIB = 24.0
INDEX = "index.html"
BASELINE = "baseline"
_NOT_FOUND = (
    "The baseline's clips are not shown: no file of the same name in a folder beside has its scores in the store. "
    "`vidmetrics report --baseline-clips DIR` names their folder."
)
_MARK = b'<meta name="generator" content="pytest-vidmetrics '

Details = Callable[[GateRecord, str], Mapping[str, Any] | None]
"""What the store kept of one clip's score for one gate: gate and clip id to its details, or ``None``."""
Picked = Callable[[GateRecord], FrameRequest]
"""Which frames of a clip a gate's metric looks at."""


def write_from_store(
    target: Path,
    record: RunRecord,
    root: Path,
    store: Store,
    *,
    record_name: str,
    budget_mib: float = BUDGET_MIB,
    others: Mapping[str, RunRecord] | None = None,
    histories: Mapping[str, Sequence[Point]] | None = None,
) -> None:
    """Write the report of a run as :func:`write_report` does, with what a store kept of it and of its baseline."""
    kept = Kept(store, record, root)
    write_report(
        target,
        record,
        root,
        record_name=record_name,
        budget_mib=budget_mib,
        details=kept.details,
        picked=kept.picked,
        baseline_clips=BaselineClips(kept, record, root),
        others=others,
        histories=histories,
    )


def write_report(
    target: Path,
    record: RunRecord,
    root: Path,
    *,
    record_name: str,
    budget_mib: float = BUDGET_MIB,
    details: Details | None = None,
    picked: Picked | None = None,
    baseline_clips: BaselineClips | None = None,
    others: Mapping[str, RunRecord] | None = None,
    histories: Mapping[str, Sequence[Point]] | None = None,
) -> None:
    """Write the report of a run to ``target``: a file that ends in ``.html``, else a folder with ``index.html``.

    ``root`` is where the paths of the record start; ``record_name`` what printed commands call the record;
    ``others`` are runs whose clips are shown beside those of the same id, by name; ``baseline_clips`` finds those of
    the baseline; ``histories`` are the points of gates by baseline file. Raises ``OSError`` and
    :class:`~pytest_vidmetrics.core.errors.VidmetricsError`; what was there is then untouched.
    """
    others, found = _with_baseline(record, others or {}, baseline_clips)
    seen = view(record, others)
    by_id = {gate.gate: gate for gate in record.gates}
    lines = {file: line for file, points in (histories or {}).items() if (line := drawn(points))}
    facts: dict[str, Any] = {
        "record": record_name,
        "source": packed(record),
        "histories": lines,
        "tables": [*rankings(record), *comparison(record, others)],
        "baseline": found,
    }
    # MiB to bytes.
    budget = round(budget_mib * 2**20)
    if target.suffix.lower() == ".html":
        inside = InPage(budget)
        media = shelve(seen.clips, root, inside)
        text = page(seen, media, _curves(seen, media, by_id, details, picked), inside.parts, **facts)
        write_atomic(target, text.encode())
        return
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name[:32]}.") as name:
        made = Path(name) / "report"
        made.mkdir()
        media = shelve(seen.clips, root, InFolder(budget, made))
        curves = _curves(seen, media, by_id, details, picked)
        text = page(seen, media, curves, {}, in_folder=True, **facts)
        (made / INDEX).write_text(text, encoding="utf-8")
        # The old folder moves into the temporary one, which deletes it: between the two renames there is no report.
        if target.exists():
            target.rename(Path(name) / "before")
        made.rename(target)


def _with_baseline(
    record: RunRecord, others: Mapping[str, RunRecord], baseline_clips: BaselineClips | None
) -> tuple[Mapping[str, RunRecord], str]:
    """Return the runs beside with the clips of the baseline for those that are played, and what to say of them."""
    if baseline_clips is None or BASELINE in others:
        return others, ""
    seats = Seats.of(record, others)
    # Only clips that are played: looking for the others reads the store for nothing.
    played = {(clip.case, clip.id) for clip in view(record, others).clips[:MOST_PLAYED]}
    cases: dict[str, dict[str, dict[str, str]]] = {}
    changed = 0
    for case, listed in record.cases.items():
        for id in listed:
            if (seats.of_case(case)[0], id) in played and baseline_clips.changed(case, id):
                changed += 1
                if path := baseline_clips.of(case, id):
                    cases.setdefault(case, {})[id] = {"video": path}
    if not changed:
        return others, ""
    number = sum(map(len, cases.values()))
    if not number:
        return others, _NOT_FOUND
    return {BASELINE: RunRecord((), cases=cases), **others}, f"The baseline's clip stands beside {number} of {changed}."


def _check_replaceable(target: Path) -> None:
    """Raise ``VidmetricsError`` unless ``target`` is free, an empty folder, or a report."""
    if not target.exists():
        return
    if not target.is_dir():
        raise VidmetricsError(f"{target} is a file: name a folder, or a file that ends in .html")
    index = target / INDEX
    # The mark stands in the head of the page.
    if not any(target.iterdir()) or (index.is_file() and _MARK in index.read_bytes()[:8192]):
        return
    raise VidmetricsError(f"{target} holds other files than a report: name a new folder")


def _curves(
    seen: RunView, media: Media, gates: Mapping[str, GateRecord], details: Details | None, picked: Picked | None
) -> dict[int, Sequence[Curve]]:
    """Return the curves of the clips that have a player."""
    if details is None:
        return {}
    found: dict[int, Sequence[Curve]] = {}
    request_of = picked or (lambda gate: ALL_FRAMES)
    for i, (clip, entries) in enumerate(zip(seen.clips, media.entries, strict=True)):
        curves = [
            curve
            for score in clip.scores
            # A clip without times has no player, and no curve could follow it.
            if (frames := len(entries.get(seen.gates[score.gate].side, {}).get("times", ())))
            and (kept := details(gates[seen.gates[score.gate].id], clip.id)) is not None
            for curve in curves_of(score.gate, kept, frames, request_of(gates[seen.gates[score.gate].id]))
        ]
        if curves:
            found[i] = curves
    return found
