"""``fastvideo.eval.io.inputs``: samples from paths."""

from __future__ import annotations

from pytest_vidmetrics.datasets.folders import samples_from as samples_from
from pytest_vidmetrics.engine.inputs import as_video as as_video
