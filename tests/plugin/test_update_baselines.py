"""--update-baselines: written by the controller, atomically, for selected gates that completed."""

from __future__ import annotations

import contextlib
import difflib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vidmetrics.plugin import writable
from tests.plugin.conftest import MANIFEST, PLAIN, Bench, verdicts


def _stamps(bench: Bench) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in bench.baselines.iterdir()}


def test_an_unchanged_baseline_is_not_touched(bench: Bench) -> None:
    bench.record()
    before = _stamps(bench)
    assert set(verdicts(bench.run("--update-baselines")).values()) == {"UNCHANGED"}
    assert _stamps(bench) == before


def test_only_selected_gates_are_written(bench: Bench) -> None:
    bench.run("--update-baselines", "-k", "psnr").assert_outcomes(passed=1, deselected=5)
    assert [path.name for path in bench.baselines.iterdir()] == ["common.psnr.json"]


def test_status_letter_is_u(bench: Bench) -> None:
    bench.run("--update-baselines").stdout.fnmatch_lines(["bench.vidmetrics.toml ....UU*"])


def test_update_is_refused_in_ci_unless_allowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    result = bench.run("--update-baselines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*refused because CI=1 is set*--vidmetrics-allow-ci-update*"])
    assert not bench.baselines.exists()
    assert bench.run("--update-baselines", "--vidmetrics-allow-ci-update").ret == 0
    assert len(list(bench.baselines.iterdir())) == 2


def test_stopping_at_the_first_failure_keeps_what_was_finished(bench: Bench) -> None:
    bench.pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_call(item):
            if item.name == "vbench.temporal_flickering":
                raise RuntimeError("late trouble")
        """
    )
    assert bench.run("--update-baselines", "-x").ret == 1
    assert "vbench.temporal_flickering.json" not in [path.name for path in bench.baselines.iterdir()]


def test_a_gate_whose_teardown_fails_is_not_recorded(bench: Bench) -> None:
    bench.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(autouse=True)
        def broken_teardown(request):
            yield
            if request.node.name == "common.psnr":
                raise RuntimeError("teardown")
        """
    )
    assert bench.run("--update-baselines").ret == 1
    assert [path.name for path in bench.baselines.iterdir()] == ["vbench.temporal_flickering.json"]


def test_ctrl_c_leaves_the_old_baselines_intact(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.record()
    before = {path.name: path.read_bytes() for path in bench.baselines.iterdir()}
    bench.degrade("a")
    bench.pytester.makeconftest(
        """
        import signal, pytest

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_teardown(item):
            if item.name == "common.psnr":
                signal.raise_signal(signal.SIGINT)
        """
    )
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
    try:
        ended = bench.pytester.inline_run(*PLAIN, "--vidmetrics=all", "--update-baselines", no_reraise_ctrlc=True)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert ended.ret == pytest.ExitCode.INTERRUPTED
    assert "1 finished gate was not recorded, baselines are as before" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in bench.baselines.iterdir()} == before
    assert not [path for path in bench.root.rglob("*.tmp") if "cache" not in path.parts]


