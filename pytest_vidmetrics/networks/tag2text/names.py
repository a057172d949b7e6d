"""The 3,429 names of the tags, which the weights refer to by number. They are not part of this package."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from pathlib import Path

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.weights import Weights, resolve

COUNT = 3429
TAG_NAMES = Weights(
    "tag2text_ori_tag_list.txt",
    "https://raw.githubusercontent.com/xinyu1205/recognize-anything/main/ram/data/tag2text_ori_tag_list.txt",
    sha256="7d05c7cb88ed46a2aee1434776964f6bdbda0c0f4233c8633e109084382d3a45",
    size=29_062,
    licence="Apache-2.0",
    override="VIDMETRICS_TAG2TEXT_TAGS",
)
_IN_VBENCH = Path("third_party", "tag2Text", "tag_class.py")


def load(metric: str | None = None) -> tuple[str, ...]:
    """Return the names in the order of their numbers: of the fetched file, else of an installed ``vbench``.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` without either, and for a file with another
    number of lines.
    """
    try:
        path = resolve(TAG_NAMES, metric)
    except UnavailableError:
        installed = in_vbench()
        if installed is None:
            raise
        return installed
    return read(path)


def read(path: Path) -> tuple[str, ...]:
    """Return the names of a file with one per line."""
    try:
        found = tuple(line.strip() for line in path.read_text("utf-8").rstrip("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise UnavailableError(f"{path} is not Tag2Text's list of tags: it is not text in UTF-8 ({error})") from error
    if len(found) != COUNT:
        raise UnavailableError(
            f"{path} is not Tag2Text's list of tags: it has {len(found)} lines, expected {COUNT}; "
            f"use {TAG_NAMES.source}"
        )
    return found


def in_vbench() -> tuple[str, ...] | None:
    """Return the list that an installed ``vbench`` holds in its source, or ``None``. Nothing of it is imported."""
    found = importlib.util.find_spec("vbench")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / _IN_VBENCH
        if not path.is_file():
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.List) and len(node.elts) == COUNT:
                names = tuple(str(ast.literal_eval(one)) for one in node.elts)
                if hashlib.sha256("\n".join(names).encode()).hexdigest() == TAG_NAMES.sha256:
                    return names
    return None
