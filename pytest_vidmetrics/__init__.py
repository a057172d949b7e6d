"""Evaluation metrics of video and audio generators, as pytest gates and as a library.

Every public name is imported when it is first used: importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_vidmetrics.core.cache import get_cache_dir as get_cache_dir
    from pytest_vidmetrics.core.errors import NoAudioStreamError as NoAudioStreamError
    from pytest_vidmetrics.core.types import EvalResults as EvalResults
    from pytest_vidmetrics.core.types import MetricResult as MetricResult
    from pytest_vidmetrics.core.types import Video as Video
    from pytest_vidmetrics.core.weights import Weights as Weights
    from pytest_vidmetrics.core.weights import ensure_checkpoint as ensure_checkpoint
    from pytest_vidmetrics.datasets.base import PromptDataset as PromptDataset
    from pytest_vidmetrics.datasets.base import get_dataset as get_dataset
    from pytest_vidmetrics.datasets.base import list_datasets as list_datasets
    from pytest_vidmetrics.datasets.base import register_dataset as register_dataset
    from pytest_vidmetrics.datasets.folders import samples_from as samples_from
    from pytest_vidmetrics.datasets.naming import build_eval_kwargs as build_eval_kwargs
    from pytest_vidmetrics.datasets.naming import default_filename as default_filename
    from pytest_vidmetrics.datasets.naming import glob_videos as glob_videos
    from pytest_vidmetrics.datasets.naming import sanitize_prompt as sanitize_prompt
    from pytest_vidmetrics.engine.api import create_evaluator as create_evaluator
    from pytest_vidmetrics.engine.api import evaluate as evaluate
    from pytest_vidmetrics.engine.evaluator import Evaluator as Evaluator
    from pytest_vidmetrics.engine.inputs import as_video as as_video
    from pytest_vidmetrics.engine.inputs import extract_frames as extract_frames
    from pytest_vidmetrics.engine.inputs import load_video as load_video
    from pytest_vidmetrics.media.audio import extract_audio_track as extract_audio_track
    from pytest_vidmetrics.metrics.base import BaseMetric as BaseMetric
    from pytest_vidmetrics.metrics.registry import get_metric as get_metric
    from pytest_vidmetrics.metrics.registry import list_metrics as list_metrics
    from pytest_vidmetrics.metrics.registry import missing_dependencies as missing_dependencies
    from pytest_vidmetrics.metrics.registry import register as register
    from pytest_vidmetrics.metrics.registry import resolve_group as resolve_group
    from pytest_vidmetrics.metrics.sets.base import SetMetric as SetMetric
    from pytest_vidmetrics.metrics.sets.features import FeatureSet as FeatureSet

__version__ = "0.1.0"

_HOMES = {
    "core.cache": ("get_cache_dir",),
    "core.weights": ("Weights", "ensure_checkpoint"),
    "core.errors": ("NoAudioStreamError",),
    "core.types": ("EvalResults", "MetricResult", "Video"),
    "engine.api": ("create_evaluator", "evaluate"),
    "datasets.base": ("PromptDataset", "get_dataset", "list_datasets", "register_dataset"),
    "engine.evaluator": ("Evaluator",),
    "engine.inputs": ("as_video", "extract_frames", "load_video"),
    "datasets.naming": ("build_eval_kwargs", "default_filename", "glob_videos", "sanitize_prompt"),
    "datasets.folders": ("samples_from",),
    "media.audio": ("extract_audio_track",),
    "metrics.base": ("BaseMetric",),
    "metrics.registry": ("get_metric", "list_metrics", "missing_dependencies", "register", "resolve_group"),
    "metrics.sets.base": ("SetMetric",),
    "metrics.sets.features": ("FeatureSet",),
}
_home = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_home)


def __getattr__(name: str) -> Any:
    if name not in _home:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_home[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_home})
