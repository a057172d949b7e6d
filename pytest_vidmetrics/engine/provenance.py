"""Where a number comes from: metric, weights, decoder, software."""

from __future__ import annotations

from typing import Any

from pytest_vidmetrics.core.environment import software
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.core.weights import weights_sha256
from pytest_vidmetrics.metrics.base import BaseMetric


def describe(metric: BaseMetric) -> dict[str, Any]:
    """Return a metric's identity, direction, unit, range, networks and weights as JSON values."""
    weights = {}
    for checkpoint in metric.weights_files():
        try:
            digest: str | None = weights_sha256(checkpoint, metric.name)
        except UnavailableError:
            # A record can be written where a file is not at hand.
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
        "networks": list(metric.networks()),
        "weights": weights,
    }


def environment() -> dict[str, str]:
    """Return the decoder and the versions that a score was computed with."""
    from pytest_vidmetrics.media.video import DECODER_ID

    return {"decoder": DECODER_ID, **software()}
