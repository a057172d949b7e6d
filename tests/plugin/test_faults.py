"""The fault table: each fault gives a red run with a named verdict, corrupts nothing, and the next run recovers.

This file: workers that die, memory, clips, weights, libraries, no samples. ``test_faults_of_files.py``: disks, store
entries, clocks, baselines. More rows: ``test_bad_input.py`` (damaged clips, schemas, folders that cannot be written),
``test_update_baselines.py`` (Ctrl-C, concurrent updates), ``tests/engine/test_worker.py`` (files that change while
they are scored).
"""

from __future__ import annotations

import importlib
import json
import shutil

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts
from tests.support.faults import assert_recovers, assert_store_is_sound, contents, faulty_metric

KILLS = {
    "before the first score": {"setup": "faulty() and die()"},
    "while decoding": {
        "module": """
from pytest_vidmetrics.engine import loading
real = loading.read
if WORKER:
    loading.read = lambda path, *rest: die() if faulty() and path.endswith("b.mp4") else real(path, *rest)
"""
    },
    "while computing": {"compute": "die()"},
    "while writing to the store": {
        "module": """
from types import SimpleNamespace
from pytest_vidmetrics.core import files

class Half:
    def __init__(self, stream):
        self.stream = stream
    def __enter__(self):
        return self
    def __exit__(self, *error):
        self.stream.close()
    def write(self, data):
        half = faulty() and b"probe.kill" in data
        self.stream.write(data[: len(data) // 2] if half else data)
        self.stream.flush()
        half and die()

if WORKER:
    files.os = SimpleNamespace(
        **{**vars(os), "fdopen": lambda *rest: (Half if "w" in rest[1] else lambda stream: stream)(os.fdopen(*rest))}
    )
"""
    },
    "between scoring and gate": {
        "module": """
def pytest_runtest_setup(item):
    if item.name == "probe.kill" and faulty() and WORKER:
        die()
"""
    },
}
SHORT = "between scoring and gate"
"""What is tried at every run; the others are slow. Half-written entries: ``test_faults_of_files.py``."""


@pytest.mark.parametrize("moment", [pytest.param(one, marks=[] if one == SHORT else pytest.mark.slow) for one in KILLS])
def test_a_worker_killed_at_any_moment(bench: Bench, moment: str) -> None:
    gate = faulty_metric(bench, "kill", **KILLS[moment])
    before = contents(bench)
    original = bench.candidate("d").read_bytes()
    bench.degrade("d")
    # The worker that was to judge dies: nothing may be recorded. Else another one judges, and nothing may be green.
    extra = ["--update-baselines"] if moment == "between scoring and gate" else []
    result = bench.run("-n", "2", "--vidmetrics-cache=fresh", *extra)
    assert not (bench.root / "fault").exists(), "the fault did not happen"
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*worker 'gw?' crashed while running *::demo::*"])
    assert verdicts(result) in ({}, {gate: "REGRESSED"})
    assert contents(bench) == before
    assert_store_is_sound(bench)
    assert verdicts(bench.run("--vidmetrics-cache=fresh")) == {gate: "REGRESSED"}
    bench.candidate("d").write_bytes(original)
    assert_recovers(bench, {gate}, before)


@pytest.mark.parametrize(
    "raised", ["MemoryError()", "torch.OutOfMemoryError('CUDA out of memory')", "RuntimeError('CUBLAS')"]
)
@pytest.mark.parametrize("where", ["setup", "compute"])
def test_out_of_memory(bench: Bench, where: str, raised: str) -> None:
    code = "import torch; raise " + raised
    name = f"memory_{where}_{raised[:5]}"
    gate = faulty_metric(bench, name, **{where: code if where == "compute" else f"if faulty(): {code}"})
    before = contents(bench)
    for extra in ((), ("--update-baselines",)):
        result = bench.run("--vidmetrics-cache=fresh", *extra)
        assert result.ret == 1
        assert verdicts(result) == {gate: "ERROR"}
        result.stdout.fnmatch_lines([f"*{raised.split('(')[0].removeprefix('torch.')}*"])
        assert contents(bench) == before
    assert_store_is_sound(bench)
    (bench.root / "fault").unlink()
    assert_recovers(bench, {gate}, before)