_HEARS_SIGINT = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup and some runners leave it ignored
sys.exit(pytest.main(sys.argv[1:]))
"""


@contextlib.contextmanager
def _interruptible(bench: Bench, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run pytest in a process that Ctrl-C reaches whatever its parent ignores, and that is gone afterwards."""
    command = [sys.executable, "-c", _HEARS_SIGINT, *PLAIN, *args]
    with subprocess.Popen(command, cwd=bench.root, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for(path: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_with_workers_records_nothing(bench: Bench) -> None:
    bench.record()
    before = {path.name: path.read_bytes() for path in bench.baselines.iterdir()}
    bench.degrade("a")
    bench.pytester.makeconftest(
        """
        import os, pathlib, time

        def pytest_keyboard_interrupt():
            if "PYTEST_XDIST_WORKER" not in os.environ:
                pathlib.Path("interrupted").touch()  # the worker must not finish its gate before

        def pytest_runtest_setup(item):
            if item.name == "vbench.temporal_flickering":
                while not pathlib.Path("done").exists():
                    time.sleep(0.05)
                pathlib.Path("ready").touch()
                while not pathlib.Path("interrupted").exists():
                    time.sleep(0.05)

        def pytest_runtest_logreport(report):
            if report.nodeid.endswith("psnr") and report.when == "teardown":
                pathlib.Path("done").touch()
        """
    )
    with _interruptible(bench, "-n", "2", "--vidmetrics=all", "--update-baselines") as process:
        _wait_for(bench.root / "ready")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=300)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert {path.name: path.read_bytes() for path in bench.baselines.iterdir()} == before


def test_last_failed_records_only_what_failed(bench: Bench) -> None:
    bench.record()
    before = _stamps(bench)
    text = MANIFEST.replace(
        "abs = 0.001",
        'abs = 0.001\n[case.demo.gate."vbench.temporal_flickering"]\nabs = 1.0\nreason = "noise"',
    )
    bench.manifest(text)
    bench.degrade("a")
    assert verdicts(bench.run()) == {"common.psnr": "REGRESSED", "vbench.temporal_flickering": "PASS"}
    assert verdicts(bench.run("--lf", "--update-baselines")) == {"common.psnr": "UPDATED"}
    assert {name for name, stamp in _stamps(bench).items() if before[name] != stamp} == {"common.psnr.json"}


def test_a_renamed_case_is_missing_and_its_old_baselines_are_named_until_pruned(bench: Bench) -> None:
    bench.record()
    bench.manifest(MANIFEST.replace("case.demo", "case.other"))
    renamed = bench.run()
    assert renamed.ret == 1
    renamed.stdout.fnmatch_lines(
        [
            "bench.vidmetrics.toml::other",
            "common.psnr* MISSING",
            "2 baselines belong to no gate: baselines/bench/demo/common.psnr.json, *; --prune-baselines deletes them",
        ]
    )
    updated = bench.run("--update-baselines")
    updated.stdout.fnmatch_lines(["2 baselines written*", "2 baselines belong to no gate: *"])
    assert len(list(bench.baselines.iterdir())) == 2
    for partial in (("-k", "psnr"), ("--collect-only",), ("--vidmetrics-shard=1/2",)):
        assert "belong to no gate" not in bench.run(*partial).stdout.str()
    assert bench.run("--prune-baselines").ret == 0
    assert not list(bench.baselines.iterdir())
    assert "belong to no gate" not in bench.run().stdout.str()


def test_a_removed_metric_leaves_a_baseline_that_is_named(bench: Bench) -> None:
    bench.record()
    bench.manifest(MANIFEST.replace(', "vbench.temporal_flickering"', ""))
    result = bench.run("-n", "1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["1 baseline belongs to no gate: *vbench.temporal_flickering.json; --prune-*"])


def test_a_read_only_tree_is_judged_and_an_update_of_it_refused_before_scoring(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.record()
    before = {path.name: path.read_bytes() for path in bench.baselines.iterdir()}

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    bench.baselines.chmod(0o555)
    monkeypatch.setattr(writable.tempfile, "TemporaryFile", read_only)
    assert set(verdicts(bench.run()).values()) == {"PASS"}
    result = bench.run("--update-baselines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot write baselines below *: Read-only file system; name another folder*"])
    monkeypatch.undo()
    bench.baselines.chmod(0o755)
    assert {path.name: path.read_bytes() for path in bench.baselines.iterdir()} == before


@pytest.mark.slow
def test_two_updates_at_once_leave_whole_files(bench: Bench) -> None:
    command = [sys.executable, "-m", "pytest", *PLAIN, "--vidmetrics=all", "--update-baselines"]
    runs = [subprocess.Popen(command, cwd=bench.root, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    for path in bench.baselines.iterdir():
        assert json.loads(path.read_text())["n"] == 4
    assert set(verdicts(bench.run()).values()) == {"PASS"}


def test_baselines_written_with_workers_equal_those_written_without(bench: Bench) -> None:
    bench.record()
    alone = {path.name: path.read_bytes() for path in bench.baselines.iterdir()}
    for path in bench.baselines.iterdir():
        path.unlink()
    assert bench.run("-n", "2", "--update-baselines", "--vidmetrics-cache=fresh").ret == 0
    assert {path.name: path.read_bytes() for path in bench.baselines.iterdir()} == alone


def test_changed_parameters_make_a_baseline_stale_until_recorded_again(bench: Bench) -> None:
    text = MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"common.ssim"')
    bench.manifest(text)
    bench.run("--update-baselines").assert_outcomes(passed=5)
    bench.manifest(text + '\n[case.demo.metric."common.ssim"]\nwindow = "zero_padded"\n')
    result = bench.run()
    assert verdicts(result) == {"common.ssim": "STALE"}
    result.stdout.fnmatch_lines(["*metric.params.window: recorded 'valid', now 'zero_padded'*"])
    bench.run("--update-baselines").assert_outcomes(passed=5)
    assert verdicts(bench.run()) == {"common.ssim": "PASS"}


def test_another_sample_set_makes_a_baseline_stale(bench: Bench) -> None:
    bench.record()
    for folder in ("candidate", "reference"):
        (bench.root / "clips" / folder / "d.mp4").unlink()
    result = bench.run()
    assert set(verdicts(result).values()) == {"STALE"}
    result.stdout.fnmatch_lines(["*sample set: 1 gone (d)*"])


def test_another_reference_set_makes_paired_baselines_stale_only(bench: Bench) -> None:
    bench.record()
    reference = bench.root / "clips" / "reference" / "a.mp4"
    reference.write_bytes(bench.candidate("b").read_bytes())
    assert verdicts(bench.run()) == {"common.psnr": "STALE", "vbench.temporal_flickering": "PASS"}


def test_environment_is_recorded_for_information(bench: Bench) -> None:
    bench.pytester.makeconftest(
        "def pytest_vidmetrics_update_environment(config, environment): environment['driver'] = 'none'"
    )
    bench.record()
    environment = bench.baseline("common.psnr")["environment"]
    assert environment["driver"] == "none"
    assert os.uname().nodename not in environment.values()


def _same_name(bench: Bench, folder: str) -> Path:
    other = bench.root / folder / "bench.vidmetrics.toml"
    other.parent.mkdir(parents=True)
    other.write_text(MANIFEST.replace('"clips/', '"' + "../" * len(Path(folder).parts) + "clips/"))
    return other


def test_two_manifests_of_one_name_have_baselines_of_their_own(bench: Bench) -> None:
    bench.record()
    _same_name(bench, "packages/b")
    before = _stamps(bench)
    missing = bench.run("packages/b")
    assert set(verdicts(missing).values()) == {"MISSING"}
    missing.stdout.fnmatch_lines(["*MISSING: *baselines/packages/b/bench/demo/common.psnr.json*"])
    assert bench.run("packages/b", "--update-baselines").ret == 0
    assert _stamps(bench) == before
    assert (bench.root / "baselines/packages/b/bench/demo/common.psnr.json").exists()
    for arguments in ((), ("packages/b",), ("bench.vidmetrics.toml",), ("--prune-baselines",)):
        assert bench.run(*arguments).ret == 0
    assert len(list((bench.root / "baselines").rglob("*.json"))) == 4


def test_manifests_of_one_name_that_are_recorded_together_are_told_apart_by_their_paths(bench: Bench) -> None:
    (bench.root / "bench.vidmetrics.toml").unlink()
    for folder in ("a", "b"):
        _same_name(bench, folder)
    assert bench.run("--update-baselines").ret == 0
    found = sorted(str(path.relative_to(bench.root)) for path in (bench.root / "baselines").rglob("*.json"))
    assert [path for path in found if "psnr" in path] == [
        f"baselines/{folder}/bench/demo/common.psnr.json" for folder in "ab"
    ]
    for arguments in ((), ("a",), ("b",)):
        assert bench.run(*arguments).ret == 0
    (bench.root / "a" / "bench.vidmetrics.toml").rename(bench.root / "bench.vidmetrics.toml")
    assert set(verdicts(bench.run("bench.vidmetrics.toml")).values()) == {"ERROR"}  # its clips lie elsewhere now


def test_a_manifest_that_moved_keeps_its_baselines(bench: Bench) -> None:
    bench.record()
    _same_name(bench, "b")
    (bench.root / "bench.vidmetrics.toml").unlink()
    assert bench.run("b").ret == 0


def test_a_case_that_moves_to_another_manifest_takes_its_baselines_along(bench: Bench) -> None:
    bench.record()
    (bench.root / "other.vidmetrics.toml").write_text((bench.root / "bench.vidmetrics.toml").read_text())
    (bench.root / "baselines" / "other").mkdir()
    bench.baselines.rename(bench.root / "baselines" / "other" / "demo")
    assert bench.run("other.vidmetrics.toml").ret == 0


def test_the_diff_of_an_update_begins_with_the_old_and_the_new_score(bench: Bench) -> None:
    bench.record()
    path = bench.baselines / "common.psnr.json"
    before, was = path.read_text().splitlines(), bench.baseline("common.psnr")
    bench.degrade("b")
    bench.run("--update-baselines", selection="common.psnr")
    after, now = path.read_text().splitlines(), bench.baseline("common.psnr")
    changed = [line for line in difflib.unified_diff(before, after, lineterm="", n=0) if line[:2] in ("- ", "+ ")]
    assert changed[0] == f'- "score": {was["score"]},'
    assert changed[2] == f'+ "score": {now["score"]},'
    assert changed[1].startswith('- "interval": [')
    # One line a clip: of four, the one that changed.
    clips = [line for line in changed if line.lstrip("+- ").startswith('"b"')]
    assert [line[0] for line in clips] == ["-", "+"]
    assert not any('"a"' in line for line in changed)
    assert all(len(repr(value)) <= 12 for value in now["samples"].values())
