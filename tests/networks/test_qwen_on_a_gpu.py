"""Qwen2.5-VL on a simulated GPU: no tensor meets one of the other device, and a token costs one read.

Numbers are not simulated: every token is the same one, so that the answer runs to its limit.
"""

from __future__ import annotations

from pathlib import Path

import torch

from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from tests.support import fake_qwen
from tests.support.fake_cuda import simulated

STEPS = 3


def test_a_clip_is_asked_about_on_a_gpu_with_one_read_a_token(tmp_path: Path) -> None:
    folder = fake_qwen.write_checkpoint(tmp_path / "judge", layers=2, blocks=2)
    with fake_qwen.without_weights((2, 20, 28)), simulated() as gpu:
        metric = registry.get_metric("videoscore2", model_name=str(folder), max_tokens=STEPS)
        worker = EvalWorker(MemoryStore(), "cuda:0")
        worker.load(metric)
        clip = torch.empty((16, 112, 168, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        gpu.zero()
        (outcome,) = worker.fill({"video": clip, "fps": 8.0, "text_prompt": "a cat"}, [metric])
        assert outcome.result is not None
        assert outcome.result.is_unanswered, outcome.result.details
        assert outcome.result.reason.startswith(f"truncated: the answer did not end within {STEPS} tokens")
        assert gpu.reads.total() == STEPS + 2, gpu.places()  # and the frames' digests once, what is watched once
        assert gpu.blocking <= 15 + 5 * STEPS, gpu.places()
