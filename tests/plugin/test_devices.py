"""One GPU a worker, without GPUs: lists of device names as callers have them, and workers that are started again."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from pytest_vidmetrics.plugin.gpus import PINNED, device_of, driver_count, visible_devices
from pytest_vidmetrics.plugin.settings import Settings
from pytest_vidmetrics.plugin.xdist import auto_workers, devices_of, worker_environment
from tests.plugin.conftest import Bench, verdicts

SEEN = """
import os, pathlib
worker = os.environ.get("PYTEST_XDIST_WORKER")
if worker:
    pathlib.Path(f"{worker}.seen").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
"""
LISTS = {
    "indices": "2,5",
    "uuids": "GPU-8f1c3a2e-0000,GPU-11d2b4aa-0000",
    "mig ids": "MIG-GPU-8f1c3a2e/1/0,MIG-5c0c7a3e-0000",
    "one": "3",
    "spaces": " 4 , 6 ",
    "hidden behind -1": "7,-1,0",
}


@pytest.fixture
def device_list(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", request.param)
    return str(request.param)


@pytest.fixture
def plain() -> Settings:
    names = (field for field in Settings.__dataclass_fields__ if field != "device")
    return Settings(**dict.fromkeys(names), device="auto")


@pytest.mark.parametrize("device_list", LISTS.values(), ids=LISTS, indirect=True)
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_worker_gets_one_name_of_the_callers_list(device_list: str, plain: Settings, workers: int) -> None:
    devices = devices_of(plain)
    assert devices
    assert auto_workers(plain) == len(devices)
    given = [worker_environment(number, workers, devices, os.environ, 8) for number in range(workers)]
    visible = [entry["CUDA_VISIBLE_DEVICES"] for entry in given]
    assert set(visible) <= {name.strip() for name in device_list.split(",")} - {"-1", "0"}
    assert all("," not in name and name for name in visible)
    shares = [visible.count(name) for name in devices]
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("device_list", ["", " ", "-1", "NoDevFiles"], indirect=True)
def test_no_gpu_leaves_the_variable_and_the_number_of_workers_alone(device_list: str, plain: Settings) -> None:
    assert devices_of(plain) == []
    assert auto_workers(plain) is None
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(0, 2, [], os.environ, 8)


@pytest.mark.parametrize("device_list", ["0,1,2"], indirect=True)
def test_cpu_runs_are_not_pinned_and_a_number_given_to_xdist_counts(
    device_list: str, plain: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert devices_of(replace(plain, device="cpu")) == []
    assert auto_workers(replace(plain, device="cpu")) is None
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "6")
    assert auto_workers(plain) == 6


def test_a_worker_that_is_started_again_keeps_its_device(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-aa,MIG-bb,MIG-cc")
    bench.pytester.makeconftest(
        SEEN
        + """
def pytest_runtest_setup(item):
    if worker == "gw1":
        os._exit(9)
"""
    )
    bench.pytester.makepyfile("import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_plain(n): pass")
    result = bench.run("-n", "3", "-k", "plain")
    result.stdout.fnmatch_lines(["*worker 'gw1' crashed while running*"])
    seen = {path.stem: path.read_text() for path in bench.root.glob("gw*.seen")}
    assert seen == {"gw0": "MIG-aa", "gw1": "MIG-bb", "gw2": "MIG-cc", "gw3": "MIG-bb"}


@pytest.mark.slow
def test_more_workers_than_devices_share_them_and_an_empty_list_stays_empty(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.pytester.makeconftest(SEEN)
    for listed, expected in (("5", ["5", "5"]), ("", ["", ""])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        bench.run("-n", "2", "-k", "no_such_item")
        assert sorted(path.read_text() for path in bench.root.glob("gw*.seen")) == expected


@pytest.mark.parametrize(
    ("device", "workers"),
    [
        ("cuda:77", ()),
        ("cuda", ()),
        ("cuda", ("-n", "1")),
        ("cuda:77", ("-n", "2")),
    ],
)
def test_a_gpu_that_is_not_there_is_one_usage_error(
    bench: Bench, device: str, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = bench.run(f"--vidmetrics-device={device}", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if "GPUs are visible" in line]
    assert f"--vidmetrics-device={device}: device '{device}' is not there" in line
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_worker_that_was_given_a_gpu_and_finds_none_does_not_compute(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system lists may be more than a container was given: seven of eight workers would be slow and green."""
    monkeypatch.setenv(PINNED, "3")
    result = bench.run("--vidmetrics-allow-unavailable")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = result.stdout.str()
    assert "this worker was given the GPU 3, and torch" in said
    assert "Traceback" not in said
    assert not result.parseoutcomes().get("passed")
    monkeypatch.delenv(PINNED)
    assert bench.run().parseoutcomes().get("passed")


def test_every_pinned_worker_is_told_so() -> None:
    assert worker_environment(1, 2, ["GPU-8f", "GPU-9a"], {}, 8)[PINNED] == "GPU-9a"
    assert PINNED not in worker_environment(1, 2, [], {}, 8)


def test_the_driver_counts_what_torch_can_use() -> None:
    assert driver_count() == (torch.cuda.device_count() if torch.cuda.is_available() else 0)


def test_a_gpu_is_not_looked_for_where_nothing_is_computed(bench: Bench) -> None:
    bench.record()
    judged = bench.run("--vidmetrics-device=cuda:77", "--vidmetrics-judge")
    assert verdicts(judged) == {"common.psnr": "PASS", "vbench.temporal_flickering": "PASS"}
    assert bench.run("--vidmetrics-device=cuda:77", "--collect-only").ret == pytest.ExitCode.OK


@pytest.mark.slow
@pytest.mark.skipif(not visible_devices({}), reason="no NVIDIA GPU")
def test_two_workers_share_one_gpu(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", (visible_devices(os.environ) or visible_devices({}))[0])
    bench.pytester.makeconftest(SEEN)
    bench.record()
    alone = bench.spawn("--vidmetrics-device=cuda", "--vidmetrics-cache=alone")
    shared = bench.spawn("-n", "2", "--vidmetrics-device=cuda", "--vidmetrics-cache=shared")
    assert verdicts(alone) == verdicts(shared) == {"common.psnr": "PASS", "vbench.temporal_flickering": "PASS"}
    assert len({path.read_text() for path in bench.root.glob("gw*.seen")}) == 1


@pytest.mark.parametrize("device_list", ["GPU-a,GPU-b,GPU-c"], indirect=True)
def test_workers_of_a_run_on_one_gpu_are_pinned_to_it(
    device_list: str, plain: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = replace(plain, device="cuda:1")
    assert devices_of(second) == ["GPU-b"]
    assert devices_of(replace(plain, device="cuda")) == ["GPU-a", "GPU-b", "GPU-c"]
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    assert device_of(second) == "cuda:1"
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert device_of(second) == "cuda:0"
