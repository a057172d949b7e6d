"""The patterns of a case to files: placeholders, folders and globs."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_vidmetrics.core.errors import closest
from pytest_vidmetrics.gates.case import Case, Location

MEDIA_SUFFIXES = frozenset(
    ".mp4 .avi .mov .mkv .gif .webm .m4v .wav .mp3 .flac .m4a .ogg .opus".split()  # noqa: SIM905
)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def fill_in(text: str, where: Location, checkpoint: str | None, quote: Callable[[str], str] = str) -> str:
    """Return ``text`` with ``{checkpoint}`` and ``{env:NAME}`` filled in; raises ``ManifestError`` at ``where``.

    ``quote`` is applied to what is filled in.
    """

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name == "checkpoint":
            if checkpoint is None:
                raise where.error(
                    "{checkpoint} has no value: give --vidmetrics-checkpoint=NAME or 'checkpoint' in the case"
                )
            return quote(checkpoint)
        if name.startswith("env:"):
            value = os.environ.get(name[4:])
            if value is None:
                raise where.error(f"{{{name}}}: the environment variable {name[4:]} is not set")
            return quote(value)
        raise where.error(f"unknown placeholder {{{name}}}{closest(name, ('checkpoint', 'env:NAME'))}")

    return _PLACEHOLDER.sub(replace, text)


def files_of(case: Case, key: str, patterns: Iterable[str], checkpoint: str | None) -> list[Path]:
    """Return the files that the patterns of a case's key name, in order; ``ManifestError`` when one names none."""
    where = case.at(key)
    found: list[Path] = []
    for pattern in patterns:
        text = fill_in(pattern, where, checkpoint)
        base = case.where.path.parent
        if _is_glob(_PLACEHOLDER.sub("", pattern)) and not (base / text).exists():
            # What is filled in is a name: its brackets are no pattern, and neither are those of the folders above.
            matched = _glob(base, fill_in(pattern, where, checkpoint, glob.escape), where)
        else:
            matched = _listed(base / text)
        if not matched:
            raise where.error(f"{key} = {pattern!r} matches no file{_looked(case.where.path.parent, text)}")
        found.extend(matched)
    return found


def _looked(base: Path, text: str) -> str:
    folder = base / text
    while not folder.exists():
        if folder == folder.parent:
            break
        folder = folder.parent
    names = sorted(entry.name for entry in folder.iterdir())[:5] if folder.is_dir() else []
    return f" (looked in {folder}, which holds {', '.join(names) or 'nothing'})"


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _glob(base: Path, pattern: str, where: Location) -> list[Path]:
    path = Path(pattern)
    root, rest = (Path(path.anchor), str(path.relative_to(path.anchor))) if path.is_absolute() else (base, pattern)
    try:
        return sorted(root.glob(rest))
    except (ValueError, NotImplementedError) as error:
        raise where.error(f"{pattern!r} is not a pattern of files: {error}") from error


def _listed(path: Path) -> list[Path]:
    """Return a file, or the clips of a folder."""
    if path.is_dir():
        entries = sorted(path.iterdir())
        media = [entry for entry in entries if entry.suffix.lower() in MEDIA_SUFFIXES]
        if media:
            return media
        if any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in entries):
            return [path]  # the folder is itself one clip: its frames
        return [entry for entry in entries if entry.is_dir()]
    return [path] if path.exists() else []
