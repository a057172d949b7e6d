"""Whether this is a run of continuous integration, where nothing is recorded unasked."""

from __future__ import annotations

import os


def in_ci() -> bool:
    """Whether ``CI`` is set to anything but ``0`` or ``false``."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")
