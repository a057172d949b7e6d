"""Whether a WAV file holds the sound that it promises, whatever its outer size says (RIFF, RF64, BW64)."""

from __future__ import annotations

from typing import BinaryIO

_UNKNOWN = 0x7FFFF000
"""From here on a size is what encoders leave that could not seek back; they also leave 0."""


def damage(stream: BinaryIO, size: int) -> str | None:
    """Return what is wrong with a file of ``size`` bytes, or nothing.

    The sizes of the whole file and of what follows the sound are not asked: pipes do not know them.
    """
    stream.seek(0)
    form = stream.read(12)
    if form[8:12] != b"WAVE":
        return None
    large: int | None = None
    position = 12
    while position + 8 <= size:
        stream.seek(position)
        name, length = stream.read(4), int.from_bytes(stream.read(4), "little")
        start = position + 8
        if name == b"ds64" and form[:4] != b"RIFF":
            # 64-bit sizes stand in a chunk of their own.
            stream.seek(start + 8)
            large = int.from_bytes(stream.read(8), "little")
        if name == b"data":
            promised = large if large is not None and length == 0xFFFFFFFF else length
            if (0 < promised < _UNKNOWN or promised == large) and start + promised > size:
                return f"the file is truncated: it promises {promised} bytes of sound and has {size - start}"
            return None
        if start + length > size:
            break
        # Chunks are padded to even bytes.
        position = start + length + length % 2
    return f"the file is truncated or damaged: no whole WAV chunk at byte {position}, and no sound before it"
