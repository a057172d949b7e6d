"""``fastvideo.eval.io.video``: clips as tensors."""

from __future__ import annotations

from pytest_vidmetrics.engine.inputs import extract_frames as extract_frames
from pytest_vidmetrics.engine.inputs import load_video as load_video
