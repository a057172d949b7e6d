"""The clips that methods generate: whole or not there, each once.

A generated clip lives under its key as ``<root>/<2 of key>/<key><suffix>`` with a provenance row beside it
(``<key>.json``); the row is written last, so that a clip with a row is complete. The command writes into a folder of
its own, named after the requests: what a process that was killed left there is looked at by the next run, and what is
whole is kept. Two runs of the same requests take turns.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import MediaError, VidmetricsError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import canonical_json, digest_file, digest_json
from pytest_vidmetrics.gates.generator_command import end_orphan, run_command, tail_of
from pytest_vidmetrics.gates.generator_output import check, output
from pytest_vidmetrics.gates.method import Method, Request


@dataclass(frozen=True)
class Generated:
    """What became of one request: the clip, or why there is none."""

    request: Request
    path: Path
    problem: str = ""

    @property
    def exists(self) -> bool:
        """Whether there is a clip."""
        return not self.problem


@dataclass
class Made:
    """What a process did: clips that it made, and commands that it started for them."""

    clips: int = 0
    commands: int = 0


class Generations:
    """The clips below one folder, by key. Safe for several processes and machines that share the folder.

    ``run`` names a run of pytest: what failed in it is not tried again by its other items and workers.
    """

    def __init__(self, root: Path, run: str = "") -> None:
        self.root, self.run = root, run
        self.made = Made()

    def path(self, request: Request) -> Path:
        """Return where the clip of a request is, or will be."""
        return self.root / request.key[:2] / f"{request.key}{request.suffix}"

    def provenance(self, request: Request) -> dict[str, Any] | None:
        """Return the row of a complete clip, or ``None``: also for a clip whose size is no longer that of its row."""
        path = self.path(request)
        try:
            row = json.loads(path.with_suffix(".json").read_bytes())
            return row if path.stat().st_size == row["bytes"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def look(self, method: Method, requests: Sequence[Request]) -> list[Generated]:
        """Return what there is for each request, starting nothing."""
        return [
            Generated(one, self.path(one))
            if self.provenance(one)
            else Generated(one, self.path(one), self._failure(one) or _not_generated(method))
            for one in requests
        ]

    def _failure(self, request: Request) -> str:
        return self._failed(request)[1]

    def _failed(self, request: Request) -> tuple[str, str]:
        """Return the run that failed to make a clip last, and why; empty texts when none did."""
        with contextlib.suppress(OSError, ValueError):
            run, _, text = self._note(request).read_text(encoding="utf-8").partition("\n")
            return run, text
        return "", ""

    def _note(self, request: Request) -> Path:
        return self.root / "failed" / f"{request.key}.txt"

    def wanted(self, requests: Sequence[Request]) -> list[Request]:
        """Return those that have no clip and did not fail in this run, each key once."""
        # Two samples with the same prompt, seed and parameters are one clip.
        found = {one.key: one for one in requests if self.provenance(one) is None}
        return [one for one in found.values() if not self.run or self._failed(one)[0] != self.run]

    def ensure(self, method: Method, requests: Sequence[Request]) -> list[Generated]:
        """Return a clip or a problem for each request, running the command for those that have no clip.

        Who asks for the same requests at the same time waits, and finds them made. Never raises for a generator's
        faults. Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` when the folder cannot be written.
        """
        if self.wanted(requests):
            try:
                self._generate(method, requests)
            except OSError as error:
                raise self._unwritable(error) from error
        return self.look(method, requests)

    def ensure_by(
        self, method: Method, requests: Sequence[Request], make: Callable[[Request, Path], None]
    ) -> list[Generated]:
        """Return a clip or a problem for each request, calling ``make(request, path)`` for those that have no clip.

        What it raises is the problem of that clip; the others go on. Raises ``VidmetricsError`` as :meth:`ensure` does.
        """
        from filelock import FileLock

        for one in self.wanted(requests):
            work = self.root / "work" / one.key
            try:
                work.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(work.with_suffix(".lock")):
                    if self.provenance(one) is not None:  # another process was faster
                        continue
                    # What a killed process left is thrown away: only the folders of commands are looked through.
                    shutil.rmtree(work, ignore_errors=True)
                    (work / "out").mkdir(parents=True)
                    started = time.monotonic()
                    problem = _made(make, one, work / "out" / one.output)
                    seconds = time.monotonic() - started
                    problems = {one.key: problem} if problem else self._harvest(method, [one], work, seconds=seconds)
                    for text in problems.values():
                        write_atomic(self._note(one), f"{self.run}\n{text}".encode("utf-8", "replace"))
                    shutil.rmtree(work, ignore_errors=True)
            except OSError as error:
                raise self._unwritable(error) from error
        return self.look(method, requests)

    def _unwritable(self, error: OSError) -> VidmetricsError:
        return VidmetricsError(
            f"cannot write generated clips below {self.root}: {error.strerror or error}; "
            "free the disk or name another folder with --vidmetrics-cache=DIR"
        )

    def _generate(self, method: Method, requests: Sequence[Request]) -> None:
        from filelock import FileLock

        # The same requests find the folder of a run that was killed, whoever asks.
        name = digest_json([one.key for one in requests])[:32]
        work = self.root / "work" / name
        work.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(work.with_suffix(".lock")):
            end_orphan(work)
            # Another process may have made them while this one waited; one that was killed may have left some.
            problems = self._harvest(method, self.wanted(requests), work, seconds=None)
            for attempt in range(1 + method.retries):
                left = self.wanted(requests)
                if not left:
                    break
                self.made.commands += 1
                started = time.monotonic()
                ended = run_command(method, left, work, attempt)
                seconds = (time.monotonic() - started) / len(left)
                problems = self._harvest(method, left, work, seconds=seconds)
                if ended:
                    problems = {key: f"{ended}; {text}" for key, text in problems.items()}
            tail = tail_of(work / "log.txt")
            for key, text in problems.items():
                note = f"{self.run}\n{text}{tail}"
                write_atomic(self.root / "failed" / f"{key}.txt", note.encode("utf-8", "replace"))
            shutil.rmtree(work, ignore_errors=True)

    def _harvest(
        self, method: Method, requests: Sequence[Request], work: Path, *, seconds: float | None
    ) -> dict[str, str]:
        """Take every whole output into place. Returns why the others have none, by key."""
        problems: dict[str, str] = {}
        for one in requests:
            try:
                found = output(work / "out", one)
                facts = check(found, method.params)
                self._keep(method, one, found, {**facts, "seconds": seconds})
            except (MediaError, VidmetricsError) as error:
                # The work folder is gone when the message is read.
                problems[one.key] = str(error).replace(f"{work / 'out'}{os.sep}", "")
        return problems

    def _keep(self, method: Method, request: Request, found: Path, facts: Mapping[str, Any]) -> None:
        target = self.path(request)
        row = {
            "sha256": digest_file(found),
            "bytes": found.stat().st_size,
            "method": method.name,
            "sample": request.sample,
            "prompt": request.prompt,
            "seed": request.seed,
            "params": dict(method.params),
            "argv": list(method.generate),
            "identity": method.identity,
            **facts,
            "host": platform.node(),
            "python": platform.python_version(),
            "env": {name: os.environ.get(name) for name in method.env},
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        # The clip before its row: a process killed in between leaves a clip that counts as not made.
        found.replace(target)
        write_atomic(target.with_suffix(".json"), canonical_json(row).encode(), durable=True)
        # Last, so that a failure is forgotten only when the clip counts.
        self._note(request).unlink(missing_ok=True)
        self.made.clips += 1


def _made(make: Callable[[Request, Path], None], request: Request, path: Path) -> str:
    """Return how making a clip failed, or nothing."""
    try:
        make(request, path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _not_generated(method: Method) -> str:
    return f"not generated by the method {method.name}: run with --vidmetrics-generate"
