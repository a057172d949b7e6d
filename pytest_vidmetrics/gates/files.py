"""The patterns of a case to files: placeholders, folders and globs, and what the parts of a name say."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pytest_vidmetrics.core.errors import closest
from pytest_vidmetrics.core.order import in_order
from pytest_vidmetrics.core.wording import shortened, shown, some
from pytest_vidmetrics.gates.case import Case, Location
from pytest_vidmetrics.media.formats import Listing, clip_name, kind_of, list_clips

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KNOWN = ("checkpoint", "env:NAME")
_LONG = 300
"""Characters of a pattern or path that a message repeats."""
# A dot at the start of a name, but neither "." nor "..".
_HIDDEN = re.compile(r"(?:^|/)\.(?!\.?(?:/|$))")


@dataclass(frozen=True)
class Found:
    """A file that a case names. ``parts`` are the values of ``{id}`` and its like in the file's path."""

    path: Path
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """The files of one key of a case, in natural order, and what was left out."""

    found: tuple[Found, ...]
    remarks: tuple[str, ...] = ()


def fill_in(
    text: str,
    where: Location,
    checkpoint: str | None,
    quote: Callable[[str], str] = str,
    part: Callable[[str], str] | None = None,
) -> str:
    """Return ``text`` with ``{checkpoint}`` and ``{env:NAME}`` filled in; ``{{`` and ``}}`` are braces.

    ``quote`` is applied to what is filled in, ``part`` gives what stands for any other name in braces. Raises
    ``ManifestError`` at ``where`` for an unknown placeholder, for one without a value, and for a brace alone.
    """

    def replace(match: re.Match[str]) -> str:
        if match.group() in ("{{", "}}"):
            return match.group()[0]
        name = match.group(1)
        if name is None:
            raise where.error(f"{shown(text, _LONG)}: a brace alone; write {match.group() * 2} for {match.group()}")
        if name == "checkpoint" or name.startswith("env:"):
            return quote(_value(name, where, checkpoint))
        hint = closest(name, _KNOWN)
        # A near miss of a placeholder is a typing error, not a part.
        if part is not None and _NAME.fullmatch(name) and not hint:
            return part(name)
        name = shortened(name)
        braces = "" if hint else f"; write {{{{{name}}}}} for braces in a name"
        raise where.error(f"unknown placeholder {{{name}}}{hint}{braces}")

    return _BRACES.sub(replace, text)


def _value(name: str, where: Location, checkpoint: str | None) -> str:
    if name == "checkpoint":
        if checkpoint is None:
            raise where.error(
                "{checkpoint} has no value: give --vidmetrics-checkpoint=NAME or 'checkpoint' in the case"
            )
        value: str | None = checkpoint
    else:
        value = os.environ.get(name[4:])
        if value is None:
            raise where.error(f"{{{name}}}: the environment variable {name[4:]} is not set")
    if not value:
        raise where.error(f"{{{name}}} is empty: a path without it would name other clips")
    if "\0" in value:
        raise where.error(f"{{{name}}} holds a NUL character")
    return value


def has_parts(text: str) -> bool:
    """Whether a pattern says which part of a path is the id."""
    return any(match.group(1) == "id" for match in _BRACES.finditer(text))


def files_of(case: Case, key: str, patterns: Iterable[str], checkpoint: str | None) -> Files:
    """Return the files that the patterns of a case's key name; ``ManifestError`` when one names none.

    A pattern is a file, a folder (its clips) or a glob. Hidden files are no clips. A pattern with ``{id}`` is a glob
    whose named parts are read from the paths.
    """
    where = case.at(key)
    # Patterns start from the manifest's folder, wherever pytest was started.
    base = case.where.path.parent
    kind: Literal["video", "audio"] = "audio" if "audio" in key else "video"
    found: list[Found] = []
    remarks: list[str] = []
    for pattern in patterns:
        listing, reader = _listing(base, pattern, where, checkpoint, kind)
        if not listing.clips:
            text = fill_in(pattern, where, checkpoint, part=lambda name: f"{{{name}}}")
            name = shown(pattern, _LONG)
            raise where.error(f"{key} = {name} matches no file{_looked(base, text)}{_brackets(base, text)}")
        found += [Found(path, reader(path)) for path in listing.clips]
        remarks += [f"{key}: {path} is left out: {reason}" for path, reason in listing.left_out]
    return Files(tuple(found), tuple(remarks))


def _listing(
    base: Path, pattern: str, where: Location, checkpoint: str | None, kind: Literal["video", "audio"]
) -> tuple[Listing, Callable[[Path], Mapping[str, str]]]:
    def nothing(_: Path) -> Mapping[str, str]:
        return {}

    if has_parts(pattern):
        # What is filled in is a name: its brackets are no pattern, and neither are those of the folders above.
        matched = _glob(base, fill_in(pattern, where, checkpoint, glob.escape, part=lambda _: "*"), where, kind)
        reader = PathReader.of(pattern, where, checkpoint)
        return matched, lambda path: reader.read(path, base) or {}
    text = fill_in(pattern, where, checkpoint)
    # A file of that very name outranks its reading as a pattern: names with brackets are common.
    if _is_glob(_BRACES.sub("", pattern)) and not _exists(base / text, where):
        return _glob(base, fill_in(pattern, where, checkpoint, glob.escape), where, kind), nothing
    path = base / text
    if not _exists(path, where):
        return Listing(()), nothing
    try:
        return list_clips(path, kind) if path.is_dir() else Listing((path,)), nothing
    except OSError as error:
        raise where.error(f"cannot read {path}: {error.strerror}") from error


