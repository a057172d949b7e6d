"""Folders of numbered images and single images as clips."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from pytest_vidmetrics.core.errors import MediaError

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.media.orientation import Pixels

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})

_DEEP_MODES = ("I", "F")
"""First letters of Pillow's modes of more than 8 bits, which it would clip instead of scale."""


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key under which ``frame2`` comes before ``frame10``; ties are settled by the text."""
    parts = re.split(r"(\d+)", name)
    numbers = tuple((int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in parts)
    return (*numbers, (-1, name))


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order.

    Raises :class:`MediaError` when there is none, and when numbered images have a hole: frames that got lost.
    """
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise MediaError(f"{folder}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    found = sorted(found, key=lambda p: natural_key(p.name))
    if lost := _hole([p.stem for p in found]):
        raise MediaError(f"{folder}: {lost}; the other images are numbered without a gap")
    return found


def _hole(stems: list[str]) -> str:
    """Return which numbers are missing from names that count by one but for one place; nothing for other names.

    Numbers with more places, or with a hole of more images than there are, were chosen so: every tenth frame, say.
    """
    split = [re.split(r"(\d+)", stem) for stem in stems]
    if len({tuple(parts[::2]) for parts in split}) != 1:
        return ""
    counting = [column for column in zip(*(parts[1::2] for parts in split), strict=True) if len(set(column)) > 1]
    if len(counting) != 1:
        return ""
    numbers = [int(text) for text in counting[0]]
    gaps = [(low + 1, high - 1) for low, high in itertools.pairwise(numbers) if high - low != 1]
    if len(gaps) != 1 or len(numbers) < 3 or not 0 <= gaps[0][1] - gaps[0][0] < len(numbers) - 1:
        return ""
    first, last = gaps[0]
    return f"number {first} is missing" if first == last else f"the numbers {first} to {last} are missing"


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
    import torch

    width, height = _common_size(paths)
    indices = list(wanted)
    out = torch.empty((len(indices), 3, height, width), dtype=torch.uint8)
    for row, index in enumerate(indices):
        out[row] = torch.from_numpy(read_pixels(paths[index])).permute(2, 0, 1)
    return out


def read_pixels(path: Path) -> Pixels:
    """Return the ``(H, W, 3)`` uint8 pixels of one image; alpha is dropped. Raises :class:`MediaError`."""
    import numpy as np

    with _open(path) as image:
        try:
            return np.array(_rgb(image))
        except (OSError, SyntaxError, ValueError) as error:
            raise MediaError(f"{path}: the image is truncated or damaged ({error})") from error


def _rgb(image: Image.Image) -> Image.Image:
    # Pillow warns about a palette with transparent entries unless it may keep them; the colours are the same.
    deep = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
    return deep.convert("RGB")


def _common_size(paths: list[Path]) -> tuple[int, int]:
    first = image_size(paths[0])
    for path in paths[1:]:
        if (size := image_size(path)) != first:
            raise MediaError(
                f"{path}: {size[0]}x{size[1]}, but {paths[0].name} is {first[0]}x{first[1]}; "
                "all images of a folder must have one size"
            )
    return first
