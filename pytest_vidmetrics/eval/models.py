"""``fastvideo.eval.models``: checkpoints and the cache folder."""

from __future__ import annotations

from pytest_vidmetrics.core.cache import get_cache_dir as get_cache_dir
from pytest_vidmetrics.core.weights import ensure_checkpoint as ensure_checkpoint
