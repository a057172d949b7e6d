"""Where a number comes from: metric, weights, decoder, software."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.weights import weights_sha256
from pytest_vidmetrics.metrics.base import BaseMetric

_PACKAGES = ("pytest-vidmetrics", "torch", "torchvision", "numpy", "scipy", "av", "transformers")


def describe(metric: BaseMetric) -> dict[str, Any]:
    """Return a metric's identity, direction, unit, range and weights as JSON values."""
    weights = {}
    for checkpoint in metric.weights_files():
        try:
            digest: str | None = weights_sha256(checkpoint, metric.name)
        except UnavailableError:
            digest = None
        weights[checkpoint.name] = {
            "source": checkpoint.source,
            "revision": checkpoint.revision,
            "sha256": digest,
            "licence": checkpoint.licence,
        }
    return {
        **metric.identity(),
        "higher_is_better": metric.higher_is_better,
        "unit": metric.unit,
        "range": list(metric.value_range) if metric.value_range else None,
        "set_metric": metric.is_set_metric,
        "weights": weights,
    }


def environment() -> dict[str, Any]:
    """Return the decoder and the versions that a score was computed with."""
    from pytest_vidmetrics.media.video import DECODER_ID

    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {"decoder": DECODER_ID, "python": platform.python_version(), "packages": versions}
