"""Folders of numbered images and single images as clips."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.order import in_order
from pytest_vidmetrics.media.formats import IMAGE_SUFFIXES, kind_of

if TYPE_CHECKING:
    import torch

    from pytest_vidmetrics.media.orientation import Pixels

_DEEP_MODES = ("I", "F")
"""First letters of Pillow's modes of more than 8 bits, which it would clip instead of scale."""
_DEEP_DATA = ";16B"
"""How Pillow's decoders of pictures end whose 16 bits it cuts to 8 without a word."""
_ORIENTATION = 0x0112
_SWAPPED = (5, 6, 7, 8)
_NUMBERS = re.compile(r"(\d+)")
_VALUE = re.compile(r"([+-]?\d+(?:\.\d+)?)")
_Values = tuple[Decimal, ...]
_SERIES = 3
"""So many names that differ in one number are a series, in which any other name is a stray."""


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder in natural order.

    Raises :class:`MediaError` when there is none, when numbered images have a hole (frames that got lost), and when
    pictures are there that are not frames.
    """
    found = [path for path in folder.iterdir() if kind_of(path) == "image"]
    if not found:
        raise MediaError(f"{folder}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
    found = in_order(found, lambda path: path.name)
    stems = [path.stem for path in found]
    if lost := _hole(stems):
        raise MediaError(f"{folder}: {lost}; the other images are numbered without a gap")
    if stray := _stray(found):
        raise MediaError(f"{folder}: {stray}; a folder of frames holds the frames of one clip and no other picture")
    return found


def _split(stem: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the texts and the numbers of a name."""
    # Odd parts are the numbers, as the pattern has one group.
    parts = _NUMBERS.split(stem)
    return tuple(parts[::2]), tuple(parts[1::2])


def _hole(stems: list[str]) -> str:
    """Return which numbers are missing from names that count by one but for one place; nothing for other names.

    Numbers with more places, or with a hole of more images than there are, were chosen so: every tenth frame, say.
    """
    split = [_split(stem) for stem in stems]
    if len({texts for texts, _ in split}) != 1:
        return ""
    # A number that is the same in all names, as a seed, does not count frames.
    counting = [column for column in zip(*(numbers for _, numbers in split), strict=True) if len(set(column)) > 1]
    if len(counting) != 1:
        return ""
    numbers = [int(text) for text in counting[0]]
    gaps = [(low + 1, high - 1) for low, high in itertools.pairwise(numbers) if high - low != 1]
    if len(gaps) != 1 or len(numbers) < 3 or not 0 <= gaps[0][1] - gaps[0][0] < len(numbers) - 1:
        return ""
    first, last = gaps[0]
    return f"number {first} is missing" if first == last else f"the numbers {first} to {last} are missing"


def _stray(paths: list[Path]) -> str:
    """Return which images are surplus: two of one frame, or one whose name does not count with the others."""
    stems: dict[str, Path] = {}
    for path in paths:
        # Such as a.png and A.jpg.
        if (other := stems.setdefault(path.stem.casefold(), path)) is not path:
            return f"{other.name} and {path.name} are one frame"
    series: dict[tuple[str, ...], list[tuple[_Values, Path]]] = {}
    for path in paths:
        texts, values = _values(path.stem)
        series.setdefault(texts, []).append((values, path))
    main = max(series.values(), key=len)
    # Reversed, so that the first of two equal ones stays.
    counted = {values: path for values, path in reversed(main) if values}
    if len(counted) < 2:
        return ""
    others = [one for group in series.values() if group is not main for one in group]
    if len(counted) < _SERIES:  # too few to tell, but for what has no number or one of theirs
        others = [one for one in others if not one[0] or one[0] in counted]
    else:
        # The same number spelled twice, as 1 and 001.
        others += [(values, path) for values, path in main if counted[values] is not path]
    if not others:
        return ""
    names = [path.name for _, path in others]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}: not in the series of {main[0][1].name} ({len(counted)} images)"


def _values(stem: str) -> tuple[tuple[str, ...], _Values]:
    """Return the texts of a name and what its numbers are worth, with fractions and signs."""
    parts = _VALUE.split(stem.casefold())
    return tuple(parts[::2]), tuple(Decimal(part) for part in parts[1::2])


def image_size(path: Path) -> tuple[int, int]:
    """Return ``(width, height)`` as displayed, from the header.

    Raises :class:`MediaError` for a damaged or unusable image.
    """
    with _open(path) as image:
        # Quarter turns change the sides.
        width, height = image.size
        return (height, width) if _orientation(image) in _SWAPPED else (width, height)


def _orientation(image: Image.Image) -> int:
    """Return how a picture is laid on the screen, 1 to 8 as Exif counts; 1 is as stored."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, ValueError, TypeError, SyntaxError, struct.error):  # damaged: what a viewer ignores
        return 1


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: not an image that can be read ({error})") from error
    problem = ""
    # Pillow would give its first picture alone.
    if getattr(image, "n_frames", 1) > 1:
        problem = "an animated image; convert it to a GIF, a video or a folder of images"
    elif image.mode.startswith(_DEEP_MODES) or _is_cut(image):
        problem = f"more than 8 bits per channel (mode {image.mode}); convert it to 8-bit RGB"
    if problem:
        image.close()
        raise MediaError(f"{path}: {problem}")
    return image


def _is_cut(image: Image.Image) -> bool:
    """Whether Pillow would drop the low bits of a picture of 16."""
    return any(str(tile.args).endswith(_DEEP_DATA) for tile in getattr(image, "tile", ()))


def read_images(paths: list[Path], wanted: Iterable[int]) -> torch.Tensor:
    """Return the wanted images as ``(T, 3, H, W)`` uint8.

    Every image must have the size of the first, also those that are not wanted; alpha is dropped, and the
    orientation that Exif states is applied.
    """
    import torch

    # Sizes are read from headers before any pixel is decoded.
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
            return np.array(_rgb(ImageOps.exif_transpose(image) if _orientation(image) != 1 else image))
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
