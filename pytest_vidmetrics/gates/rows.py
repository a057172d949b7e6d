"""Sample lists: rows of ``.jsonl``, ``.json``, ``.csv`` and ``.parquet`` files, renamed, typed, with their lines."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import ManifestError, closest
from pytest_vidmetrics.core.samples import whole_name
from pytest_vidmetrics.core.text import TextError, json_items, json_lines, read_text
from pytest_vidmetrics.core.types import PATH_KEYS
from pytest_vidmetrics.core.wording import shortened, some
from pytest_vidmetrics.engine.urls import placed
from pytest_vidmetrics.gates.case import Case, Location
from pytest_vidmetrics.gates.files import fill_in
from pytest_vidmetrics.gates.values import fault
from pytest_vidmetrics.media.formats import clip_name
from pytest_vidmetrics.metrics import registry

_NAMED_BY = ("video", "audio", "image_path", "latent")
"""The files whose name is the id of a row that has none."""
_LONGEST_PATH = 4096
_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One row: its whole name, its values with absolute paths, and where it stands."""

    name: str
    values: Mapping[str, Any]
    where: Location


def media_of_reference(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reference of a row as a sample of its own: its clip and its sound, as far as the row names them."""
    pairs = (("reference", "video"), ("reference_audio", "audio"))
    return {into: values[key] for key, into in pairs if key in values}


def same_id(case: Case, key: str, names: tuple[str, str], id: str) -> ManifestError:
    """Return what to raise for two names that one id would stand for."""
    one, other = names
    return case.at(key).error(f"{one!r} and {other!r} have the same id ({id!r}); rename one of them")


def read_rows(case: Case, checkpoint: str | None, known: Iterable[str]) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Return all rows of a case's sample list, and the remarks on them, see :func:`each_row`."""
    remarks: list[str] = []
    return tuple(each_row(case, checkpoint, known, remarks)), tuple(remarks)


def each_row(case: Case, checkpoint: str | None, known: Iterable[str], remarks: list[str]) -> Iterator[Row]:
    """Yield the rows of a case's sample list; at the end, add remarks on keys that are not ``known`` to be read.

    A ``.jsonl`` file has an object a line, a ``.json`` file a list of objects (or ``{"data": [...]}``), a ``.csv``
    file a header; ``.parquet`` needs pyarrow. A row without ``id`` has the name of its clip. Paths are relative to the
    list. Raises ``ManifestError`` with the line of the row.
    """
    where = case.at("samples")
    path = case.where.path.parent / fill_in(str(case.samples), where, checkpoint)
    if path.suffix.lower() not in _SUFFIXES:
        raise where.error(f"samples: {path} must end in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}")
    reading = _Reading(case, path, checkpoint)
    empty = True
    try:
        for line, values in _entries(path):
            empty = False
            yield reading.row(line, values)
    except TextError as error:
        raise ManifestError(str(error)) from error
    except (ImportError, ValueError) as error:  # Parquet without pyarrow, or that it does not read
        raise where.error(f"samples: {path}: {error}") from error
    if empty:
        raise where.error(f"samples: {path} holds no row")
    reading.check_renames()
    remarks += reading.remarks(known)


def _entries(path: Path) -> Iterable[tuple[int, Any]]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return json_lines(path)
    if suffix == ".parquet":
        from pytest_vidmetrics.engine.rows import read_row_file

        return read_row_file(path)
    return json_items(path) if suffix == ".json" else _csv_rows(path)


def _csv_rows(path: Path) -> Iterable[tuple[int, Any]]:
    """Yield the rows of a table with a header; an empty cell is no value."""
    # newline="" as the csv module asks: it reads line ends inside of quotes itself.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if header is None:
                header = cells
                if twice := {key for key in header if header.count(key) > 1}:
                    raise TextError(f"{path}:1: the column {sorted(twice)[0]!r} is given twice")
            elif cells:
                if len(cells) != len(header):
                    raise TextError(f"{path}:{reader.line_num}: {len(cells)} cells, but {len(header)} columns")
                yield reader.line_num, {key: _cell(key, cell) for key, cell in zip(header, cells, strict=True) if cell}
    except csv.Error as error:
        raise TextError(f"{path}:{reader.line_num}: not valid CSV: {error}") from error


def _cell(key: str, text: str) -> Any:
    """Return a cell as text, and as a number where the key holds one."""
    # A table has no types: only these keys hold numbers, and an id or a prompt of digits stays text.
    if key == "fps" or key.endswith(("_fps", "_sign")):
        try:
            return float(text)
        except ValueError:
            return text
    return text


class _Reading:
    """Makes rows of what a file holds, and remembers which keys it met."""

    def __init__(self, case: Case, path: Path, checkpoint: str | None) -> None:
        self.case, self.path, self.checkpoint = case, path, checkpoint
        self.keys: dict[str, int] = {}

    def row(self, line: int, entry: Any) -> Row:
        spot = Location(self.path, line)
        if not isinstance(entry, dict):
            raise spot.error(f'expected an object with an "id", got {entry!r:.40}')
        values = self._renamed(entry, spot)
        for key in PATH_KEYS:
            if isinstance(values.get(key), str) and values[key].strip():
                values[key] = placed(fill_in(values[key], spot, self.checkpoint), self.path.parent)
                if len(values[key]) > _LONGEST_PATH:
                    raise spot.error(f"{key} is a path of {len(values[key])} letters: no file has one as long")
        name = self._name(values, spot)
        for key, value in values.items():
            if key != "metrics" and value is not None and (found := fault(key, value)):
                raise spot.error(found)
        if (only := values.get("metrics")) is not None:
            values["metrics"] = _named_metrics(only, spot)
        return Row(name, {key: value for key, value in values.items() if value is not None}, spot)

    def _renamed(self, entry: dict[str, Any], spot: Location) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in entry.items():
            self.keys.setdefault(key, spot.line)
            ours = self.case.rename.get(key, key)
            if ours in values:
                raise spot.error(f"two keys of the row are {ours!r}: rename = {{{key} = {ours!r}}} meets another")
            values[ours] = value
        return values

    def _name(self, values: dict[str, Any], spot: Location) -> str:
        id = values.pop("id", None)
        if id is None:
            path = next((values[key] for key in _NAMED_BY if isinstance(values.get(key), str)), None)
            if not path:
                raise spot.error('expected an object with an "id"')
            return whole_name(clip_name(Path(path)))
        # Bool is an int.
        if isinstance(id, bool) or not isinstance(id, str | int) or not (text := _text(id).strip()):
            raise spot.error(f"id must be text or a whole number, got {id!r:.40}")
        if found := fault("id", text):
            raise spot.error(found)
        return whole_name(text)

    def check_renames(self) -> None:
        """Raise ``ManifestError`` for a renamed key that no row has."""
        for theirs in self.case.rename:
            if theirs not in self.keys:
                hint = closest(theirs, self.keys)
                raise self.case.at("rename", theirs).error(f"rename: no row has the key {theirs!r}{hint}")

    def remarks(self, known: Iterable[str]) -> Iterable[str]:
        """Yield one line on the keys that nothing reads."""
        read = {"id", "metrics", self.case.cluster, *self.case.rename, *known}
        unread = [key for key in self.keys if key not in read]
        if unread:
            yield f"samples: {self.path}: no metric reads {some([_with_hint(key, read) for key in unread], 12)}"


def _with_hint(key: str, read: Iterable[str | None]) -> str:
    near = difflib.get_close_matches(key, sorted(name for name in read if name), n=1, cutoff=0.8)
    return f"{key} (did you mean {near[0]!r}?)" if near else shortened(key)


def _text(id: str | int) -> str:
    try:
        return str(id)
    except ValueError:  # thousands of digits
        return ""


def _named_metrics(names: Any, spot: Location) -> list[str]:
    """Return the metrics that a row is for, groups expanded."""
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        raise spot.error(f"metrics must be a name or a list of names, got {names!r:.60}")
    try:
        return registry.expand(listed, every=True)
    except (KeyError, TypeError) as error:
        raise spot.error(f"metrics: {error.args[0]}") from error
