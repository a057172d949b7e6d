"""The suite for a machine with a network collects on one without: all files, all networks, all that was published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vidmetrics.metrics import registry
from tests import test_published_weights as suite

ROOT = Path(__file__).parents[1]


def test_it_collects_without_a_network() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "weights", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "tests/test_published_weights.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    names = {line.partition("::")[2] for line in done.stdout.splitlines()}
    assert {f"test_a_file_is_fetched_and_is_the_recorded_one[{name}]" for name in suite.FILES} <= names
    assert "test_a_network_loads[common.fvd-4]" in names
    assert "test_scores_are_those_that_fastvideo_published[vbench.aesthetic_quality]" in names
    assert "test_the_quickstart_is_scored" in names


def test_every_metric_with_files_is_loaded_with_all_of_them() -> None:
    loaded = {name for name, _ in suite._loading()}
    for name in registry.list_metrics():
        cls = registry.metric_class(name)
        assert (name in loaded) == (bool(cls.every_weights()) and not hasattr(cls, "parts")), name
    for name, options in suite.OPTIONS.items():
        for one in options:
            registry.get_metric(name, **one).weights_files()


def test_what_it_does_with_scores_of_the_quickstart_holds_without_weights() -> None:
    suite.scored_in_range(("common.psnr", "vbench.temporal_flickering"))


def test_offline_it_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(pytest.fail.Exception, match=r"HF_HUB_OFFLINE=0 .*python -m pytest -m weights"):
        suite._network.__wrapped__()  # type: ignore[attr-defined]
