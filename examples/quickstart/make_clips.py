"""Write the clips of the quickstart: H.264 video with AAC sound, from the procedural scenes in ``scenes.py``.

    python make_clips.py                                writes clips/reference and clips/candidate
    python make_clips.py --degrade blur --clip waves    writes clips/degraded

``clips/degraded`` is ``clips/candidate`` with the named clips made worse: the checkpoint that broke. One encoder
thread and no clock: a second run writes the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from scenes import SCENES, Array, render

FRAMES, FPS, SOUND_HZ = 24, 12, 16000
HERE = Path(__file__).parent / "clips"


def candidate(name: str) -> Array:
    """Return the scene as the checkpoint under test draws it: a little moved, darker and grainier."""
    frames = render(name, FRAMES, jitter=0.15).astype(np.float64)
    grain = np.random.default_rng(sorted(SCENES).index(name)).normal(0, 1.5, frames.shape[:3])
    return np.rint(np.clip(0.99 * frames + grain[..., None], 0, 255)).astype(np.uint8)


def sound(name: str) -> Array:
    """Return two seconds of a fading tone as ``(samples,)`` float32 in [-1, 1]."""
    time = np.arange(SOUND_HZ * FRAMES // FPS) / SOUND_HZ
    tone = np.sin(2 * np.pi * SCENES[name].pitch * time)
    return (0.3 * tone * np.exp(-((4 * time) % 1) * 3)).astype(np.float32)


def _blur(frames: Array) -> Array:
    blurred = frames.astype(np.float64)
    for axis in (1, 2):
        blurred = sum(np.roll(blurred, shift, axis) for shift in range(-4, 5)) / 9
    return blurred


def _noise(frames: Array) -> Array:
    return frames + np.random.default_rng(99).normal(0, 25, frames.shape)


def _freeze(frames: Array) -> Array:
    return np.repeat(frames[:1], len(frames), axis=0)


def _flicker(frames: Array) -> Array:
    gain = np.where(np.arange(len(frames)) % 2, 0.7, 1.0)
    return frames * gain[:, None, None, None]


DEGRADATIONS = {"blur": _blur, "flicker": _flicker, "freeze": _freeze, "noise": _noise}


def write(path: Path, frames: Array, samples: Array, crf: int) -> None:
    """Encode ``(T, H, W, 3)`` uint8 frames and mono float32 sound into an mp4 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as box:
        # Macroblock trees make x264's output depend on the process's memory layout.
        video = box.add_stream("libx264", rate=FPS, options={"crf": str(crf), "preset": "slow", "mbtree": "0"})
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        voice = box.add_stream("aac", rate=SOUND_HZ, layout="mono")
        voice.bit_rate = 24000
        for picture in frames:
            box.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        box.mux(video.encode())
        heard = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        heard.sample_rate = SOUND_HZ
        box.mux(voice.encode(heard))
        box.mux(voice.encode())


def make_pair(root: Path = HERE) -> None:
    """Write ``reference`` and ``candidate``, one clip per scene."""
    for name in SCENES:
        write(root / "reference" / f"{name}.mp4", render(name, FRAMES), sound(name), crf=20)
        write(root / "candidate" / f"{name}.mp4", candidate(name), sound(name), crf=23)


def make_degraded(kind: str, clips: list[str], root: Path = HERE) -> None:
    """Write ``degraded``: the candidate's files, with ``clips`` replaced by degraded ones."""
    shutil.rmtree(root / "degraded", ignore_errors=True)
    shutil.copytree(root / "candidate", root / "degraded")
    for name in clips:
        worse = np.rint(np.clip(DEGRADATIONS[kind](candidate(name)), 0, 255)).astype(np.uint8)
        write(root / "degraded" / f"{name}.mp4", worse, sound(name), crf=23)


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--degrade", choices=sorted(DEGRADATIONS), help="write clips/degraded instead")
    parser.add_argument("--clip", action="append", choices=sorted(SCENES), help="clip to degrade (default: waves)")
    parser.add_argument("--into", type=Path, default=HERE, help="folder that holds reference/, candidate/, degraded/")
    args = parser.parse_args(argv)
    if args.degrade:
        make_degraded(args.degrade, args.clip or ["waves"], args.into)
    else:
        make_pair(args.into)


if __name__ == "__main__":
    main()
