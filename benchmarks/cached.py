"""What a run costs that has nothing to compute, against a plain pytest run: processor seconds of whole processes.

    python benchmarks/cached.py [--items N] [--repeats N]

Clips and references are scored once with ``common.psnr`` and their baseline is written; then runs that find every
result in the store alternate with as many trivial tests in a pytest without the plugin.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
from pathlib import Path

from harness import QUIET, alternate, pytest_seconds, trivial_tests

from tests.support.clips import noisy, scene, write_clip

MANIFEST = """
schema = 1
[case.cached]
video = "clips/*.mp4"
reference = "references/*.mp4"
pair = "stem"
metrics = ["common.psnr"]
"""


def processor_seconds(folder: Path, *args: str) -> float:
    """Return the processor seconds of one pytest run, all its processes together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pytest_seconds(folder, *args)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    # Compiled modules are kept, as in an installed package, whatever the caller's shell says.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    gates = (*QUIET, "--vidmetrics=all", "cached.vidmetrics.toml")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
        for number in range(args.items):
            clean = scene(number)
            write_clip(folder / "references" / f"{number}.mp4", clean)
            write_clip(folder / "clips" / f"{number}.mp4", noisy(clean, 3.0))
        (folder / "cached.vidmetrics.toml").write_text(MANIFEST)
        trivial_tests(folder / "plain", args.items + 1)
        pytest_seconds(folder, *gates, "--update-baselines")
        plain, cached = map(
            statistics.median,
            alternate(
                [
                    lambda: processor_seconds(folder / "plain", *QUIET, "-p", "no:vidmetrics"),
                    lambda: processor_seconds(folder, *gates),
                ],
                args.repeats,
            ),
        )
        print(f"{args.items} items: plain {plain:.2f} s, cached {cached:.2f} s, difference {cached - plain:.2f} s")


if __name__ == "__main__":
    main()
