"""A run that compares nothing, or compares with what cannot be trusted, is red."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.plugin.conftest import MANIFEST, Bench, verdicts
from tests.support.baselines import edit_baseline


@pytest.mark.parametrize("selection", ["", ",", " , "])
def test_an_empty_selection_is_a_usage_error(bench: Bench, selection: str) -> None:
    result = bench.run(f"--vidmetrics={selection}", selection=None)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*names no metric, and nothing would be compared*"])


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_selection_that_no_case_lists_is_red(bench: Bench, workers: tuple[str, ...]) -> None:
    bench.pytester.makepyfile("def test_a(): pass")
    result = bench.run(*workers, selection="vbench.aesthetic_quality")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: --vidmetrics=vbench.aesthetic_quality compared nothing: no case*"])


OPTIONAL = """
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.base import BaseMetric

def pytest_vidmetrics_register_metrics(registry):
    class Absent(BaseMetric):
        requires_reference = False
        def setup(self):
            raise UnavailableError("weights are missing")
    Absent.__qualname__ = "absent"
    registry.register("probe.absent")(Absent)
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_run_in_which_every_gate_is_skipped_is_red(bench: Bench, workers: tuple[str, ...]) -> None:
    """A group whose metrics all lack their weights: each gate may be skipped, the run compared nothing."""
    bench.pytester.makeconftest(OPTIONAL)
    bench.manifest(MANIFEST.replace('metrics = ["common.psnr", "vbench.temporal_flickering"]\n', ""))
    run = partial(bench.run, selection="probe")
    result = run(*workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: --vidmetrics=probe compared nothing: every gate was skipped"])
    allowed = run("--vidmetrics-allow-unavailable")
    assert allowed.ret == 0
    allowed.stdout.fnmatch_lines(["every gate was skipped, NO GATE WAS JUDGED"])


def test_one_gate_that_is_judged_is_enough(bench: Bench) -> None:
    bench.pytester.makeconftest(OPTIONAL)
    bench.record()
    bench.manifest(MANIFEST.replace('metrics = ["common.psnr", "vbench.temporal_flickering"]\n', ""))
    run = partial(bench.run, selection="probe,common.psnr,vbench.temporal_flickering")
    assert verdicts(run()) == {
        "common.psnr": "PASS",
        "probe.absent": "SKIPPED",
        "vbench.temporal_flickering": "PASS",
    }
    assert run().ret == 0


def test_a_case_that_is_skipped_by_its_mark_leaves_nothing_compared(bench: Bench) -> None:
    bench.manifest(MANIFEST.replace("metrics =", 'marks = ["skip"]\nmetrics ='))
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR: --vidmetrics=all compared nothing: every gate was skipped"])


def test_a_selection_of_the_ini_file_does_not_redden_other_runs(bench: Bench) -> None:
    bench.pytester.makeini("[pytest]\nvidmetrics = all\n")
    path = bench.pytester.makepyfile("def test_a(): pass")
    assert bench.run(path, selection=None).ret == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": {"sigma": -1.0, "runs": 3, "kind": "scoring"}}, "less than nothing"),
        ({"noise": {"sigma": True, "runs": 3, "kind": "scoring"}}, "not a finite number"),
        ({"noise": {"sigma": 1e9, "runs": 0, "kind": "scoring"}}, "that of 0 runs"),
        ({"noise": {"sigma": 1.0, "runs": "7", "kind": "scoring"}}, "that of '7' runs"),
        ({"noise": {"sigma": 1.0, "runs": True, "kind": "scoring"}}, "that of True runs"),
        ({"noise": {"sigma": 1.0, "runs": 3, "kind": None}}, "of the kind None"),
        ({"noise": {"sigma": 1.0, "runs": 3, "kind": "metric"}}, "not one of scoring, generation"),
        ({"noise": {}}, "not a baseline of schema 1"),
        ({"noise": [1]}, "not a baseline of schema 1"),
        ({"interval": [1]}, "the interval is [1], not two numbers"),
        ({"interval": []}, "the interval is [], not two numbers"),
        ({"interval": {"low": 1, "high": 2}}, "not two numbers"),
        ({"interval": [10**400, 1]}, "not a baseline of schema 1"),
        ({"score": 20.0}, "contradicts itself: its score is 20, the mean of its samples"),
        ({"score": "20"}, "not a finite number"),
        ({"n": 3}, "n = 3 and holds 4 samples"),
        ({"samples": {}, "n": 0}, "n = 0"),
    ],
)
def test_a_baseline_that_cannot_be_right_is_never_compared(bench: Bench, change: dict[str, Any], message: str) -> None:
    bench.record()
    edit_baseline(bench.baselines / "common.psnr.json", change)
    result = bench.run("-k", "psnr")
    assert verdicts(result) == {"common.psnr": "ERROR"}
    assert message in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_a_score_that_was_edited_is_never_compared(bench: Bench) -> None:
    listed = MANIFEST.replace('"common.psnr", "vbench.temporal_flickering"', '"fvd"')
    bench.manifest(f'{listed}\n[case.demo.metric.fvd]\nuse = "common.fvd"\nextractor = "motion_energy"\n')
    bench.run("--update-baselines").assert_outcomes(passed=5)
    edit_baseline(bench.baselines / "fvd.json", {"score": 100 * bench.baseline("fvd")["score"]}, sealed=False)
    bench.degrade("a")
    result = bench.run()
    assert verdicts(result) == {"fvd": "ERROR"}
    result.stdout.fnmatch_lines(["*the baseline *fvd.json was edited by hand or merged: *--update-baselines*"])
    assert bench.run("--update-baselines").ret == 0
    assert verdicts(bench.run()) == {"fvd": "PASS"}


