"""``fastvideo.eval.io.audio``: the sound of a clip as a file."""

from __future__ import annotations

from pytest_vidmetrics.core.errors import NoAudioStreamError as NoAudioStreamError
from pytest_vidmetrics.media.audio import extract_audio_track as extract_audio_track
