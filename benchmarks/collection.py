"""What it costs to collect a manifest of 10,000 samples with 4 gates, against 10,000 trivial tests.

    python benchmarks/collection.py [--samples N] [--repeats N]

The clips are empty files: collection opens none of them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import QUIET, alternate, pytest_seconds, report, trivial_tests

MANIFEST = """
schema = 1
[case.big]
video = "candidate/*.mp4"
reference = "reference/*.mp4"
metrics = ["common.psnr", "common.ssim", "vbench.temporal_flickering", "fvd_motion"]
[case.big.metric.fvd_motion]
use = "common.fvd"
extractor = "motion_energy"
"""


def write_corpus(folder: Path, samples: int) -> Path:
    """Write empty clips and their manifest, and return the manifest."""
    for role in ("candidate", "reference"):
        (folder / role).mkdir(parents=True)
        for number in range(samples):
            (folder / role / f"clip_{number:06d}.mp4").touch()
    manifest = folder / "big.vidmetrics.toml"
    manifest.write_text(MANIFEST)
    return manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_corpus(folder / "many", args.samples)
        one = write_corpus(folder / "one", 1)
        trivial_tests(folder / "plain", args.samples)
        collect = ("--collect-only", *QUIET)
        empty, plain, ours = alternate(
            [
                lambda: pytest_seconds(one.parent, *collect, "--vidmetrics=all", one.name),
                lambda: pytest_seconds(folder / "plain", *collect),
                lambda: pytest_seconds(manifest.parent, *collect, "--vidmetrics=all", manifest.name),
            ],
            args.repeats,
        )
    items = args.samples + 4
    start = report("1 sample x 4 gates (start-up)", empty)
    trivial = report(f"{args.samples} trivial tests", plain, args.samples)
    total = report(f"{args.samples} samples x 4 gates", ours, items)
    each = 1e6 * (total - start) / items
    print(f"    beyond start-up: {each:.1f} us per item; ratio to trivial tests {total / trivial:.2f}")


if __name__ == "__main__":
    main()
