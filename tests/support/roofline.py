"""A model of the seconds of a GPU: every kernel takes as long as its arithmetic or its memory, whichever is more.

It is a lower bound that no measurement stands behind: no cache, no fusion, every byte read and written once a kernel.
"""

from __future__ import annotations

from collections import Counter

ARITHMETIC = {"fp32": 60e12, "tf32": 400e12, "bf16": 790e12}
"""Floating point operations a second of an H100 in matrix products and convolutions."""
MEMORY = 3.35e12
"""Bytes a second."""
LAUNCH = 5e-6
"""Seconds that the host needs to start a kernel; a shorter kernel leaves the device waiting."""
_KEPT = {"fp32": 1.0, "tf32": 1.0, "bf16": 0.5}


class Roofline:
    """Seconds by precision: the kernels' own, the arithmetic alone (the floor), and those with slow starts."""

    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.moved = 0
        self.seconds: dict[str, float] = dict.fromkeys(ARITHMETIC, 0.0)
        self.floor: dict[str, float] = dict.fromkeys(ARITHMETIC, 0.0)
        self.launched: dict[str, float] = dict.fromkeys(ARITHMETIC, 0.0)
        self.former = 0.0
        """With convolutions in TF32 and matrix products in FP32: torch's own defaults."""

    def add(self, kind: str, operations: int, moved: int) -> None:
        """Count one kernel; ``kind`` is ``"convolution"``, ``"product"`` or neither."""
        self.operations[kind] += operations
        self.moved += moved
        for name, speed in ARITHMETIC.items():
            busy = max(operations / speed, moved * _KEPT[name] / MEMORY)
            self.seconds[name] += busy
            self.floor[name] += operations / speed
            self.launched[name] += max(busy, LAUNCH)
        speed = ARITHMETIC["tf32" if kind == "convolution" else "fp32"]
        self.former += max(operations / speed, moved / MEMORY)
