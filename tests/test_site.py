"""The site builds without a network and without a warning, and its tutorials do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vidmetrics.metrics.registry import list_metrics, metric_class

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CLIPS = ("checker", "clock", "pendulum", "rain", "waves")
"""The tutorial is followed with these of the sixteen: what it does is the same, and takes a third of the time."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_built_and_reached_from_the_index(site: Path) -> None:
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    index = site.joinpath("index.html").read_text()
    assert pages == {name for name in pages if f'href="{name}.html"' in index}
    assert all(site.joinpath(f"{name}.html").exists() for name in pages)


def test_every_metric_has_its_facts(site: Path) -> None:
    page = site.joinpath("metrics.html").read_text()
    shown = set(re.findall(r'<h3><code[^>]*><span class="pre">([\w.]+)</span>', page))
    # Metrics that other tests registered are not on the site.
    assert shown == {name for name in list_metrics() if metric_class(name).__module__.startswith("pytest_vidmetrics.")}
    assert page.count("Noise floor: ") == len(shown)


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        loaded = re.findall(
            r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]+)"', page.read_text()
        )
        assert not loaded, page.name


def test_the_reference_shows_docstrings(site: Path) -> None:
    page = site.joinpath("api.html").read_text()
    for name in ("pytest_vidmetrics.Evaluator", "pytest_vidmetrics.functional.psnr", "pytest_vidmetrics.SetMetric"):
        assert f'id="{name}"' in page


@pytest.mark.slow
def test_the_first_tutorial_ends_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples" / "quickstart", tmp_path / "examples" / "quickstart")
    for path in (tmp_path / "examples" / "quickstart" / "clips").rglob("*.mp4"):
        if path.stem not in CLIPS:
            path.unlink()
    text = DOCS.joinpath("first-gate.md").read_text()
    (manifest,) = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "SLURM_", "CI"))}
    environment |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "VIDMETRICS_CACHE": str(tmp_path / "cache"),
        "PYTEST_ADDOPTS": "-p no:randomly -p no:cacheprovider",
    }
    ended: list[subprocess.CompletedProcess[str]] = []
    for command in commands:
        if command.startswith("pytest"):
            tmp_path.joinpath("trial/wan.vidmetrics.toml").write_text(manifest)
            tmp_path.joinpath("trial/pytest.ini").write_text("[pytest]\n")
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        if command.startswith("pytest"):
            ended.append(done)
        else:
            assert done.returncode == 0, done.stderr
    recorded, red, green = ended
    assert (recorded.returncode, red.returncode, green.returncode) == (0, 1, 0), red.stdout + recorded.stdout
    assert "common.psnr" in red.stdout
    assert "REGRESSED" in red.stdout
    assert "waves" in red.stdout
    assert tmp_path.joinpath("trial/run.html").stat().st_size > 10_000
    assert "0 decoded, 0 computed" in green.stdout
