"""What a scoring item costs when its metric does nothing, against a trivial test.

    python benchmarks/item_overhead.py [--items N] [--repeats N]

The metric returns a constant and reads one sample value, so no clip is decoded. The first run writes every result
to an empty store; the second finds them all there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from harness import QUIET, alternate, pytest_seconds, report, trivial_tests

METRIC = """
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register


@register("bench.constant")
class Constant(BaseMetric):
    requires = ("text_prompt",)
    requires_reference = False

    def compute(self, sample):
        return MetricResult(self.name, 0.5)
"""
MANIFEST = """
schema = 1
[case.idle]
samples = "samples.jsonl"
metrics = ["bench.constant"]
"""


def write_case(folder: Path, items: int) -> None:
    """Write ``items`` samples without clips, a metric that returns a constant, and the baseline."""
    folder.mkdir()
    (folder / "conftest.py").write_text(METRIC)
    (folder / "idle.vidmetrics.toml").write_text(MANIFEST)
    rows = (json.dumps({"id": f"s{n:06d}", "text_prompt": f"prompt {n}"}) for n in range(items))
    (folder / "samples.jsonl").write_text("\n".join(rows) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    gates = (*QUIET, "--vidmetrics=all", "idle.vidmetrics.toml")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_case(folder / "ours", args.items)
        write_case(folder / "one", 1)
        trivial_tests(folder / "plain", args.items)
        for case in ("ours", "one"):
            pytest_seconds(folder / case, *gates, "--update-baselines")

        def first() -> float:
            shutil.rmtree(folder / "ours" / "cache", ignore_errors=True)
            return pytest_seconds(folder / "ours", *gates)

        start, plain, new, again = alternate(
            [
                lambda: pytest_seconds(folder / "one", *gates),
                lambda: pytest_seconds(folder / "plain", *QUIET),
                first,
                lambda: pytest_seconds(folder / "ours", *gates),
            ],
            args.repeats,
        )
    begin = report("1 item (start-up)", start)
    trivial = report(f"{args.items} trivial tests", plain, args.items)
    for label, seconds in (("first run, results written", new), ("second run, results reused", again)):
        total = report(f"{args.items} items, {label}", seconds, args.items)
        each = 1e6 * (total - begin) / args.items
        print(f"    beyond start-up: {each:.1f} us per item; ratio to trivial tests {total / trivial:.2f}")


if __name__ == "__main__":
    main()
