"""What nobody writes on purpose: one clear message each, no traceback, no internal error, no hang."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts

_BAD = ("Traceback", "INTERNALERROR", "Internal error")


def _refused(bench: Bench, result: pytest.RunResult, *lines: str) -> None:
    """The run is red, says the lines, and nothing that only an author of the plugin could read."""
    text = "\n".join([*result.outlines, *result.errlines])
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR), text
    assert not [bad for bad in _BAD if bad in text], text
    for line in lines:
        assert line in text, text


@pytest.mark.parametrize("value", ["²", "9" * 5000, "-1", "1e3", "٣"])
@pytest.mark.parametrize(
    "names", [("SLURM_PROCID", "SLURM_NTASKS"), ("CI_NODE_INDEX", "CI_NODE_TOTAL"), ("CI_NODE_TOTAL", "CI_NODE_INDEX")]
)
def test_variables_that_hold_odd_numbers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str], value: str
) -> None:
    monkeypatch.setenv(names[0], value)
    monkeypatch.setenv(names[1], "2")
    if names[0].startswith("SLURM"):
        monkeypatch.setenv("SLURM_STEP_ID", "0")
    result = bench.run("--collect-only")
    text = "\n".join([*result.outlines, *result.errlines])
    assert not [bad for bad in _BAD if bad in text], text
    assert len(max(text.splitlines(), key=len)) < 1000


@pytest.mark.parametrize("value", ["²", "9" * 5000, "²/4", f"1/{'9' * 5000}", "a\0b", ""])
@pytest.mark.parametrize("option", ["shard", "calibrate", "device", "cohort"])
def test_options_that_hold_odd_values(bench: Bench, option: str, value: str) -> None:
    result = bench.run("--collect-only", f"--vidmetrics-{option}={value}")
    _refused(bench, result)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len("\n".join(result.errlines)) < 1000


@pytest.mark.parametrize(
    "option", ["--baseline-dir", "--vidmetrics-cache", "--vidmetrics-store", "--vidmetrics-report"]
)
def test_folders_with_nul(bench: Bench, option: str) -> None:
    _refused(bench, bench.run(f"{option}=a\0b"))


@pytest.mark.parametrize(
    "line",
    [
        "fps = nan",
        "fps = 2024-05-01",
        f"fps = {'9' * 5000}",
        f"fps = 1{'0' * 400}",
        "text_prompt = 2024-05-01T00:00:00Z",
        'dataset = "vbnch"',
        'samples = "/dev/zero"',
    ],
)
def test_a_manifest_that_holds_odd_values(bench: Bench, line: str) -> None:
    bench.manifest(MANIFEST.replace("metrics =", f"{line}\nmetrics ="))
    result = bench.run()
    _refused(bench, result, "bench.vidmetrics.toml:")


@pytest.mark.parametrize("margin", ["9" * 5000, f"1{'0' * 400}", "1e999", "nan", "-inf"])
def test_margins_that_are_no_numbers(bench: Bench, margin: str) -> None:
    bench.manifest(MANIFEST.replace("abs = 0.001", f"abs = {margin}"))
    _refused(bench, bench.run(), "bench.vidmetrics.toml:")


def test_a_misspelt_dataset_names_those_there_are(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("metrics =", 'dataset = "vbnch"\nmetrics ='))
    _refused(bench, bench.run(), "'vbnch'", "did you mean 'vbench'?")


_BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_BOMB, id="aliases of aliases"),
        pytest.param("schema: 1\ncase: {a: {video: x, fps: 2024-13-45}}", id="no day"),
        pytest.param("schema: 1\ncase: {a: {video: x, fps: !!int abc}}", id="no integer"),
        pytest.param("schema: 1\ncase: {a: {video: x, fps: !!float abc}}", id="no float"),
        pytest.param("schema: 1\ncase: {a: {video: x, fps: !!timestamp abc}}", id="no time"),
        pytest.param("schema: 1\ncase: {a: {video: !!binary '?'}}", id="no bytes"),
        pytest.param("schema: 1\ncase: {a: {video: !!python/object/apply:os.getcwd []}}", id="code"),
        pytest.param("schema: 1\ncase: {a: {video: \x07}}", id="control characters"),
        pytest.param("&a [*a]", id="a list of itself"),
        pytest.param("schema: 1\ncase: {[1, 2]: {video: x}}", id="a key that is a list"),
        pytest.param("schema: 1\ncase: " + "[" * 3000, id="nested beyond reason"),
        pytest.param(f"schema: {'9' * 5000}", id="5,000 digits"),
        pytest.param("schema: 1\ncase: {a: {video: x, fps: 0o999}}", id="no octal number"),
        pytest.param("schema: 1\ncase: {a: {video: x, <<: 3}}", id="a merge of nothing"),
    ],
)
def test_yaml_that_means_nothing(bench: Bench, text: str) -> None:
    (bench.root / "bench.vidmetrics.toml").unlink()
    bench.manifest(text, "bench.vidmetrics.yaml")
    _refused(bench, bench.run(), "bench.vidmetrics.yaml:")


def _as_pipe(path: Path) -> None:
    os.mkfifo(path)


def _as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _as_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("kind", [_as_pipe, _as_device, _as_folder])
def test_a_baseline_that_is_no_file_is_an_error_and_no_wait(bench: Bench, kind) -> None:
    bench.baselines.mkdir(parents=True)
    kind(bench.baselines / "common.psnr.json")
    _refused(bench, bench.run(selection="common.psnr"), "common.psnr.json")


_METRICS = """
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric

