"""What no score sees is compared beside it: lengths, rates, sizes, clips that never change, copied files."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts
from tests.support.clips import noisy, scene, write_clip

PAIRS = "common.psnr"
ALONE = "vbench.temporal_flickering"


@pytest.fixture
def recorded(bench: Bench) -> Bench:
    """Two clips of 24 frames at 24 fps with baselines."""
    for name in ("c", "d"):
        for side in ("candidate", "reference"):
            (bench.root / "clips" / side / f"{name}.mp4").unlink()
    for seed, name in enumerate(("a", "b")):
        frames = scene(seed, frames=24)
        write_clip(bench.root / "clips" / "reference" / f"{name}.mp4", frames, fps=24)
        write_clip(bench.candidate(name), noisy(frames, 3.0), fps=24)
    bench.run("--update-baselines").assert_outcomes(passed=4)
    return bench


def replaced(bench: Bench, frames: np.ndarray, fps: int = 24) -> pytest.RunResult:
    write_clip(bench.candidate("a"), frames, fps=fps)
    return bench.run("-rf")


def candidate() -> np.ndarray:
    return noisy(scene(0, frames=24), 3.0)


def test_three_of_24_frames(recorded: Bench) -> None:
    result = replaced(recorded, candidate()[:3])
    assert verdicts(result) == {PAIRS: "ERROR", ALONE: "ERROR"}
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*ERROR: 1 of 2 clips cannot be compared with their references: a: 3 frames, its reference 24 frames*",
            "*ERROR: 1 of 2 clips cannot be compared with those of the baseline: a: 3 frames, in the baseline 24*",
        ]
    )
    result.stdout.fnmatch_lines(['*allow = [[]"frames"] in the case*'])


@pytest.mark.parametrize("every", [1, 2])
def test_half_the_rate(recorded: Bench, every: int) -> None:
    result = replaced(recorded, candidate()[::every], fps=12)
    assert verdicts(result) == {PAIRS: "ERROR", ALONE: "ERROR"}
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*a: 12 fps, its reference 24 fps*", "*a: 12 fps, in the baseline 24 fps*"])


def test_another_size(recorded: Bench) -> None:
    result = replaced(recorded, candidate()[:, ::2, ::2])
    assert verdicts(result) == {PAIRS: "ERROR", ALONE: "ERROR"}
    result.stdout.fnmatch_lines(["*the clip is 32x24 and its reference 64x48*", "*a: 32x24, in the baseline 64x48*"])


@pytest.mark.parametrize(("how", "frames"), [("black", np.zeros((24, 48, 64, 3), np.uint8)), ("frozen", None)])
def test_a_clip_that_never_changes_is_named_and_no_improvement(
    recorded: Bench, how: str, frames: np.ndarray | None
) -> None:
    result = replaced(recorded, np.repeat(candidate()[:1], 24, axis=0) if frames is None else frames)
    assert verdicts(result) == {PAIRS: "REGRESSED", ALONE: "ERROR"}
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*1 clip is {how} and its reference is not: a"])
    result.stdout.fnmatch_lines(
        [f"*which is not an improvement: a is {how}, and its reference or its clip in the baseline is not*"]
    )


def test_a_stored_run_still_knows_what_its_clips_are(recorded: Bench) -> None:
    write_clip(recorded.candidate("a"), np.zeros((12, 48, 64, 3), np.uint8), fps=12)
    write_clip(recorded.candidate("b"), scene(1, frames=24), fps=24)
    first = recorded.run()
    again = recorded.run("--vidmetrics-judge")
    again.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, *"])
    for result in (first, again):
        assert verdicts(result) == {PAIRS: "ERROR", ALONE: "ERROR"}
        result.stdout.fnmatch_lines(["*a: 12 frames, its reference 24 frames; a: 12 fps, its reference 24 fps*"])
        result.stdout.fnmatch_lines(["*1 clip is black and was not in the baseline: a"])


def test_a_copied_file_is_named(recorded: Bench) -> None:
    shutil.copy(recorded.root / "clips" / "reference" / "a.mp4", recorded.candidate("a"))
    result = recorded.run()
    assert verdicts(result)[PAIRS] == "IMPROVED"
    result.stdout.fnmatch_lines(
        ["*common.psnr: 1 clip shows the same frames as its reference, as a copied file does: a"]
    )


def test_what_is_allowed_counts_by_the_rule_that_is_said_and_is_no_improvement(recorded: Bench) -> None:
    recorded.manifest(MANIFEST.replace("metrics =", 'allow = ["frames"]\nmetrics ='))
    result = replaced(recorded, scene(0, frames=24)[:3])
    assert verdicts(result) == {PAIRS: "PASS", ALONE: "PASS"}
    result.stdout.fnmatch_lines(
        ["note: *common.psnr: better by *, which is not an improvement: the clips differ, as allowed*"]
    )
    result.stdout.fnmatch_lines(
        ['*allow = [[]"frames"]: the first frames that both have are compared; a: 3 frames, its reference 24 frames']
    )
    result = replaced(recorded, scene(0, frames=24)[:3], fps=12)
    assert verdicts(result) == {PAIRS: "ERROR", ALONE: "ERROR"}
    result.stdout.fnmatch_lines(['*a: 12 fps, its reference 24 fps (if that is meant: allow = [[]"frames", "rate"]*'])


def test_nothing_is_recorded_of_clips_that_cannot_be_compared(recorded: Bench) -> None:
    before = recorded.baseline(PAIRS)
    write_clip(recorded.candidate("a"), candidate()[:3], fps=24)
    result = recorded.run("--update-baselines")
    assert verdicts(result) == {PAIRS: "ERROR", ALONE: "UPDATED"}
    assert recorded.baseline(PAIRS) == before
    facts = {"frames": 24, "width": 64, "height": 48, "fps": 24.0, "seconds": 1.0}
    assert before["clips"] == before["reference_clips"] == {"a": facts, "b": facts}


def test_allow_names_what_it_may(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("metrics =", 'allow = ["length"]\nmetrics ='))
    result = bench.run()
    assert result.ret != 0
    result.stdout.fnmatch_lines(
        ["*bench.vidmetrics.toml:*allow must be a list of some of frames, rate, size, duration*"]
    )
