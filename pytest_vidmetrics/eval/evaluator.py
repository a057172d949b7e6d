"""``fastvideo.eval.evaluator``: the scorer that is loaded once."""

from __future__ import annotations

from pytest_vidmetrics.engine.evaluator import Evaluator as Evaluator
