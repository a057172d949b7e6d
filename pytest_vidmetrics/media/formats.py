"""Which files are clips: the one list of suffixes, and the one function that lists the clips of a folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_vidmetrics.core.order import in_order

Kind = Literal["video", "audio", "image"]

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".apng", ".avif", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg",
    ".vob", ".flv", ".f4v", ".wmv", ".asf", ".ogv", ".3gp", ".3g2", ".mxf", ".nut", ".ivf", ".y4m", ".npz",
})
AUDIO_SUFFIXES = frozenset({
    ".wav", ".mp3", ".flac", ".m4a", ".ogg", ".oga", ".opus", ".aac", ".mka", ".aif", ".aiff", ".caf", ".wma", ".ac3",
    ".mp2", ".w64", ".au",
})
# fmt: on
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
_SUFFIXES: dict[Kind, frozenset[str]] = {"video": VIDEO_SUFFIXES, "audio": AUDIO_SUFFIXES, "image": IMAGE_SUFFIXES}


@dataclass(frozen=True)
class Listing:
    """The clips of a folder in natural order, and what looks like a clip and is not taken, with the reason."""

    clips: tuple[Path, ...]
    left_out: tuple[tuple[Path, str], ...] = ()


def kind_of(path: Path) -> Kind | None:
    """Return what a file's suffix says that it is; ``None`` for a hidden file and for any other suffix.

    macOS leaves hidden files of the names ``._clip.mp4`` beside the clips of other file systems.
    """
    if path.name.startswith("."):
        return None
    suffix = path.suffix.lower()
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), None)


def clip_name(path: Path) -> str:
    """Return the name of a clip: without its suffix when that is one of a clip."""
    return path.stem if kind_of(path) is not None else path.name


def list_clips(folder: Path, kind: Literal["video", "audio"] = "video") -> Listing:
    """Return the clips directly in a folder.

    ``"audio"``: its sound files, and videos, whose sound it then is, where there are none. ``"video"``: its videos;
    without any, the folder itself when it holds images (its frames), else its sub-folders. A picture or sound of the
    same name as a clip is its companion; other media files, and sub-folders of images, are left out and named.
    """
    entries = in_order((one for one in folder.iterdir() if not one.name.startswith(".")), lambda one: one.name)
    folders = [one for one in entries if one.is_dir()]
    files = [one for one in entries if not one.is_dir()]
    found: dict[Kind | None, list[Path]] = {None: [], "video": [], "audio": [], "image": []}
    for one in files:
        found[kind_of(one)].append(one)
    taken = found["audio"] or found["video"] if kind == "audio" else found["video"]
    if taken:
        return Listing(tuple(taken), tuple(_beside(taken, found, folders)))
    if kind == "audio":
        return Listing(())
    if found["image"]:
        return Listing((folder,), tuple((one, "a folder beside frames") for one in folders if _has_clips(one)))
    return Listing(tuple(folders), tuple((one, "a sound without a clip") for one in found["audio"]))


def _beside(taken: list[Path], found: dict[Kind | None, list[Path]], folders: list[Path]) -> Iterable[tuple[Path, str]]:
    names = {one.stem for one in taken}
    for kind, reason in (("video", "a video"), ("audio", "a sound"), ("image", "a picture")):
        for one in found[kind]:  # type: ignore[index]
            if one not in taken and one.stem not in names:
                yield one, f"{reason} beside {taken[0].suffix} clips"
    for one in folders:
        if one.name not in names and _has_clips(one):
            yield one, "a folder beside clips"


def _has_clips(folder: Path) -> bool:
    try:
        return any(kind_of(one) is not None for one in folder.iterdir())
    except OSError:
        return False
