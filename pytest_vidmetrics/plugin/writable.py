"""Where a run keeps what it finds out, and whether it can be written there: asked before hours of scoring."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pytest_vidmetrics.core.cache import get_cache_dir
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.wording import printable
from pytest_vidmetrics.engine.object_store import open_store
from pytest_vidmetrics.plugin.settings import Settings


def store_of(settings: Settings) -> str | Path:
    """Return the URL or the folder of the result store."""
    return settings.store or (settings.cache or get_cache_dir()) / "store"


def check_store(settings: Settings) -> None:
    """Raise ``pytest.UsageError`` when results could not be kept."""
    if settings.judge:
        return
    try:
        open_store(store_of(settings)).check_writable()
    except (VidmetricsError, ValueError) as error:
        raise pytest.UsageError(printable(str(error), keep="")) from error


def check_baselines(settings: Settings) -> None:
    """Raise ``pytest.UsageError`` when an update could not be written, before hours of scoring."""
    if not settings.writes:
        return
    folder = settings.baseline_dir
    # The nearest parent that is there: the folder is made when the first baseline is.
    while not folder.exists():
        folder = folder.parent
    try:
        # A file without a name, which the system removes.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"cannot write baselines below {settings.baseline_dir}: {folder}: {error.strerror or error}; "
            "name another folder with --baseline-dir=DIR"
        ) from error
