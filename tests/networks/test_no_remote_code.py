"""Whatever reads a folder of a model says that no code of it may run: read off the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest_vidmetrics

PACKAGE = Path(pytest_vidmetrics.__file__).parent
READERS = {"from_pretrained", "AutoModel", "pipeline"}


def calls() -> list[tuple[str, ast.Call]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
                found.append((f"{path.relative_to(PACKAGE)}:{node.lineno}", node))
    return found


def safe(call: ast.Call) -> bool:
    """Whether it is told so, takes the shared settings, or gets no folder at all (``None`` and a state dict)."""
    if call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value is None:
        return True
    for keyword in call.keywords:
        if keyword.arg == "trust_remote_code":
            return isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == "_LOCAL":
            return True
    return False


def test_every_reader_of_a_folder_is_told() -> None:
    found = calls()
    assert len(found) >= 5
    assert [where for where, call in found if not safe(call)] == []


def test_nothing_unpickles() -> None:
    """One reader of weights, which executes nothing, is all that there is."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                called = f"{owner}.{node.func.attr}"
                assert called not in {"torch.load", "pickle.load", "pickle.loads", "jit.load"}, (path, node.lineno)
