"""Clips that a command is given: the rows of a list, or the files below a folder."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.names import name_fault
from pytest_vidmetrics.core.order import in_order
from pytest_vidmetrics.core.samples import folded
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.media.formats import clip_name, kind_of


@dataclass(frozen=True)
class ListedClip:
    """One clip: its name, the folder of its category (``""`` for none), its file, its rate and its row."""

    id: str
    category: str
    video: Path
    fps: float | None = None
    row: Mapping[str, Any] = field(default_factory=dict)

    def place(self, folder: Path, ending: str) -> Path:
        """Return where what is made of it goes: ``<folder>/<category>/<id><ending>``."""
        return folder / self.category / f"{self.id}{ending}"


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which clips."""
    parser.add_argument(
        "source", type=Path, help="a list of rows (.jsonl, .json, .csv, .parquet), a folder with clips below it, a clip"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of what is written")
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="THEIRS=OURS",
        help="which keys of the rows are id, video, category and fps here: --rename path=video; repeatable",
    )


def listed(source: Path, rename: Iterable[str]) -> list[ListedClip]:
    """Return the clips of a source, whose places differ and lie inside any folder that they are put into.

    Raises ``VidmetricsError`` for a source that is not there or holds no clip, for a row without a clip, and for names
    that are not names of files, or that two clips share.
    """
    if source.is_dir():
        found = list(_below(source, ()))
    elif kind_of(source) == "video":
        found = [ListedClip(clip_name(source), "", source)]
    else:
        found = _rows(source, dict(_pair(text) for text in rename))
    if not found:
        raise VidmetricsError(f"{source} holds no clip")
    owners: dict[str, ListedClip] = {}
    for clip in found:
        # Names become folders and files below another folder: none may lead out of it.
        for part in (*filter(None, clip.category.split("/")), clip.id):
            if fault := name_fault(part, 180):
                raise VidmetricsError(f"{clip.video}: {shown(part)} is not the name of a file: {fault}")
        if (other := owners.setdefault(folded(f"{clip.category}/{clip.id}"), clip)) is not clip:
            raise VidmetricsError(f"{other.video} and {clip.video} have one name: {clip.category}/{clip.id}")
    return found


def _pair(text: str) -> tuple[str, str]:
    theirs, sign, ours = text.partition("=")
    if not sign or not theirs or not ours:
        raise VidmetricsError(f"--rename={text}: expected THEIRS=OURS, as in path=video")
    return theirs, ours


def _rows(path: Path, rename: Mapping[str, str]) -> list[ListedClip]:
    from pytest_vidmetrics.gates.case import Case, Location
    from pytest_vidmetrics.gates.rows import read_rows

    if not path.is_file():
        raise VidmetricsError(f"{path}: no such file or folder")
    case = Case("rows", Location(path, 1), {}, samples=path.name, rename=rename)
    rows, _ = read_rows(case, None, ())
    theirs = {ours: name for name, ours in rename.items()}
    found = []
    for row in rows:
        if not isinstance(video := row.values.get("video"), str):
            raise row.where.error("the row has no video: say which key it is with --rename KEY=video")
        # Back to the names of the list: what is written is read with the same --rename.
        kept = {theirs.get(key, key): value for key, value in row.values.items()}
        category = str(row.values.get("category", "")).strip("/")
        original = {theirs.get("id", "id"): row.name, **kept}
        found.append(ListedClip(row.name, category, Path(video), row.values.get("fps"), original))
    return found


def _below(folder: Path, parts: tuple[str, ...]) -> Iterator[ListedClip]:
    """Yield the clips below a folder: videos, or folders of frames; the folders on the way are the category."""
    entries = in_order((one for one in folder.iterdir() if not one.name.startswith(".")), lambda one: one.name)
    files = [one for one in entries if not one.is_dir()]
    videos = [one for one in files if kind_of(one) == "video"]
    # A folder of pictures alone is a clip, of which the pictures are frames.
    if not videos and any(kind_of(one) == "image" for one in files):
        yield ListedClip(folder.name, "/".join(parts[:-1]), folder)
        return
    for one in videos:
        yield ListedClip(clip_name(one), "/".join(parts), one)
    for one in entries:
        if one.is_dir():
            yield from _below(one, (*parts, one.name))
