"""Wheel and sdist: what is in them, and that they work away from a clone."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def files_of(folder: str) -> set[str]:
    """Return the files of the repository below a folder, as paths from its root."""
    return {
        str(path.relative_to(ROOT))
        for path in ROOT.joinpath(folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_main_job_needs_nothing_that_only_tests_need() -> None:
    """README's first command installs no library of the tests, and pytest loads these files before it runs anything."""
    allowed = {*sys.stdlib_module_names, "pytest", "pytest_vidmetrics"}
    for path in (ROOT / "conftest.py", ROOT / "examples" / "conftest.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
        assert {name.partition(".")[0] for name in names} <= allowed, path


def test_the_wheel_holds_every_file_of_the_package_and_no_other() -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")
    packed = {file.distribution_path for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}
    package = files_of("pytest_vidmetrics")
    assert packed == package
    data = {path for path in package if not path.endswith(".py")}
    assert {"pytest_vidmetrics/py.typed", "pytest_vidmetrics/report/templates/report.html.j2"} <= data


def test_the_sdist_holds_what_readme_and_tests_need() -> None:
    sdist = pytest.importorskip("hatchling.builders.sdist")
    packed = {file.distribution_path for file in sdist.SdistBuilder(str(ROOT)).recurse_included_files()}
    for folder in ("pytest_vidmetrics", "baselines", "docs", "third_party", ".ci"):
        assert files_of(folder) <= packed, folder
    named = {"README.md", "CHANGELOG.md", "constraints.txt", "conftest.py"}
    assert named | {"examples/quickstart/samples.jsonl", "tests/test_packaging.py", "benchmarks/README.md"} <= packed
    clips = "examples/quickstart/clips/candidate"
    assert len({path for path in packed if path.startswith(clips)}) == 16


@pytest.mark.slow
def test_an_installed_wheel_of_the_sdist_does_the_first_job_of_the_readme(tmp_path: Path) -> None:
    def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
        done = subprocess.run(
            list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHONPATH"))}
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=source)
    (wheel,) = tmp_path.glob("*.whl")
    site, work = tmp_path / "site", tmp_path / "work"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", f"--target={site}"]
    run(*pip, wheel, cwd=tmp_path)
    work.mkdir()
    for folder in ("examples", "baselines"):
        source.joinpath(folder).rename(work / folder)
    environment |= {"PYTHONPATH": str(site), "VIDMETRICS_CACHE": str(tmp_path / "cache"), "CI": ""}
    script = site / "bin" / "vidmetrics"
    where = run(sys.executable, "-c", "import pytest_vidmetrics as p; print(p.__file__)", cwd=work)
    assert Path(where.strip()).is_relative_to(site)
    assert "selftest" in run(sys.executable, script, "--help", cwd=work)
    assert "common.psnr" in run(sys.executable, script, "list", cwd=work).split()
    pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "examples"]
    pytest_ += ["--vidmetrics=common,vbench.temporal_flickering"]
    assert "REGRESSED" not in run(*pytest_, "--vidmetrics-report=run.json", cwd=work)
    run(sys.executable, "examples/quickstart/make_clips.py", "--degrade", "blur", "--clip", "waves", cwd=work)
    red = run(*pytest_, "--vidmetrics-checkpoint=degraded", "--vidmetrics-report=run.html", cwd=work, code=1)
    assert re.search(r"^common\.psnr .* REGRESSED$", red, re.MULTILINE)
    assert "clips/degraded/waves.mp4" in red
    run(sys.executable, script, "report", "run.json", "-o", "again.html", cwd=work)
    for page in ("run.html", "again.html"):
        assert work.joinpath(page).stat().st_size > 100_000
