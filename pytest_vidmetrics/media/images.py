"""Folders of numbered images and single images as clips."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from pytest_vidmetrics.core.errors import MediaError

if TYPE_CHECKING:
    import torch

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})

_DEEP_MODES = ("I", "F")
"""First letters of Pillow's modes of more than 8 bits, which it would clip instead of scale."""


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key under which ``frame2`` comes before ``frame10``; ties are settled by the text."""
    parts = re.split(r"(\d+)", name)
    numbers = tuple((int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts)
    return (*numbers, (-1, name))


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order. Raises :class:`MediaError` when there is none."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise MediaError(f"{folder}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return sorted(found, key=lambda p: natural_key(p.name))


def image_size(path: Path) -> tuple[int, int]:
    """Return ``(width, height)`` from the header. Raises :class:`MediaError` for a damaged or unusable image."""
    with _open(path) as image:
        return image.size


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: not an image that can be read ({error})") from error
    problem = ""
    if getattr(image, "n_frames", 1) > 1:
        problem = "an animated image; convert it to a GIF, a video or a folder of images"
    elif image.mode.startswith(_DEEP_MODES):
        problem = f"more than 8 bits per channel (mode {image.mode}); convert it to 8-bit RGB"
    if problem:
        image.close()
        raise MediaError(f"{path}: {problem}")
    return image


def read_images(paths: list[Path], wanted: Iterable[int]) -> torch.Tensor:
    """Return the wanted images as ``(T, 3, H, W)`` uint8.

    Every image must have the size of the first, also those that are not wanted; alpha is dropped.
    """
    import numpy as np
    import torch

    width, height = _common_size(paths)
    indices = list(wanted)
    out = torch.empty((len(indices), 3, height, width), dtype=torch.uint8)
    for row, index in enumerate(indices):
        with _open(paths[index]) as image:
            try:
                pixels = np.array(image.convert("RGB"))
            except (OSError, SyntaxError, ValueError) as error:
                raise MediaError(f"{paths[index]}: the image is truncated or damaged ({error})") from error
        out[row] = torch.from_numpy(pixels).permute(2, 0, 1)
    return out


def _common_size(paths: list[Path]) -> tuple[int, int]:
    first = image_size(paths[0])
    for path in paths[1:]:
        if (size := image_size(path)) != first:
            raise MediaError(
                f"{path}: {size[0]}x{size[1]}, but {paths[0].name} is {first[0]}x{first[1]}; "
                "all images of a folder must have one size"
            )
    return first
