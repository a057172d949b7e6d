"""Where downloaded weights, datasets and results live. Nothing is created or exported at import."""

from __future__ import annotations

import os
from pathlib import Path


def get_cache_dir() -> Path:
    """Return the cache root, without creating it.

    The first that is set wins: ``$VIDMETRICS_CACHE``, ``$FASTVIDEO_EVAL_CACHE``,
    ``$FASTVIDEO_CACHE_ROOT/eval``, ``$XDG_CACHE_HOME/pytest-vidmetrics``, ``~/.cache/pytest-vidmetrics``.
    """
    for variable in ("VIDMETRICS_CACHE", "FASTVIDEO_EVAL_CACHE"):
        if value := os.environ.get(variable):
            return Path(value).expanduser()
    if value := os.environ.get("FASTVIDEO_CACHE_ROOT"):
        return Path(value).expanduser() / "eval"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "pytest-vidmetrics"


def is_cached(path: Path) -> bool:
    """Whether a file lies in this cache or in that of the hub, where files appear whole and are never changed."""
    from huggingface_hub.constants import HF_HUB_CACHE

    where = path.resolve()
    return any(where.is_relative_to(Path(root).resolve()) for root in (get_cache_dir(), HF_HUB_CACHE))
