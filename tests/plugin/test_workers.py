"""pytest-xdist: the same verdicts and pinned devices. Workers that die: ``test_faults.py``."""

from __future__ import annotations

import pytest

from pytest_vidmetrics.plugin.gpus import visible_devices
from pytest_vidmetrics.plugin.xdist import worker_environment
from tests.plugin.conftest import Bench, verdicts


def test_two_workers_reach_the_verdicts_of_one_process(bench: Bench) -> None:
    bench.record()
    bench.degrade("c")
    alone = verdicts(bench.run("--vidmetrics-cache=one"))
    shared = bench.run("-n", "2", "--vidmetrics-cache=two")
    assert verdicts(shared) == alone == verdicts(bench.run("-p", "no:xdist", "--vidmetrics-cache=three"))
    assert set(alone.values()) == {"REGRESSED"}


def test_a_single_gate_with_a_worker(bench: Bench) -> None:
    bench.record()
    assert verdicts(bench.run("-n", "1", "-k", "psnr")) == {"common.psnr": "PASS"}


def test_a_broken_manifest_is_red_with_a_worker_too(bench: Bench) -> None:
    bench.manifest("schema = 3")
    assert bench.run("-n", "1").ret == 1


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("0,1,2", ["0", "1", "2"]),
        ("3", ["3"]),
        ("GPU-1b2c,GPU-99", ["GPU-1b2c", "GPU-99"]),
        ("MIG-aa/1/0, MIG-aa/2/0", ["MIG-aa/1/0", "MIG-aa/2/0"]),
        ("", []),
        ("-1", []),
        ("1,-1,0", ["1"]),
    ],
)
def test_devices_are_the_callers_own_list(visible: str, names: list[str]) -> None:
    assert visible_devices({"CUDA_VISIBLE_DEVICES": visible}) == names


def test_without_the_variable_the_driver_is_asked() -> None:
    assert visible_devices({}, lambda: 0) == []
    assert visible_devices({}, lambda: 2) == ["0", "1"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "5"}, lambda: 2) == ["5"]


def test_workers_index_into_the_callers_list_and_share_the_cores() -> None:
    devices = ["5", "7"]
    settings = [worker_environment(number, 4, devices, {}, 16) for number in range(4)]
    assert [entry["CUDA_VISIBLE_DEVICES"] for entry in settings] == ["5", "7", "5", "7"]
    assert {entry["OMP_NUM_THREADS"] for entry in settings} == {"4"}


def test_a_callers_own_thread_count_is_kept() -> None:
    assert "OMP_NUM_THREADS" not in worker_environment(0, 2, [], {"OMP_NUM_THREADS": "3"}, 8)


def test_each_worker_sees_one_device_before_anything_is_imported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,GPU-bb")
    bench.pytester.makeconftest(
        """
        import os, pathlib, sys
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        worker = os.environ.get("PYTEST_XDIST_WORKER")
        if worker:
            pathlib.Path(f"{worker}.txt").write_text(f"{seen} {'torch' in sys.modules}")
        """
    )
    bench.run("-n", "auto", "-k", "no_such_item")
    seen = sorted(path.read_text() for path in bench.root.glob("gw*.txt"))
    assert seen == ["GPU-aa False", "GPU-bb False"]
