"""What installed packages add: metrics, datasets and engines, found by their entry points."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from pytest_vidmetrics.core.errors import VidmetricsError


def load_all(group: str, what: str) -> dict[str, Any]:
    """Import every entry point of a group and return what they name, in the order of their names.

    Raises :class:`VidmetricsError` for one that cannot be imported: what vanished would look like a typing mistake.
    """
    loaded = {}
    for point in sorted(importlib.metadata.entry_points(group=group), key=lambda found: found.name):
        try:
            loaded[point.name] = point.load()
        except Exception as error:
            raise VidmetricsError(
                f"the {what} of the entry point {point.name!r} ({point.value}) cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
    return loaded
