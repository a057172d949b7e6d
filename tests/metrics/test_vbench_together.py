"""All dimensions in one run: shared work, batches, workers, and clips of unusual sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.composite import is_composite
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.flow import memory
from tests.support.clips import scene, write_clip
from tests.support.oracle_fill import clip_uint8
from tests.support.vbench_weights import SAMPLE, shallow_weights

DIMENSIONS = [name for name in registry.expand(["vbench"]) if not is_composite(name)]
NOT_DYNAMIC = 0.0


@pytest.fixture(scope="module", autouse=True)
def _unloaded() -> Iterator[None]:
    yield
    shared.clear()


@pytest.fixture(autouse=True)
def _weights(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in shallow_weights().items():
        monkeypatch.setenv(name, path)


def video(frames: int, height: int, width: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(frames, height, width, seed)).permute(0, 3, 1, 2)


def test_one_decode_and_one_forward_per_backbone_and_preprocessing(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, scene(3))
    scorer = EvalWorker(FileStore(tmp_path / "store"))
    metrics = [registry.get_metric(name) for name in DIMENSIONS if name not in SMALL_FRAMES]
    before = shared.forwards.copy()
    outcomes = scorer.fill({"video": str(path), **SAMPLE}, metrics)
    assert {one.result.name: one.result.status for one in outcomes if one.result} == {
        metric.name: "skipped" if metric.name == COLOURLESS else "scored" for metric in metrics
    }
    assert scorer.counts.decoded == 1
    done = shared.forwards - before
    assert done
    # Captions are counted by frames: of the eight, the six that upstream's mix-up of rows leaves, each once.
    counted = {key: count for key, count in done.items() if count != 1}
    assert counted == {"tag2text frames": 6, "grit frames": 8}
    again = EvalWorker(FileStore(tmp_path / "store"))
    again.fill({"video": str(path), **SAMPLE}, metrics)
    assert (again.counts.decoded, shared.forwards.total()) == (0, before.total() + done.total())


COLOURLESS = "vbench.color"
"""The prompt is about an action: no box is labelled with it, so that its colour is undefined."""


def expected_status(name: str) -> str:
    return "skipped" if name == COLOURLESS else "scored"


SMALL_FRAMES = ("vbench.dynamic_degree", "vbench.motion_smoothness")
"""They need frames of 121 pixels and more a side; the clips of the tests are smaller."""


@pytest.mark.slow
def test_batches_and_workers_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PAIRS_ON_PROCESSOR", 50)
    clips = [{"video": video(3, 128, 136, seed), "fps": 8.0, **SAMPLE} for seed in (1, 2)]
    with Evaluator(DIMENSIONS, "cpu") as evaluator:
        expected = evaluator.evaluate(clips)
    singly = {name: {"chunk_size": 1} for name in DIMENSIONS if "chunk_size" in vars(registry.get_metric(name))}
    assert len(singly) >= 7
    with Evaluator(DIMENSIONS, ["cpu", "cpu"], metric_kwargs=singly) as evaluator:
        found = evaluator.evaluate(clips[::-1])[::-1]
    for one, other in zip(expected, found, strict=True):
        for name in DIMENSIONS:
            assert one[name].status == expected_status(name), one[name].reason
            assert other[name].score == pytest.approx(one[name].score, abs=1e-5), name


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_threads_of_the_decoder_do_not_change_a_score(tmp_path: Path, threads: int) -> None:
    for seed in (1, 2, 3):
        write_clip(tmp_path / f"{seed}.mp4", scene(seed))
    samples = [{"video": tmp_path / f"{seed}.mp4", **SAMPLE} for seed in (1, 2, 3)]
    names = ["vbench.temporal_flickering", "vbench.background_consistency"]
    with Evaluator(names, "cpu", loader_threads=threads) as evaluator:
        found = [[one[name].score for name in names] for one in evaluator.evaluate(samples)]
    with Evaluator(names, "cpu") as evaluator:
        alone = [[evaluator.evaluate(**sample)[name].score for name in names] for sample in samples]
    assert found == alone


SHORT = {
    1: {"vbench.background_consistency", "vbench.subject_consistency", "vbench.temporal_flickering"},
    2: set(),
    3: set(),
}
"""Dimensions that divide by zero upstream for so few frames."""
PREDICTED = "vbench.motion_smoothness"


@pytest.mark.parametrize("frames", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3))])
def test_few_frames_have_a_score_or_a_reason(frames: int) -> None:
    sample = {"video": video(frames, 128, 136), "fps": 8.0, **SAMPLE}
    without = SHORT[frames] | ({PREDICTED} if frames < 3 else set())
    with Evaluator(DIMENSIONS, "cpu") as evaluator:
        found = evaluator.evaluate(**sample)
    assert {name for name in DIMENSIONS if found[name].score is None} == without | {COLOURLESS}
    for name in without:
        assert str(frames) in found[name].reason
        assert "frame" in found[name].reason
    if frames == 1:
        assert found["vbench.dynamic_degree"].score == NOT_DYNAMIC
    if frames == 2:  # upstream asks for no moving pair
        assert found["vbench.dynamic_degree"].score == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(131, 135), (176, 128)], ids=["odd", "portrait"])
def test_odd_and_portrait_frames_have_all_scores(height: int, width: int) -> None:
    with Evaluator(DIMENSIONS, "cpu") as evaluator:
        found = evaluator.evaluate(video=video(3, height, width), fps=8.0, **SAMPLE)
    for name in DIMENSIONS:
        assert found[name].status == expected_status(name), found[name].reason
        assert math.isfinite(found[name].score or 0.0)


@pytest.mark.slow
def test_4k_has_a_score_or_says_how_much_memory_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda: 16 << 30)
    large = video(1, 540, 960).repeat_interleave(4, 2).repeat_interleave(4, 3).expand(3, -1, -1, -1).contiguous()
    with Evaluator(DIMENSIONS, "cpu") as evaluator:
        found = evaluator.evaluate(video=large, fps=8.0, **SAMPLE)
    lacking = {name: found[name].reason for name in DIMENSIONS if found[name].status == "failed"}
    assert set(lacking) == set(SMALL_FRAMES)
    assert "needs 88 GiB for one pair of 2160 x 3840 frames, and this machine has 16 GiB" in lacking[SMALL_FRAMES[0]]
    assert "needs 178 GiB" in lacking[PREDICTED]
    assert found["vbench.temporal_flickering"].score == 1.0
