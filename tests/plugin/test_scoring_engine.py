"""Cases whose clips are scored elsewhere: gates only, judged from the store."""

from __future__ import annotations

import json

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import MANIFEST, Bench, verdicts

ENGINE = MANIFEST.replace('checkpoint = "candidate"\n', 'checkpoint = "candidate"\nscoring = "engine"\n')


def test_gates_judge_what_rows_stored_and_compute_nothing(bench: Bench) -> None:
    bench.manifest(ENGINE)
    rows = [{"video": f"clips/candidate/{one}.mp4", "reference": f"clips/reference/{one}.mp4"} for one in "abcd"]
    (bench.root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    store = f"--store={bench.root / 'shared'}"
    assert main(["score", str(bench.root / "rows.jsonl"), "--metrics=common.psnr,vbench", "--device=cpu", store]) in (
        0,
        1,
    )
    result = bench.run("--vidmetrics-store=shared", "--update-baselines")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["work: 0 decoded, 0 computed, 8 reused"])
    judged = bench.run("--vidmetrics-store=shared", "--vidmetrics-judge")
    assert verdicts(judged) == {"common.psnr": "PASS", "vbench.temporal_flickering": "PASS"}


def test_what_was_never_scored_is_red_when_only_judging(bench: Bench) -> None:
    bench.record()
    bench.manifest(ENGINE)
    result = bench.run("--vidmetrics-store=empty", "--vidmetrics-judge")
    assert set(verdicts(result).values()) == {"ERROR"}


def test_an_unknown_way_of_scoring_names_its_line(bench: Bench) -> None:
    bench.manifest(ENGINE.replace('"engine"', '"enigne"'))
    result = bench.run()
    assert result.ret != 0
    assert "bench.vidmetrics.toml:6" in result.stdout.str() + result.stderr.str()
    assert "engine" in result.stdout.str() + result.stderr.str()
