"""Manifest text to a plain tree plus the line of every key, for TOML, YAML and JSON alike."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.files import read_whole
from pytest_vidmetrics.core.wording import printable, shown

KeyPath = tuple[str, ...]
Lines = dict[KeyPath, int]

_LARGEST = 1 << 20
"""Bytes of a manifest. Lists of clips belong into a samples file."""
_DEEPEST = 32
_MOST_VALUES = 100_000
"""Values of a manifest: in YAML, ten lines of aliases can stand for billions."""
_LARGEST_NUMBER = 2**63


def read_tree(path: Path) -> tuple[dict[str, Any], Lines]:
    """Return the tree of a manifest and the 1-based line of each key.

    The tree holds text, booleans, finite numbers of 64 bits, ``None``, lists and tables. A byte order mark and Windows
    line ends are accepted. Raises :class:`~pytest_vidmetrics.core.errors.ManifestError` with ``file:line`` for text
    that does not parse, repeats a key, holds anything else, or is not a table at the top.
    """
    text = _text(path)
    parse = {".toml": _toml, ".json": _json}.get(path.suffix, _yaml)
    try:
        tree, lines = parse(text, path)
    except RecursionError as error:
        raise ManifestError(f"{path}:1: the manifest is nested too deeply") from error
    if not isinstance(tree, dict):
        raise ManifestError(f"{path}:1: expected a table with 'schema' and 'case', got {type(tree).__name__}")
    for keys, fault in _faults(tree):
        # A value in a list has no line of its own: that of the nearest key around it.
        line = next((lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in lines), 1)
        raise ManifestError(f"{path}:{line}: {'.'.join(map(printable, keys)) or 'the manifest'} {fault}")
    return tree, lines


def _text(path: Path) -> str:
    try:
        data = read_whole(path, _LARGEST)
    except OSError as error:
        raise ManifestError(f"{path}:1: cannot read the manifest: {error.strerror or error}") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{path}:{line}: the manifest is not UTF-8 text: {error}") from error


def _faults(tree: dict[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield what a value is that no manifest may hold, each with its keys. Walks without recursion."""
    waiting: list[tuple[KeyPath, Any, int]] = [((), tree, 0)]
    while waiting:
        keys, value, depth = waiting.pop()
        if depth > _DEEPEST:
            yield keys, f"is nested more than {_DEEPEST} deep"
        elif isinstance(value, dict):
            for key, child in value.items():
                if fault := _text_fault(key):
                    yield keys, f"has a key with {fault}: {shown(key)}"
                waiting.append(((*keys, key), child, depth + 1))
        elif isinstance(value, list):
            waiting += [(keys, child, depth + 1) for child in value]
        elif fault := _value_fault(value):
            yield keys, fault


def _value_fault(value: Any) -> str:
    if isinstance(value, str):
        fault = _text_fault(value)
        return f"holds {fault}: {shown(value)}" if fault else ""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if abs(value) < _LARGEST_NUMBER else "is a number of more than 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"must be finite and not {value}: every number of a manifest is"
    return f"is a {type(value).__name__} ({shown(str(value))}): write it as text, in quotes"


def _text_fault(text: str) -> str:
    if "\x00" in text:
        return "a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half a character (a lone surrogate)"
    return ""


def _toml(text: str, path: Path) -> tuple[Any, Lines]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        # A table or key that is repeated is reported by tomllib at the end of the statement: the same line.
        line = found.group(1) if found else str(text.count("\n") + 1)
        raise ManifestError(f"{path}:{line}: not valid TOML: {printable(str(error))}") from error
    except (ValueError, OverflowError) as error:  # a number of thousands of digits, a date that is none
        raise ManifestError(f"{path}:1: not valid TOML: {_short(error)}") from error
    return tree, _toml_lines(text)


def _short(error: Exception) -> str:
    """Return the first sentence of an error: that of Python about long numbers goes on about how to allow them."""
    return printable(str(error).partition(";")[0])


_HEADER = re.compile(r"^\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)")


def _dotted(text: str) -> KeyPath:
    return tuple(a or b or c for a, b, c in _PART.findall(text))


