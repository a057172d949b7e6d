"""Which frames a protocol reads, and what its hash says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.frames import ALL_FRAMES
from pytest_vidmetrics.metrics.common.fvd import FVD
from pytest_vidmetrics.metrics.common.kvd import KVD
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.metrics.sets.protocols import PROTOCOLS, Protocol, choose
from tests.support.oracle_fill import clip_uint8


def _protocol(**rules: Any) -> Protocol:
    return Protocol("p", "i3d", **rules)


@pytest.mark.parametrize(
    ("rules", "total", "expected"),
    [
        ({}, 3, [[0, 1, 2]]),
        ({"frames": 2, "stride": 3}, 9, [[0, 3]]),
        ({"frames": 2, "stride": 2, "clips": 2}, 9, [[0, 2], [3, 5]]),
        ({"frames": 2, "clip": "middle"}, 8, [[3, 4]]),
        ({"frames": 2, "clip": "middle", "clips": 2}, 9, [[2, 3], [4, 5]]),
        ({"frames": 3, "clip": "uniform"}, 9, [[0, 4, 8]]),
        ({"frames": 3, "clip": "uniform", "clips": 2}, 10, [[0, 2, 4], [5, 7, 9]]),
        ({"frames": 4, "clip": "uniform", "short": "repeat"}, 2, [[0, 0, 0, 1]]),
    ],
)
def test_windows(rules: dict[str, Any], total: int, expected: list[list[int]]) -> None:
    assert _protocol(**rules).windows(total) == expected


RULES = st.fixed_dictionaries(
    {
        "frames": st.integers(1, 6),
        "clip": st.sampled_from(["first", "middle", "uniform", "random"]),
        "clips": st.integers(1, 4),
        "stride": st.integers(1, 4),
        "seed": st.integers(0, 9),
        "short": st.sampled_from(["refuse", "repeat"]),
    }
)


@settings(deadline=None, max_examples=200)
@given(rules=RULES, total=st.integers(1, 60))
def test_windows_lie_in_the_video_and_decoding_what_is_asked_for_changes_nothing(
    rules: dict[str, Any], total: int
) -> None:
    if rules["clip"] == "uniform":
        rules = {**rules, "stride": 1}
    protocol = _protocol(**rules)
    selected = protocol.request().indices(total)
    try:
        windows = protocol.windows(total)
    except IncompatibleSampleError:
        with pytest.raises(IncompatibleSampleError, match="needs at least"):
            protocol.windows(len(selected))
        return
    assert [len(window) for window in windows] == [rules["frames"]] * rules["clips"]
    assert all(0 <= i < total for window in windows for i in window)
    assert all(window == sorted(window) for window in windows)
    again = [[selected[i] for i in window] for window in protocol.windows(len(selected))]
    assert again == windows


def test_random_windows_depend_on_seed_and_length_alone() -> None:
    protocol = _protocol(frames=4, clip="random", clips=3, seed=1)
    assert protocol.windows(200) == protocol.windows(200)
    assert protocol.windows(200) != _protocol(frames=4, clip="random", clips=3, seed=2).windows(200)
    starts = [_protocol(frames=4, clip="random", seed=seed).windows(13)[0][0] for seed in range(400)]
    assert set(starts) == set(range(10))


def test_only_what_is_needed_is_decoded() -> None:
    assert PROTOCOLS["fvd2048_16f"].request().indices(120) == list(range(16))
    assert len(PROTOCOLS["usage-guide"].request().indices(120)) == 16
    assert PROTOCOLS["fvd2048_128f_subsample8f"].request() is ALL_FRAMES


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"clips": 2}, "stride and clips need a number of frames"),
        ({"frames": 4, "clip": "end"}, "clip must be one of first, middle"),
        ({"frames": 0}, "frames must be a positive integer"),
        ({"frames": 4, "stride": 2.0}, "stride must be a positive integer"),
        ({"frames": 4, "clip": "uniform", "stride": 2}, "stride must be 1"),
        ({"ddof": 2}, "ddof must be 0 or 1"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _protocol(**rules)


def test_a_mapping_changes_a_named_protocol() -> None:
    changed = choose("i3d", {"base": "fvd2048_16f", "stride": 2, "clips": 3, "clip": "middle"})
    assert (changed.name, changed.frames, changed.ddof) == ("fvd2048_16f*", 16, 0)
    assert choose("i3d", {"base": "fvd2048_16f", "frames": 16}) == PROTOCOLS["fvd2048_16f"]
    assert choose("clip", {"frames": 8}).extractor == "clip"
    with pytest.raises(ValueError, match="protocol has no rule 'fps'"):
        choose("i3d", {"fps": 3})
    for extractor in ("i3d", "clip"):
        with pytest.raises(ValueError, match=f"layer of extractor '{extractor}' must be one of"):
            choose(extractor, {"layer": "tokens"})
    with pytest.raises(ValueError, match="protocol of extractor 'i3d' must be one of"):
        choose("i3d", {"base": "clip"})


def test_every_rule_changes_the_hash_and_hashes_do_not_move() -> None:
    base = {"frames": 4, "clip": "random"}
    changes: list[dict[str, Any]] = [
        {},
        {"frames": 5},
        {"clip": "middle"},
        {"stride": 2},
        {"clips": 2},
        {"seed": 1},
        {"ddof": 0},
        {"layer": "pooled"},
        {"resize": "crop"},
        {"family": "videogpt"},
        {"aggregate": "each", "clips": 2},
    ]
    digests = {_protocol(**{**base, **change}).digest() for change in changes}
    assert len(digests) == len(changes)
    assert PROTOCOLS["motion-energy"].digest() == "b7fe1beab96d1982"
    assert _protocol(frames=4, seed=3).digest() == _protocol(frames=4).digest()
    assert len({protocol.digest() for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


def _clips(seeds: range) -> dict[str, torch.Tensor]:
    return {f"c{seed:02d}": torch.from_numpy(clip_uint8(24, 32, 40, seed)).permute(0, 3, 1, 2) for seed in seeds}


def test_rows_of_several_windows_are_averaged_or_kept() -> None:
    each = FVD("motion_energy", {"frames": 8, "clips": 3, "aggregate": "each"})
    mean = FVD("motion_energy", {"frames": 8, "clips": 3})
    video = _clips(range(1))["c00"]
    rows = each.features({"video": video})
    assert rows.shape == (3, 37)
    np.testing.assert_array_equal(rows[1], FVD("motion_energy").features({"video": video[8:16]})[0])
    np.testing.assert_allclose(mean.features({"video": video})[0], rows.mean(axis=0), rtol=1e-12)
    assert each.feature_identity() != mean.feature_identity()


@pytest.mark.parametrize("kind", [FVD, KVD])
def test_kept_rows_count_as_one_video(kind: type[FVD] | type[KVD]) -> None:
    metric = kind("motion_energy", {"frames": 8, "clips": 3, "aggregate": "each"})
    sets = [
        FeatureSet.join({key: metric.features({"video": clip}) for key, clip in _clips(seeds).items()})
        for seeds in (range(5), range(5, 10))
    ]
    details = metric.score_sets(*sets).details
    assert (details["n_generated"], details["n_reference"]) == (5, 5)
    if kind is FVD:
        assert set(details["influence"]) == {f"c0{i}" for i in range(5)}
        assert details["null_floor_n"] == 2
    else:
        # 252 labelings of whole videos: the smallest p-value is that of one labeling and its mirror image.
        assert details["p_value"] >= 1 / 252 / 2


def test_an_edited_protocol_is_another_metric_and_reads_back() -> None:
    metric = FVD("motion_energy", {"base": "motion-energy", "frames": 8})
    assert metric.params()["protocol"] == {"base": "motion-energy", "frames": 8}
    assert metric.identity()["protocol"] != FVD("motion_energy").identity()["protocol"]
    assert FVD(**metric.params()).identity() == metric.identity()
