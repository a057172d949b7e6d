"""Errors that users see. Each message says what, where, got against expected, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VidmetricsError(Exception):
    """Base of every error that this package raises on purpose."""


class ManifestError(VidmetricsError):
    """A manifest that cannot be used; the message starts with ``file:line``."""


class MediaError(VidmetricsError):
    """A video, image folder or audio file that cannot be read; the message names the file."""


class NoAudioStreamError(MediaError, ValueError):
    """The container has no audio stream."""


class SilentAudioError(NoAudioStreamError):
    """Every sample of the audio is zero, for a metric that silence has no score under."""


class BaselineError(VidmetricsError):
    """A baseline file that exists but cannot be read, parsed or written."""


class StoreError(VidmetricsError):
    """The result store cannot be written or holds something that is not a result."""


class ContentError(VidmetricsError):
    """A file has other content than the digest index says, though nothing else of it changed."""


class UnavailableError(VidmetricsError):
    """Weights or a library are missing. The message says which and the command that gets them."""


class DeviceLostError(VidmetricsError):
    """The device of this process cannot be used any more: everything that it is asked to compute would fail."""


class IncompatibleSampleError(VidmetricsError):
    """The inputs of one sample do not fit together (sizes, lengths, rates)."""


def closest(word: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the choice nearest to ``word``, or an empty string."""
    found = difflib.get_close_matches(word, sorted(choices), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""