@pytest.mark.parametrize("victim", ["candidate", "reference"])
def test_a_clip_that_is_deleted_between_scoring_and_gate(bench: Bench, victim: str) -> None:
    bench.record()
    before = contents(bench)
    clip = bench.root / "clips" / victim / "c.mp4"
    data = clip.read_bytes()
    bench.pytester.makeconftest(
        f"""
        import pathlib

        def pytest_runtest_setup(item):
            if item.name == "common.psnr":
                pathlib.Path({str(clip)!r}).unlink(missing_ok=True)
        """
    )
    for extra in ((), ("--update-baselines",)):
        clip.write_bytes(data)
        result = bench.run(*extra)
        assert result.ret == 1
        assert verdicts(result)["common.psnr"] == "ERROR"
        result.stdout.fnmatch_lines([f"*cannot read *{victim}/c.mp4: No such file or directory*"])
        assert contents(bench) == before
    (bench.root / "conftest.py").unlink()
    clip.write_bytes(data)
    assert_recovers(bench, {"common.psnr", "vbench.temporal_flickering"}, before, cache="cache")


def test_a_clip_that_is_replaced_between_scoring_and_gate_is_judged_as_it_is_now(bench: Bench) -> None:
    bench.record()
    bench.pytester.makeconftest(
        """
        import pathlib

        def pytest_runtest_setup(item):
            if item.name == "common.psnr":
                pathlib.Path("clips/candidate/c.mp4").write_bytes(pathlib.Path("clips/candidate/a.mp4").read_bytes())
        """
    )
    assert verdicts(bench.run("-k", "psnr or score"))["common.psnr"] == "REGRESSED"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_one_clip_without_a_finite_score(bench: Bench, value: str) -> None:
    gate = faulty_metric(
        bench, f"nan_{value[-3:]}{len(value)}", compute=f"return MetricResult(self.name, float('{value}'))"
    )
    before = contents(bench)
    for extra in ((), ("--update-baselines",)):
        result = bench.run("--vidmetrics-cache=fresh", *extra)
        result.assert_outcomes(passed=3, failed=2)
        assert verdicts(result) == {gate: "ERROR"}
        result.stdout.fnmatch_lines([f"*1 of 4 samples have no score; first: b: the score is {value}*"])
        assert contents(bench) == before
    assert_store_is_sound(bench)
    (bench.root / "fault").unlink()
    assert_recovers(bench, {gate}, before)


def test_a_missing_dependency(bench: Bench) -> None:
    needs = 'dependencies = ["library_of_probe"]'
    library = bench.root / "library_of_probe.py"
    library.write_text("")
    bench.pytester.syspathinsert()
    gate = faulty_metric(bench, "library", declarations=needs)
    before = contents(bench)
    library.unlink()
    shutil.rmtree(bench.root / "__pycache__", ignore_errors=True)
    importlib.invalidate_caches()
    for extra in ((), ("--update-baselines",)):
        result = bench.run(*extra)
        assert result.ret == 1
        assert verdicts(result) == {gate: "UNAVAILABLE"}
        result.stdout.fnmatch_lines(["*probe.library needs library_of_probe: pip install library_of_probe*"])
        assert contents(bench) == before
    (bench.root / "fault").unlink()
    library.write_text("")
    importlib.invalidate_caches()
    assert_recovers(bench, {gate}, before, cache="cache")


