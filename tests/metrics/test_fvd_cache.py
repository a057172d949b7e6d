"""Cached reference features: found by content, refused under other rules, and written by several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.metrics.common.fvd import FVD
from pytest_vidmetrics.metrics.sets import reference_files as fvd_cache
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.metrics.sets.reference_files import References
from tests.support.oracle_fill import clip_uint8


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(fvd_cache.ENVIRONMENT, raising=False)
    return tmp_path / "cache" / "fvd"


def _fill(metric: Any, generated: range, reference: range = range(0)) -> Any:
    for role, seeds in (("generated", generated), ("reference", reference)):
        for seed in seeds:
            metric.accumulate({"id": f"{role}{seed}", "role": role, "video": _video(seed)})
    return metric


def _video(seed: int) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(8, 24, 32, seed)).permute(0, 3, 1, 2)


def _count_networks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from pytest_vidmetrics.networks.motion_energy import MotionEnergy

    calls, describe = [], MotionEnergy.describe

    def counted(self: MotionEnergy, frames: torch.Tensor) -> np.ndarray:
        calls.append(1)
        return describe(self, frames)

    monkeypatch.setattr(MotionEnergy, "describe", counted)
    return calls


def _set(rows: int = 3, width: int = 37, seed: int = 0) -> References:
    names = tuple(f"r{i}" for i in range(rows))
    numbers = np.random.default_rng(seed).standard_normal((rows, width))
    return References(FeatureSet(numbers, names))


def test_known_clips_are_not_described_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _count_networks(monkeypatch)
    kwargs = {name: {"extractor": "motion_energy"} for name in ("common.fvd", "common.kvd")}

    def score(name: str, references: Iterable[int]) -> MetricResult:
        roles = [("generated", seed) for seed in range(4)] + [("reference", seed) for seed in references]
        samples = [{"id": f"{role}{seed}", "role": role, "video": _video(seed)} for role, seed in roles]
        params = {name: kwargs[name]}
        with Evaluator(name, "cpu", metric_kwargs=params, store=FileStore(tmp_path / "store")) as evaluator:
            return evaluator.evaluate(samples).corpus[name]

    first = score("common.fvd", range(6, 10))
    assert len(calls) == 8
    assert len(list(folder.glob("*.npz"))) == 1
    # Another metric of the same features, in another order, and one clip more: a set of its own.
    second = score("common.kvd", range(10, 5, -1))
    assert len(calls) == 8 + 1
    assert second.details["ref_set"] != first.details["ref_set"]
    assert len(list(folder.glob("*.npz"))) == 2
    assert (first.details["ref_source"], second.details["n_reference"]) == ("streamed", 5)


def test_one_cached_set_serves_a_run_without_references_and_two_do_not(folder: Path) -> None:
    streamed = _fill(FVD("motion_energy"), range(4), range(6, 10)).finalize()
    cached = _fill(FVD("motion_energy"), range(4)).finalize()
    assert (cached.score, cached.details["ref_set"]) == (streamed.score, streamed.details["ref_set"])
    assert cached.details["ref_source"] == "cached"
    other = FVD("motion_energy", {"frames": 8})
    assert "no reference clips" in _fill(other, range(2)).finalize().reason
    _fill(FVD("motion_energy"), range(2), range(6, 9)).finalize()
    again = _fill(FVD("motion_energy"), range(4)).finalize()
    assert again.status == "skipped"
    assert "2 sets are cached" in again.reason
    path = next(path for path in folder.glob("*.npz") if streamed.details["ref_set"] in path.name)
    named = _fill(FVD("motion_energy", cache_path=str(path)), range(4)).finalize()
    assert named.score == streamed.score


@pytest.mark.parametrize(("mode", "files"), [("off", 0), ("read", 0), ("read_write", 1)])
def test_modes(folder: Path, mode: Any, files: int) -> None:
    _fill(FVD("motion_energy", cache_mode=mode), range(3), range(5, 8)).finalize()
    assert len(list(folder.glob("*.npz"))) == files


def test_a_named_file_serves_a_later_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "features.npz"
    monkeypatch.setenv(fvd_cache.ENVIRONMENT, str(path))
    streamed = _fill(FVD("motion_energy"), range(4), range(6, 10)).finalize()
    cached = _fill(FVD("motion_energy"), range(4)).finalize()
    assert (streamed.score, cached.details["ref_source"]) == (cached.score, "cached")
    off = _fill(FVD("motion_energy", cache_mode="off"), range(4)).finalize()
    assert off.status == "skipped"
    with pytest.raises(ValueError, match="another extractor, protocol or checkpoint"):
        _fill(FVD("motion_energy", {"frames": 8}), range(2)).finalize()
    monkeypatch.setenv(fvd_cache.ENVIRONMENT, str(tmp_path / "none.npz"))
    assert "none.npz does not exist" in _fill(FVD("motion_energy"), range(4)).finalize().reason


def test_dimension_is_checked_on_load(tmp_path: Path) -> None:
    metric = FVD("motion_energy", cache_path=str(tmp_path / "a.npz"))
    fvd_cache.write(tmp_path / "a.npz", fvd_cache.key_of(metric.feature_identity(), ()), _set(width=12))
    with pytest.raises(ValueError, match="rows of 12 numbers, the extractor gives 37"):
        _fill(metric, range(2)).finalize()


def test_damaged_files_are_refused_when_named_and_passed_over_otherwise(folder: Path) -> None:
    _fill(FVD("motion_energy"), range(2), range(5, 8)).finalize()
    path = next(folder.glob("*.npz"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="holds no reference features"):
        _fill(FVD("motion_energy", cache_path=str(path)), range(2)).finalize()
    assert _fill(FVD("motion_energy"), range(2)).finalize().status == "skipped"
    assert _fill(FVD("motion_energy"), range(2), range(5, 8)).finalize().status == "scored"
    assert _fill(FVD("motion_energy"), range(2)).finalize().details["ref_source"] == "cached"


def test_rows_that_are_not_finite_are_damage(tmp_path: Path) -> None:
    references = _set()
    references.features.rows[1, 1] = np.nan
    fvd_cache.write(tmp_path / "a.npz", "key", references)
    with pytest.raises(ValueError, match="is damaged"):
        fvd_cache.read(tmp_path / "a.npz", "key")


def test_merged_workers_keep_the_set(folder: Path) -> None:
    whole = _fill(FVD("motion_energy"), range(2), range(5, 7))
    whole.merge_from(_fill(FVD("motion_energy"), range(2, 4), range(7, 9)))
    name = whole.finalize().details["ref_set"]
    assert [name in path.name for path in folder.glob("*.npz")] == [True]
    direct = _fill(FVD("motion_energy"), range(4), range(5, 9)).finalize()
    assert direct.details["ref_set"] == name


_WRITER = """
import sys
import numpy as np
from collections.abc import Iterable
from pathlib import Path
from pytest_vidmetrics.metrics.sets.features import FeatureSet
from pytest_vidmetrics.metrics.sets.reference_files import References, read, write
path, seed = Path(sys.argv[1]), int(sys.argv[2])
rows = np.full((4000, 64), float(seed))
names = tuple(f"r{i}" for i in range(4000))
sys.stdin.readline()
write(path, "key", References(FeatureSet(rows, names)))
print(float(read(path, "key").features.rows.mean()))
"""


def test_two_processes_write_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    command = [sys.executable, "-c", _WRITER, str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for seed in (1, 2)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    found = [worker.communicate()[0].strip() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    # Both read what the first wrote; the second neither mixed its rows in nor replaced them.
    assert found[0] == found[1]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_taken_lock_leaves_the_score_but_not_a_named_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fvd_cache, "_PATIENCE_S", 0.05)
    first = _fill(FVD("motion_energy"), range(2), range(5, 8))
    folder.mkdir(parents=True)
    key = fvd_cache.key_of(first.feature_identity(), ())
    name = _fill(FVD("motion_energy", cache_mode="read"), range(2), range(5, 8)).finalize().details["ref_set"]
    with FileLock(folder / f"{key[:16]}-{name}.npz.lock"):
        assert first.finalize().status == "scored"
    assert not list(folder.glob("*.npz"))
    named = FVD("motion_energy", cache_path=str(tmp_path / "a.npz"))
    with FileLock(tmp_path / "a.npz.lock"), pytest.raises(OSError, match="lock"):
        _fill(named, range(2), range(5, 8)).finalize()
