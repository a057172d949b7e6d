"""What the same numbers cost elsewhere, in one process, one thread, on the same clips.

    python -m benchmarks.peers [--repeats N] [--only WORD]

Peers are not dependencies: install them where this runs (``pip install --target peers scikit-image torchmetrics
pytorch-msssim lpips torchcodec`` and ``PYTHONPATH=peers``); a row whose peer is absent is left out and named.
torchcodec loads FFmpeg's shared libraries: a folder of links such as ``libavcodec.so.62`` to those in ``av.libs`` of
PyAV's wheel, named in ``LD_LIBRARY_PATH``, lets both sides decode with the same ones.

Processor time, the least of interleaved repeats, so that other work of the machine falls on both alike. A row says by
how much the two results differ: a peer that is faster at fewer digits is not one at equal exactness.
"""

from __future__ import annotations

import argparse
import importlib
import math
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytest_vidmetrics.media.video import read_clip
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks.lpips import VARIANTS, Network
from pytest_vidmetrics.stats.kernel import mmd, polynomial
from tests.support.clips import write_clip
from tests.support.media_clips import write_video
from tests.support.oracle_fill import clip_uint8

Work = Callable[[], Any]


@dataclass(frozen=True)
class Row:
    """One comparison: both ways to the same number (or array of numbers)."""

    name: str
    peer: str
    ours: Work
    theirs: Work


def found(module: str) -> Any:
    """Return a peer's module, or ``None``."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        print(f"left out: {module} ({type(error).__name__})")
        return None


def pairs(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a clip and a noisy copy, ``(T, H, W, 3)`` uint8."""
    clean = clip_uint8(count, height, width, 0)
    noise = np.random.default_rng(0).integers(-8, 9, clean.shape)
    return clean, np.clip(clean + noise, 0, 255).astype(np.uint8)


def tensors(*clips: np.ndarray) -> list[torch.Tensor]:
    """Return clips as metrics get them."""
    return [torch.from_numpy(clip).permute(0, 3, 1, 2) for clip in clips]


def per_frame(name: str, video: torch.Tensor, reference: torch.Tensor) -> Work:
    """Return what scores a pair with a metric of ours."""
    metric = get_metric(name)
    return lambda: metric.compute({"video": video, "reference": reference}).details["per_frame"]


def psnr(count: int, height: int, width: int) -> Iterator[Row]:
    first, second = pairs(count, height, width)
    a, b = tensors(first, second)
    ours, label = per_frame("common.psnr", a, b), f"PSNR {width}x{height}"
    if skimage := found("skimage.metrics"):
        yield Row(
            label,
            "scikit-image",
            ours,
            lambda: [skimage.peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(first, second, strict=True)],
        )
    if metrics := found("torchmetrics.functional.image"):
        options = {"data_range": 255.0, "reduction": "none", "dim": (1, 2, 3)}
        yield Row(
            label,
            "torchmetrics, float32",
            ours,
            lambda: metrics.peak_signal_noise_ratio(a.float(), b.float(), **options),
        )


def ssim(count: int, height: int, width: int) -> Iterator[Row]:
    a, b = tensors(*pairs(count, height, width))
    ours, label = per_frame("common.ssim", a, b), f"SSIM {width}x{height}"
    if peer := found("pytorch_msssim"):
        for kind, name in ((torch.float32, "float32"), (torch.float64, "float64")):
            yield Row(
                label,
                f"pytorch-msssim, {name}",
                ours,
                lambda kind=kind: peer.ssim(a.to(kind), b.to(kind), data_range=255, size_average=False),
            )
    if metrics := found("torchmetrics.functional.image"):
        measure = metrics.structural_similarity_index_measure
        yield Row(
            label,
            "torchmetrics, float32",
            ours,
            lambda: measure(a.float(), b.float(), data_range=255.0, reduction="none"),
        )


