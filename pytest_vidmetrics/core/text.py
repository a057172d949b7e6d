"""Text files that people write: one way to read them, split them into lines, and parse their JSON.

UTF-8 with or without a byte order mark. Lines end at a line feed, with or without a carriage return before it, and
nowhere else: other separators of Unicode may stand inside JSON strings.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError

_LIST = re.compile(r'(?:^|"data"\s*:)\s*\[')
_CHUNK = 1 << 20
_GAP = re.compile(r"[ \t\r\n,]*")
_OTHER = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class TextError(VidmetricsError, ValueError):
    """A text file that cannot be read or does not parse; the message starts with ``file:line``."""


def read_text(path: Path) -> str:
    """Return a file's text with line feeds as line ends.

    Raises :class:`TextError` for a file that cannot be read, or is not UTF-8: with the line of the first wrong byte.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TextError(f"{path}:1: cannot read it: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise TextError(f"{str(path)!r}: not the name of a file: {error}") from error
    try:
        # "utf-8-sig" drops a byte order mark, and reads files without one.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"it is {_OTHER[data[:2]]}" if data[:2] in _OTHER else f"byte {data[error.start]:#04x}"
        raise TextError(f"{path}:{line}: not UTF-8 text ({found}); save it as UTF-8") from error


def parse_json(text: str, path: Path, line: int = 1) -> Any:
    """Return the value of a JSON text that starts on ``line`` of a file.

    Stricter than :func:`json.loads`: a key that is given twice and the words ``NaN`` and ``Infinity`` are errors.
    Raises :class:`TextError` with the line of the fault.
    """
    try:
        return _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise TextError(f"{path}:{line + error.lineno - 1}: not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise TextError(f"{path}:{line}: not valid JSON: nested too deeply") from error
    except ValueError as error:  # a repeated key, NaN, or a number of thousands of digits
        raise TextError(f"{path}:{line}: not valid JSON: {_short(error)}") from error


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each line that is not blank; raises :class:`TextError` for one not JSON.

    The file is read a line at a time; what makes it no text is said before any line.
    """
    # All of it is checked before the first line: half a listing must not be used.
    if not _is_text(path):
        read_text(path)  # says why
    with path.open("rb") as stream:
        for number, data in enumerate(stream, start=1):
            line = data.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
            if line.strip():
                yield number, parse_json(line, path, number)


def _is_text(path: Path) -> bool:
    """Whether a file can be read and is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except (OSError, ValueError):
        return False
    return True


def json_items(path: Path) -> Iterable[tuple[int, Any]]:
    """Yield the line and the value of each item of a JSON list, or of the list ``data`` of an object.

    Raises :class:`TextError` for anything else.
    """
    text = read_text(path)
    tree = parse_json(text, path)
    rows = tree.get("data") if isinstance(tree, dict) else tree
    if not isinstance(rows, list):
        raise TextError(f'{path}:1: expected a list, or an object whose "data" is a list')
    return zip(_lines_of(rows, text), rows, strict=True)


def _lines_of(rows: list[Any], text: str) -> list[int]:
    """Return the line on which each item of a list starts, found by parsing the list once more, item by item."""
    decoder = json.JSONDecoder()
    # "data" may occur before the list: each place is tried.
    for start in _LIST.finditer(text):
        lines, end = [], start.end()
        for row in rows:
            begin = _GAP.match(text, end).end()  # type: ignore[union-attr]
            try:
                value, end = decoder.raw_decode(text, begin)
            except ValueError:
                break
            # It parses, but is another list.
            if value != row:
                break
            lines.append(text.count("\n", 0, begin) + 1)
        if len(lines) == len(rows):
            return lines
    return [1] * len(rows)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _short(error: ValueError) -> str:
    text = str(error)
    return "a number of too many digits" if "integer string conversion" in text else text


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
"""Made once: that takes longer than to parse a line."""
