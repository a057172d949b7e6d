"""Write clips as FFV1, bit by bit what was read, or as H.264 that every browser plays. No rate is changed."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from pytest_vidmetrics.commands._listed import ListedClip, add_source, listed
from pytest_vidmetrics.core.errors import MediaError, VidmetricsError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.wording import counted, printable

HELP = "write arrays and folders of frames as videos, without loss or as previews"
_TOLERANCE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_source(parser)
    parser.add_argument("--fps", type=float, help="rate of clips that say none; rows may have a key fps")
    parser.add_argument(
        "--preview", action="store_true", help="lossy H.264 for people to look at, at most 640 pixels wide or high"
    )


def run(args: argparse.Namespace) -> int:
    """Write each clip; return 1 when one could not be read or written: it is named, the others are there."""
    problems, done = [], 0
    for clip in listed(args.source, args.rename):
        try:
            target = clip.place(args.output, ".mp4" if args.preview else ".mkv")
            # Links are followed: the target may be the clip by another name.
            if target.resolve() == clip.video.resolve():
                raise VidmetricsError(f"{clip.video}: would be written over itself: give another folder with -o")
            write_atomic(target, converted(clip, args.fps, preview=args.preview))
            done += 1
        except (MediaError, VidmetricsError, ValueError) as error:
            problems.append(str(error))
    sys.stdout.write(f"{counted(done, 'clip')} written to {args.output}\n")
    sys.stderr.write("".join(f"{printable(text)}\n" for text in problems))
    return 1 if problems else 0


def converted(clip: ListedClip, fps: float | None, *, preview: bool) -> bytes:
    """Return the video of a clip: FFV1 in Matroska, verified, or H.264 in MP4. Sound is not carried over.

    The rate is that of the file, else the row's, else ``fps``. Raises ``VidmetricsError`` for a clip without a rate,
    for one whose file says another than its row or ``fps``, and for one of variable rate.
    """
    import numpy as np

    from pytest_vidmetrics.media.lossless import write_lossless
    from pytest_vidmetrics.media.preview import encoded
    from pytest_vidmetrics.media.video import read_clip

    read = read_clip(clip.video)
    given = clip.fps if clip.fps is not None else fps
    if read.times is not None:
        raise VidmetricsError(f"{clip.video}: its rate is variable, which a copy with one rate would not be")
    if read.fps is not None and given is not None and abs(read.fps - given) > _TOLERANCE * read.fps:
        raise VidmetricsError(
            f"{clip.video}: the file says {read.fps:g} frames per second, not {given:g}: "
            "a clip is not given another rate"
        )
    rate = read.fps if read.fps is not None else given
    if rate is None:
        raise VidmetricsError(f"{clip.video}: nothing says its rate: give --fps, or a key fps in its row")
    with tempfile.TemporaryDirectory(prefix="vidmetrics-") as folder:
        # Encoded from what was verified, so that the preview shows the same frames.
        exact = Path(folder) / "clip.mkv"
        write_lossless(exact, np.asarray(read.frames.numpy()), rate)
        return encoded(exact).data if preview else exact.read_bytes()
