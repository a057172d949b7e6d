"""The 3,429 names of the tags, which the weights refer to by number. They are not part of this package."""

from __future__ import annotations

from pathlib import Path

COUNT = 3429


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of a file with one per line, in the order of their numbers.

    Raises ``ValueError`` for a file of another kind or with another number of lines.
    """
    try:
        found = tuple(line.strip() for line in path.read_text("utf-8").rstrip("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not the list of tags: it is not text in UTF-8 ({error})") from error
    if len(found) != COUNT:
        raise ValueError(f"{path.name} is not the list of tags: it has {len(found)} lines, expected {COUNT}")
    return found
