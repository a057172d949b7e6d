"""The decoder recipe: what turns bytes into pixels, and the name under which stored scores record it."""

from __future__ import annotations

import av

RECIPE_VERSION = 1
"""Changes whenever the same file may decode to other pixels."""

PIXEL_FORMAT = "rgb24"

INTERPOLATION = "BILINEAR"
"""Chroma upsampling of swscale. Bilinear without accurate rounding is what torchcodec and decord use too: the
three give equal pixels."""

RESCALE_THREADS = 1
"""swscale would otherwise start a thread per core for every frame: 2.69 instead of 2.43 CPU ms at 832x480."""

THREAD_TYPE = "NONE"
"""Decoder threads. Measured on an 832x480 H.264 clip, CPU ms per frame: NONE 1.00, SLICE 1.08, FRAME 1.15. Workers
already occupy the cores, and the pixels are the same."""


def _decoder_id() -> str:
    major, minor, _ = av.library_versions["libswscale"]
    return f"pyav-{PIXEL_FORMAT}-{RECIPE_VERSION}-swscale-{major}.{minor}"


DECODER_ID: str = _decoder_id()
"""Part of the key of every stored score.

Recipe 1: every frame in presentation order, no resampling in time; swscale to 8-bit RGB at full size with bilinear
chroma and one thread; colour matrix and range as the stream says (BT.709, BT.601, BT.2020, limited or full);
BT.601 limited range where it does not say, whatever the size, as FFmpeg, torchcodec and decord do; rotation
metadata of 90, 180 and 270 degrees applied; transparent GIF pixels white; alpha dropped. The conversion routines
belong to libswscale, so its version is in the name.
"""