def _toml_lines(text: str) -> Lines:
    """Map keys to lines. tomllib knows no lines; a header or ``key =`` at a line's start is enough for messages."""
    lines: Lines = {}
    table: KeyPath = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.match(line):
            table = _dotted(header.group(1))
            _remember(lines, table, number)
        elif key := _KEY.match(line):
            _remember(lines, table + _dotted(key.group(1)), number)
    return lines


def _remember(lines: Lines, key: KeyPath, number: int) -> None:
    # A dotted key also stands for the tables above it.
    for end in range(1, min(len(key), _DEEPEST) + 1):
        lines.setdefault(key[:end], number)


def _json(text: str, path: Path) -> tuple[Any, Lines]:
    try:
        tree = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from error
    except ValueError as error:  # a number of thousands of digits
        raise ManifestError(f"{path}:1: not valid JSON: {_short(error)}") from error
    lines: Lines = {}
    return _keyed(tree, (), _json_keys(text), lines, path), lines


class _Pairs(list[tuple[str, Any]]):
    """The pairs of an object in their order, repeated keys included."""


_TOKEN = re.compile(r'\n|"(?:[^"\\\n]|\\.)*"(\s*:)?')


def _json_keys(text: str) -> Iterator[int]:
    """Yield the line of each key of a JSON text, in their order."""
    # The parser knows no lines; a string before a colon is a key, and keys come in the same order there.
    line = 1
    for token in _TOKEN.finditer(text):
        if token.group(1) is not None:
            yield line
        line += token.group().count("\n")


def _keyed(node: Any, at: KeyPath, numbers: Iterator[int], lines: Lines, path: Path) -> Any:
    """Return the tree of an object's pairs, taking a line for every key."""
    if isinstance(node, _Pairs):
        tree: dict[str, Any] = {}
        for key, child in node:
            line = next(numbers, 1)
            if key in tree:
                raise ManifestError(f"{path}:{line}: the key {shown(key)} is given twice")
            lines.setdefault((*at, key), line)
            tree[key] = _keyed(child, (*at, key), numbers, lines, path)
        return tree
    if isinstance(node, list):
        return [_keyed(child, at, numbers, lines, path) for child in node]
    return node


def _yaml(text: str, path: Path) -> tuple[Any, Lines]:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        try:
            return _yaml_tree(loader, path)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ManifestError(f"{path}:{line}: not valid YAML: {printable(str(error.problem))}") from error
    except yaml.YAMLError as error:
        first = str(error).partition("\n")[0]
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise ManifestError(f"{path}:{line}: not valid YAML: {printable(first)}") from error


def _yaml_tree(loader: Any, path: Path) -> tuple[Any, Lines]:
    import yaml

    lines: Lines = {}
    built = 0

    def build(node: Any, at: KeyPath) -> Any:
        nonlocal built
        # Aliases are built each time anew: counting here, not nodes of the text, sees a bomb of them.
        built += 1
        line = node.start_mark.line + 1
        if built > _MOST_VALUES:
            raise ManifestError(f"{path}:{line}: the manifest holds more than {_MOST_VALUES:,} values, by its aliases")
        if isinstance(node, yaml.MappingNode):
            tree: dict[str, Any] = {}
            for key_node, value_node in node.value:
                line = key_node.start_mark.line + 1
                if not isinstance(key_node, yaml.ScalarNode):
                    raise ManifestError(f"{path}:{line}: a key must be text")
                key = str(key_node.value)
                if key in tree:
                    raise ManifestError(f"{path}:{line}: the key {shown(key)} is given twice")
                lines.setdefault((*at, key), line)
                tree[key] = build(value_node, (*at, key))
            return tree
        if isinstance(node, yaml.SequenceNode):
            return [build(child, at) for child in node.value]
        try:
            return loader.construct_object(node)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            # Of a tag or a form that promises another type: 2024-13-45, !!int abc, !!bool maybe.
            said = f"{shown(node.value)} is not a {node.tag.rpartition(':')[2]}"
            raise ManifestError(f"{path}:{line}: not valid YAML: {said}") from error

    root = loader.get_single_node()
    return (build(root, ()) if root is not None else {}), lines
