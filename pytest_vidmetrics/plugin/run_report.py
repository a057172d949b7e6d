"""What a run leaves behind for people: its record, the page for reviewers, the summary, annotations of a workflow."""

from __future__ import annotations

import datetime
import os
import subprocess
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.core.work import Work
from pytest_vidmetrics.gates.rank_report import RankReport, text
from pytest_vidmetrics.gates.rank_report import write as write_ranking
from pytest_vidmetrics.gates.record import GateRecord, RunRecord, portable, read_record, write_record
from pytest_vidmetrics.plugin.item import OUTCOMES
from pytest_vidmetrics.plugin.judged import Judged
from pytest_vidmetrics.plugin.session import Run, tells


@dataclass
class Told:
    """What to say of the files that were written; ``problems`` make the run fail."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)


def tell(
    run: Run, judged: Sequence[Judged], work: Work, devices: Collection[str], rankings: Sequence[RankReport] = ()
) -> Told:
    """Write what the settings ask for. What cannot be written is a problem; the summary of a CI step is a courtesy."""
    told, settings, root = Told(), run.settings, run.config.rootpath
    annotates = os.environ.get("GITHUB_ACTIONS") == "true" and bool(judged)
    told.lines += text(rankings)
    # Nothing is put together where nobody reads it.
    if not tells(run.config) and not annotates and settings.ranking is None:
        return told
    try:
        record = _record(run, judged, work, devices, rankings)
    except VidmetricsError as error:  # of a hook that adds facts
        told.problems.append(f"cannot report this run: {error}")
        return told

    def write(path: Path, what: str, make: Callable[[], object], faults: list[str]) -> None:
        try:
            make()
        except (OSError, ValueError, TypeError, VidmetricsError) as error:
            faults.append(f"cannot write the {what} {path}: {getattr(error, 'strerror', None) or error}")
        # Named only when it was written whole.
        else:
            told.lines.append(f"{what} written to {path.relative_to(root) if path.is_relative_to(root) else path}")

    if (folder := settings.ranking) is not None and rankings:
        now = datetime.datetime.now().strftime("%Y%m%d_%H%M%S")
        facts = {"environment": dict(record.environment)}
        write(folder, "ranking", lambda: write_ranking(folder, rankings, facts, now), told.problems)
    if (report := settings.report) is not None:
        write(report, "report", lambda: write_report(report, run, record), told.problems)
    if (summary := settings.summary) is not None:
        write(summary, "summary", lambda: write_atomic(summary, _summary(record, root)), told.problems)
    elif (step := settings.step_summary) is not None and judged:
        write(step, "summary of this step", lambda: _append(step, _summary(record, root)), told.lines)
    if annotates:
        told.annotations = _annotations(record, root, {one.outcome.gate: one for one in judged})
    if judged:
        told.problems += _hooked(run, portable(record, root))
    return told


def _hooked(run: Run, record: RunRecord) -> list[str]:
    """Give the record to the hooks of the user; return what they raised."""
    try:
        run.config.hook.pytest_vidmetrics_report(config=run.config, record=record)
    except (Exception, SystemExit, *OUTCOMES) as error:
        return [f"the hook pytest_vidmetrics_report raised {shown(error)}"]
    return []


def _record(
    run: Run, judged: Sequence[Judged], work: Work, devices: Collection[str], rankings: Sequence[RankReport]
) -> RunRecord:
    facts = {
        **run.environment,
        **({"checkpoint": run.settings.checkpoint} if run.settings.checkpoint else {}),
        **({"commit": commit} if (commit := commit_of(run.config.rootpath)) else {}),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **device_fact(devices),
    }
    cases = {one.outcome.gate.rpartition("::")[0]: one.outcome.clips for one in judged if one.outcome.clips}
    return RunRecord(tuple(map(_gate, judged)), facts, work, cases, tuple(rankings))


def write_report(path: Path, run: Run, record: RunRecord) -> None:
    """Write the record of a run (``FILE.json``), or its page for reviewers (``FILE.html``, or a folder).

    Raises ``OSError`` and ``VidmetricsError``.
    """
    root = run.config.rootpath
    if path.suffix == ".json":
        write_record(path, record, root)
        return
    from pytest_vidmetrics.report.build import BUDGET_MIB, write_from_store

    with tempfile.TemporaryDirectory(prefix="vidmetrics-") as folder:
        # The page is made from a record that was written and read: what is shown is what a record can hold.
        written = Path(folder) / "run.json"
        write_record(written, record, root)
        read = read_record(written)
    budget = BUDGET_MIB if run.settings.report_budget is None else run.settings.report_budget
    name = path.name if path.suffix else f"{path.name}/index.html"
    write_from_store(path, read, root, run.store, record_name=name, budget_mib=budget)


def _summary(record: RunRecord, root: Path) -> bytes:
    from pytest_vidmetrics.report.summary import summary_of
    from pytest_vidmetrics.report.view import view

    return summary_of(view(portable(record, root))).encode()


def _append(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK)  # a pipe that nobody reads waits
    with os.fdopen(handle, "ab") as stream:
        stream.write(data)


def _annotations(record: RunRecord, root: Path, judged: dict[str, Judged]) -> list[str]:
    """Return the annotations of red gates, with the paths of their files from the root of the workflow's clone."""
    from pytest_vidmetrics.report.annotations import annotations_of
    from pytest_vidmetrics.report.view import GateView, view

    workspace = os.environ.get("GITHUB_WORKSPACE", "")
    clone = workspace if workspace and root.is_relative_to(workspace) else str(root)

    def place_of(gate: GateView) -> tuple[str, int]:
        one = judged[gate.id]
        return os.path.relpath(root / one.file, clone), one.line

    return annotations_of(view(portable(record, root)), place_of)


def _gate(one: Judged) -> GateRecord:
    found = one.outcome
    return GateRecord(
        gate=found.gate,
        file=found.file,
        verdict=found.verdict,
        kind=found.kind,
        cohort=found.cohort,
        policy=found.policy,
        scores=found.scores,
        recorded_by=found.owner,
        recorded=found.recorded,
        noise=found.noise,
        p_holm=one.p_holm,
    )


def device_fact(devices: Collection[str]) -> dict[str, str]:
    """Return what a record and a baseline say of the devices; nothing where the store had everything."""
    return {"device": ", ".join(sorted(devices))} if devices else {}


def commit_of(folder: Path) -> str:
    """Return the git commit of a folder, with ``-dirty`` where files were changed; nothing outside of git."""
    # `--exclude=*` leaves tags out: the commit itself is named.
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