def pytest_vidmetrics_register_metrics(registry):
    @registry.register("probe.odd")
    class Odd(BaseMetric):
        requires_reference = False
        def compute(self, sample):
            {body}
"""


def _probe(bench: Bench, body: str) -> None:
    bench.pytester.makeconftest(_METRICS.format(body=body))
    bench.manifest(MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"probe.odd"'))


@pytest.mark.parametrize("score", ["1e308", "-1e308", "1e160"])
def test_scores_near_the_end_of_all_numbers_are_not_compared(bench: Bench, score: str) -> None:
    _probe(bench, f"return MetricResult('probe.odd', {score})")
    for arguments in (("--update-baselines",), ()):
        result = bench.run("--vidmetrics-report=run.json", *arguments)
        _refused(bench, result, "ERROR: a score is as large as 1e+")
        assert verdicts(result) == {"probe.odd": "ERROR"}
        json.loads((bench.root / "run.json").read_text(), parse_constant=pytest.fail)
    assert not bench.baselines.exists()


def test_a_time_limit_inside_a_metric_ends_the_clip_and_the_run_goes_on(bench: Bench) -> None:
    _probe(bench, "import signal; signal.raise_signal(signal.SIGALRM)")  # the clock that is set by the limit
    bench.manifest(MANIFEST.replace('"vbench.temporal_flickering"', '"probe.odd"'))
    result = bench.run("--timeout=500", "--timeout-method=signal")
    assert result.ret == 1
    assert verdicts(result) == {"common.psnr": "MISSING", "probe.odd": "ERROR"}
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(["*Timeout (>500.0s) from pytest-timeout*"])


def test_names_that_no_encoding_knows_end_no_report(bench: Bench) -> None:
    _probe(bench, "return MetricResult('probe.odd', 1.0, {'heard': 'a' + chr(0xdc80)})")
    bench.run("--update-baselines", "--vidmetrics-report=run.html").assert_outcomes(passed=5)
    bench.candidate("a").rename(bench.candidate("a\udcff"))
    result = bench.run("--vidmetrics-report=run.json", "--update-baselines", "--junitxml=junit.xml")
    _refused(bench, result)
    json.loads((bench.root / "run.json").read_text())


@pytest.mark.parametrize("value", ["float('inf')", "object()", "{1: 2}", "chr(0xdc80)", "10**400", "'\\x1b[31m'"])
def test_what_a_hook_says_of_the_machine_is_text_or_named(bench: Bench, value: str) -> None:
    bench.pytester.makeconftest(
        f"def pytest_vidmetrics_update_environment(config, environment):\n    environment['mine'] = {value}\n"
    )
    result = bench.run("--vidmetrics-report=run.json", "--update-baselines", selection="common.psnr")
    text = "\n".join([*result.outlines, *result.errlines])
    assert not [bad for bad in _BAD if bad in text], text
    assert "\x1b" not in text
    if result.ret == 0:
        json.loads((bench.root / "run.json").read_text(), parse_constant=pytest.fail)
        assert bench.baseline("common.psnr")
    else:
        assert "expected texts" in text


@pytest.mark.parametrize("value", ["{'a': float('inf')}", "{'a': object()}", "{1: 2}", "{'a': chr(0xdc80)}", "[]"])
def test_what_a_judge_hook_adds_is_json_or_named(bench: Bench, value: str) -> None:
    bench.run("--update-baselines", selection="common.psnr")
    bench.pytester.makeconftest(
        "from pytest_vidmetrics.core.verdict import Verdict\n"
        "def pytest_vidmetrics_judge(config, gate, observed, baseline):\n"
        f"    return Verdict('PASS', 'mine', details={value})\n"
    )
    result = bench.run("--vidmetrics-report=run.json", "--junitxml=junit.xml", selection="common.psnr")
    text = "\n".join([*result.outlines, *result.errlines])
    assert "INTERNALERROR" not in text, text
    json.loads((bench.root / "run.json").read_text(), parse_constant=pytest.fail)


def test_a_hook_that_raises_while_metrics_are_registered_is_named(bench: Bench) -> None:
    bench.pytester.makeconftest("def pytest_vidmetrics_register_metrics(registry):\n    raise RuntimeError('no key')\n")
    _refused(bench, bench.run(), "the metrics cannot be registered: RuntimeError: no key")


def test_two_plugins_that_register_one_metric_are_named(bench: Bench) -> None:
    _probe(bench, "return MetricResult('probe.odd', 1.0)")
    other = _METRICS.format(body="return MetricResult('probe.odd', 2.0)")
    bench.pytester.makepyfile(second=other)
    bench.pytester.syspathinsert()
    _refused(bench, bench.run("-p", "second"), "probe.odd")


def test_a_dataset_of_the_user_works_in_a_manifest(bench: Bench) -> None:
    bench.pytester.makeconftest(
        """
        from pytest_vidmetrics.datasets.base import PromptDataset, register_dataset

        @register_dataset("own")
        class Own(PromptDataset):
            name = "own"
            def __init__(self, *args, **keys):
                super().__init__()
                self._rows = [{"id": n, "text_prompt": f"prompt {n}"} for n in "abcd"]
            def filename(self, row, idx, ext=".mp4"):
                return row["id"] + ext
            def videos(self, row, folder):
                return sorted(folder.glob(row["id"] + ".mp4"))
        """
    )
    text = MANIFEST.replace('video = "clips/{checkpoint}/*.mp4"', 'video = "clips/{checkpoint}"\ndataset = "own"')
    bench.manifest(text)
    bench.run("--update-baselines").assert_outcomes(passed=6)
    bench.run().assert_outcomes(passed=6)


def test_a_cohort_whose_name_is_too_long_or_whose_folder_cannot_be_read(bench: Bench) -> None:
    _refused(bench, bench.run(f"--vidmetrics-cohort={'a' * 300}"), "cohort")
    (bench.root / "baselines").write_text("a file")
    _refused(bench, bench.run("--vidmetrics-cohort=h100"), "baselines")


def test_samples_without_a_score_are_counted_once(bench: Bench) -> None:
    _probe(bench, "return MetricResult.failed('probe.odd', 'none')")
    result = bench.run("--update-baselines")
    _refused(bench, result, "4 of 4 samples have no score")
    text = result.stdout.str()
    assert "0 baselines" not in text
    assert "commit them" not in text


@pytest.mark.slow
def test_a_metric_that_ends_its_process_is_noticed_under_xdist(bench: Bench) -> None:
    _probe(bench, "import os; os._exit(0)")
    result = bench.run("-n", "1", "--max-worker-restart=0")
    assert result.ret != 0
    assert "crashed" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
