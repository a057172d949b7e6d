"""ColorVideoVDP through its package, against what the package's own ``predict`` gave on ten distortions."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.metrics.registry import expand, get_metric, list_metrics, metric_class
from tests.support.distortions import DISTORTIONS, reference

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "common" / "cvvdp.json").read_text())
INSTALLED = importlib.util.find_spec("pycvvdp") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="pip install 'pytest-vidmetrics[cvvdp]'")


def sample(kind: str, **more: object) -> dict[str, object]:
    pair = {"video": DISTORTIONS[kind](reference()), "reference": reference()}
    return {**{key: torch.from_numpy(clip).permute(0, 3, 1, 2) for key, clip in pair.items()}, **more}


@needs_package
@pytest.mark.parametrize("display", RECORDED["jod"])
def test_ten_distortions_have_the_quality_that_the_package_gives(display: str) -> None:
    metric = get_metric("common.cvvdp", display=display)
    for kind, expected in RECORDED["jod"][display].items():
        result = metric.compute(sample(kind, fps=RECORDED["fps"]))
        assert result.score == pytest.approx(expected, abs=1e-3), kind
        assert len(result.details["per_frame"]) == 8
    assert result.details["per_frame"] != [result.score] * 8


@needs_package
def test_a_frame_of_a_still_difference_counts_as_the_whole_video() -> None:
    metric = get_metric("common.cvvdp")
    frames = metric.compute(sample("none", fps=12.0)).details["per_frame"]
    assert frames == pytest.approx([10.0] * 8, abs=1e-4)
    held = metric.compute(sample("freeze", fps=12.0)).details["per_frame"]
    assert min(held[:3]) > max(held[6:])
    with pytest.raises(ValueError, match="display = 'cinema'"):
        get_metric("common.cvvdp", display="cinema").compute(sample("none", fps=12.0))


def test_the_recorded_order_is_that_of_viewers_and_not_of_mean_squares() -> None:
    found = RECORDED["jod"]["standard_fhd"]
    assert found["none"] == 10.0
    assert found["flicker"] < found["noise"] < found["faint noise"] < found["none"]
    assert len(found) == 10


def test_it_is_chosen_by_name_and_says_how_to_get_the_package() -> None:
    assert "common.cvvdp" in list_metrics()
    assert "common.cvvdp" not in expand(["common"])
    cls = metric_class("common.cvvdp")
    assert cls().identity()["params"]["display"] == "standard_fhd"
    assert cls(display="standard_4k").identity() != cls().identity()
    assert str(cls().identity()["package"]).startswith("cvvdp ")
    if not INSTALLED:
        with pytest.raises(UnavailableError, match=r"pytest-vidmetrics\[cvvdp\]"):
            get_metric("common.cvvdp")


def test_a_video_without_a_rate_is_refused() -> None:
    with pytest.raises(IncompatibleSampleError, match="no frame rate"):
        metric_class("common.cvvdp")().compute(sample("noise"))