def _exists(path: Path, where: Location) -> bool:
    try:
        # Lstat says why a path cannot be looked at, where exists would say no.
        path.lstat()
        return path.exists()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:  # too long, not permitted, a NUL, a loop of links
        why = getattr(error, "strerror", None) or error
        raise where.error(f"cannot look for {shown(str(path), _LONG)}: {why}") from error


def _glob(base: Path, pattern: str, where: Location, kind: Literal["video", "audio"]) -> Listing:
    path = Path(pattern)
    root, rest = (Path(path.anchor), str(path.relative_to(path.anchor))) if path.is_absolute() else (base, pattern)
    try:
        paths = list(root.glob(rest))
    except (ValueError, NotImplementedError, OSError) as error:
        raise where.error(f"{shown(pattern, _LONG)} is not a pattern of files: {error}") from error
    # A pattern that names a hidden folder means it.
    if not _HIDDEN.search(rest):
        paths = [one for one in paths if not _HIDDEN.search(one.relative_to(root).as_posix())]
    # A folder of frames is a clip as well; sound may lie in a video file.
    media = [one for one in paths if one.is_dir() or kind_of(one) in {kind, "video"}]
    taken = in_order(media or paths, lambda one: one.as_posix())
    # Of a glob that says no suffix, what is clearly no clip is left out, and said.
    return Listing(tuple(taken), tuple((one, "not a clip") for one in paths if media and one not in set(media)))


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _looked(base: Path, text: str) -> str:
    folder = base / text
    try:
        while not folder.exists():
            if folder == folder.parent:
                break
            folder = folder.parent
        names = in_order(entry.name for entry in folder.iterdir())[:5] if folder.is_dir() else []
    except (OSError, ValueError):
        return ""
    return f" (looked in {folder}, which holds {', '.join(names) or 'nothing'})"


def _brackets(base: Path, text: str) -> str:
    """Return a hint for a name with brackets in a pattern: they stand for one of the letters inside."""
    if "[" not in text:
        return ""
    literal = re.sub(r"\[", "[[]", text)
    try:
        if any(base.glob(literal)) if not Path(text).is_absolute() else False:
            return f"; in a pattern [ ] stand for one letter: write {literal!r}"
    except (ValueError, NotImplementedError, OSError):
        return ""
    return "; in a pattern [ ] stand for one letter, and [[] for an opening bracket"


@dataclass(frozen=True)
class PathReader:
    """Reads the named parts of a pattern from the ends of paths; a pattern may leave out the suffix of a clip."""

    regex: re.Pattern[str]
    depth: int
    absolute: bool = False

    @classmethod
    def of(cls, pattern: str, where: Location, checkpoint: str | None = None) -> PathReader:
        """Return the reader of a pattern; raises ``ManifestError`` as :func:`fill_in` does."""
        seen: list[str] = []

        def part(name: str) -> str:
            seen.append(name)
            return f"\0{len(seen) - 1}\0"

        # Signs of patterns stay signs outside of what is filled in; parts are marked by NUL, which no path holds.
        text = fill_in(pattern, where, checkpoint, glob.escape, part)
        # The paths of a glob never start with "./".
        text = text.removeprefix("./")
        return cls(re.compile(_regex(text, seen), re.DOTALL), text.count("/") + 1, Path(text).is_absolute())

    def read(self, path: Path, base: Path | None = None) -> dict[str, str] | None:
        """Return the parts of a path, or ``None`` when it does not fit; below ``base`` the whole rest must fit."""
        if self.absolute:
            tail = path.as_posix()
        elif base is not None and path.is_relative_to(base):
            tail = path.relative_to(base).as_posix()
        else:
            tail = "/".join(path.parts[-self.depth :])
        # The pattern may say "{id}" for "{id}.mp4": without the clip's suffix first, then with it.
        bare = tail[: len(tail) - len(path.name) + len(clip_name(path))]
        match = self.regex.fullmatch(bare) or self.regex.fullmatch(tail)
        return dict(match.groupdict()) if match else None


def _regex(text: str, names: list[str]) -> str:
    """Return a glob as a regular expression; a number between NUL characters stands for a part of ``names``."""
    out: list[str] = []
    used: set[str] = set()
    # In this order: the mark of a part, "**" before "*", a class whose first letter may be "]", any letter.
    for token in re.findall(r"\0\d+\0|\*\*/?|\*|\?|\[!?\]?[^\]]*\]|.", text, re.DOTALL):
        if token[0] == "\0":
            name = names[int(token[1:-1])]
            # A part that stands twice must say the same both times.
            out.append(f"(?P={name})" if name in used else f"(?P<{name}>[^/]+?)")
            used.add(name)
        elif token.startswith("**"):
            out.append("(?:.*/)?" if token.endswith("/") else ".*")
        elif token in "*?":
            out.append("[^/]*" if token == "*" else "[^/]")
        elif token[0] == "[" and len(token) > 1:
            # A "[" inside of a class is a plain letter in a glob, and a warning of re.
            inside = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]")
        else:
            out.append(re.escape(token))
    return "".join(out)


def check_clips(case: Case, folder: Path, missing: list[str], surplus: list[str], owner: str) -> None:
    """Raise ``ManifestError`` that counts and names the clips of a published list that are missing or belong to none.

    ``owner`` is what a clip belongs to: ``"prompt"`` or ``"scenario"``.
    """
    parts = [f"{len(missing)} clips are missing: {some(missing)}"] if missing else []
    parts += [f"{len(surplus)} files belong to no {owner}: {some(surplus)}"] if surplus else []
    if parts:
        raise case.at("dataset").error(f"{'; '.join(parts)} (in {folder})")
