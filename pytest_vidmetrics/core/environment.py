"""What software a number was computed with. Names no host and no user."""

from __future__ import annotations

import importlib.metadata
import platform

_PACKAGES = ("pytest-vidmetrics", "torch", "torchvision", "transformers", "numpy", "scipy", "av")


def software() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed, and the kind of machine."""
    facts = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts
