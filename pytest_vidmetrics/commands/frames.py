"""Write the first frame of each clip as PNG, and a list of rows that names them: what image-to-video starts from."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pytest_vidmetrics.commands._listed import ListedClip, add_source, listed
from pytest_vidmetrics.core.errors import MediaError, VidmetricsError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.types import PATH_KEYS
from pytest_vidmetrics.core.wording import counted, printable

HELP = "write the first frame of each clip, for image-to-video"
LIST = "starting_frames_manifest.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_source(parser)
    parser.add_argument(
        "--samples-per-category", type=int, metavar="N", help="the first N clips of each category (default: all)"
    )


def run(args: argparse.Namespace) -> int:
    """Write frames and list; return 1 when a clip could not be read: it is named, and not in the list."""
    most = args.samples_per_category
    if most is not None and most < 1:
        raise VidmetricsError(f"--samples-per-category is a whole number of at least 1, not {most}")
    taken: Counter[str] = Counter()
    rows, problems = [], []
    for clip in listed(args.source, args.rename):
        if most is not None and taken[clip.category] >= most:
            continue
        taken[clip.category] += 1
        target = clip.place(args.output, "_frame0.png")
        try:
            write_atomic(target, first_frame(clip.video))
        except MediaError as error:
            problems.append(str(error))
            continue
        rows.append(_row(clip, target, args.output))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    # Written last, and whole: who finds the list finds its frames.
    write_atomic(args.output / LIST, lines.encode())
    sys.stdout.write(f"{counted(len(rows), 'frame')} written to {args.output}, listed in {args.output / LIST}\n")
    sys.stderr.write("".join(f"{printable(text)}\n" for text in problems))
    return 1 if problems else 0


def first_frame(path: Path) -> bytes:
    """Return frame 0 by the order of decoding, as the metrics see it, as PNG. Raises :class:`MediaError`."""
    import io

    import numpy as np
    from PIL import Image

    from pytest_vidmetrics.core.frames import FrameRequest
    from pytest_vidmetrics.media.video import read_clip

    frame = read_clip(path, FrameRequest(1, "first")).frames[0].numpy()
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0))).save(out, "PNG")
    return out.getvalue()


def _row(clip: ListedClip, frame: Path, folder: Path) -> dict[str, Any]:
    """Return the row of a clip with its frame added. Paths start from the new list."""
    row = dict(clip.row) or {"video_id": clip.id, "category": clip.category, "path": str(clip.video)}
    # Any value that is one of the row's paths, under whatever key of the list.
    known = {str(clip.video), *(str(value) for key, value in row.items() if key in PATH_KEYS)}
    for key, value in row.items():
        if isinstance(value, str) and value in known:
            row[key] = os.path.relpath(value, folder)
    return {**row, "frame_path": str(frame.relative_to(folder)), "frame_sha256": digest_file(frame)}
