"""The code blocks of the documentation: what a reader copies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDS = re.compile(r"# needs (?:a GPU|a network|a cluster|Ray|a judge)\b")
"""The mark, a comment behind a command or above it in its block, of what is not run here."""
_BLOCK = re.compile(r"^( *)```([\w{}-]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page, without its indentation."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self, *, marked: bool = True) -> Iterator[str]:
        """Yield the commands of a console block, each in one line; ``marked=False`` leaves out those that are."""
        above = False
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.startswith("#"):
                above = NEEDS.search(line) is not None
            if line.startswith("$ ") and (marked or not (above or NEEDS.search(line))):
                yield line[2:]


def pages() -> list[Path]:
    """Return the pages of the repository in order."""
    patterns = ("*.md", "docs/*.md", "examples/**/*.md")
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def blocks(*languages: str) -> list[Block]:
    """Return the blocks in some languages, of all pages."""
    found = []
    for path in pages():
        text = path.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            inside = "".join(line.removeprefix(match[1]) for line in match[3].splitlines(keepends=True))
            number = text.count("\n", 0, match.start()) + 1
            found.append(Block(str(path.relative_to(ROOT)), number, match[2], inside))
    return [block for block in found if block.language in languages]
