"""The decoder recipe: what turns bytes into pixels, and the name under which stored scores record it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

RECIPE_VERSION = 2
"""Changes whenever the same file may decode to other pixels."""

PIXEL_FORMAT = "rgb24"

INTERPOLATION = "BILINEAR"
"""Chroma upsampling of swscale. Bilinear without accurate rounding is what torchcodec and decord use too: the
three give equal pixels."""

RESCALE_THREADS = 1
"""swscale would otherwise start a thread per core for every frame: 2.69 instead of 2.43 CPU ms at 832x480."""

THREAD_TYPE = "NONE"
THREAD_COUNT = 1
"""Decoder threads: one. The pixels are the same for each choice; CPU ms per frame measured with PyAV 18.1:

| clip | NONE, 1 thread | SLICE | FRAME |
| H.264 832x480 | 0.55 | 0.51 | 0.77 |
| H.264 1280x720 | 1.50 | 1.45 | 2.04 |
| H.265 128x128 | 0.15 | 0.17 | 0.25 |
| VP9 1280x720 | 0.94 | 1.29 | 1.33 |
| AV1 640x360 | 0.19 | 0.76 | 0.74 |

Frame threads halve the wall time of a lone process, but test workers already occupy the cores.
"""


_LIBRARY = re.compile(r"libswscale-[0-9a-f]+\.so\.(\d+)\.(\d+)\.\d+")

RECIPE_ID = f"pyav-{PIXEL_FORMAT}-{RECIPE_VERSION}"
"""What a baseline records: scores of one recipe are comparable across releases of the decoder."""


def _decoder_id() -> str:
    bundled = _bundled_swscale()
    if bundled is None:
        import av

        bundled = av.library_versions["libswscale"][:2]
    return f"{RECIPE_ID}-swscale-{bundled[0]}.{bundled[1]}"


def _bundled_swscale() -> tuple[int, int] | None:
    """Return the version in the name of the library that PyAV's wheel brings, if it brings one.

    A run that computes nothing needs the name only, and PyAV takes a tenth of a second to import.
    """
    found = importlib.util.find_spec("av")
    for folder in (found.submodule_search_locations or []) if found else []:
        names = [file.name for file in Path(folder).with_name("av.libs").glob("libswscale*")]
        versions = [match.groups() for match in map(_LIBRARY.fullmatch, names) if match]
        if len(versions) == 1:
            return int(versions[0][0]), int(versions[0][1])
    return None


DECODER_ID: str = _decoder_id()
"""Part of the key of every stored score.

Recipe 1: every frame in presentation order, no resampling in time; swscale to 8-bit RGB at full size with bilinear
chroma and one thread; colour matrix and range as the stream says (BT.709, BT.601, BT.2020, limited or full);
BT.601 limited range where it does not say, whatever the size, as FFmpeg, torchcodec and decord do; quarter turns
and mirrors of the container applied; transparent GIF pixels white; alpha dropped. The conversion routines belong
to libswscale, so its version is in the name.
"""
