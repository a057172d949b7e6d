"""FVD on the published weights: black against white clips, whose distances others have published by length.

    vidmetrics fetch common.fvd
    python -m pytest -m weights tests/metrics/test_fvd_published.py

Constant clips have no covariance, so the distance is that of two rows. The numbers are in the README of
JunyaoHu/common_metrics_on_video_quality, which says that they move by about 1 with the version of torch.
"""

from __future__ import annotations

import pytest
import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.common.fvd import FVD
from pytest_vidmetrics.metrics.sets.features import FeatureSet

pytestmark = pytest.mark.weights
PUBLISHED = {10: 569.2296, 12: 551.9611, 13: 146.3664, 16: 152.9175, 17: 357.7403, 24: 66.0628, 30: 151.2565}


@pytest.fixture(scope="module")
def metric() -> FVD:
    metric = FVD(cache_mode="off")
    try:
        metric.setup()
    except UnavailableError as error:
        pytest.skip(str(error))
    return metric


@pytest.mark.parametrize("frames", PUBLISHED)
def test_black_against_white_is_as_far_as_published(metric: FVD, frames: int) -> None:
    sets = []
    for level in (0, 255):
        row = metric.features({"video": torch.full((frames, 3, 64, 64), level, dtype=torch.uint8)})
        sets.append(FeatureSet.join({"a": row, "b": row}))
    result = metric.score_sets(*sets)
    assert result.details["covariance_term"] == pytest.approx(0, abs=1e-9)
    assert result.score == pytest.approx(PUBLISHED[frames], abs=1.5)
