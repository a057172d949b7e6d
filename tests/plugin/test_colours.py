"""Verdicts are coloured where pytest's own lines are, and nowhere else; a table never says less for it."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import MANIFEST, Bench

_SIGNS = re.compile(r"\x1b\[[0-9;]*m")
_RED_BOLD, _GREEN = "\x1b[31m\x1b[1mREGRESSED\x1b[0m", "\x1b[32mPASS\x1b[0m"


@pytest.fixture
def judged(bench: Bench) -> Bench:
    """One gate that is red and one that passes."""
    bench.manifest(MANIFEST.replace("abs = 0.001", "abs = 100.0") + '\n[case.demo.gate."common.psnr"]\nabs = 0.001\n')
    bench.record()
    bench.degrade("b")
    return bench


@pytest.mark.parametrize(
    ("option", "variables", "coloured"),
    [
        ("--color=yes", {}, True),
        ("--color=yes", {"NO_COLOR": "1"}, True),
        ("--color=auto", {"FORCE_COLOR": "1"}, True),
        ("--color=auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("--color=auto", {}, False),
        ("--color=no", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_verdicts_have_colours_where_pytest_has(
    judged: Bench, monkeypatch: pytest.MonkeyPatch, option: str, variables: dict[str, str], coloured: bool
) -> None:
    for name in ("PY_COLORS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    lines = judged.run(option).outlines
    shown = "\n".join(lines)
    assert (_RED_BOLD in shown) is (_GREEN in shown) is coloured
    assert ("\x1b[" in shown) is coloured
    at = next(i for i, line in enumerate(lines) if _SIGNS.sub("", line).strip("= ") == "video metrics")
    table = [_SIGNS.sub("", line) for line in lines[at + 1 :]]
    rows = [line for line in table if line.startswith(("gate ", "common.", "vbench."))]
    assert [row.split()[-1] for row in rows] == ["verdict", "REGRESSED", "PASS"]
    assert max(map(len, rows)) <= 80
