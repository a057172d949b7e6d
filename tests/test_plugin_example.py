"""The example package of metrics: built, installed beside this one, and found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_vidmetrics
from tests.plugin.conftest import PLAIN

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin_metric"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which the example is installed, from a wheel built without a network."""
    root = tmp_path_factory.mktemp("plugin")
    shutil.copytree(EXAMPLE, root / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, f"--target={root / 'site'}", str(root / "source")], check=True, timeout=300)
    paths = (str(root / "site"), str(Path(pytest_vidmetrics.__file__).parents[1]))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def _run(environment: dict[str, str], *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], env=environment, cwd=cwd, capture_output=True, text=True, timeout=300
    )


def test_its_metrics_are_listed_and_keep_the_contract(installed: dict[str, str]) -> None:
    listed = _run(installed, "pytest_vidmetrics.cli", "list", "--names", "sharp")
    assert listed.stdout.split() == ["sharp.colour_distance", "sharp.edge_loss"]
    checked = _run(installed, "pytest_vidmetrics.cli", "check-metric", "sharp_metrics.metrics:EdgeLoss")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "FAULT" not in checked.stdout


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    result = _run(installed, "pytest", "-q", "-p", "no:cacheprovider", *PLAIN, "tests", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 passed" in result.stdout
