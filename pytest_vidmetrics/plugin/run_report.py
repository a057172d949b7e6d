"""The run record of ``--vidmetrics-report``: what the controller knows, with the facts of the run."""

from __future__ import annotations

import datetime
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from pytest_vidmetrics.core.work import Work
from pytest_vidmetrics.gates.record import GateRecord, RunRecord, read_record, write_record
from pytest_vidmetrics.plugin.judged import Judged
from pytest_vidmetrics.plugin.session import Run


def write_report(path: Path, run: Run, judged: Sequence[Judged], work: Work, devices: Collection[str]) -> None:
    """Write the record of a run (``FILE.json``), or its page for reviewers (``FILE.html``, or a folder).

    Raises ``OSError`` and ``VidmetricsError``.
    """
    root = run.config.rootpath
    facts = {
        **run.environment,
        **({"checkpoint": run.settings.checkpoint} if run.settings.checkpoint else {}),
        **({"commit": commit} if (commit := commit_of(root)) else {}),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **device_fact(devices),
    }
    cases = {one.outcome.gate.rpartition("::")[0]: one.outcome.clips for one in judged if one.outcome.clips}
    record = RunRecord(tuple(map(_gate, judged)), facts, work, cases)
    if path.suffix == ".json":
        write_record(path, record, root)
        return
    from pytest_vidmetrics.report.build import write_report as write_page
    from pytest_vidmetrics.report.kept import Kept

    with tempfile.TemporaryDirectory(prefix="vidmetrics-") as folder:
        # The page is made from a record that was written and read: what is shown is what a record can hold.
        written = Path(folder) / "run.json"
        write_record(written, record, root)
        read = read_record(written)
    write_page(path, read, root, record_name="run.json", details=Kept(run.store, read, root).details)


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
        p_holm=one.p_holm,
    )


def device_fact(devices: Collection[str]) -> dict[str, str]:
    """Return what a record and a baseline say of the devices; nothing where the store had everything."""
    return {"device": ", ".join(sorted(devices))} if devices else {}


def commit_of(folder: Path) -> str:
    """Return the git commit of a folder, with ``-dirty`` where files were changed; nothing outside of git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
