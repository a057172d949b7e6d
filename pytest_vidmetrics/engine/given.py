"""A sample as one metric is given it."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any


class GivenSample(dict[str, Any]):
    """Sample values that remember whether the metric looked at one that it does not declare.

    A result is kept under the content of what its metric declares in ``requires`` and ``reads``. One that depends on
    anything else must not be found again under that key: :attr:`undeclared` names what it may depend on. Looking for
    a key that is absent counts, and so does going through all of them.
    """

    def __init__(self, values: Mapping[str, Any], declared: frozenset[str]) -> None:
        super().__init__(values)
        self._declared = declared
        self.undeclared: set[str] = set()

    def _seen(self, key: object) -> None:
        if key not in self._declared:
            self.undeclared.add(str(key))

    def _all_seen(self) -> None:
        # Through `super()`: asking oneself would record every key as looked at.
        self.undeclared.update(set(super().keys()) - self._declared)

    def __getitem__(self, key: str) -> Any:
        self._seen(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._seen(key)
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or ``default``."""
        self._seen(key)
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        self._all_seen()
        return super().__iter__()

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """Return all keys."""
        self._all_seen()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Return all values."""
        self._all_seen()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Return all pairs."""
        self._all_seen()
        return super().items()

    def copy(self) -> dict[str, Any]:
        """Return a plain copy."""
        self._all_seen()
        return dict(super().items())
