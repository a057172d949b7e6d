"""``fastvideo.eval.api``: one-call scoring."""

from __future__ import annotations

from pytest_vidmetrics.engine.api import create_evaluator as create_evaluator
from pytest_vidmetrics.engine.api import evaluate as evaluate
