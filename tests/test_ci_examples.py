"""The workflows of examples/ci: parsed, and every command of ours and of theirs is run, on clips that got worse."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plugin.conftest import PLAIN, Bench, bench, clip_folder  # noqa: F401

FOLDER = Path(__file__).parents[1] / "examples" / "ci"
STAND_IN = '#!/bin/sh\nprintf "%s\\n" "$@" > said.txt\n'


def github() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "github.yml").read_text("utf-8"))


def gitlab() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "gitlab.yml").read_text("utf-8"))


def steps(job: str) -> list[dict[str, Any]]:
    return github()["jobs"][job]["steps"]


def commands_of_github() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each command, in the order of the jobs, with the variables that it has."""
    for shard in github()["jobs"]["score"]["strategy"]["matrix"]["shard"]:
        for step in steps("score"):
            if "run" in step:
                yield step["run"], {"SHARD": str(shard)}
    for step in steps("judge"):
        if "run" in step:
            yield step["run"], {"PULL_REQUEST": "7"}


def commands_of_gitlab() -> Iterator[tuple[str, dict[str, str]]]:
    parts = gitlab()["score"]["parallel"]
    for index in range(1, parts + 1):
        for command in gitlab()["score"]["script"]:
            yield command, {"CI_NODE_INDEX": str(index), "CI_NODE_TOTAL": str(parts)}
    for command in gitlab()["judge"]["script"]:
        yield command, {}


@pytest.mark.parametrize("commands", [commands_of_github, commands_of_gitlab], ids=["github", "gitlab"])
def test_shards_and_judge_find_the_worse_clip(bench: Bench, monkeypatch: pytest.MonkeyPatch, commands) -> None:  # noqa: F811
    bench.record()
    bench.degrade("b")
    monkeypatch.setenv("VIDMETRICS_CACHE", str(bench.root / ".vidmetrics"))
    seen = []
    for command, variables in commands():
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        words = shlex.split(os.path.expandvars(command))
        if words[0] == "pytest":
            seen.append(bench.pytester.runpytest_inprocess(*PLAIN, *words[1:]))
        subprocess.run(["bash", "-n", "-c", command], check=True)
    for shard in seen[:-1]:
        assert shard.ret == 0
        shard.stdout.fnmatch_lines(["shard ?/2 *NO GATE WAS JUDGED"])
    judge = seen[-1]
    assert judge.ret == pytest.ExitCode.TESTS_FAILED
    judge.stdout.fnmatch_lines(["common.psnr *REGRESSED", "work: 0 decoded, 0 computed, *"])
    assert (bench.root / "vidmetrics.html").stat().st_size > 10_000
    assert "REGRESSED" in (bench.root / "summary.md").read_text("utf-8")
    assert "REGRESSED" in (bench.root / "junit.xml").read_text("utf-8")


def shell(folder: Path, command: str, **variables: str) -> str:
    """Run a command with stand-ins for the programs that write comments; return what they were told."""
    for program in ("gh", "curl"):
        (folder / program).write_text(STAND_IN)
        (folder / program).chmod(0o755)
    (folder / "summary.md").write_text("### Video metrics: 1 of 2 gates are red\n")
    (folder / "said.txt").unlink(missing_ok=True)
    path = f"{folder}:{os.environ['PATH']}"
    subprocess.run(["bash", "-euc", command], cwd=folder, env={"PATH": path, **variables}, check=True)
    said = folder / "said.txt"
    return said.read_text() if said.exists() else ""


def test_github_comments_on_red_pull_requests_of_its_own_only(tmp_path: Path) -> None:
    comment = next(step for step in steps("judge") if step.get("name") == "comment")
    assert comment["if"].startswith("failure() && ")
    assert "head.repo.full_name == github.repository" in comment["if"]
    said = shell(tmp_path, comment["run"], PULL_REQUEST="7", GH_TOKEN="t")
    assert said.split() == ["pr", "comment", "7", "--body-file", "summary.md"]
    summary = next(step for step in steps("judge") if step.get("name") == "summary")
    shell(tmp_path, summary["run"], GITHUB_STEP_SUMMARY=str(tmp_path / "step.md"))
    assert (tmp_path / "step.md").read_text() == (tmp_path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("status", "token", "comments"), [("failed", "t", True), ("success", "t", False), ("failed", "", False)]
)
def test_gitlab_comments_when_a_gate_is_red(tmp_path: Path, status: str, token: str, comments: bool) -> None:
    (command,) = gitlab()["judge"]["after_script"]
    variables = {"CI_JOB_STATUS": status, "COMMENT_TOKEN": token, "CI_MERGE_REQUEST_IID": "3"}
    place = {"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_PROJECT_ID": "5"}
    said = shell(tmp_path, command, **variables, **place)
    assert ("body@summary.md" in said and "/projects/5/merge_requests/3/notes" in said) is comments


def test_one_artefact_is_the_page_and_the_cache_holds_store_and_weights() -> None:
    uploads = [step for step in steps("judge") if "upload-artifact" in step.get("uses", "")]
    assert [upload["with"] for upload in uploads] == [{"path": "vidmetrics.html", "archive": False}]
    assert gitlab()["judge"]["artifacts"]["paths"] == ["vidmetrics.html"]
    cached = next(step for step in steps("score") if "actions/cache" in step.get("uses", ""))["with"]["path"].split()
    assert github()["env"]["VIDMETRICS_CACHE"] in cached
    assert gitlab()["score"]["cache"]["paths"] == [".vidmetrics"]
    assert gitlab()["variables"]["VIDMETRICS_CACHE"].endswith("/.vidmetrics")
