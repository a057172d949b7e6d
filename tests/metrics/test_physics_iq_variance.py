"""The comparison of the two takes: once per scenario, whatever clips are scored against it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.physics_iq import components, scores
from pytest_vidmetrics.metrics.physics_iq.clips import Window, digest
from pytest_vidmetrics.metrics.registry import get_metric, resolve_group
from tests.support.clips import write_clip
from tests.support.oracle_inputs import physics_scene


@pytest.fixture
def compared(monkeypatch):
    calls = []
    compare = components.compare
    monkeypatch.setattr(components, "compare", lambda *clips: calls.append(1) or compare(*clips))
    monkeypatch.setattr(scores, "_variances", type(scores._variances)())
    return calls


@pytest.fixture
def clip(tmp_path):
    def write(name, seed, shift=0.0):
        return str(write_clip(tmp_path / name, physics_scene(20, 64, 80, seed, shift=shift), fps=30))

    return write


def test_five_metrics_read_every_clip_once_and_compare_it_once(tmp_path, clip, compared) -> None:
    keys = ("video", "reference", "reference_take2")
    values = {key: clip(f"{key}.mp4", seed, float(seed)) for seed, key in enumerate(keys)}
    scorer = EvalWorker(FileStore(tmp_path / "store"))
    outcomes = scorer.fill(values, [get_metric(name) for name in resolve_group("physics_iq")])
    assert [outcome.result.status for outcome in outcomes] == ["scored"] * 5
    assert (scorer.counts.decoded, len(compared)) == (3, 2)


def test_the_takes_are_compared_once_per_scenario_and_store(tmp_path, clip, compared, monkeypatch) -> None:
    takes = {"reference": clip("take1.mp4", 20), "reference_take2": clip("take2.mp4", 21, 1.0)}

    def score(seed):
        values = {**takes, "video": clip(f"{seed}.mp4", seed, 2.0)}
        outcome = EvalWorker(FileStore(tmp_path / "store")).fill(values, [get_metric("physics_iq")])[0]
        assert outcome.result.status == "scored", outcome.result
        return [outcome.result.details[key] for key in outcome.result.details if key.startswith("pv_")]

    first = score(1)
    assert len(compared) == 2
    assert score(2) == first
    assert len(compared) == 3
    monkeypatch.setattr(scores, "_variances", type(scores._variances)())  # another process
    assert score(3) == first
    assert len(compared) == 4
    takes["reference_take2"] = clip("other.mp4", 22, 3.0)
    assert score(4) != first
    assert len(compared) == 6


def test_a_clip_is_known_by_its_pixels_or_by_its_file(tmp_path) -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 16, 16), np.uint8))
    other, window = frames.clone(), Window((4, 4))
    other[2] += 1
    assert digest(frames, None, window) == digest(frames.clone(), None, window) != digest(other, None, window)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    named = digest(frames, None, window, a)
    assert named == digest(frames.clone(), None, window, a)
    assert len({named, digest(other, None, window, b), digest(frames[1:], None, window, a)}) == 3
    # A path that is only a remark beside other frames is noticed by the first frame.
    assert named != digest(frames.flip(0), None, window, a)
    assert digest(frames, None, window, str(tmp_path / "absent")) == digest(frames, None, window)
    masks = np.zeros((5, 16, 16), bool)
    assert digest(frames, masks, window, a) not in (named, digest(frames, ~masks, window, a))
