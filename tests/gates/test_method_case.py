"""The clips of a method: rows and seeds as samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.samples import Sample
from pytest_vidmetrics.gates.generation import Generations
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.gates.method_case import MethodClips
from tests.support.methods import manifest, params


def samples(folder: Path, row: dict[str, Any], method: str = "") -> list[Sample]:
    (folder / "gen.py").write_text("")
    (folder / "rows.jsonl").write_text(json.dumps({"id": "a", "text_prompt": "x", **row}))
    path = folder / "m.vidmetrics.toml"
    path.write_text(manifest(f"good:{params()}{method}"))
    (case,) = load_manifest(path).cases
    made = Generations(folder / "made")
    return list(MethodClips.of(case, case.methods["good"], resolve_samples(case), made, None).corpus.samples)


def test_a_clip_has_the_rate_of_its_file_and_not_that_of_its_row(tmp_path: Path) -> None:
    (sample,) = samples(tmp_path, {"fps": 30, "reference": "r.mp4"})
    assert not {"fps", "reference_fps"} & sample.values.keys()
    (sample,) = samples(tmp_path, {"fps": 30, "reference": "r.npz"}, "suffix = '.npz'")
    assert (sample.values["fps"], sample.values["reference_fps"]) == (8, 30)


@pytest.mark.parametrize("seeds", [[3], [0, 1]])
def test_every_seed_is_a_sample_that_knows_its_row(tmp_path: Path, seeds: list[int]) -> None:
    found = samples(tmp_path, {"category": "c"}, f"seeds = {seeds}")
    assert [one.id for one in found] == [f"a.s{seed}" for seed in seeds]
    assert {(one.values["row"], one.values["category"]) for one in found} == {("a", "c")}
    assert len({one.values["video"] for one in found}) == len(seeds)
