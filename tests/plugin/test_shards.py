"""``--vidmetrics-shard`` and the variables it is read from: never a green run in which nobody was told."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Bench, verdicts

SLURM = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}
CI_NODES = {"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "2"}


@pytest.mark.parametrize("variables", [SLURM, CI_NODES], ids=["slurm", "ci"])
def test_a_shard_is_read_from_variables_and_the_run_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    bench.record()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = bench.run("--vidmetrics-cache=fresh")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(
        ["shard 1/2 (*_*=*, *_*=2): clips were scored, NO GATE WAS JUDGED", "next: when all shards*--vidmetrics-judge"]
    )
    bench.run("--vidmetrics-judge").assert_outcomes(passed=2)
    bench.run("--vidmetrics-shard=1/1").assert_outcomes(passed=6)


@pytest.mark.parametrize("index", ["0", "3"])
def test_an_index_outside_the_total_is_a_usage_error(bench: Bench, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv("CI_NODE_INDEX", index)
    monkeypatch.setenv("CI_NODE_TOTAL", "2")
    result = bench.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*CI_NODE_INDEX={index}, CI_NODE_TOTAL=2 name no shard*--vidmetrics-shard=K/N*"])


def test_an_idle_run_does_not_look_at_the_variables(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_NODE_INDEX", "0")
    monkeypatch.setenv("CI_NODE_TOTAL", "2")
    bench.pytester.makepyfile("def test_a(): pass")
    bench.run(selection=None).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "step",
    [{}, {"SLURM_STEP_ID": "4294967291"}, {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}],
    ids=["no step", "the batch step", "the step of the shell it was submitted from"],
)
def test_the_batch_script_of_a_slurm_job_is_no_shard(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: dict[str, str]
) -> None:
    bench.record()
    for name, value in {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", **step}.items():
        monkeypatch.setenv(name, value)
    bench.run().assert_outcomes(passed=6)


def test_a_shard_of_variables_records_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CI_NODES.items():
        monkeypatch.setenv(name, value)
    result = bench.run("--update-baselines")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--update-baselines cannot go with CI_NODE_INDEX=1, CI_NODE_TOTAL=2*"])


def test_a_shard_without_clips_and_one_with_broken_samples(bench: Bench) -> None:
    bench.run("--vidmetrics-shard=9/9").assert_outcomes(skipped=2)
    for name in bench.clips:
        bench.candidate(name).unlink()
    broken = bench.run("--vidmetrics-shard=1/2")
    assert broken.ret == pytest.ExitCode.TESTS_FAILED


def test_shards_of_two_checkpoints_are_never_judged_as_one(bench: Bench) -> None:
    bench.record()
    for name in bench.clips:
        bench.degrade(name, 4.0)
    bench.run("--vidmetrics-shard=1/2").assert_outcomes(passed=2, skipped=2)
    bench.run("--vidmetrics-shard=2/2", "--vidmetrics-checkpoint=reference").assert_outcomes(passed=2, skipped=2)
    for arguments in ((), ("--vidmetrics-checkpoint=reference",), ("--lf",)):
        result = bench.run("--vidmetrics-judge", *arguments)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert set(verdicts(result).values()) == {"ERROR"}
        result.stdout.fnmatch_lines(["*2 of 4 samples have no score*"])
