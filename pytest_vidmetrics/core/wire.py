"""Frozen dataclasses as builtin values, and back: what crosses processes and what lies in files.

``to_wire`` gives what execnet and JSON can carry: dictionaries, lists, text that UTF-8 can encode, finite numbers.
``from_wire`` rebuilds the dataclass and checks every field against its annotation, so that a record that was made by
another version, or by hand, is refused by the name of the field instead of failing somewhere later.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from pytest_vidmetrics.core.wording import encodable, shown


class Wire:
    """Base of the dataclasses that travel. Raises ``ValueError`` for a tree that is not one of them."""

    def to_wire(self) -> dict[str, Any]:
        """Return builtin values only. A number that is not finite becomes ``None``: JSON has no form for it."""
        return {name: _plain(getattr(self, name)) for name in _fields_of(type(self))}

    @classmethod
    def from_wire(cls, tree: Any, where: str = "") -> Self:
        """Return the dataclass that :meth:`to_wire` was called on; ``where`` names the tree in errors."""
        place = where or cls.__name__
        if not isinstance(tree, Mapping):
            raise ValueError(f"{place} is {shown(tree)}, not an object")
        kinds = _fields_of(cls)
        # An unknown field means another version: what it says must not be lost silently.
        if unknown := sorted(str(key) for key in tree.keys() - kinds.keys()):
            raise ValueError(f"{place} has a field {unknown[0]!r:.60}, which this version does not know")
        values = {}
        for name, (kind, needed) in kinds.items():
            if name in tree:
                values[name] = _typed(tree[name], kind, f"{where}.{name}" if where else name)
            elif needed:
                raise ValueError(f"{place} has no {name}")
        return cls(**values)


_KNOWN: dict[type, dict[str, tuple[Any, bool]]] = {}
"""Fields of the classes that were asked for: resolving annotations takes longer than everything else here."""


def _fields_of(cls: type) -> dict[str, tuple[Any, bool]]:
    if cls not in _KNOWN:
        _KNOWN[cls] = _fields(cls)
    return _KNOWN[cls]


def _fields(cls: type) -> dict[str, tuple[Any, bool]]:
    """Return ``{name: (annotation, whether it has no default)}`` of a dataclass."""
    hints = get_type_hints(cls)
    missing = dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(cls)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Wire):
        return value.to_wire()
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        # A float of numpy becomes one of Python.
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {encodable(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _typed(value: Any, kind: Any, where: str) -> Any:
    """Return a value as its annotation says. Raises ``ValueError`` that names the place."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        # A union has exactly one type beside None.
        (only,) = (one for one in inner if one is not type(None))
        return _typed(value, only, where)
    if origin is Literal:
        if type(value) is not str or value not in inner:
            raise ValueError(f"{where} is {shown(value)}, not one of {', '.join(map(str, inner))}")
        return value
    if origin is tuple:
        return _tuple(value, inner, where)
    if origin is not None:  # a mapping: the only other annotation in use
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"{where} is {shown(value)}, not an object")
        return {key: _typed(one, inner[1], f"{where}[{key!r:.60}]") for key, one in value.items()}
    if isinstance(kind, type) and issubclass(kind, Wire):
        return kind.from_wire(value, where)
    # A whole number stands where JSON wrote 1.0 as 1.
    if kind is float and type(value) in (int, float):
        return _number(value, where)
    # Not `isinstance`: true is not a whole number, and a subclass could be anything.
    if type(value) is not kind:
        raise ValueError(f"{where} is {shown(value)}, not {_NAMES.get(kind, kind.__name__)}")
    return value


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _tuple(value: Any, inner: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} is {shown(value)}, not a list")
    if inner[-1] is Ellipsis:
        return tuple(_typed(one, inner[0], f"{where}[{i}]") for i, one in enumerate(value))
    if len(value) != len(inner):
        raise ValueError(f"{where} has {len(value)} values, not {len(inner)}")
    return tuple(_typed(one, kind, f"{where}[{i}]") for i, (one, kind) in enumerate(zip(value, inner, strict=True)))


def _number(value: int | float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{where} is {shown(value)}, not a finite number")
    return number
