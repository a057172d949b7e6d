"""What an installed but unused plugin costs: ``pytest --version`` and 1,000 trivial tests, with and without it.

python benchmarks/idle.py [--repeats N]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import QUIET, alternate, pytest_seconds, report, trivial_tests

OFF = ("-p", "no:vidmetrics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trivial_tests(folder, 1000)
        for label, args in (("pytest --version", ("--version",)), ("1,000 trivial tests", QUIET)):
            off, on = alternate(
                [
                    lambda args=args: pytest_seconds(folder, *args, *OFF),
                    lambda args=args: pytest_seconds(folder, *args),
                ],
                repeats,
            )
            without, present = report(f"{label}, -p no:vidmetrics", off), report(f"{label}, plugin installed", on)
            print(f"    ratio {present / without:.3f}, difference {1e3 * (present - without):+.1f} ms\n")


if __name__ == "__main__":
    main()
