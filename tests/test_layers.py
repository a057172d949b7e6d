"""Imports go down only, and nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import pytest_vidmetrics

PACKAGE = Path(pytest_vidmetrics.__file__).parent
LAYERS = (
    "plugin",
    "commands",
    "eval",
    "report",
    "gates",
    "datasets",
    "engine",
    "metrics",
    "networks",
    "media",
    "stats",
    "core",
)
HEAVY = ("torch", "torchvision", "transformers", "scipy", "numpy", "av", "PIL")
LIGHT = ("plugin", "gates", "core")


def _imports(path: Path, *, top_only: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    found: set[str] = set()
    body = tree.body if top_only else list(ast.walk(tree))
    for node in body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _files(layer: str) -> list[Path]:
    return sorted((PACKAGE / layer).rglob("*.py"))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_those_below(layer: str) -> None:
    above = LAYERS[: LAYERS.index(layer)]
    wrong = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in _files(layer)
        for name in _imports(path, top_only=False)
        if name.startswith(tuple(f"pytest_vidmetrics.{other}" for other in above))
    ]
    assert not wrong


def _modules() -> dict[str, Path]:
    files = (path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py"))
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): PACKAGE.parent / path for path in files}


def _needs(path: Path, known: Mapping[str, Path]) -> set[str]:
    """Return the modules of the package that a module imports, in functions too; not what only its types need."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name if name in known else node.module for name in names)
        waiting += ast.iter_child_nodes(node)
    return found & set(known)


def _circles(needs: Mapping[str, set[str]]) -> set[str]:
    """Return what cannot be put into an order in which everything comes after what it needs."""
    left = {name: set(others) - {name} for name, others in needs.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    while free := [name for name in left if not any(name in others for others in left.values())]:
        for name in free:
            del left[name]
    return set(left)


def test_a_circle_is_found() -> None:
    needs = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert _circles(needs) == {"b", "c"}


def test_there_are_no_circles_inside_a_layer_either() -> None:
    known = _modules()
    assert not _circles({name: _needs(path, known) for name, path in known.items()})


@pytest.mark.parametrize("layer", [*LIGHT, "metrics"])
def test_light_layers_import_nothing_heavy_at_the_top(layer: str) -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in _files(layer)
        for name in _imports(path, top_only=True)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong


def test_every_package_of_the_tree_is_a_layer() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= {*LAYERS}


def test_importing_the_plugin_is_light() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import pytest_vidmetrics.plugin;"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), 'filelock' in sys.modules, 'yaml' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[] False False"


def test_an_idle_run_loads_nothing_heavy_and_prints_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import sys

        def test_idle():
            loaded = [name for name in sys.modules if name.startswith("pytest_vidmetrics.")]
            assert not set({HEAVY!r}) & set(sys.modules)
            assert all(".plugin" in name for name in loaded), loaded
        """
    )
    pytester.path.joinpath("quiet.vidmetrics.toml").write_text("this is no manifest")
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:randomly", "-p", "no:anyio")
    result.assert_outcomes(passed=1)
    assert "video metrics" not in result.stdout.str()
