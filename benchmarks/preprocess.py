"""Loading and preprocessing one clip for a 16-frame and for an all-frames metric, against the straightforward path.

    python -m benchmarks.preprocess

The clip has 121 frames of 832x480. The straightforward path decodes every frame, makes each a float32 image, and
stacks the list. Both paths end in float32 frames of 224x224. CPU time comes from runs in one process that take
turns; peak memory, which a process cannot lower again, from one fresh process per path, above its imports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from torch.nn import functional as F

from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.media.video import read_clip

SIXTEEN = FrameRequest(16)
_CHUNK = 16


def write_clip(path: Path, frames: int = 121, height: int = 480, width: int = 832) -> None:
    """Write a moving texture as H.264."""
    y, x = np.mgrid[:height, :width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "20"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for t in range(frames):
            plane = 127 + 60 * np.sin((x + 3 * t) / 17) + 60 * np.cos((y - 2 * t) / 23)
            image = np.repeat(plane.astype(np.uint8)[..., None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def straightforward(path: Path, request: FrameRequest) -> torch.Tensor:
    """Decode all, float32 list, stack, choose, resize."""
    with av.open(str(path)) as container:
        images = [
            torch.from_numpy(frame.to_ndarray(format="rgb24")).float() / 255 for frame in container.decode(video=0)
        ]
    clip = torch.stack(images).permute(0, 3, 1, 2)
    clip = clip[request.indices(len(clip))]
    return F.interpolate(clip, size=(224, 224), mode="bilinear", align_corners=False)


def ours(path: Path, request: FrameRequest) -> torch.Tensor:
    """Decode what is asked for as uint8; float32 in chunks, as a metric takes it."""
    frames = read_clip(path, request).frames
    parts = frames.split(_CHUNK)
    sized = [F.interpolate(p.float().div_(255), size=(224, 224), mode="bilinear", align_corners=False) for p in parts]
    return torch.cat(sized)


PATHS: dict[str, Callable[[Path, FrameRequest], torch.Tensor]] = {"straightforward": straightforward, "ours": ours}
REQUESTS = {"16 frames": SIXTEEN, "all frames": ALL_FRAMES}


def cpu_seconds(path: Path, request: FrameRequest, rounds: int) -> dict[str, float]:
    """Return the median CPU time of either path, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in PATHS}
    for _ in range(rounds):
        for name, load in PATHS.items():
            start = time.process_time()
            load(path, request)
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_mb(path: Path, name: str, frames: str) -> float:
    """Return the growth of peak memory over the imports, from a fresh process."""
    command = [sys.executable, "-m", "benchmarks.preprocess", "--measure", name, frames, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(name: str, frames: str, path: str) -> None:
    """Print by how many MB one path raises the peak memory of this process."""
    F.interpolate(torch.zeros(1, 3, 8, 8), size=(4, 4), mode="bilinear")
    before = _peak_kb()
    PATHS[name](Path(path), REQUESTS[frames])
    print((_peak_kb() - before) / 1024)


def _peak_kb() -> int:
    """Return the peak memory of this program; ``getrusage`` would count that of the process it was started from."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", nargs=3)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.measure:
        measure(*args.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(path)
        for label, request in REQUESTS.items():
            same = torch.equal(straightforward(path, request), ours(path, request))
            cpu = cpu_seconds(path, request, args.rounds)
            memory = {name: peak_mb(path, name, label) for name in PATHS}
            print(
                f"{label}: CPU {cpu['ours']:.3f} s / {cpu['straightforward']:.3f} s = "
                f"{cpu['ours'] / cpu['straightforward']:.2f}; peak memory {memory['ours']:.0f} MB / "
                f"{memory['straightforward']:.0f} MB = {memory['ours'] / memory['straightforward']:.2f}; "
                f"same values: {same}"
            )


if __name__ == "__main__":
    main()
