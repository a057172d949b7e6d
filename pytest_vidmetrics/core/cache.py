"""Where downloaded weights, datasets and results live. Nothing is created or exported at import."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_vidmetrics.core.errors import VidmetricsError

_PLACES = (
    ("VIDMETRICS_CACHE", ""),
    ("FASTVIDEO_EVAL_CACHE", ""),
    ("FASTVIDEO_CACHE_ROOT", "eval"),
    ("XDG_CACHE_HOME", "pytest-vidmetrics"),
)


def get_cache_dir() -> Path:
    """Return the cache root, without creating it.

    The first that is set wins: ``$VIDMETRICS_CACHE``, ``$FASTVIDEO_EVAL_CACHE``,
    ``$FASTVIDEO_CACHE_ROOT/eval``, ``$XDG_CACHE_HOME/pytest-vidmetrics``, ``~/.cache/pytest-vidmetrics``.
    Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for the home folder of a user who has none.
    """
    for variable, below in _PLACES:
        if value := os.environ.get(variable):
            return _expanded(value, f"${variable}={value}") / below
    return _expanded("~", "~") / ".cache" / "pytest-vidmetrics"


def _expanded(value: str, shown: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise VidmetricsError(f"{shown:.80}: {error} Name the folder of the cache in VIDMETRICS_CACHE") from error


def is_cached(path: Path) -> bool:
    """Whether a file lies in this cache or in that of the hub, where files appear whole and are never changed."""
    from huggingface_hub.constants import HF_HUB_CACHE

    # Links are followed, as the hub's cache consists of them.
    where = path.resolve()
    return any(where.is_relative_to(Path(root).resolve()) for root in (get_cache_dir(), HF_HUB_CACHE))
