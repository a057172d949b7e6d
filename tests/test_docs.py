"""What the documents promise is what the code does: options, keys, verdicts, links and commands."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.gates import judge as gate
from pytest_vidmetrics.gates import manifest
from pytest_vidmetrics.metrics.registry import selectable

ROOT = Path(__file__).parents[1]
README, REFERENCE = (ROOT.joinpath(name).read_text(encoding="utf-8") for name in ("README.md", "docs/reference.md"))
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if not path.name.startswith(".")
)


def section(title: str) -> str:
    """Return the text of one section of the reference, without its deeper or later sections."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert found, f"the reference has no section {title!r}"
    return found.group(1)


def column(text: str, number: int = 1) -> list[str]:
    """Return the code words in one column of the tables of a text, counted from 1."""
    rows = [line.replace("\\|", "").split("|") for line in text.splitlines() if line.startswith("|")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row[number])]


@pytest.fixture(scope="module")
def help_text() -> str:
    command = [sys.executable, "-m", "pytest", "--help", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_reference_lists_exactly_the_options_of_the_plugin(help_text: str) -> None:
    group = re.search(r"^video and audio generation metrics:.*?(?=^\S)", help_text, re.MULTILINE | re.DOTALL)
    assert group, "pytest --help shows no group of options of this plugin"
    real = set(re.findall(r"^  (--[a-z-]+)", group.group(0), re.MULTILINE))
    listed = {word.split("=")[0].split("[")[0] for word in column(section("Command line and ini options"))}
    assert listed == real


def test_every_option_has_its_ini_twin(help_text: str) -> None:
    table = section("Command line and ini options")
    twins = re.findall(r"^  (vidmetrics\w*) \(\w+\):", help_text, re.MULTILINE)
    assert set(column(table, 2)) == set(twins)
    assert len(column(table, 2)) == len(column(table, 1))


def test_the_reference_lists_exactly_the_keys_of_a_case() -> None:
    listed = column(section("Keys of a case"))
    assert set(listed) == set(manifest._CASE_KEYS)
    assert len(listed) == len(set(listed))


def test_the_reference_lists_exactly_the_keys_of_a_policy() -> None:
    assert set(column(section("Keys of a gate"))) == {field.name for field in dataclasses.fields(Policy)}


def test_the_reference_lists_exactly_the_verdicts() -> None:
    assert set(column(section("Verdicts"))) == set(get_args(gate.Status))


def test_the_manifests_in_readme_and_reference_are_valid(tmp_path: Path) -> None:
    blocks = [
        text
        for text in re.findall(r"^ *```toml\n(.*?)^ *```", README + REFERENCE, re.MULTILINE | re.DOTALL)
        if "schema" in text
    ]
    assert blocks
    for block in blocks:
        path = tmp_path / "readme.vidmetrics.toml"
        path.write_text("\n".join(line.removeprefix("   ") for line in block.splitlines()))
        assert manifest.load_manifest(path).cases


def test_metrics_named_in_readme_and_reference_exist() -> None:
    named = set(re.findall(r"`((?:common|vbench|audio|optical_flow|physics_iq)\.[a-z_0-9]+)`", README + REFERENCE))
    assert named
    assert named <= set(selectable())


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = re.findall(r"^\$ (.*)$", README, re.MULTILINE)
    tests = [command for command in commands if "-m pytest" in command]
    assert len(tests) == 1
    assert tests[0].split("&& ")[-1] in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    for target in targets:
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


def test_every_extra_is_explained() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = {"test", "docs", "browser", "dev"}  # for work on this project: CONTRIBUTING.md
    assert set(column(ROOT.joinpath("docs/install.md").read_text(encoding="utf-8"))) == (
        set(project["optional-dependencies"]) - own
    )
