"""Print how ``common.fvd`` with ``motion_energy`` grows with eight corruptions in four strengths.

python -m benchmarks.corruption_ladder
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from benchmarks.corruptions import CORRUPTIONS
from pytest_vidmetrics.networks.motion_energy import MotionEnergy
from pytest_vidmetrics.stats.frechet import frechet


def scenes(count: int, frames: int = 24, height: int = 96, width: int = 128) -> list[np.ndarray]:
    """Return ``count`` different moving scenes, (T, H, W, 3) uint8."""
    return [scene(seed, frames, height, width) for seed in range(count)]


def scene(seed: int, frames: int, height: int, width: int) -> np.ndarray:
    """Return one scene: a drifting texture of several gratings under a moving disc, with mild sensor noise."""
    rng = np.random.Generator(np.random.PCG64(seed))
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    image = np.full((frames, height, width, 3), 0.5)
    for _ in range(5):
        angle, period, speed = rng.uniform(0, np.pi), rng.uniform(5, 30), rng.uniform(-0.8, 0.8)
        wave = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y - speed * t) / period)
        image += wave[..., None] * rng.uniform(0.02, 0.1, 3)
    centre = width * (0.3 + 0.4 * t / frames), height * (0.5 + 0.2 * np.sin(0.2 * t + rng.uniform(0, 6)))
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (rng.uniform(0.1, 0.25) * height) ** 2
    image[disc] = rng.uniform(0.2, 0.9, 3)
    image += rng.normal(0, 0.008, image.shape)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def rows(clips: list[np.ndarray]) -> np.ndarray:
    """Return one descriptor a clip."""
    describe = MotionEnergy().describe
    return np.stack([describe(torch.from_numpy(np.ascontiguousarray(c.transpose(0, 3, 1, 2)))) for c in clips])


def ladder(clips: list[np.ndarray]) -> dict[str, list[float]]:
    """Return the distance of the corrupted clips from the clean ones, by strength."""
    clean = rows(clips)
    return {
        name: [frechet(rows([corrupt(clip, strength) for clip in clips]), clean).distance for strength in (1, 2, 3, 4)]
        for name, corrupt in CORRUPTIONS.items()
    }


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)  # the pictures are small: more threads only wait for each other
    print(f"{'corruption':<18}" + "".join(f"{f'strength {s}':>12}" for s in (1, 2, 3, 4)))
    for name, values in ladder(scenes(24)).items():
        grows = all(a < b for a, b in itertools.pairwise(values))
        print(f"{name:<18}" + "".join(f"{value:>12.4f}" for value in values) + ("" if grows else "   does not grow"))


if __name__ == "__main__":
    main()
