"""Manifest text to a plain tree plus the line of every key, for TOML, YAML and JSON alike."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import ManifestError

KeyPath = tuple[str, ...]
Lines = dict[KeyPath, int]


def read_tree(path: Path) -> tuple[dict[str, Any], Lines]:
    """Return the tree of a manifest and the 1-based line of each key.

    A byte order mark and Windows line ends are accepted. Raises
    :class:`~pytest_vidmetrics.core.errors.ManifestError` with ``file:line`` for text that does not parse,
    repeats a key, or is not a table at the top.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise ManifestError(f"{path}:1: cannot read the manifest: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}:1: the manifest is not UTF-8 text: {error}") from error
    parse = {".toml": _toml, ".json": _json}.get(path.suffix, _yaml)
    try:
        tree, lines = parse(text, path)
    except RecursionError as error:
        raise ManifestError(f"{path}:1: the manifest is nested too deeply") from error
    if not isinstance(tree, dict):
        raise ManifestError(f"{path}:1: expected a table with 'schema' and 'case', got {type(tree).__name__}")
    return tree, lines


def _toml(text: str, path: Path) -> tuple[Any, Lines]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        # A table or key that is repeated is reported by tomllib at the end of the statement: the same line.
        line = found.group(1) if found else str(text.count("\n") + 1)
        raise ManifestError(f"{path}:{line}: not valid TOML: {error}") from error
    return tree, _toml_lines(text)


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
    for end in range(1, len(key) + 1):
        lines.setdefault(key[:end], number)


def _json(text: str, path: Path) -> tuple[Any, Lines]:
    try:
        tree = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, text, path))
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from error
    return tree, _json_lines(tree, text)


def _unique(pairs: list[tuple[str, Any]], text: str, path: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            spots = [match.start() for match in re.finditer(re.escape(json.dumps(key)), text)]
            line = text.count("\n", 0, spots[-1]) + 1 if spots else 1
            raise ManifestError(f"{path}:{line}: the key {key!r} is given twice")
        seen[key] = value
    return seen


def _json_lines(tree: Any, text: str) -> Lines:
    """Map keys to lines by walking the tree and the text together: both hold the keys in the same order."""
    lines: Lines = {}
    position = 0

    def walk(node: Any, prefix: KeyPath) -> None:
        nonlocal position
        children = node.items() if isinstance(node, dict) else ((None, item) for item in node)
        for key, child in children:
            if key is not None:
                found = re.compile(re.escape(json.dumps(key)) + r"\s*:").search(text, position)
                position = found.end() if found else position
                lines[(*prefix, key)] = text.count("\n", 0, position) + 1
            if isinstance(child, (dict, list)):
                walk(child, (*prefix, key) if key is not None else prefix)

    if isinstance(tree, (dict, list)):
        walk(tree, ())
    return lines


def _yaml(text: str, path: Path) -> tuple[Any, Lines]:
    import yaml

    lines: Lines = {}

    def build(node: Any, prefix: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            tree: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key, line = str(key_node.value), key_node.start_mark.line + 1
                if key in tree:
                    raise ManifestError(f"{path}:{line}: the key {key!r} is given twice")
                lines[(*prefix, key)] = line
                tree[key] = build(value_node, (*prefix, key))
            return tree
        if isinstance(node, yaml.SequenceNode):
            return [build(child, prefix) for child in node.value]
        return loader.construct_object(node)

    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        return (build(root, ()) if root is not None else {}), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ManifestError(f"{path}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ManifestError(f"{path}:1: not valid YAML: {error}") from error
    finally:
        loader.dispose()
