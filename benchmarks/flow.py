"""Cost of the flow metrics: CPU time per pair of frames against plain numpy, and peak memory of a 720p clip.

``python -m benchmarks.flow`` compares, per pair of frames, the twelve values with the numpy formulation that one
writes first (FastVideo's: a percentile, two ``histogram2d``, a loop over cells, ``arccos`` per pixel).
``python -m benchmarks.flow memory`` scores a clip of 121 frames, 1280 x 720, with RAFT in a process of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from benchmarks.harness import cpu
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.flow.raft import RaftThings
from pytest_vidmetrics.networks.published.video import RAFT_THINGS
from pytest_vidmetrics.stats.float32_log import log10_avx512
from pytest_vidmetrics.stats.flow import FlowOptions, compare_flows
from tests.support.raft_weights import raft_state

SIZES = ((360, 640), (720, 1280))
FRAMES = 121
Field = np.ndarray


def fields(height: int, width: int, seed: int) -> tuple[Field, Field]:
    """Return a zoom and a pan with a fast box, and the same with noise: float32 ``(H, W, 2)``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    flow = np.stack([0.01 * (x - width / 2) + 1.5, 0.01 * (y - height / 2) - 0.5], axis=-1)
    flow[height // 4 : height // 3, width // 4 : width // 2] += (12, -4)
    a = flow + rng.normal(0, 0.2, flow.shape)
    b = flow * 1.1 + rng.normal(0, 0.4, flow.shape)
    return a.astype(np.float32), b.astype(np.float32)


def plain(a: Field, b: Field) -> dict[str, float]:
    """Return the twelve values of one pair, each by the numpy function that is named like it."""
    speed_a, speed_b = np.linalg.norm(a, axis=-1), np.linalg.norm(b, axis=-1)
    fastest = np.maximum(speed_a, speed_b)
    mask = (fastest >= 0.5) & (fastest <= np.percentile(fastest, 80.0))
    if not mask.any():
        mask = np.ones_like(mask)
    error = np.linalg.norm(a - b, axis=-1)
    mean_a, mean_b = a[mask].mean(axis=0), b[mask].mean(axis=0)
    cosine = float(np.clip(mean_a @ mean_b / (np.linalg.norm(mean_a) * np.linalg.norm(mean_b)), -1, 1))
    cells = plain_cells(error, mask)
    return {
        "mf_epe": float(np.linalg.norm(mean_a - mean_b)),
        "mf_angle_err": float(np.degrees(np.arccos(cosine))),
        "mf_cosine": cosine,
        "mf_mag_ratio": float(np.linalg.norm(mean_b) / np.linalg.norm(mean_a)),
        "pixel_epe_mean": float(error[mask].mean()),
        "pixel_epe_max": float(error[mask].max()),
        "px_angle_rmse": plain_angles(a, b, mask & (speed_a > 0.5) & (speed_b > 0.5)),
        "grid_epe_mean": float(np.mean(cells)),
        "grid_epe_max": float(np.max(cells)),
        "fl_all": float(((error[mask] > 3) & (error[mask] > 0.05 * speed_a[mask])).mean()),
        "foe_dist": float(np.linalg.norm(plain_focus(a) - plain_focus(b))),
        "flow_kl_2d": plain_divergence(a, b),
    }


def plain_cells(error: Field, mask: Field, grid: int = 8) -> list[float]:
    """Return the mean error of each cell."""
    height, width = error.shape[0] // grid, error.shape[1] // grid
    means = []
    for row in range(grid):
        for column in range(grid):
            cell = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
            inside = error[cell][mask[cell]]
            means.append(float(inside.mean() if len(inside) else error[cell].mean()))
    return means


def plain_angles(a: Field, b: Field, mask: Field) -> float:
    """Return the root mean square angle between two fields in degrees."""
    if not mask.any():
        return 0.0
    first, second = a[mask], b[mask]
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    cosines = np.clip((first * second).sum(axis=-1) / lengths, -1, 1)
    return float(np.sqrt(np.mean(np.degrees(np.arccos(cosines)) ** 2)))


def plain_focus(flow: Field) -> Field:
    """Return the focus of expansion by least squares."""
    height, width = flow.shape[:2]
    y, x = np.meshgrid(np.arange(4, height, 8), np.arange(4, width, 8), indexing="ij")
    u, v = flow[y, x, 0].ravel(), flow[y, x, 1].ravel()
    moving = np.sqrt(u**2 + v**2) > 0.5
    if moving.sum() < 10:
        return np.array([width / 2, height / 2])
    u, v, x, y = u[moving], v[moving], x.ravel()[moving], y.ravel()[moving]
    solution: Field = np.linalg.lstsq(np.stack([v, -u], axis=1), v * x - u * y, rcond=None)[0]
    return solution


def plain_divergence(a: Field, b: Field) -> float:
    """Return the divergence of two histograms of direction and speed."""
    shares = []
    for flow in (a, b):
        speed = np.linalg.norm(flow, axis=-1)
        moving = speed >= 0.5
        if moving.sum() < 10:
            return 0.0
        angle = np.arctan2(flow[..., 1], flow[..., 0])
        top = log10_avx512(max(speed.max(), np.float32(1.5)))  # np.log10, were it the same on every CPU
        edges = [np.linspace(-np.pi, np.pi, 37), np.logspace(np.log10(0.5), top, 21)]
        counts = np.histogram2d(angle[moving], speed[moving], bins=edges)[0] + 1.0
        shares.append(counts / counts.sum())
    return float(np.sum(shares[0] * np.log(shares[0] / shares[1])))


def compare() -> None:
    """Print the CPU time of a pair of frames both ways."""
    for height, width in SIZES:
        a, b = fields(height, width, 0)
        reference = cpu(lambda a=a, b=b: plain(a, b), 9)  # type: ignore[misc]
        seed = compare_flows(a, b, FlowOptions("fastvideo"))
        worst = max(abs(seed[key] - value) / max(abs(value), 1e-3) for key, value in plain(a, b).items())
        print(f"{width}x{height}: plain numpy {1e3 * reference:.1f} ms, values differ by at most {worst:.1e}")
        for protocol in ("v2", "fastvideo"):
            options = FlowOptions(protocol)  # type: ignore[arg-type]
            mine = cpu(lambda a=a, b=b, options=options: compare_flows(a, b, options), 9)  # type: ignore[misc]
            print(f"  {protocol:<10} {1e3 * mine:6.1f} ms   ratio {mine / reference:.2f}", flush=True)


def write_clip(path: Path, seed: int) -> None:
    """Write a lossless 720p clip of two frames in turns and another one at the end: RAFT runs three times only."""
    height, width = SIZES[1]
    tint = np.random.default_rng(seed).uniform(0.6, 1.1, 3)
    y, x = np.mgrid[0:height, 0:width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 24)
        for number in range(FRAMES):
            shift = 4 * (number % 2 if number < FRAMES - 1 else 2)
            wave = 120 + 60 * np.sin(0.05 * (x + shift)) + 40 * np.cos(0.04 * (y - shift))
            image = (wave[..., None] * tint).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def score(folder: Path) -> None:
    """Score both clips with a network of stand-in weights and print the peak memory of this process."""
    torch.set_num_threads(1)
    network = RaftThings(raft_state())
    shared.add_provider(lambda name, device: network if name == RAFT_THINGS.name else None)
    sample = {key: str(folder / f"{key}.mp4") for key in ("video", "reference")}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    metric = get_metric("optical_flow.gt_optical_flow")
    outcome = EvalWorker(FileStore(folder / "store")).fill(sample, [metric])[0]
    assert outcome.result is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{outcome.result.status} {outcome.result.score}: {outcome.result.details.get('n_frames')} pairs, "
        f"{shared.forwards['flow pairs']} forward passes, peak {peak / 2**20:.2f} GiB, {before / 2**20:.2f} before",
    )


def memory() -> None:
    """Score in a process of its own, so that the peak is that of scoring alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed, key in enumerate(("video", "reference")):
            write_clip(folder / f"{key}.mp4", seed)
        (folder / "weights").write_bytes(b"random")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", RAFT_THINGS.override or "": str(folder / "weights")}
        subprocess.run([sys.executable, "-m", "benchmarks.flow", "score", name], check=True, env=environment)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["memory"]:
            memory()
        case ["score", name]:
            score(Path(name))
        case _:
            compare()