def test_no_sample(bench: Bench) -> None:
    bench.record()
    before = contents(bench)
    bench.pytester.makeconftest(
        """
        from pytest_vidmetrics.core.samples import Corpus

        def pytest_vidmetrics_load_samples(config, case):
            return Corpus(())
        """
    )
    for extra in ((), ("--update-baselines",)):
        result = bench.run(*extra)
        assert result.ret == 1
        assert set(verdicts(result).values()) == {"ERROR"}
        result.stdout.fnmatch_lines(["*no sample was scored*"])
        assert contents(bench) == before
    (bench.root / "conftest.py").unlink()
    assert_recovers(bench, {"common.psnr", "vbench.temporal_flickering"}, before, cache="cache")


def test_rows_that_leave_a_gate_without_samples(bench: Bench) -> None:
    bench.record()
    rows = [{"id": name, "metrics": ["common.psnr"]} for name in bench.clips]
    (bench.root / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    bench.manifest(MANIFEST.replace("metrics =", 'samples = "rows.jsonl"\nmetrics ='))
    result = bench.run()
    assert result.ret == 1
    assert verdicts(result) == {"common.psnr": "PASS", "vbench.temporal_flickering": "ERROR"}


def test_nothing_selected(bench: Bench) -> None:
    bench.record()
    assert bench.run("-k", "nothing_is_called_so").ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert bench.run("bench.vidmetrics.toml::other").ret == pytest.ExitCode.USAGE_ERROR


WEIGHTS = """
from pytest_vidmetrics.core.weights import Weights
FILE = pathlib.Path("weights.txt")
Probe.weights_files = lambda self: (Weights("probe weights", "./weights.txt"),)
Probe.setup = lambda self: setattr(self, "scale", float(FILE.read_text()))
"""


def test_weights_that_change_under_a_running_session(bench: Bench) -> None:
    """The network in memory is the old one: its scores must not be stored, or recorded, as the new one's."""
    weights = bench.root / "weights.txt"
    weights.write_text("1.0")
    swap = 'pathlib.Path("fault").unlink(); pathlib.Path("weights.txt").write_text("2.00")'
    gate = faulty_metric(bench, "weights", compute=swap, result="self.scale", module=WEIGHTS)
    before = contents(bench)
    for extra in ((), ("--update-baselines",)):
        weights.write_text("1.0")
        (bench.root / "fault").touch()
        shutil.rmtree(bench.root / "fresh", ignore_errors=True)
        result = bench.run("--vidmetrics-cache=fresh", *extra)
        assert result.ret == 1
        assert verdicts(result) == {gate: "ERROR"}
        result.stdout.fnmatch_lines(["*the weights probe weights changed during the run (sha256 * at first, * now)*"])
        assert contents(bench) == before
        assert_store_is_sound(bench)
    again = bench.run("--vidmetrics-cache=fresh")
    assert verdicts(again) == {gate: "STALE"}  # the new file is not what the baseline was recorded with
    again.stdout.fnmatch_lines([f"*{gate} *2 *STALE"])  # and no score of the old one is taken for its own
    weights.write_text("1.0")
    assert_recovers(bench, {gate}, before)


LOSES_ITS_DEVICE = """
import pathlib
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

class Probe(BaseMetric):
    requires_reference = False

    def compute(self, sample):
        fault = pathlib.Path("fault")
        if fault.exists():
            import torch
            fault.unlink()
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        return MetricResult(self.name, float(sample["video"].mean()))

def pytest_vidmetrics_register_metrics(registry):
    registry.register("probe.lost")(Probe)
"""


def test_a_worker_that_loses_its_device_ends_and_another_one_goes_on(bench: Bench) -> None:
    bench.pytester.makeconftest(LOSES_ITS_DEVICE)
    bench.manifest(MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"probe.lost"'))
    bench.run("--update-baselines").assert_outcomes(passed=5)
    (bench.root / "fault").touch()
    result = bench.run("-n", "1", "--vidmetrics-cache=fresh")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*cannot be used any more: CUDA error: an illegal memory access*", "*worker 'gw0' crashed while running *"]
    )
    # The items behind it ran in a worker with a device of its own, and the gate took what was missing from there.
    assert verdicts(result) == {"probe.lost": "PASS"}
    assert result.parseoutcomes()["passed"] == 4
