"""The pages of third_party/ say what the code does: every network, every file, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_vidmetrics.networks.published.catalogue import NETWORKS
from tests.support.third_party_pages import FOLDER, pages

ROOT = FOLDER.parent


def test_tables_and_files_are_current() -> None:
    for path, text in pages().items():
        assert path.read_text("utf-8") == text, f"{path.name}: python -m tests.support.third_party_pages"


def test_every_network_has_one_page_and_every_page_a_network() -> None:
    names = [network.page for network in NETWORKS]
    assert len(set(names)) == len(names)
    assert {path.name for path in FOLDER.iterdir() if path.is_dir()} == set(names)


@pytest.mark.parametrize("page", [network.page for network in NETWORKS])
def test_a_page_says_whose_it_is_and_how_it_was_checked(page: str) -> None:
    text = (FOLDER / page / "README.md").read_text("utf-8")
    for start in ("- Original code: ", "- Checked by: "):
        assert start in text, start
    assert "not recorded yet" not in text
    told = re.search(r"- Checked by: (.*?)\n(?=\n|- )", text, re.DOTALL)
    assert told
    tests = re.findall(r"`(tests/[\w/.]+\.py)", told.group(1))
    assert tests
    assert [name for name in tests if not (ROOT / name).is_file()] == []


def test_the_pages_are_documents_only() -> None:
    assert {path.suffix for path in Path(FOLDER).rglob("*") if path.is_file()} == {".md"}
