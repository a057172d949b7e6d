"""Which file is the baseline's clip: the one that the store says scored what was recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.report.baseline_clips import BaselineClips
from pytest_vidmetrics.report.kept import Kept
from tests.support.run_records import CASE, gate, record


class Scored(Kept):
    """What a store would say, by file name and gate."""

    def __init__(self, run: RunRecord, root: Path, scores: Mapping[str, float]) -> None:
        super().__init__(MemoryStore(), run, root)
        self.scores, self.asked = scores, list[str]()

    def score(self, gate: GateRecord, clip: str, instead: Mapping[str, str]) -> float | None:
        self.asked.append(str(Path(instead["video"]).parent.name))
        return self.scores.get(self.asked[-1])


def found(root: Path, run: RunRecord, scores: Mapping[str, float], clip: str = "x") -> tuple[str | None, list[str]]:
    kept = Scored(run, root, scores)
    return BaselineClips(kept, run, root).of(CASE, clip), kept.asked


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    for folder in ("base", "new", "old", "unscored"):
        for category in ("dogs", "cats"):
            path = tmp_path / "clips" / folder / category / "x.mp4"
            path.parent.mkdir(parents=True)
            path.write_bytes(f"{folder} {category}".encode())
    one = gate("m", {"x": 1.0, "same": 3.0}, {"x": 2.0, "same": 3.0})
    files = {"x": {"video": "clips/new/dogs/x.mp4"}, "same": {"video": "clips/new/dogs/same.mp4"}}
    return record([one], files)


def test_a_file_counts_only_with_the_recorded_score(tmp_path: Path, run: RunRecord) -> None:
    assert found(tmp_path, run, {"dogs": 1.5, "cats": 1.5})[0] is None
    path, asked = found(tmp_path, run, {"cats": 1.0, "dogs": 2.0})
    assert path == "clips/base/dogs/x.mp4"
    assert asked == ["cats", "dogs"], "the nearest folder is looked at first"
    named = replace(run, environment={"checkpoint": "new"})
    path, asked = found(tmp_path, named, {"cats": 1.0, "dogs": 2.0})
    assert (path, asked) == ("clips/base/dogs/x.mp4", ["dogs"]), "the folder of the checkpoint is looked at first"
    assert found(tmp_path, run, {"dogs": 2.0}, "same") == (None, []), "nothing changed: nothing is looked for"


def test_every_gate_that_the_store_knows_has_to_agree(tmp_path: Path, run: RunRecord) -> None:
    other = gate("other", {"x": 1.0}, {"x": 9.0})
    assert found(tmp_path, replace(run, gates=(*run.gates, other)), {"dogs": 2.0})[0] is None


def test_a_generated_clip_is_found_by_method_row_and_seed(tmp_path: Path) -> None:
    root = tmp_path / "generated"
    for key, row in {
        "aa1": {"method": "wan", "sample": "x", "seed": 0},
        "ab2": {"method": "wan", "sample": "x", "seed": 1},
        "ac3": {"method": "ltx", "sample": "x", "seed": 0},
        "ad4": {"method": "wan", "sample": "x", "seed": 0},
        "ae5": {"method": "wan"},
    }.items():
        (root / key[:2]).mkdir(parents=True)
        (root / key[:2] / f"{key}.mp4").write_bytes(key.encode())
        (root / key[:2] / f"{key}.json").write_text(json.dumps(row))
    (root / "failed").mkdir()
    run = record([gate("m", {"x.s0": 1.0}, {"x.s0": 2.0})], {"x.s0": {"video": str(root / "ad" / "ad4.mp4")}})
    path, asked = found(tmp_path, run, {"aa": 2.0, "ab": 2.0, "ac": 2.0}, "x.s0")
    assert (path, asked) == ("generated/aa/aa1.mp4", ["aa"])
    # A file of that place that is gone, or a damaged row, is no clip.
    (root / "aa" / "aa1.mp4").unlink()
    (root / "ab" / "ab2.json").write_text("{")
    assert found(tmp_path, run, {"aa": 2.0, "ab": 2.0}, "x.s0") == (None, [])
