"""One table of a manifest: values of the type that is asked for, or an error that names the line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import closest
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.case import Location
from pytest_vidmetrics.gates.manifest_syntax import Lines
from pytest_vidmetrics.metrics import registry


def refuse_unknown(
    tree: Mapping[str, Any], allowed: Collection[str], lines: Lines, at: tuple[str, ...], path: Path
) -> None:
    """Raise ``ManifestError`` for a key that is not allowed, with the closest one that is."""
    for key in tree:
        if key not in allowed:
            where = Location(path, lines.get((*at, key), lines.get(at, 1)))
            place = f" in [{'.'.join(at)}]" if at else ""
            raise where.error(f"unknown key {shown(key)}{place}{closest(key, allowed)}")


class TypedTable:
    """Typed access to one case's table; each error names the line of the key."""

    def __init__(self, path: Path, lines: Lines, base: tuple[str, ...]) -> None:
        self.path, self.lines, self.base = path, lines, base

    def at(self, *keys: str) -> Location:
        """Return where a key stands; for one that is not there, where its table does."""
        # The nearest table around a key that is not there.
        for end in range(len(keys), -1, -1):
            if (line := self.lines.get((*self.base, *keys[:end]))) is not None:
                return Location(self.path, line)
        return Location(self.path, 1)

    def known(self, table: Mapping[str, Any], allowed: Collection[str], at: tuple[str, ...]) -> None:
        """Refuse a table with a key that is not allowed."""
        refuse_unknown(table, allowed, self.lines, (*self.base, *at), self.path)

    def tables(self, body: Mapping[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the tables inside of one, by name."""
        group = body.get(key, {})
        if not isinstance(group, dict) or not all(isinstance(table, dict) for table in group.values()):
            raise self.at(key).error(f"{key} must hold tables: [{'.'.join(self.base)}.{key}.NAME]")
        return list(group.items())

    def strings(self, body: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Return the texts of a key that holds one or a list of them."""
        value = body[key]
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not listed or not all(isinstance(item, str) for item in listed):
            raise self.at(key).error(f"{key} must be text or a list of texts, got {shown(value)}")
        if not all(item.strip() for item in listed):
            raise self.at(key).error(f"{key} holds an empty text")
        return tuple(listed)

    def string(self, body: Mapping[str, Any], key: str) -> str | None:
        """Return the text of a key, or ``None`` without it."""
        value = body.get(key)
        if value is not None and not isinstance(value, str):
            raise self.at(key).error(f"{key} must be text, got {shown(value)}")
        if value is not None and not value.strip():
            raise self.at(key).error(f"{key} is empty; leave the key out")
        return value

    def count(self, body: Mapping[str, Any], key: str, default: int, *, at: tuple[str, ...] = ()) -> int:
        """Return a whole number of at least 1."""
        value = body.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.at(*at, key).error(f"{key} must be a whole number of at least 1, got {shown(value)}")
        return value

    def choice(
        self,
        body: Mapping[str, Any],
        key: str,
        allowed: tuple[Any, ...],
        default: Any,
        *,
        at: tuple[str, ...] = (),
    ) -> Any:
        """Return one of a few words."""
        value = body.get(key, default)
        if value not in allowed:
            raise self.at(*at, key).error(
                f"{key} must be one of {', '.join(allowed)}, got {shown(value)}{closest(str(value), allowed)}"
            )
        return value

    def selectable(self, name: str, key: str, configs: Collection[str]) -> None:
        """Refuse the name of a metric that there is not."""
        choices = [*registry.selectable(), *configs]
        if name not in choices:
            raise self.at(key).error(f"unknown metric {shown(name)}{registry.hint(name, choices)}")