def test_a_checked_score_that_was_edited_is_never_compared(bench: Bench) -> None:
    bench.manifest().unlink()
    bench.pytester.makepyfile("def test_a(vidmetrics_baseline): vidmetrics_baseline.check('speed', 2.0)")
    bench.run("--update-baselines", selection=None).assert_outcomes(passed=1)
    (path,) = (bench.root / "baselines").rglob("*.json")
    edit_baseline(path, {"score": 1.0, "samples": {"score": 1.0}}, sealed=False)
    result = bench.run(selection=None)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the baseline *speed.json was edited by hand or merged: *"])


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN"])
def test_a_baseline_with_a_number_that_json_has_not_is_never_compared(bench: Bench, number: str) -> None:
    bench.record()
    path = bench.baselines / "common.psnr.json"
    path.write_text(path.read_text().replace('"noise": null', f'"noise": {{"sigma": {number}, "runs": 3}}'))
    result = bench.run("-k", "psnr")
    assert verdicts(result) == {"common.psnr": "ERROR"}
    assert f"{number} is not a number of JSON" in result.stdout.str()


def test_samples_under_an_old_digest_are_stale(bench: Bench) -> None:
    bench.record()
    samples = bench.baseline("common.psnr")["samples"]
    score = samples.pop("a")
    edit_baseline(bench.baselines / "common.psnr.json", {"samples": {**samples, "z": score}})
    assert verdicts(bench.run("-k", "psnr")) == {"common.psnr": "STALE"}


def test_a_baseline_nested_beyond_reason_is_an_error(bench: Bench) -> None:
    bench.record()
    (bench.baselines / "common.psnr.json").write_text("[" * 100_000)
    assert verdicts(bench.run("-k", "psnr")) == {"common.psnr": "ERROR"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('[case.demo.gate."common.pnsr"]\nabs = 1', "the case has no gate 'common.pnsr'; did you mean 'common.psnr'?"),
        ("min_n = 2.5", "min_n must be a whole number*"),
        ('[case.other]\nvideo = "clips/*.mp4"\nmarks = ["_x"]', "'_x' is not the name of a mark"),
        ('[case.other]\nvideo = "clips/*.mp4"\nmarks = [""]', "marks holds an empty text"),
        ('[case.other]\nvideo = "clips/*.mp4"\nmarks = ["skipif"]', "the mark 'skipif' takes arguments*"),
        ('[case.other]\nvideo = "clips/*.mp4"\nmarks = ["parametrize"]', "the mark 'parametrize' takes arguments*"),
        ('[case.other]\nvideo = "clips/*.mp4"\nmarks = ["xfail"]', "the mark 'xfail' would turn regressions green*"),
    ],
)
def test_a_manifest_that_means_nothing_is_refused(bench: Bench, line: str, message: str) -> None:
    bench.manifest(f"{MANIFEST}{line}\n")
    result = bench.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*bench.vidmetrics.toml:*: {message}"])


def test_a_cluster_key_that_no_sample_has_is_an_error(bench: Bench) -> None:
    bench.record()
    bench.manifest(MANIFEST.replace("metrics =", 'cluster = "promt"\nmetrics ='))
    result = bench.run("-k", "psnr")
    assert verdicts(result) == {"common.psnr": "ERROR"}
    result.stdout.fnmatch_lines(["*cluster = 'promt': this sample has no such key*"])


@pytest.mark.parametrize(
    ("conftest", "extra"),
    [
        ("", 'marks = ["skip"]\n'),
        ("import pytest\n@pytest.fixture\ndef broken(): raise OSError\n", 'fixtures = ["broken"]\n'),
        (
            "def pytest_collection_modifyitems(config, items):\n"
            "    config.hook.pytest_deselected(items=items[1:])\n    del items[1:]\n",
            "",
        ),
    ],
    ids=["skipped", "broken fixture", "deselected by a plugin"],
)
@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_prune_keeps_baselines_of_gates_that_did_not_run(
    bench: Bench, conftest: str, extra: str, workers: tuple[str, ...]
) -> None:
    bench.record()
    before = sorted(bench.baselines.iterdir())
    surplus = bench.baselines / "common.old.json"
    surplus.write_bytes(before[0].read_bytes())
    bench.pytester.makeconftest(conftest)
    bench.manifest(MANIFEST.replace("metrics =", f"{extra}metrics ="))
    bench.run("--prune-baselines", *workers)
    assert sorted(bench.baselines.iterdir()) == before


def test_gates_that_a_fixture_skipped_are_counted(bench: Bench) -> None:
    bench.record()
    bench.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture
        def gpu():
            pytest.skip("no gpu here")
        """
    )
    text = (bench.root / "bench.vidmetrics.toml").read_text()
    other = text[text.index("[case.demo]") :].replace("case.demo", "case.other")
    bench.manifest(text + "\n" + other.replace("metrics = [", 'fixtures = ["gpu"]\nmetrics = ['))
    result = bench.run()
    result.stdout.fnmatch_lines(["skipped: 2 of 4 gates were NOT JUDGED; -rs prints the reasons"])
