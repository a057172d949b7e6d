from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pytest_vidmetrics.metrics.registry import get_metric
from tests.support.oracle_fill import clip_uint8
from tests.support.oracle_inputs import array_sha256, physics_scene
from tests.support.pixel_clips import tensor

EXPECTED = json.loads((Path(__file__).parents[1] / "data" / "common" / "temporal_flickering.json").read_text())[
    "expected"
]
MAKERS = {"clip_uint8": clip_uint8, "physics_scene": physics_scene}


def clip(name):
    maker, numbers = re.search(r"(\w+)\(([\d, ]+)\)", name).groups()
    frames = MAKERS[maker](*map(int, numbers.split(",")))
    frames = np.repeat(frames, 5, axis=0) if name.startswith("static") else frames
    assert array_sha256(frames) == EXPECTED[name]["sha256"]
    return tensor(frames)


@pytest.mark.parametrize("name", [name for name, value in EXPECTED.items() if value["upstream"] is not None])
def test_scores_match_upstream(name):
    result = get_metric("vbench.temporal_flickering").compute({"video": clip(name)})
    assert result.score == pytest.approx(EXPECTED[name]["upstream"], abs=1e-7)
    assert result.details["per_pair_mae"] == pytest.approx(EXPECTED[name]["per_pair_mae"], abs=1e-5)


def test_one_frame_is_skipped_not_perfect():
    result = get_metric("vbench.temporal_flickering").compute({"video": clip("clip_uint8(1, 32, 32, 2)")})
    assert result.status == "skipped"
    assert result.score is None
    assert "at least 2" in result.reason


def test_no_reference_is_needed():
    assert get_metric("vbench.temporal_flickering").required_keys() == ("video",)
