"""What a package of metrics should test: the contract, a value known by hand, and what users name."""

from __future__ import annotations

import pytest
import torch
from sharp_metrics.metrics import ColourDistance, EdgeLoss

from pytest_vidmetrics import Evaluator, get_dataset
from pytest_vidmetrics.engine.metric_contract import check_metric, samples_here


@pytest.mark.parametrize("metric", [EdgeLoss, ColourDistance])
def test_the_contract(metric, tmp_path):
    """What every metric promises."""
    faults = [found for found in check_metric(metric.name, samples_here(tmp_path)) if found.status == "fault"]
    assert not faults


def test_half_of_the_edges_is_a_loss_of_one_half():
    """A value that is known by hand."""
    reference = torch.zeros(2, 3, 8, 8)
    reference[..., ::2] = 1.0
    found = Evaluator("sharp", "cpu").evaluate(video=reference / 2, reference=reference)
    assert found["sharp.edge_loss"].score == pytest.approx(0.5, abs=1e-3)


def test_prompts_have_names_of_clips():
    """What a generator's clips are called."""
    prompts = get_dataset("sharp")
    assert prompts.filename(prompts[0], 0) == "a page of small print-0.mp4"
