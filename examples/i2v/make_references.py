"""Write the data of this example: twelve reference clips in four categories, and their rows.

``python make_references.py [FOLDER]`` writes ``reference/<category>/<video_id>.mp4`` and ``manifest.jsonl`` with the
keys of the guide that this example follows: ``video_id``, ``category``, ``caption``, ``path``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from toy_generator import DIRECTIONS, frames_of, write

CATEGORIES = ("clouds", "fields", "water")
FRAMES, HEIGHT, WIDTH, FPS = 16, 96, 128, 8


def scene(seed: int) -> np.ndarray:
    """Return a picture, ``(H, W, 3)`` uint8: a few gratings and a disc."""
    rng = np.random.Generator(np.random.PCG64(seed))
    y, x = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    image = np.full((HEIGHT, WIDTH, 3), 0.5)
    for _ in range(4):
        waves = 2 * np.pi * (rng.integers(1, 6) * y / HEIGHT + rng.integers(1, 6) * x / WIDTH)
        image += np.sin(waves + rng.uniform(0, 6))[..., None] * rng.uniform(0.03, 0.12, 3)
    disc = (x - rng.uniform(30, 98)) ** 2 + (y - rng.uniform(30, 66)) ** 2 < rng.uniform(80, 400)
    image[disc] = rng.uniform(0.2, 0.9, 3)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def main(folder: Path) -> None:
    """Write the clips and the rows."""
    rows = []
    for number, (category, direction) in enumerate((c, d) for c in CATEGORIES for d in DIRECTIONS):
        name, caption = f"{category}_{direction}", f"{category} that drift {direction}"
        path = folder / "reference" / category / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, frames_of(scene(number), caption, 1000 + number, {"frames": FRAMES}), FPS)
        where = str(path.relative_to(folder))
        rows.append({"video_id": name, "category": category, "caption": caption, "path": where, "fps": FPS})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "manifest.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent)
