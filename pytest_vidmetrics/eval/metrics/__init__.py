"""``fastvideo.eval.metrics``: one module ``<group>.<name>.metric`` for each metric, with upstream's class name.

The modules are made from a table: they hold one name each. The classes are those of :mod:`pytest_vidmetrics.metrics`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from pytest_vidmetrics.eval import extractors
from pytest_vidmetrics.metrics import base

_CLASSES = {
    "audio.audiobox_aesthetics": ("AudioBoxAestheticsMetric", "AudioboxAesthetics"),
    "audio.clap_score": ("ClapScoreMetric", "ClapScore"),
    "audio.desync": ("DeSyncMetric", "Desync"),
    "audio.frechet_distance": ("FrechetAudioDistanceMetric", "FrechetDistance"),
    "audio.imagebind_score": ("ImageBindScoreMetric", "ImageBindScore"),
    "audio.kl_divergence": ("KLDivergenceMetric", "KLDivergence"),
    "audio.wer": ("WERMetric", "WordErrorRate"),
    "common.fvd": ("FVDMetric", "FVD"),
    "common.lpips": ("LPIPSMetric", "LPIPS"),
    "common.psnr": ("PSNRMetric", "PSNR"),
    "common.ssim": ("SSIMMetric", "SSIM"),
    "optical_flow.gt_optical_flow": ("GtOpticalFlowMetric", "scores:GTOpticalFlow"),
    "optical_flow.synthetic_optical_flow": ("SyntheticOpticalFlowMetric", "scores:SyntheticOpticalFlow"),
    "videoscore2": ("VideoScore2Metric", "scores:VideoScore2"),
    **{
        f"vbench.{name}": (f"{camel}Metric", camel)
        for name in (
            "aesthetic_quality",
            "appearance_style",
            "background_consistency",
            "color",
            "dynamic_degree",
            "human_action",
            "imaging_quality",
            "motion_smoothness",
            "multiple_objects",
            "object_class",
            "overall_consistency",
            "scene",
            "spatial_relationship",
            "subject_consistency",
            "temporal_flickering",
            "temporal_style",
        )
        for camel in ["".join(word.title() for word in name.split("_"))]
    },
}
"""Upstream's module to its class and ours: ``Class``, or ``module:Class`` where ours lives in another module."""


class _MetricModule(ModuleType):
    """A module that imports its one class when it is asked for."""

    def __init__(self, path: str, name: str, ours: str) -> None:
        super().__init__(f"{__name__}.{path}.metric", f"``fastvideo.eval.metrics.{path}.metric``")
        module, _, cls = ours.rpartition(":")
        group, _, last = path.rpartition(".")
        home = [base.__package__ or "", *([group] if group else []), *([path] if not group else [])]
        self._home, self._ours, self._name = ".".join([*home, module or last]), cls, name

    def __getattr__(self, attribute: str) -> Any:
        if attribute != self.__dict__.get("_name"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {attribute!r}")
        return getattr(importlib.import_module(self._home), self._ours)


def _add(module: ModuleType) -> None:
    """Put a module, and packages above it, where an import statement finds them."""
    sys.modules[module.__name__] = module
    parent, _, last = module.__name__.rpartition(".")
    if parent not in sys.modules:
        package = ModuleType(parent, "Modules of ``fastvideo.eval.metrics``.")
        package.__path__ = []
        _add(package)
    setattr(sys.modules[parent], last, module)


for _path, (_name, _ours) in _CLASSES.items():
    _add(_MetricModule(_path, _name, _ours))
_base, _extractors = ModuleType(f"{__name__}.base"), ModuleType(f"{__name__}.common.fvd.extractors")
_base.BaseMetric = base.BaseMetric  # type: ignore[attr-defined]
_extractors.load_extractor = extractors.load_extractor  # type: ignore[attr-defined]
_add(_base)
_add(_extractors)
