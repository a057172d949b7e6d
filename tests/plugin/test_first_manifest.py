"""What `vidmetrics init` writes can be recorded, and a second run passes with default margins."""

from __future__ import annotations

import pytest

from pytest_vidmetrics.cli import main
from tests.plugin.conftest import PLAIN
from tests.support.clips import scene, write_clip


def test_what_init_writes_is_recorded(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    for index, name in enumerate("ab"):
        for place in ("clips/new", "reference"):
            write_clip(pytester.path / place / f"{name}.mp4", scene(index, frames=4))
    assert main(["init", str(pytester.path), "--no-record"]) == 0
    manifest = str(pytester.path / "bench.vidmetrics.toml")
    command = (*PLAIN, manifest, "--vidmetrics=all", "--vidmetrics-cache=cache")
    result = pytester.runpytest_inprocess(*command, "--update-baselines")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*common.flicker_excess*RECORDED*"])
    assert pytester.runpytest_inprocess(*command).ret == 0
