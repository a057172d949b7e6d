"""Running a generator's command: in a session of its own, within its time, and without leaving a process behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_vidmetrics.gates.method import Method, Request

_LOG_LINES = 20


def run_command(method: Method, requests: Sequence[Request], work: Path, attempt: int) -> str:
    """Run the command for some requests. Returns how it failed, or nothing."""
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    listed = work / "requests.jsonl"
    rows = [json.dumps(one.row(method.params, out), ensure_ascii=False) for one in requests]
    listed.write_text("\n".join(rows) + "\n", encoding="utf-8")
    known = {"{requests}": str(listed), "{output}": str(out), "{python}": sys.executable}
    # One pass: a path that is filled in may itself hold "{output}".
    argv = [re.sub("|".join(map(re.escape, known)), lambda found: known[found[0]], word) for word in method.generate]
    with (work / "log.txt").open("wb") as log:
        log.write(f"$ {argv} (attempt {attempt + 1})\n".encode("utf-8", "replace"))
        log.flush()
        try:
            # A session of its own: a time-out or Ctrl-C ends the command's children too.
            process = subprocess.Popen(
                argv,
                cwd=method.where.path.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"the command cannot be started: {argv[0]}: {getattr(error, 'strerror', None) or error}"
        # The session's leader has the number of its group: `end_orphan` ends the group by it.
        (work / "pid").write_text(str(process.pid))
        with _ended(process):
            try:
                code = process.wait(timeout=method.timeout_s)
            except subprocess.TimeoutExpired:
                return f"the command took longer than timeout_s = {method.timeout_s:g}"
    if code:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        return f"the command {how}"
    return ""


def end_orphan(work: Path) -> None:
    """End the command of a run that was killed: nobody else waits for it, and it would go on writing."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((work / "pid").read_text())
        if str(work).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():  # the number may be another's by now
            os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no process of the command behind, whatever ends the wait for it."""
    try:
        yield
    finally:
        # Also after a normal end: children that the command left running may hold the GPU.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)


def tail_of(log: Path) -> str:
    """Return the last lines of a command's output, to be read below a reason."""
    try:
        lines = log.read_bytes().decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
    except OSError:
        return ""
    return "".join(f"\n    | {line[:200]}" for line in lines)
