"""The story that default margins are for: brightness that alternates by 3 % on nineteen clips, which nobody gated."""

from __future__ import annotations

import shutil

import numpy as np

from tests.plugin.conftest import Bench, verdicts
from tests.support.clips import scene, write_clip

DEFAULTS = """
schema = 1

[case.demo]
video = "clips/{checkpoint}/*.mp4"
checkpoint = "candidate"
metrics = ["vbench.temporal_flickering"]
"""
WIDE = DEFAULTS + '\n[case.demo.gate."vbench.temporal_flickering"]\nrel = 0.02\nreason = "as it was"\n'
CLIPS = 19


def _render(bench: Bench, flicker: float) -> None:
    for i in range(CLIPS):
        still = np.repeat(scene(i, frames=1, height=32, width=32), 6, axis=0)
        levels = 1 + flicker * np.where(np.arange(6) % 2, 1, -1) / 2
        frames = np.clip(np.rint(still * levels[:, None, None, None]), 0, 255).astype(np.uint8)
        write_clip(bench.candidate(f"c{i:02}"), frames)


def test_three_percent_of_flicker_is_red_without_a_margin_and_named_beside_a_wide_one(bench: Bench) -> None:
    shutil.rmtree(bench.root / "clips")
    bench.manifest(DEFAULTS)
    _render(bench, 0.0)
    bench.run("--update-baselines").assert_outcomes(passed=CLIPS + 1)
    _render(bench, 0.03)
    result = bench.run()
    assert verdicts(result) == {"vbench.temporal_flickering": "REGRESSED"}
    result.stdout.fnmatch_lines(["*neutral changes at n = 19, docs/margins.md*"])
    bench.manifest(WIDE)
    wide = bench.run()
    assert verdicts(wide) == {"vbench.temporal_flickering": "PASS"}
    wide.stdout.fnmatch_lines(["*times what neutral changes need at n = 19*a harm up to it passes*"])
