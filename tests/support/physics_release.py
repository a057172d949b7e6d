"""A small copy of the Physics-IQ release: real recordings, masks and switch frames of a few views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pytest_vidmetrics.metrics.physics_iq.masks import motion_masks
from tests.support.clips import write_clip
from tests.support.oracle_inputs import physics_scene

HEADER = "scenario,description,category,generated_video_name\n"
VIEWS = (("ball-falls", "perspective-left"), ("ball-falls", "perspective-right"), ("block-slides", "perspective-left"))
FRAMES, HEIGHT, WIDTH = 30, 64, 80


def recording(seed: int, **options: float) -> np.ndarray:
    return physics_scene(FRAMES, HEIGHT, WIDTH, seed, **options)


def write_release(root: Path, clips: Path, *, fps: int = 30) -> None:
    """Write one-second recordings of :data:`VIEWS` below ``root`` and a generated clip of each into ``clips``."""
    lines = [HEADER]
    rate, count = f"{fps}FPS", len(VIEWS)
    for number, (name, view) in enumerate(VIEWS):
        for take, options in ((1, {}), (2, {"shift": 1.0, "speed": 1.02})):
            id = f"{number + 1 + (take - 1) * count:04d}"
            lines.append(
                f"{id}_{view}_take-{take}_{name}.mp4,Something falls.,Solid Mechanics,{id}_{view}_{name}.mp4\n"
            )
            frames = recording(10 * number + take - 1, **options)
            rest = f"{rate}_{view}_take-{take}_{name}.mp4"
            write_clip(root / f"split-videos/testing/{rate}/{id}_testing-videos_{rest}", frames, fps=fps, crf=5)
            masks = motion_masks(torch.from_numpy(frames).permute(0, 3, 1, 2), 10, 0.3).numpy()
            grey = np.repeat(masks[..., None].astype(np.uint8) * 255, 3, axis=3)
            write_clip(root / f"video-masks/real/{rate}/{id}_video-masks_{rest}", grey, fps=fps, crf=0)
        first = root / f"switch-frames/{number + 1:04d}_switch-frames_anyFPS_{view}_{name}.jpg"
        first.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(recording(10 * number)[0]).save(first)
        generate(clips, number)
    (root / "descriptions.csv").write_text("".join(lines), "utf-8")


def generate(clips: Path, number: int, *, shift: float = 2.0, fps: int = 30) -> Path:
    """Write the generated clip of one view; a larger ``shift`` is a worse one."""
    name, view = VIEWS[number]
    frames = recording(10 * number + 5, shift=shift, speed=0.95)
    return write_clip(clips / f"{number + 1:04d}_{view}_{name}.mp4", frames, fps=fps, crf=5)
