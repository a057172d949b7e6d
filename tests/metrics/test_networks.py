"""Networks are declared: what a metric loads is known before it is loaded, and nothing is loaded beside it."""

from __future__ import annotations

import pytest

from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.asked import AskedMetric
from pytest_vidmetrics.metrics.composite import CompositeMetric
from pytest_vidmetrics.metrics.judge.pairwise import PairwiseJudge

registry.discover()
OWN_WAYS = (AskedMetric, PairwiseJudge, CompositeMetric)
"""Metrics that ask a checkpoint for what the store does not hold, or that have no network of their own."""
NAMES = [name for name in registry.list_metrics() if not issubclass(registry.metric_class(name), OWN_WAYS)]


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_with_weights_declares_its_networks(name: str) -> None:
    kind = registry.metric_class(name)
    metric = kind()  # whatever libraries are here
    assert bool(metric.networks()) == bool(metric.weights_files())
    assert set(metric.weights_files()) <= set(kind.every_weights())


@pytest.mark.parametrize(
    ("name", "params", "networks"),
    [
        ("common.fvd", {}, ("i3d",)),
        ("common.fvd", {"extractor": "clip"}, ("clip-vit-base-patch32.image",)),
        ("common.fvd", {"extractor": "motion_energy"}, ()),
        ("common.kvd", {"extractor": "videomae"}, ("videomae",)),
        ("optical_flow.gt_optical_flow", {}, ("raft-things.pth",)),
        ("optical_flow.gt_optical_flow", {"model_name": "dpflow"}, ("dpflow",)),
        ("audio.wer", {}, ("whisper",)),
        ("audio.wer", {"backend": "sensevoice", "trust_model_folder": True}, ("sensevoice",)),
    ],
)
def test_one_configuration_loads_one_network(name: str, params: dict[str, str], networks: tuple[str, ...]) -> None:
    assert registry.get_metric(name, **params).networks() == networks