def lpips(count: int, height: int, width: int) -> Iterator[Row]:
    peer = found("lpips")
    if not peer:
        return
    a, b = tensors(*pairs(count, height, width))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False).eval()
    network = Network(VARIANTS["alex"]).eval()
    layers = [layer for slice_ in range(1, 6) for layer in getattr(theirs.net, f"slice{slice_}")]
    network.features.load_state_dict(torch.nn.Sequential(*layers).state_dict())
    for head, other in zip(network.heads, theirs.lins, strict=True):
        head.weight.data = other.model[-1].weight.data
    metric: Any = get_metric("common.lpips")
    metric._network = network

    def other() -> list[float]:
        with torch.inference_mode():
            return theirs(a.float() / 127.5 - 1, b.float() / 127.5 - 1).flatten().tolist()

    sample = {"video": a, "reference": b}
    yield Row(f"LPIPS alex {width}x{height}", "lpips", lambda: metric.compute(sample).details["per_frame"], other)


def decoding(folder: Path) -> Iterator[Row]:
    peer = found("torchcodec.decoders")
    if not peer:
        return
    clips = {
        "H.264 832x480, 81 frames": write_clip(folder / "large.mp4", clip_uint8(81, 480, 832, 0)),
        "H.264 64x64, 16 frames": write_clip(folder / "small.mp4", clip_uint8(16, 64, 64, 0)),
        "MPEG-4 416x240, 33 frames": write_video(folder / "cv2.mp4", [*clip_uint8(33, 240, 416, 0)], codec="mpeg4"),
        "GIF 128x96, 16 frames": _gif(folder / "small.gif", clip_uint8(16, 96, 128, 0)),
    }
    for name, path in clips.items():

        def theirs(path: Path = path) -> torch.Tensor:
            decoder = peer.VideoDecoder(str(path), num_ffmpeg_threads=1)
            frames: torch.Tensor = decoder.get_frames_in_range(0, len(decoder)).data
            return frames

        yield Row(name, "torchcodec", lambda path=path: read_clip(path).frames, theirs)


def _gif(path: Path, frames: np.ndarray) -> Path:
    from PIL import Image

    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=80)
    return path


def kid(rows: int, width: int) -> Iterator[Row]:
    peer = found("torchmetrics.image.kid")
    if not peer:
        return
    a, b = (np.random.default_rng(seed).standard_normal((rows, width)) for seed in (0, 1))
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    label = f"KID of {rows} rows of {width}"
    yield Row(label, "torchmetrics, float64", lambda: mmd(a, b, polynomial), lambda: peer.poly_mmd(x, y))


def difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference of two results."""
    return float(np.max(np.abs(np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64))))


def compared(row: Row, repeats: int) -> tuple[float, float, float]:
    """Return the least processor seconds of both ways, and by how much their results differ."""
    apart = difference(row.ours(), row.theirs())
    least = [math.inf, math.inf]
    for _ in range(repeats):
        for place, work in enumerate((row.ours, row.theirs)):
            start = time.process_time()
            work()
            least[place] = min(least[place], time.process_time() - start)
    return least[0], least[1], apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *psnr(8, 480, 832),
            *psnr(4, 720, 1280),
            *ssim(2, 480, 832),
            *ssim(1, 720, 1280),
            *lpips(4, 256, 256),
            *decoding(Path(folder)),
            *kid(500, 2048),
        ]
        print(f"{'':<26} {'peer':<24} {'ours ms':>9} {'theirs ms':>9} {'ratio':>6} {'apart':>8}")
        for row in rows:
            if options.only in row.name:
                try:
                    ours, theirs, apart = compared(row, options.repeats)
                except (ImportError, OSError, RuntimeError) as error:  # a library that a peer loads on its first call
                    print(f"{row.name:<26} {row.peer:<24} left out: {str(error).strip().splitlines()[0][:60]}")
                    continue
                times = f"{1e3 * ours:>9.1f} {1e3 * theirs:>9.1f} {ours / theirs:>6.2f}"
                print(f"{row.name:<26} {row.peer:<24} {times} {apart:>8.1e}", flush=True)


if __name__ == "__main__":
    main()
