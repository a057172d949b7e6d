"""A run that was to judge gates and judged none is red, wherever the selection comes from."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts

LISTED = '"common.psnr", "vbench.temporal_flickering"'
NAME = "bench.vidmetrics.toml"
SILENT = MANIFEST.replace(LISTED, '"audio.kad", "audio.kl_divergence"')
DESELECT = """
import pytest
from pytest_vidmetrics.plugin.gate_item import GateItem

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    lost = [item for item in items if isinstance(item, GateItem)]
    config.hook.pytest_deselected(items=lost)
    items[:] = [item for item in items if item not in lost]
"""


@pytest.mark.parametrize(
    ("args", "ini"),
    [
        ((NAME,), ""),
        ((NAME, "-k", "audio"), ""),
        ((f"{NAME}::demo",), ""),
        (("-o", "vidmetrics=all"), ""),
        ((), "vidmetrics = all"),
        ((), "addopts = --vidmetrics=all"),
        ((NAME, "--update-baselines"), ""),
    ],
)
def test_gates_that_are_all_skipped_are_red(bench: Bench, args: tuple[str, ...], ini: str) -> None:
    bench.manifest(SILENT)
    bench.pytester.makeini(f"[pytest]\n{ini}\n")
    bench.pytester.makepyfile("def test_a(): pass")
    result = bench.run(*args, selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert set(verdicts(result).values()) == {"UNAVAILABLE"}
    allowed = bench.run(*args, "--vidmetrics-allow-unavailable", selection=None)
    assert allowed.ret == 0
    allowed.stdout.fnmatch_lines(["every gate was skipped, NO GATE WAS JUDGED"])


@pytest.mark.parametrize("source", ["environment", "ini of a whole run", "typed"])
def test_an_option_that_no_case_answers_is_red(bench: Bench, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    bench.pytester.makepyfile(test_ok="def test_a(): pass")
    option = "--vidmetrics=vbench.aesthetic_quality"
    bench.pytester.makeini(f"[pytest]\naddopts = {option}\n" if source.startswith("ini") else "[pytest]\n")
    if source == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", option)
    args = {"typed": [option, "test_ok.py"], "environment": ["test_ok.py"]}.get(source, [])
    result = bench.run(*args, selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"ERROR: {option} compared nothing: no case of a collected manifest has such a gate"])


@pytest.mark.parametrize("ini", ["vidmetrics = all", "addopts = --vidmetrics=all"])
def test_an_ini_file_that_selects_metrics_leaves_runs_of_other_tests_green(bench: Bench, ini: str) -> None:
    bench.pytester.makeini(f"[pytest]\n{ini}\n")
    bench.pytester.makepyfile(test_ok="def test_a(): pass")
    assert bench.run("test_ok.py", selection=None).ret == 0


def test_a_manifest_that_is_named_and_gives_no_gate_is_red(bench: Bench) -> None:
    bench.pytester.makeini("[pytest]\nvidmetrics = common.ssim\n")
    bench.pytester.makepyfile(test_ok="def test_a(): pass")
    result = bench.run(NAME, "test_ok.py", selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: --vidmetrics=common.ssim compared nothing: no case*"])


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_gates_that_a_plugin_deselects_are_red(bench: Bench, workers: tuple[str, ...]) -> None:
    bench.record()
    bench.pytester.makeconftest(DESELECT)
    result = bench.run(NAME, *workers, selection=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: the manifests that were named compared nothing: every gate was deselected"])
    allowed = bench.run(NAME, "--vidmetrics-allow-unavailable", selection=None)
    assert allowed.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("args", [("-k", "score"), (f"{NAME}::demo::score[a]",), ("--collect-only",)])
def test_gates_that_the_user_leaves_out_are_no_fault(bench: Bench, args: tuple[str, ...]) -> None:
    named = () if "::" in args[0] else (NAME,)
    assert bench.run(*named, *args, selection=None).ret == 0
