"""The table of docs/gates.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_scenario_of_the_table_has_its_test() -> None:
    text = (ROOT / "docs" / "gates.md").read_text()
    section = text.split("## What cannot turn a run green\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) > 20
    for row in rows:
        found = _TEST.search(row)
        assert found, f"no test is named: {row}"
        source = (ROOT / found[1]).read_text()
        assert f"\ndef {found[2]}(" in source, f"{found[0]} does not exist"
