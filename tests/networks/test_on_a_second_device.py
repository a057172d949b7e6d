"""Networks that go on with what they find out, on a device that computes: no tensor of the host meets one of its own.

What they say there is what they say on the processor, so that nothing was left out on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks import shared
from tests.support import asr, qwen
from tests.support.oracle_fill import clip_uint8, tone
from tests.support.second_device import OnDevice, second_device


def _tiny_vl(folder: Path) -> None:
    qwen.tiny_vl(folder, qwen.recorded("videoscore2_tiny")["checkpoint"]["keys"])


def _tiny_omni(folder: Path) -> None:
    qwen.tiny_omni(folder, qwen.recorded("scene_vlm_tiny")["checkpoint"]["keys"])


CASES: dict[str, tuple[str, Callable[[Path], Any], dict[str, Any]]] = {
    "audio.wer": ("VIDMETRICS_WHISPER", asr.write_whisper, {"max_new_tokens": 3}),
    "audio.wer, glm": ("VIDMETRICS_GLM_ASR", asr.write_glm, {"max_new_tokens": 3, "backend": "glm_asr"}),
    "videoscore2": ("VIDMETRICS_VIDEOSCORE2", _tiny_vl, {"max_tokens": 3, "dtype": "float32"}),
    "videoscore2, drawn": (
        "VIDMETRICS_VIDEOSCORE2",
        _tiny_vl,
        {"max_tokens": 3, "dtype": "float32", "do_sample": True},
    ),
    "vbench.scene_vlm": ("VIDMETRICS_AVOCADO", _tiny_omni, {"max_tokens": 3, "dtype": "float32"}),
}


def _sample() -> dict[str, Any]:
    return {
        "video": torch.from_numpy(clip_uint8(16, 112, 168, 0)).permute(0, 3, 1, 2),
        "fps": 8.0,
        "text_prompt": "a cat",
        "audio": (tone(2.0, 16000, 1), 16000),
        "reference_text": "hello there",
        "language": "en",
        "auxiliary_info": {"scene": "beach"},
    }


def _scored(name: str, device: str, options: dict[str, Any]) -> MetricResult:
    shared.clear()
    worker, metric = EvalWorker(MemoryStore(), device), registry.get_metric(name, **options)
    worker.load(metric)
    result = worker.run(worker.prepare(Job((Unit(_sample(), [metric]),))))[0][0].result
    shared.clear()
    assert result is not None
    return result


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_there_is_what_is_said_on_the_processor(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, write, options = CASES[case]
    write(tmp_path / "model")
    monkeypatch.setenv(variable, str(tmp_path / "model"))
    name = case.partition(",")[0]
    here = _scored(name, "cpu", options)
    with second_device():
        there = _scored(name, "cuda:0", options)
    said = [
        {key: value for key, value in one.details.items() if key not in ("made", "reason")} for one in (here, there)
    ]
    assert (there.status, there.score, said[1]) == (here.status, here.score, said[0])
    assert "Error" not in there.reason


def test_dpflow_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("ptlflow")
    from pytest_vidmetrics.networks.flow.dpflow import DPFlow

    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = library.get_model("dpflow").state_dict()
    frames = torch.from_numpy(clip_uint8(2, 64, 64, 0)).permute(0, 3, 1, 2)
    here, _ = DPFlow(state)(frames)
    with second_device():
        there, _ = DPFlow(state, "cuda:0")(frames.to("cuda:0"))
        assert there.device.type == "cuda"
        found = there.tolist()
    torch.testing.assert_close(torch.tensor(found), here)


def test_tensors_of_two_devices_do_not_meet() -> None:
    with second_device():
        there, here = torch.ones(3, device="cuda:0"), torch.ones(3)
        assert isinstance(there, OnDevice)
        assert (there * 2 + 1).tolist() == [3.0] * 3
        with pytest.raises(RuntimeError, match="device mismatch"):
            there + here
        with pytest.raises(RuntimeError, match="device mismatch"):
            torch.nn.functional.scaled_dot_product_attention(there[None, None], here[None, None], here[None, None])
        with pytest.raises(TypeError, match="device mismatch"):
            there.numpy()
        assert (there + here.to("cuda:0")).cpu().numpy().tolist() == [2.0] * 3
