"""Windowed-sinc resampling of audio, at parity with ``torchaudio.functional.resample`` and its defaults.

Method: J. O. Smith, "Digital Audio Resampling"; Hann (cos squared) window of 6 zero crossings, roll-off 0.99.
"""

from __future__ import annotations

from math import ceil, gcd

import numpy as np
import numpy.typing as npt

_ZERO_CROSSINGS = 6
_ROLLOFF = 0.99


def resample(samples: npt.NDArray[np.float32], source: int, target: int) -> npt.NDArray[np.float32]:
    """Return ``samples`` at ``target`` Hz.

    ``samples`` is ``(..., N)`` float32 at ``source`` Hz; the result is ``(..., ceil(N * target / source))``
    float32. Silence is assumed beyond both ends; the tail is complete. Equal rates return the input itself.
    Raises ``ValueError`` for rates below 1.
    """
    if source < 1 or target < 1:
        raise ValueError(f"sample rates must be positive, got {source} and {target}")
    if source == target:
        return samples
    divisor = gcd(source, target)
    down, up = source // divisor, target // divisor
    length = samples.shape[-1]
    taps, width = _kernel(down, up)
    blocks = max(1, ceil(length / down))
    # Room for the filter beyond both ends, and for a whole last block.
    margin = [(0, 0)] * (samples.ndim - 1) + [(width, width + 2 + down)]
    padded = np.pad(np.asarray(samples, dtype=np.float32), margin)
    out = np.empty((*samples.shape[:-1], blocks * up), dtype=np.float32)
    for phase in range(up):
        # Every output of one phase has the same weights, and its inputs lie `down` samples apart.
        start = phase * down // up
        total = np.zeros((*samples.shape[:-1], blocks), dtype=np.float32)
        for tap, weight in enumerate(taps[phase]):
            first = start + tap
            total += weight * padded[..., first : first + (blocks - 1) * down + 1 : down]
        out[..., phase::up] = total
    # The last block reaches beyond the end.
    return out[..., : ceil(length * up / down)]


def _kernel(down: int, up: int) -> tuple[npt.NDArray[np.float32], int]:
    """Return the ``(up, taps)`` weights of each output phase, and how many samples they reach back."""
    cutoff = min(down, up) * _ROLLOFF
    width = ceil(_ZERO_CROSSINGS * down / cutoff)
    phases = np.arange(up)[:, None]
    # (up, 1) phases and (1, taps) offsets
    offsets = phases * down // up - width + np.arange(2 * width + 2)[None, :]
    # In integers up to the division: float64 keeps the weights exact to the float32 they are used in.
    t = (offsets * up - phases * down) / (down * up) * cutoff
    # The window is zero beyond its last crossing.
    t = np.clip(t, -_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = np.cos(t * np.pi / (2 * _ZERO_CROSSINGS)) ** 2
    return (np.sinc(t) * window * (cutoff / down)).astype(np.float32), width
