"""``fastvideo.eval.io.paths``: file names of prompts."""

from __future__ import annotations

from pytest_vidmetrics.datasets.naming import build_eval_kwargs as build_eval_kwargs
from pytest_vidmetrics.datasets.naming import default_filename as default_filename
from pytest_vidmetrics.datasets.naming import glob_videos as glob_videos
from pytest_vidmetrics.datasets.naming import sanitize_prompt as sanitize_prompt
