"""Corpus scores of the dimensions whose upstream score is a mean over frames."""

from __future__ import annotations

import pytest

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics import registry

PARTS = {
    "a": {"video_sim": 1.8, "cnt_per_video": 2, "frame_results": [0.8, 1.0]},
    "b": {"video_sim": 2.4, "cnt_per_video": 6, "frame_results": [0.4] * 6},
}
NAMES = ("vbench.subject_consistency", "vbench.background_consistency", "vbench.appearance_style")


@pytest.mark.parametrize("name", NAMES)
def test_upstream_weights_clips_by_their_frames(name):
    results = {id: MetricResult(name, score, PARTS[id]) for id, score in (("a", 0.9), ("b", 0.4))}
    assert registry.get_metric(name).corpus_score(results) == pytest.approx(4.2 / 8)
    assert registry.get_metric(name, compat="fixed").corpus_score(results) == pytest.approx(0.65)
    assert registry.get_metric(name).corpus_score({}) is None


@pytest.mark.parametrize("name", NAMES)
def test_the_choice_is_part_of_the_identity_and_checked(name):
    identity = registry.get_metric(name).identity()
    assert identity["params"]["compat"] == "upstream"
    assert registry.get_metric(name, compat="fixed").identity() != identity
    with pytest.raises(ValueError, match="compat must be one of upstream, fixed, got"):
        registry.get_metric(name, compat="other")
