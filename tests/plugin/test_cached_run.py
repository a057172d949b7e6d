"""A run that has nothing to compute costs what pytest costs, and little more."""

from __future__ import annotations

REPORT = """
import sys

HEAVY = ("torch", "scipy", "av", "transformers", "torchvision", "PIL", "cv2")


def pytest_unconfigure():
    found = sorted({name for name in HEAVY if name in sys.modules})
    print("imported:", found)
"""


def test_it_imports_no_heavy_library(bench) -> None:
    bench.record()
    (bench.root / "conftest.py").write_text(REPORT)
    again = bench.spawn("-s")
    assert again.ret == 0
    again.stdout.fnmatch_lines(["*0 decoded, 0 computed*", "imported: []"])
