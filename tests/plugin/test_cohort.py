"""``cohort = "auto"``: each kind of machine has its baseline, and a new kind is MISSING, never REGRESSED."""

from __future__ import annotations

from typing import get_args

import pytest

from pytest_vidmetrics.core.verdict import Status
from tests.plugin.conftest import MANIFEST, Bench

AUTO = MANIFEST.replace('metrics = ["common.psnr", "vbench.temporal_flickering"]', 'metrics = ["common.psnr"]').replace(
    "[case.demo]\n", '[case.demo]\ncohort = "auto"\n'
)


def _verdict(result: pytest.RunResult) -> str:
    """Return the verdict of the one gate: with its cohort, the name has a line of its own in the table."""
    rows = [line.split() for line in result.outlines if line.startswith((" ", "common.psnr"))]
    (found,) = {words[-1] for words in rows if words and words[-1] in get_args(Status)}
    return found


def test_a_new_kind_of_machine_is_missing_with_the_facts_of_both(bench: Bench) -> None:
    bench.manifest(AUTO)
    bench.run("--update-baselines").assert_outcomes(passed=5)
    assert bench.baseline("common.psnr@cpu-fp32")["environment"]["device"] == "cpu fp32"
    assert _verdict(bench.run()) == "PASS"
    (bench.root / "clips" / "candidate" / "facts.json").write_text('{"attention": "flash", "job": "17"}')
    bench.degrade("a")
    result = bench.run()
    assert _verdict(result) == "MISSING"
    result.stdout.fnmatch_lines(
        [
            "*common.psnr@cpu-fp32-flash.json; this is a new kind of machine (device cpu fp32, attention flash), and "
            "the baselines of others (device cpu fp32) do not judge it*"
        ]
    )
    bench.run("--update-baselines").assert_outcomes(passed=5)
    assert _verdict(bench.run()) == "PASS"
    (bench.root / "clips" / "candidate" / "facts.json").unlink()
    assert _verdict(bench.run()) == "REGRESSED"


def test_the_common_baseline_judges_the_kind_that_recorded_it(bench: Bench) -> None:
    bench.record()
    bench.manifest(AUTO)
    assert _verdict(bench.run()) == "PASS"
    bench.manifest(AUTO.replace('"auto"', '["driver"]'))
    bench.run().stdout.fnmatch_lines(["*the fact 'driver' is not known (known: *device*facts.json beside the clips*"])
    bench.manifest(AUTO.replace('"auto"', '"h100"'))
    bench.run().stdout.fnmatch_lines(['*bench.vidmetrics.toml:4: cohort must be "auto" or a list of facts*'])
