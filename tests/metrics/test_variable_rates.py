"""Clips of variable rate: where sound and picture are put together, and where a rate is changed, times count."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.api import evaluate
from pytest_vidmetrics.engine.values import timing
from pytest_vidmetrics.media.video import read_clip
from pytest_vidmetrics.metrics.audio.desync_inputs import nearest, plan
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.physics_iq.clips import Window, prepare
from pytest_vidmetrics.metrics.physics_iq.rates import resample
from pytest_vidmetrics.metrics.registry import get_metric, register
from pytest_vidmetrics.networks.imagebind.video import clip_ends, half_hertz_pairs
from tests.metrics import test_imagebind_score as imagebind
from tests.metrics.test_desync import stand_in  # noqa: F401
from tests.support.media_clips import gray_ramp
from tests.support.oracle_fill import clip_uint8, tone
from tests.support.remux import clicks

STARTS = [*(i / 8 for i in range(24)), *(3 + i / 24 for i in range(72))]
"""Three seconds of 8 frames, then three seconds of 24 frames."""
TIMES = (*STARTS, 6.0)
FPS = len(STARTS) / TIMES[-1]


def shown(moment: float) -> int:
    return max(i for i, start in enumerate(STARTS) if start <= moment + 1e-6)


def write_clip(path: Path) -> Path:
    """The clip of those times: picture ``i`` has its own brightness. With a click at 4.5 s."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 24000)
        sound = out.add_stream("aac", rate=48000, layout="mono")
        for number, start in enumerate(STARTS):
            level = np.full((48, 64, 3), 40 + 2 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(level, format="rgb24")
            frame.pts, frame.time_base = round(start * 24000), Fraction(1, 24000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        block = av.AudioFrame.from_ndarray(clicks(48000, 6, 4.5)[None], format="flt", layout="mono")
        block.sample_rate, block.pts = 48000, 0
        out.mux(sound.encode(block))
        out.mux(sound.encode(None))
    return path


def test_desync_reads_the_frame_that_is_shown(stand_in, tmp_path) -> None:  # noqa: F811
    clip = read_clip(write_clip(tmp_path / "variable.mp4"))
    assert clip.times is not None
    read = nearest(clip.total, float(clip.fps or 0), clip.times)
    assert len(read) == 150
    late = [abs(STARTS[number] - i / 25) for i, number in enumerate(read)]
    assert max(late) <= 1 / 8 + 0.005
    assert list(read) == [shown(i / 25) for i in range(150)]
    by_rate = nearest(clip.total, FPS)
    assert max(abs(STARTS[number] - i / 25) for i, number in enumerate(by_rate)) > 0.9  # frame number times mean rate
    found = evaluate(tmp_path / "variable.mp4", metrics="audio.desync", device="cpu")["audio.desync"]
    assert found.details["variable_rate"] is True
    assert found.details["video_s"] == pytest.approx(6, abs=0.1)
    assert "silence_filled_s" not in found.details


def test_both_streams_are_cut_by_time() -> None:
    read = plan(len(STARTS), FPS, 5 * 16000, "av-benchmark", None, TIMES)
    assert (len(read.frames), read.samples) == (125, 80000)
    assert read.frames[-1] == shown(124 / 25)


def test_a_constant_rate_gives_the_same_frames_by_time_and_by_number() -> None:
    for fps in (8, 12, 24, 25, 30):
        times = tuple(i / fps for i in range(6 * fps + 1))
        assert nearest(6 * fps, fps) == nearest(6 * fps, fps, times)
        assert clip_ends(6 * fps, fps) == clip_ends(6 * fps, fps, times)
        assert half_hertz_pairs(6 * fps, fps, 6.0) == half_hertz_pairs(6 * fps, fps, 6.0, times)


def test_imagebind_takes_the_frames_of_its_moments() -> None:
    ends = clip_ends(len(STARTS), FPS, TIMES)
    assert [STARTS[first] for first, _ in ends] == pytest.approx([0, 1, 2, 3, 4], abs=1e-6)
    assert [STARTS[last] for _, last in ends] == pytest.approx([1.875, 2.875, *(n - 1 / 24 for n in (4, 5, 6))])
    pairs = half_hertz_pairs(len(STARTS), FPS, 6.0, TIMES)
    assert [STARTS[first] for first, _ in pairs] == pytest.approx([1 - 1 / 8, 3 - 1 / 8])
    metric, _ = imagebind.plumbing()
    sample = {"video": torch.zeros(len(STARTS), 3, 32, 32, dtype=torch.uint8), "fps": FPS, "times": TIMES}
    found = metric.compute({**sample, "audio": (tone(6.0, 16000, 1), 16000)})
    assert (found.details["variable_rate"], found.details["video_s"]) == (True, 6.0)
    assert [tuple(pair) for pair in found.details["clips"]] == ends
    cut, _ = imagebind.plumbing(compat="av-benchmark", seconds=4.0)
    found = cut.compute({**sample, "audio": (tone(6.0, 16000, 1), 16000)})
    assert [STARTS[number] for number in found.details["clips"][0]] == pytest.approx([0.875, 2.875])


def test_a_rate_is_changed_by_time() -> None:
    frames = torch.arange(len(STARTS), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2).contiguous()
    found = resample(frames, FPS, 8.0, 6.0, STARTS)
    assert len(found) == 48
    grid = np.linspace(0, STARTS[-1], 48)
    expected = np.interp(grid, STARTS, np.arange(len(STARTS)))
    np.testing.assert_allclose(found[:, 0, 0, 0].numpy(), np.floor(expected), atol=1)
    even = resample(frames, 8.0, 4.0, 6.0)
    assert torch.equal(even, resample(frames[:48], 8.0, 4.0, 6.0, [i / 8 for i in range(48)])[: len(even)])


def test_physics_iq_compares_the_same_seconds() -> None:
    frames = torch.from_numpy(clip_uint8(len(STARTS), 32, 48, 3)).permute(0, 3, 1, 2)
    for last, begin in ((False, 0.0), (True, 4.0)):
        window = Window((8, 12), FPS, FPS, 2.0, last=last, times=TIMES)
        first, end = window.span(len(STARTS))
        assert STARTS[first] == pytest.approx(begin)
        assert STARTS[end - 1] < begin + 2
        assert len(prepare(frames, None, window).frames) == pytest.approx(2 * FPS, abs=1)


def test_metrics_are_told_of_a_variable_rate_and_a_stated_one_wins(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "variable.mp4")
    clip = read_clip(path)
    told = timing("video", clip, {})
    assert told["fps"] == clip.fps
    assert told["times"] == clip.times
    assert timing("reference", clip, {}).keys() == {"reference_fps", "reference_times"}
    assert timing("video", clip, {"fps": 24}) == {}
    (tmp_path / "frames").mkdir()
    from PIL import Image

    Image.fromarray(gray_ramp(1)[0]).save(tmp_path / "frames" / "0.png")
    assert timing("video", read_clip(tmp_path / "frames"), {}) == {}

    @register("fake.times")
    class Times(BaseMetric):
        requires_reference = False

        def compute(self, sample):
            return MetricResult(self.name, float("times" in sample))

    try:
        found = [evaluate(path, metrics="fake.times", device="cpu", **more) for more in ({}, {"fps": 24})]
    finally:
        from pytest_vidmetrics.metrics import registry

        del registry._registry["fake.times"]
    assert [one["fake.times"].score for one in found] == [1.0, 0.0]
    assert get_metric("audio.desync").reads == ("fps",)
