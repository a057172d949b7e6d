"""Which frames are chosen, and their size, against recorded values of qwen-vl-utils and FastVideo."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.networks.qwen import frames, sizes
from tests.support.qwen import recorded

SAMPLING = recorded("qwen_frame_sampling")["expected"]
SIZES = recorded("qwen_frame_sizes")["expected"]


def _same(indices: tuple[int, ...], case: dict[str, Any]) -> bool:
    if "indices" in case:
        return list(indices) == case["indices"]
    text = json.dumps(list(indices), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest() == case["sha256_of_json"]


def test_the_path_rule_takes_the_recorded_frames() -> None:
    for case in SAMPLING["path_rule"]:
        if "error" in case:
            with pytest.raises(IncompatibleSampleError):
                frames.path_rule(case["total"], case["fps"], case["infer_fps"])
            continue
        chosen = frames.path_rule(case["total"], case["fps"], case["infer_fps"])
        assert _same(chosen.indices, case), case
        assert chosen.rate == pytest.approx(case["sample_fps"], rel=1e-12)


def test_fastvideos_rule_takes_the_recorded_frames() -> None:
    for case in SAMPLING["fastvideo_rule"]:
        assert _same(frames.fastvideo_rule(case["frames"], case["source_fps"]).indices, case), case


def test_a_clip_at_8_fps_is_read_by_the_path_rule() -> None:
    for case in SAMPLING["avocado_rule"]:
        if "error" not in case:
            assert _same(frames.path_rule(case["frames"], case["fps"]).indices, case), case


def test_the_sampler_of_transformers_takes_other_frames() -> None:
    different = [
        case
        for case in SAMPLING["hf_contrast"]
        if not _same(frames.path_rule(case["total"], case["fps"]).indices, case)
    ]
    assert different


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(total=st.integers(2, 5000), rate=st.floats(0.5, 240))
def test_the_path_rule_takes_an_even_number_of_ascending_frames_with_both_ends(total: int, rate: float) -> None:
    indices = frames.path_rule(total, rate).indices
    assert len(indices) % 2 == 0
    assert indices[0] == 0
    assert indices[-1] == total - 1
    assert all(a < b for a, b in itertools.pairwise(indices))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(total=st.integers(1, 2000), rate=st.one_of(st.none(), st.floats(0.5, 240)))
def test_fastvideos_rule_takes_at_most_64_frames(total: int, rate: float | None) -> None:
    indices = frames.fastvideo_rule(total, rate).indices
    assert 1 <= len(indices) <= 64
    assert all(0 <= a < total for a in indices)


def test_one_frame_and_no_rate_are_refused_with_the_reason() -> None:
    with pytest.raises(IncompatibleSampleError, match=r"1 frame\(s\): the judge needs at least 2"):
        frames.path_rule(1, 8.0)
    with pytest.raises(IncompatibleSampleError, match="frames per second"):
        frames.path_rule(20, 0.0)
    assert frames.path_rule(2, 8.0).indices == (0, 1)
    assert frames.path_rule(3, 8.0).indices == (0, 2)


@pytest.mark.parametrize(("name", "most"), [("videoscore2", sizes.MOST), ("avocado", sizes.AVOCADO_MOST)])
def test_sizes_are_the_recorded_ones(name: str, most: int) -> None:
    for case in SIZES["cases"]:
        size = (case["h"], case["w"])
        if isinstance(case[name], dict):
            with pytest.raises(IncompatibleSampleError, match="more than 200 times"):
                sizes.clip_size(size, case["frames"], most)
        else:
            assert list(sizes.clip_size(size, case["frames"], most)) == case[name], case


def test_the_three_sizes_of_fastvideo_are_the_recorded_ones() -> None:
    for case in SIZES["fastvideo_chain"]:
        size = (case["h"], case["w"])
        if "error" in case:
            with pytest.raises(IncompatibleSampleError):
                sizes.fastvideo_sizes(size, 10)
            continue
        names = ("after_960_cap", "after_pil_0.0.14", "final_0.0.14")
        assert [list(found) for found in sizes.fastvideo_sizes(size, 10)] == [case[name] for name in names], case


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(height=st.integers(1, 4000), ratio=st.floats(0.005, 200), count=st.integers(2, 768))
def test_no_side_vanishes_and_no_limit_is_broken(height: int, ratio: float, count: int) -> None:
    width = max(1, int(height * ratio))
    if max(height, width) / min(height, width) > 200:
        return
    found = sizes.clip_size((height, width), count)
    assert all(side >= 28 and side % 28 == 0 for side in found)
    assert found[0] * found[1] <= sizes.clip_limits(count).most


def test_4k_is_brought_below_the_limit() -> None:
    height, width = sizes.clip_size((2160, 3840), 10)
    assert height * width <= sizes.MOST
    assert (height, width) == (560, 1008)
