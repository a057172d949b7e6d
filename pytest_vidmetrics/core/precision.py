"""How exact products of float32 are: one setting of a process, named in every record."""

from __future__ import annotations

from typing import Literal

Precision = Literal["tf32", "fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("tf32", "fp32", "bf16")


def in_effect(asked: Precision | None, device: str) -> Precision:
    """Return the precision on a device where ``asked`` was asked for: by default tf32 on a GPU, fp32 elsewhere.

    Only GPUs know tf32 (products of 10 bits of mantissa, sums in float32); elsewhere it is fp32.
    """
    if asked is None or asked == "tf32":
        return "tf32" if device.startswith("cuda") else "fp32"
    return asked
