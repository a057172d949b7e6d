"""How far apart the scores of renders are that nobody calls better or worse: where margins come from.

    python benchmarks/neutral_pairs.py FOLDER [FOLDER ...]

Each folder holds renders of one prompt by one model that differ in a neutral way only (date, GPU, attention back
end, compiler). Three questions, one row per folder:

- `similarity`: the score of one render against another, over all pairs.
- `shift`: the harm that a gate would see when one neutral render takes the place of another against the same
  third render as reference: |score(a, r) - score(b, r)|, over all a, b, r. Needs three renders.
- for temporal_flickering, which has no reference: |score(a) - score(b)|.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.frames import ALL_FRAMES
from pytest_vidmetrics.media.video import read_clip
from pytest_vidmetrics.metrics.registry import get_metric

PAIRED = ("common.psnr", "common.ssim")
ALONE = "vbench.temporal_flickering"
SUFFIXES = {".mp4", ".gif", ".webm", ".mkv"}


def _pixels(frames: Any, name: str) -> Any:
    return frames if get_metric(name).pixels == "uint8" else frames.float() / 255


def _paired(name: str, frames: dict[str, Any]) -> dict[tuple[str, str], float]:
    metric = get_metric(name)
    return {
        (a, b): metric.compute({"video": _pixels(frames[a], name), "reference": _pixels(frames[b], name)}).score
        for a, b in itertools.combinations(frames, 2)
    }


def _shifts(scores: dict[tuple[str, str], float], names: list[str]) -> list[float]:
    def against(a: str, b: str) -> float:
        return scores[(a, b)] if (a, b) in scores else scores[(b, a)]

    return [
        abs(against(a, r) - against(b, r))
        for r in names
        for a, b in itertools.combinations([name for name in names if name != r], 2)
    ]


def _row(label: str, values: list[float]) -> str:
    ordered = sorted(values)
    if not ordered:
        return f"    {label:<42} needs three renders"
    low, middle, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    return f"    {label:<42} min {low:9.5f}   median {middle:9.5f}   max {high:9.5f}   n {len(ordered)}"


def measure(folder: Path, every: int) -> None:
    """Print the rows of one folder; the paired metrics read each ``every``-th frame."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    frames = {path.name: read_clip(path, ALL_FRAMES).frames for path in paths}
    print(f"{folder.parent.name}/{folder.name}: {len(frames)} renders")
    for name in PAIRED:
        scores = _paired(name, {render: clip[::every] for render, clip in frames.items()})
        print(_row(f"{name} similarity", list(scores.values())))
        print(_row(f"{name} shift", _shifts(scores, list(frames))))
    flicker = get_metric(ALONE)
    alone = [flicker.compute({"video": _pixels(clip, ALONE)}).score for clip in frames.values()]
    print(_row(f"{ALONE} score", alone))
    print(_row(f"{ALONE} shift", [abs(a - b) for a, b in itertools.combinations(alone, 2)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="paired metrics on each N-th frame")
    args = parser.parse_args()
    for folder in args.folders:
        measure(folder, args.every)


if __name__ == "__main__":
    main()
