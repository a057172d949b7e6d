"""The media of a report: previews of the worst clips, stills of some more, and what was left out, within a budget."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import MediaError, VidmetricsError
from pytest_vidmetrics.core.processors import available
from pytest_vidmetrics.media.preview import Preview, copied, encoded, plays_everywhere, sound_only, still
from pytest_vidmetrics.media.sound_picture import picture_of
from pytest_vidmetrics.report.clips import ClipView

MOST_PLAYED = 24
"""Clips with a player; a person looks at fewer, and each takes about a second per side to make."""
_COPIED_BYTES = 3 << 19
"""Up to this size all files of a clip together are copied, where browsers play every one of them."""
_STILLS = 0.15
"""Share of the budget that is kept for stills."""
_SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff"})

Entry = dict[str, Any]
"""What the page knows of one file: ``kind`` (``video``, ``audio``, ``still`` or ``none``), where it lies, its times."""


class Places:
    """Where the bytes of a report go. ``room`` is what is left of the budget."""

    def __init__(self, budget: int) -> None:
        self.room = budget

    def cost(self, size: int) -> int:
        """Return how much of the budget ``size`` bytes take."""
        raise NotImplementedError

    def put(self, data: bytes, mime: str) -> str:
        """Keep bytes and return what names them in the page."""
        raise NotImplementedError


@dataclass
class InPage(Places):
    """Bytes inside the page: ``parts`` are texts in base64 by id, with their type."""

    room: int
    parts: dict[str, tuple[str, str]] = field(default_factory=dict)

    def cost(self, size: int) -> int:
        """Return the length of the text."""
        # base64: four letters for each three bytes begun.
        return 4 * -(-size // 3)

    def put(self, data: bytes, mime: str) -> str:
        """Keep a text."""
        name = f"m{len(self.parts)}"
        self.parts[name] = mime, base64.b64encode(data).decode("ascii")
        self.room -= self.cost(len(data))
        return name


@dataclass
class InFolder(Places):
    """Bytes in files of a folder beside the page."""

    room: int
    folder: Path
    count: int = 0

    def cost(self, size: int) -> int:
        """Return the size of the file."""
        return size

    def put(self, data: bytes, mime: str) -> str:
        """Write a file. Raises ``OSError``."""
        # The suffix tells the browser what a file beside the page is.
        suffix = {"image/jpeg": "jpg", "image/png": "png", "video/webm": "webm", "audio/mp4": "m4a"}.get(mime, "mp4")
        name = f"media/{self.count:04d}.{suffix}"
        (self.folder / "media").mkdir(exist_ok=True)
        (self.folder / name).write_bytes(data)
        self.count += 1
        self.room -= len(data)
        return name


@dataclass(frozen=True)
class Media:
    """The entries of each clip by side, in the order of the clips; ``said`` is what the page says was left out."""

    entries: Sequence[Mapping[str, Entry]]
    said: str


def shelve(clips: Sequence[ClipView], root: Path, places: Places) -> Media:
    """Put as much of the clips' files as the budget allows, worst clips first.

    A file that cannot be shown has an entry that says why.
    """
    budget, entries = places.room, list[Mapping[str, Entry]]()
    played = pictured = 0
    # Not strict: only the first clips are made ready.
    for clip, made in zip(clips, _made(clips, root), strict=False):
        cost = sum(places.cost(len(data)) for data in _bytes_of(made))
        # The rest of the budget is kept for stills, so that many clips have at least one picture.
        if cost > places.room - _STILLS * budget:
            break
        entries.append({side: _entry(one, clip.files[side], places) for side, one in made.items()})
        played += any(entry["kind"] != "none" for entry in entries[-1].values())
    for clip in clips[len(entries) :]:
        shown = _stills(clip, root, places)
        if shown is None:
            break
        entries.append(shown)
        pictured += any(entry["kind"] == "still" for entry in shown.values())
    entries += [{side: _absent(path, "") for side, path in clip.files.items()} for clip in clips[len(entries) :]]
    return Media(entries, _said(len(clips), played, pictured, budget))


def _said(total: int, played: int, pictured: int, budget: int) -> str:
    without = total - played - pictured
    if not total:
        return ""
    text = f"{played} of {total} clips can be played here"
    if pictured:
        text += f", {pictured} have a still"
    if without:
        text += f", {without} have their numbers only"
    return f"{text} (in the order below; budget {budget / 2**20:.4g} MiB). Scores come from the originals."


@dataclass(frozen=True)
class _Made:
    """One file made ready: a preview, or why there is none."""

    preview: Preview | None = None
    picture: Any = None
    fault: str = ""


def _made(clips: Sequence[ClipView], root: Path) -> Iterator[Mapping[str, _Made]]:
    """Yield the files of the first clips, made ready some ahead in threads."""
    with ThreadPoolExecutor(max_workers=max(1, min(4, available()))) as threads:
        waiting = [threads.submit(_of_clip, clip, root) for clip in clips[:MOST_PLAYED]]
        try:
            for one in waiting:
                yield one.result()
        finally:
            # Where the budget ends, what waits in the threads is not made any more.
            for one in waiting:
                one.cancel()


def _of_clip(clip: ClipView, root: Path) -> Mapping[str, _Made]:
    """Make all files of a clip ready in one way, so that equal originals stay equal: all copied, or all encoded."""
    paths = {side: root / path for side, path in clip.files.items()}
    try:
        sizes = sum(path.stat().st_size for path in paths.values())
        copies = sizes <= _COPIED_BYTES and all(map(plays_everywhere, paths.values()))
    except (OSError, VidmetricsError):
        copies = False
    return {side: _of_file(path, copied if copies else encoded) for side, path in paths.items()}


def _of_file(path: Path, make: Callable[[Path], Preview]) -> _Made:
    if not path.exists():
        return _Made(fault="the file is not there any more")
    try:
        preview = sound_only(path) if path.suffix.lower() in _SOUND_SUFFIXES else make(path)
        # The picture is a spectrogram: silent clips have none.
        return _Made(preview, picture_of(path) if preview.has_sound else None)
    except (VidmetricsError, OSError) as error:
        return _Made(fault=str(error).removeprefix(f"{path}: "))


def _bytes_of(made: Mapping[str, _Made]) -> Iterator[bytes]:
    for one in made.values():
        if one.preview is not None:
            yield one.preview.data
        if one.picture is not None:
            yield one.picture.spectrogram


def _entry(made: _Made, path: str, places: Places) -> Entry:
    preview = made.preview
    if preview is None:
        return _absent(path, made.fault)
    entry: Entry = {
        "kind": "video" if preview.times else "audio",
        "src": places.put(preview.data, preview.mime),
        "path": path,
        "times": [round(time, 5) for time in preview.times],
        "duration": round(preview.duration, 5),
        "width": preview.width,
        "height": preview.height,
        "note": f"preview: {preview.quality}" if preview.quality else "the original file",
    }
    if made.picture is not None:
        entry["sound"] = {
            "src": places.put(made.picture.spectrogram, "image/png"),
            "seconds": round(made.picture.seconds, 4),
            "envelope": [value for pair in made.picture.envelope for value in pair],
        }
    return entry


def _stills(clip: ClipView, root: Path, places: Places) -> Mapping[str, Entry] | None:
    """Return the entries of a clip with one picture per side; ``None`` when they no longer fit."""
    entries: dict[str, Entry] = {}
    for side, path in clip.files.items():
        where = root / path
        try:
            data = b"" if where.suffix.lower() in _SOUND_SUFFIXES else still(where)
        except (MediaError, OSError) as error:
            fault = "the file is not there any more" if not where.exists() else str(error).removeprefix(f"{where}: ")
            entries[side] = _absent(path, fault)
            continue
        if places.cost(len(data)) > places.room:
            return None
        if data:
            note = "the first frame; the budget has no room for the clip"
            entries[side] = {"kind": "still", "src": places.put(data, "image/jpeg"), "path": path, "note": note}
        else:
            entries[side] = _absent(path, "")
    return entries


def _absent(path: str, fault: str) -> Entry:
    return {"kind": "none", "path": path, "note": fault or "not in this report: the budget has no room for it"}
