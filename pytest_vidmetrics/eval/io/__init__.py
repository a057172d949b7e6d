"""``fastvideo.eval.io``: clips, sound and samples from files."""

from __future__ import annotations

from pytest_vidmetrics.core.errors import NoAudioStreamError as NoAudioStreamError
from pytest_vidmetrics.datasets.folders import samples_from as samples_from
from pytest_vidmetrics.datasets.naming import build_eval_kwargs as build_eval_kwargs
from pytest_vidmetrics.datasets.naming import default_filename as default_filename
from pytest_vidmetrics.datasets.naming import glob_videos as glob_videos
from pytest_vidmetrics.datasets.naming import sanitize_prompt as sanitize_prompt
from pytest_vidmetrics.engine.inputs import as_video as as_video
from pytest_vidmetrics.engine.inputs import extract_frames as extract_frames
from pytest_vidmetrics.engine.inputs import load_video as load_video
from pytest_vidmetrics.media.audio import extract_audio_track as extract_audio_track
