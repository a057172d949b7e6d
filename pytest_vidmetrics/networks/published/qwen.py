"""Checkpoints of the Qwen family that answer questions about clips: whole repositories, whose revision is not known."""

from __future__ import annotations

from pytest_vidmetrics.core.weights import Weights

VIDEOSCORE2 = Weights("videoscore2", "TIGER-Lab/VideoScore2", licence="Apache-2.0", override="VIDMETRICS_VIDEOSCORE2")
AVOCADO = Weights(
    "avocado",
    "AVoCaDO-Captioner/AVoCaDO",
    size=17_863_627_776,
    licence="Apache-2.0",
    override="VIDMETRICS_AVOCADO",
)
