"""The sound of a sample value as an array, and what two metrics do to it: peak normalisation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import MediaError, NoAudioStreamError, SilentAudioError
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.networks.shared import once

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_vidmetrics.media.audio import AudioClip

    Samples = npt.NDArray[np.float32]

PEAK_DBFS = -1.0
_MAX_CHANNELS = 64


def waveform(value: Any, rate: int, *, mono: bool = True) -> Samples:
    """Return the sound of a sample value at ``rate`` Hz.

    ``value`` is the path of an audio or video file, a ``(samples, rate)`` pair, or a :class:`Video` with audio or
    with a source; ``samples`` is ``(N,)`` or ``(C, N)`` floating point, nominally in [-1, 1]. The result is float32,
    ``(N,)`` (the mean of the channels) for ``mono``, else ``(C, N)``; its values are as recorded: no gain. A sound
    is decoded once for all metrics of a sample, so the array must not be changed in place.

    Raises :class:`NoAudioStreamError` for a file or clip without sound, :class:`MediaError` for a file that cannot
    be read and for samples that are none or not finite, ``TypeError`` and ``ValueError`` for another kind of value.
    """
    if isinstance(value, Video):
        value = _of_video(value)
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        return once(("waveform", path, rate, mono), lambda: _resampled(*_decoded(path, mono), rate, mono))
    if isinstance(value, tuple | list) and len(value) == 2:
        samples, given = value
        if (native := int(given)) != given:
            raise ValueError(f"the sample rate is {given}: expected a whole number of Hz")
        # Without the path: a sound in memory is known by its array.
        how = ("waveform", native, rate, mono)
        return once(how, lambda: _resampled(_checked(samples, mono), native, rate, mono), of=samples)
    raise TypeError(f"audio is a {type(value).__name__}: expected a path, (samples, rate) or a Video")


def oddities(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return what should be known of a clip whose sound and picture are compared: only what is unusual.

    ``variable_rate``: its frames are taken by their times. ``silence_filled_s``: seconds of silence that stand where
    its file has no sound between other sound.
    """
    found: dict[str, Any] = {"variable_rate": True} if sample.get("times") is not None else {}
    value = sample.get("audio")
    path = value.source if isinstance(value, Video) and value.audio is None else value
    if isinstance(path, str | os.PathLike) and (filled := _clip(os.fspath(path)).filled):
        found["silence_filled_s"] = round(filled, 3)
    return found


def peak_normalise(samples: Samples) -> Samples:
    """Return ``samples`` with the largest magnitude at -1 dBFS (0.891251), computed in float64, as float32.

    Two copies that differ by a gain give the same array to 1e-6. Raises :class:`SilentAudioError` when every sample
    is zero: no gain brings silence to a level.
    """
    import numpy as np

    exact = np.asarray(samples, dtype=np.float64)
    peak = float(np.abs(exact).max(initial=0.0))
    if peak == 0.0:
        raise SilentAudioError("the audio is silent: every sample is zero")
    normalised: Samples = (exact * (10.0 ** (PEAK_DBFS / 20.0) / peak)).astype(np.float32)
    return normalised


def _of_video(video: Video) -> Any:
    if video.audio is not None:
        if video.audio_sr is None:
            raise ValueError("the Video has audio but no audio_sr: its sample rate in Hz is needed")
        return video.audio, video.audio_sr
    if video.source is None:
        raise NoAudioStreamError("the clip was given as frames, without audio")
    return video.source


def _clip(path: str) -> AudioClip:
    from pytest_vidmetrics.media.audio import load_audio

    # With all channels, whoever asks first: metrics of the mean and of single channels share the decode.
    return once(("audio", path), lambda: load_audio(path, mono=False))


def _decoded(path: str, mono: bool) -> tuple[Samples, int]:
    import numpy as np

    clip = _clip(path)
    if not mono:
        return clip.samples, clip.rate
    return once(
        ("mono", path), lambda: clip.samples.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    ), clip.rate


def _resampled(samples: Samples, native: int, rate: int, mono: bool) -> Samples:
    from pytest_vidmetrics.media.resample import resample

    if not samples.shape[-1]:
        raise MediaError("the audio has no samples")
    found = resample(samples, native, rate)
    return found[0] if mono else found


def _checked(samples: Any, mono: bool) -> Samples:
    """Return ``(C, N)`` float32 of samples in memory, one channel for ``mono``."""
    import numpy as np

    array = np.asarray(samples.cpu() if hasattr(samples, "cpu") else samples)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"audio samples are {array.dtype}: expected floating point in [-1, 1]")
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or not 1 <= len(array) <= _MAX_CHANNELS:
        raise ValueError(f"audio samples have the shape {array.shape}: expected (N,) or (channels, N)")
    if not np.isfinite(array).all():
        raise MediaError("the audio holds samples that are not finite numbers")
    if mono:
        array = array.mean(axis=0, keepdims=True, dtype=np.float64)
    return array.astype(np.float32)
