"""The flow that keyboard and mouse should cause, from a calibrated third-person camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Gains of actions (radians or depth units per frame) and ``focal_length`` in pixels of ``frame_shape``."""

    alpha_yaw: float
    alpha_pitch: float
    alpha_turn: float
    beta_fwd: float
    beta_strafe: float
    focal_length: float
    r_z: float = 0.0
    r_y: float = 0.0
    init_pitch: float = 0.0
    frame_shape: tuple[int, int] | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the calibration of a mapping; unknown keys are dropped.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for missing ones.
        """
        known = [field for field in fields(cls) if field.name != "frame_shape"]
        if missing := [field.name for field in known if field.default is MISSING and field.name not in values]:
            raise IncompatibleSampleError(f"the calibration has no {', '.join(missing)}")
        shape = values.get("frame_shape")
        size = None if shape is None else (int(shape[0]), int(shape[1]))
        return cls(**{f.name: float(values[f.name]) for f in known if f.name in values}, frame_shape=size)

    def check(self) -> None:
        """Raise ``IncompatibleSampleError`` for a calibration that would have to be guessed at or ignored in part."""
        if self.frame_shape is None:
            raise IncompatibleSampleError(
                "the calibration has no frame_shape [height, width]: without it the focal length in pixels cannot be "
                'rescaled to the clip (protocol = "fastvideo" takes it as it is)'
            )
        if self.init_pitch:
            raise IncompatibleSampleError(
                f"the calibration has init_pitch = {self.init_pitch:g}, but only a level camera is modelled "
                '(protocol = "fastvideo" ignores it)'
            )

    def focal(self, width: int, *, rescale: bool) -> float:
        """Return the focal length in pixels of a ``width`` pixels wide frame."""
        if not rescale or self.frame_shape is None:
            return self.focal_length
        return self.focal_length * width / self.frame_shape[1]


def synthetic_flow(
    keyboard: np.ndarray,
    mouse: np.ndarray,
    calibration: Calibration,
    size: tuple[int, int],
    *,
    pitch_sign: float = 1.0,
    rescale: bool = True,
) -> np.ndarray:
    """Return ``(T - 1, H, W, 2)`` float32 flow of ``T`` actions: action ``i`` moves frame ``i`` to ``i + 1``.

    ``keyboard`` is ``(T, 4 or 6)``: W, S, A, D, turn left, turn right; ``mouse`` is ``(T, 2)``: pitch, yaw.
    """
    import numpy as np

    c, (height, width) = calibration, size
    f = c.focal(width, rescale=rescale)
    y, x = np.meshgrid(np.arange(height) - height / 2, np.arange(width) - width / 2, indexing="ij")
    count = max(0, len(keyboard) - 1)
    flows = np.empty((count, height, width, 2), np.float32)
    for i in range(count):
        keys, turn = keyboard[i], 0.0
        if len(keys) >= 6:
            turn = float(keys[5] - keys[4])
        wx = c.alpha_pitch * pitch_sign * float(mouse[i][0])
        wy = c.alpha_yaw * float(mouse[i][1]) + c.alpha_turn * turn
        # The camera turns about a point away from it (r_y, r_z), so that turning moves it as well.
        tx = c.beta_strafe * float(keys[3] - keys[2]) - wy * c.r_z
        ty = wx * c.r_z
        tz = c.beta_fwd * float(keys[0] - keys[1]) - wx * c.r_y
        # The motion field of a pinhole camera in front of a scene at depth 1.
        flows[i, ..., 0] = x * y / f * wx - (f + x * x / f) * wy - f * tx + x * tz
        flows[i, ..., 1] = (f + y * y / f) * wx - x * y / f * wy - f * ty + y * tz
    return flows
