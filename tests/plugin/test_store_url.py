"""Results on object storage: gates of one machine judge what another one scored."""

from __future__ import annotations

import pytest

from pytest_vidmetrics.engine import digest_index
from pytest_vidmetrics.engine.store import FileStore
from tests.plugin.conftest import Bench, verdicts

BOTH = {"common.psnr": "PASS", "vbench.temporal_flickering": "PASS"}


def test_a_folder_named_as_the_store_is_used_and_printed_again(bench: Bench) -> None:
    bench.run("--vidmetrics-store=shared", "--update-baselines").assert_outcomes(passed=6)
    assert (bench.root / "shared" / "results").is_dir()
    bench.degrade("a")
    result = bench.run(f"--vidmetrics-store=file://{bench.root}/shared")
    result.stdout.fnmatch_lines(["work: 2 decoded, 2 computed,*", "*--vidmetrics-store=file://*"])


def test_a_store_in_memory_serves_items_and_gates_of_one_run(bench: Bench) -> None:
    bench.run("--vidmetrics-store=memory://", "--update-baselines").assert_outcomes(passed=6)
    result = bench.run("--vidmetrics-store=memory://")
    assert verdicts(result) == BOTH
    result.stdout.fnmatch_lines(["work: 8 decoded, 8 computed, 8 reused"])


@pytest.mark.parametrize(
    ("url", "said"),
    [("ftp://x/y", "*ftp://x/y is not a store: its scheme is one of*"), ("", "*--vidmetrics-store is empty*")],
)
def test_a_store_that_cannot_be_is_one_usage_error(bench: Bench, url: str, said: str) -> None:
    result = bench.run(f"--vidmetrics-store={url}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([said])
    assert "Traceback" not in result.stderr.str()


def test_a_judge_that_finds_other_content_than_the_index_says_is_red_and_names_the_clip(bench: Bench) -> None:
    shared = "--vidmetrics-store=shared"
    bench.run(shared, "--update-baselines").assert_outcomes(passed=6)
    assert verdicts(bench.run(shared, "--vidmetrics-judge")) == BOTH
    clip = bench.root / "clips" / "candidate" / "b.mp4"
    FileStore(bench.root / "shared").put_part("digests", digest_index._name(clip, clip.stat()) + bytes(32))
    result = bench.run(shared, "--vidmetrics-judge", "--vidmetrics-verify-content=1")
    assert set(verdicts(result).values()) == {"ERROR"}
    result.stdout.fnmatch_lines([f"*b: {clip} is not what it was when it was scored*"])


@pytest.mark.parametrize("share", ["2", "-0.1", "all", "nan"])
def test_a_share_to_verify_is_one(bench: Bench, share: str) -> None:
    result = bench.run(f"--vidmetrics-verify-content={share}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*--vidmetrics-verify-content={share}: expected a share from 0 to 1, as 0.01"])
