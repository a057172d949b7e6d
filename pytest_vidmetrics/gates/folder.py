"""The folder of the baselines: the one place that finds, reads, writes and deletes their files.

A key is a path below the folder with ``/`` between its parts, such as ``bench/t2v/common.psnr.json``. Nothing is read
or written outside of the folder, except through a link that stays inside the repository; and nothing is replaced that
is not a baseline.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.files import read_whole, write_tracked
from pytest_vidmetrics.core.names import name_fault
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.baseline_text import baseline_text, decode_baseline, looks_like_baseline


@dataclass(frozen=True)
class BaselineFolder:
    """``path`` is the folder of the baselines, ``root`` that of pytest, which places of manifests start from."""

    path: Path
    root: Path

    @cached_property
    def repository(self) -> Path:
        """How far a committed link may lead: the folder with ``.git``, else pytest's root."""
        return next((one for one in (self.root, *self.root.parents) if (one / ".git").exists()), self.root)

    def file(self, key: str) -> Path:
        """Return the path of a baseline as messages show it; ``BaselineError`` for a key that leads elsewhere."""
        parts = key.split("/")
        for part in parts:
            if fault := name_fault(part):
                raise BaselineError(f"{shown(key)} is not the name of a baseline: {fault}")
        if len(parts) < 3 or not key.endswith(".json"):
            raise BaselineError(f"{shown(key)} is not the name of a baseline: expected <manifest>/<case>/<gate>.json")
        return self.path.joinpath(*parts)

    def holds(self, key: str) -> bool:
        """Whether there is anything under a key. Raises ``BaselineError`` where that cannot be told."""
        path = self.file(key)
        try:
            # Lstat: a link that leads nowhere is something too.
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError) as error:
            raise BaselineError(f"cannot read the baseline {path}: {_why(error)}") from error
        return True

    def read(self, key: str) -> Baseline | None:
        """Return a baseline, or ``None`` when there is none.

        Raises :class:`~pytest_vidmetrics.core.errors.BaselineError` naming the file and what is wrong with it, also
        when it was changed since it was written, and when it is a link out of the repository.
        """
        path = self.file(key)
        try:
            data = read_whole(self._target(path, "read"))
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                raise BaselineError(f"cannot read the baseline {path}: the link leads nowhere") from None
            return None
        except OSError as error:
            raise BaselineError(f"cannot read the baseline {path}: {_why(error)}") from error
        return decode_baseline(data, str(path))

    def write(self, key: str, baseline: Baseline) -> Path:
        """Write a baseline whole or not at all, and return its file.

        Raises :class:`~pytest_vidmetrics.core.errors.BaselineError`; what was there is then untouched.
        """
        path = self.file(key)
        text = baseline_text(baseline)
        target = self._target(path, "write")
        try:
            there = read_whole(target)
        except FileNotFoundError:
            there = b""
            # A link out of the folder may lead to a baseline, and must not create one.
            if not target.is_relative_to(self.path.resolve()):
                raise BaselineError(
                    f"cannot write the baseline {path}: it leads out of {self.path}, to {target}, "
                    "which is not a baseline"
                ) from None
        except OSError as error:
            raise BaselineError(f"cannot write the baseline {path}: {_why(error)}") from error
        if not looks_like_baseline(there):
            raise BaselineError(f"cannot write the baseline {path}: what is there is not a baseline; move it away")
        try:
            write_tracked(target, text.encode())
        except OSError as error:
            raise BaselineError(f"cannot write the baseline {path}: {_why(error)}") from error
        return path

    def delete(self, key: str) -> Path:
        """Delete a baseline, or the link to one, and return its path. Raises ``BaselineError``."""
        path = self.file(key)
        # Of the folder alone: a link to a baseline goes, and what it leads to stays.
        self._target(path.parent, "delete")
        try:
            path.unlink()
        except OSError as error:
            raise BaselineError(f"cannot delete the baseline {path}: {_why(error)}") from error
        return path

    def all_keys(self) -> Iterator[str]:
        """Yield the keys of all files that could be baselines, sorted. Links to folders are not entered."""
        yield from sorted(_below(self.path, ()))

    def _target(self, path: Path, doing: str) -> Path:
        """Return where a path leads. Raises ``BaselineError`` for a place that is not ours."""
        try:
            target, folder, root = path.resolve(), self.path.resolve(), self.repository.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise BaselineError(f"cannot {doing} the baseline {path}: {_why(error)}") from error
        # A link into .git could replace hooks or configuration, which git would run.
        if target.is_relative_to(folder) or (target.is_relative_to(root) and ".git" not in target.parts):
            return target
        raise BaselineError(
            f"cannot {doing} the baseline {path}: it leads to {target}, outside of {folder} and of the repository "
            f"{root}"
        )


def common_key(key: str) -> str:
    """Return the key of the common baseline beside a cohort's own."""
    place, _, name = key.rpartition("/")
    return f"{place}/{name.partition('@')[0].removesuffix('.json')}.json"


def _below(folder: Path, prefix: tuple[str, ...], deepest: int = 16) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:  # not there, or not to be read
        return
    for entry in entries:
        # Such a name cannot be part of a key; the depth bounds the recursion.
        if name_fault(entry.name) or len(prefix) > deepest:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder / entry.name, (*prefix, entry.name), deepest)
        elif entry.name.endswith(".json") and len(prefix) >= 2 and _is_file(entry):
            yield "/".join((*prefix, entry.name))


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:  # a link that leads nowhere
        return False


def _why(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
