"""What PaSST says about one sound, window by window; computed once for all metrics of a sample."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import IncompatibleSampleError, NoAudioStreamError
from pytest_vidmetrics.metrics.audio.passt_protocol import RATE, Protocol, Window
from pytest_vidmetrics.metrics.audio.waveform import waveform
from pytest_vidmetrics.networks.shared import once

if TYPE_CHECKING:
    from pytest_vidmetrics.metrics.audio.passt_protocol import Samples
    from pytest_vidmetrics.networks.passt import Audio, Passt


@dataclass(frozen=True)
class Heard:
    """One :class:`~pytest_vidmetrics.networks.passt.Audio` per window, and the seconds that no window holds."""

    windows: tuple[Audio, ...]
    unread_s: float


def levelled(value: Any, key: str, rules: Protocol) -> Samples:
    """Return the ``(N,)`` float32 samples of a sample value at 32 kHz, with the gain of the rules.

    Raises :class:`~pytest_vidmetrics.core.errors.NoAudioStreamError` without sound and
    :class:`~pytest_vidmetrics.core.errors.SilentAudioError` for silence under rules that have no score for it. The
    messages start with ``key``, the sample key of the value.
    """
    with _naming(key):
        sound = waveform(value, RATE)
        kind = ("levelled", rules.remove_mean, rules.peak_normalise)
        return once(kind, lambda: rules.level(sound), of=sound)


def hear(network: Passt, value: Any, key: str, rules: Protocol) -> Heard:
    """Return what the network says about the sound ``value`` of the sample key ``key``.

    Raises as :func:`levelled` does, and :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for too short
    a sound and for numbers that are not finite.
    """
    sound = levelled(value, key, rules)
    with _naming(key):
        windows = tuple(_listen(network, sound, window) for window in rules.cut(len(sound)))
    return Heard(windows, rules.unread(len(sound)) / RATE)


@contextlib.contextmanager
def _naming(key: str) -> Iterator[None]:
    try:
        yield
    except (NoAudioStreamError, IncompatibleSampleError) as error:
        raise type(error)(f"{key}: {error}") from error


def _listen(network: Passt, sound: Samples, window: Window) -> Audio:
    return once(("passt", id(network), window), lambda: _checked(network(window.of(sound))), of=sound)


def _checked(audio: Audio) -> Audio:
    import numpy as np

    if not (np.isfinite(audio.logits).all() and np.isfinite(audio.embedding).all()):
        raise IncompatibleSampleError("PaSST gives numbers that are not finite")
    return audio
