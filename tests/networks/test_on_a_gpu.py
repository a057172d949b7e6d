"""Every network on a simulated GPU: no tensor meets one of the other device, and a clip costs few waits and launches.

Numbers and seconds are not simulated. What Whisper, Qwen and DPFlow do next depends on numbers: those are in
test_on_a_second_device.py, and what a token of Qwen costs in test_qwen_on_a_gpu.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Job, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.composite import is_composite
from pytest_vidmetrics.metrics.sets.extractors import I3dExtractor
from pytest_vidmetrics.networks.flow import raft
from pytest_vidmetrics.networks.grit import search, text
from pytest_vidmetrics.networks.motion_energy import MotionEnergy
from pytest_vidmetrics.networks.tag2text import beams
from tests.support import fake_networks
from tests.support.audio_sounds import voice
from tests.support.audio_weights import write_wav
from tests.support.fake_cuda import Gauge, simulated
from tests.support.vbench_weights import SAMPLE

NUMBERS_DECIDE = {"audio.wer", "videoscore2", "videoscore2.failures"}
ON_GRIT = ("vbench.object_class", "vbench.color", "vbench.multiple_objects", "vbench.spatial_relationship")
ELEVEN = [
    f"vbench.{name}"
    for name in (
        "subject_consistency",
        "background_consistency",
        "temporal_flickering",
        "motion_smoothness",
        "dynamic_degree",
        "aesthetic_quality",
        "imaging_quality",
        "human_action",
        "appearance_style",
        "temporal_style",
        "overall_consistency",
    )
]
ON_THE_HOST = {"common.vif", "common.xpsnr"}
"""Filters of the decoder's library and their like: with all of the group ``video`` they compute on the processor."""
EVERY = [
    name
    for name in registry.expand(["all"])
    if not is_composite(name) and name not in NUMBERS_DECIDE | ON_THE_HOST and not name.startswith("video.")
]
MOST_READS = {"optical_flow": 20, "physics_iq": 20, **dict.fromkeys(ON_GRIT, 200), "vbench.scene": 200}
"""Fields go to the host; texts are written word by word."""
SAME_WORK = {
    "physics_iq.mse",
    "physics_iq.spatial_iou",
    "physics_iq.spatiotemporal_iou",
    "physics_iq.weighted_spatial_iou",
    "physics_iq",
    "audio.kad",
    "audio.kl_divergence",
    "common.kvd",
    "common.prdc",
    "vbench.color",
    "vbench.multiple_objects",
    "vbench.spatial_relationship",
    "audio.desync",
}
"""Slow to simulate, or the same network as another one."""
CAMERA = {
    "alpha_yaw": 0.087,
    "alpha_pitch": 0.082,
    "alpha_turn": 0.0,
    "beta_fwd": 0.028,
    "beta_strafe": 0.023,
    "focal_length": 457.0,
    "frame_shape": [352, 640],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("published")
    sound = write_wav(folder / "voice.wav", voice(5.0, 16000, 1), 16000)
    return {**fake_networks.files(folder), "SOUND": sound}


@pytest.fixture(autouse=True)
def _files(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in files.items():
        monkeypatch.setenv(name, path)


@pytest.fixture
def gpu() -> Iterator[Gauge]:
    with fake_networks.without_weights(shallow=True), simulated() as gauge:
        yield gauge


@pytest.fixture
def whole() -> Iterator[Gauge]:
    """The same with networks of the published depth."""
    with fake_networks.without_weights(), simulated() as gauge:
        yield gauge


def frames(count: int, height: int, width: int) -> torch.Tensor:
    return torch.empty((count, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)


def sample(sound: str, count: int, height: int, width: int) -> dict[str, Any]:
    return {
        **SAMPLE,
        **{key: frames(count, height, width) for key in ("video", "reference", "reference_take2")},
        "fps": 16.0,
        "audio": sound,
        "reference_audio": sound,
        "audio_text_prompt": "a dog",
        "actions": {"keyboard": [[0] * 6] * count, "mouse": [[0.0, 0.0]] * count},
        "calibration": CAMERA,
    }


def run(worker: EvalWorker, metrics: list[BaseMetric], values: dict[str, Any]) -> list[MetricResult | None]:
    return [outcome.result for outcome in worker.run(worker.prepare(Job((Unit(values, metrics),))))[0]]


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.slow) if one in (*SAME_WORK, *ELEVEN) else one for one in EVERY]
)
def test_a_metric_runs_on_a_gpu_without_waiting_for_it(
    name: str, gpu: Gauge, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raft, "ITERATIONS", 2)
    monkeypatch.setattr(beams, "LONGEST", 8)
    for module in (text, search):
        monkeypatch.setattr(module, "LENGTH", 3)
    worker, metric = EvalWorker(MemoryStore(), "cuda:0"), registry.get_metric(name)
    worker.load(metric)
    gpu.zero()
    count = 150 if name.startswith("physics_iq") or name == "audio.desync" else 9
    (result,) = run(worker, [metric], sample(files["SOUND"], count, 136, 144))
    skipped = "no caption gives the object"
    assert result is None or result.status == "scored" or skipped in result.reason, result.details
    most = next((most for prefix, most in MOST_READS.items() if name.startswith(prefix)), 10)
    assert gpu.reads.total() <= most, gpu.places()
    assert gpu.largest_grid < 1 << 16


def test_motion_energy_reads_its_numbers_at_once(gpu: Gauge) -> None:
    clip = frames(9, 136, 144).to("cuda:0")
    for _ in range(2):  # constants are on the device by the second clip
        gpu.zero()
        MotionEnergy().describe(clip)
    assert (gpu.reads.total(), gpu.uploads) == (1, []), gpu.places()


def test_the_windows_of_a_clip_go_through_i3d_together(gpu: Gauge) -> None:
    launches, at_peak = {}, {}
    for windows in (1, 4):
        rules = {"frames": 16, "clips": windows, "clip": "first", "aggregate": "each"}
        metric = registry.get_metric("common.fvd", protocol=rules, cache_mode="off")
        worker = EvalWorker(MemoryStore(), "cuda:0")
        worker.load(metric)
        video = frames(16 * windows, 136, 144)
        gpu.zero()
        gpu.peaks = True
        (outcome,) = worker.fill({"video": video}, [metric])
        assert outcome.rows is not None
        assert outcome.rows.shape == (windows, 1424)
        assert gpu.reads.total() == 1, gpu.places()
        assert metric.chunk_used == windows
        launches[windows], at_peak[windows] = gpu.launches, gpu.peak - video.nbytes
    assert launches[4] <= launches[1] + 3 * 8  # what is left by window is resizing
    said = I3dExtractor.window_bytes(16)
    for windows, peak in at_peak.items():
        assert peak <= windows * said <= 3 * peak


def limits(gauge: Gauge, *, launches: int, seconds: float) -> None:
    assert gauge.blocking <= 40, gauge.places()
    assert gauge.tiny_uploads <= 20, gauge.places()
    assert gauge.launches <= launches
    assert gauge.time.seconds["tf32"] <= seconds


def eleven(gauge: Gauge, count: int, height: int, width: int) -> None:
    """Run the eleven dimensions on two clips of one size; the gauge then shows the second, as any later one."""
    worker = EvalWorker(MemoryStore(), "cuda:0")
    metrics = [registry.get_metric(name) for name in ELEVEN]
    for metric in metrics:
        worker.load(metric)
    for name in ("first", "second"):
        gauge.zero()
        values = {**SAMPLE, "text_prompt": f"the {name} person is riding a bike", "fps": 16.0}
        other = worker.sibling(MemoryStore())  # frames without numbers are equal: nothing may come from a store
        results = run(other, metrics, {**values, "video": frames(count, height, width)})
        assert [one.status for one in results if one is not None] == ["scored"] * 11
    uploaded = gauge.large_uploads
    assert uploaded == [count * height * width * 3], "the frames of a clip are uploaded once"


def test_eleven_dimensions_of_a_small_clip_keep_their_limits(gpu: Gauge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raft, "ITERATIONS", 4)
    eleven(gpu, 17, 144, 160)
    limits(gpu, launches=3_600, seconds=0.006)


@pytest.mark.slow
def test_eleven_dimensions_of_a_480p_clip_keep_their_limits(whole: Gauge) -> None:
    """832 x 480, 81 frames at 16 per second, a still clip: what was 1,067 waits and 44,900 launches."""
    eleven(whole, 81, 480, 832)
    limits(whole, launches=14_000, seconds=0.221)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("optical_flow.synthetic_optical_flow", (256, 384)),
        ("vbench.subject_consistency", (256, 384)),
        pytest.param("vbench.motion_smoothness", (256, 384), marks=pytest.mark.slow),
        pytest.param("vbench.imaging_quality", (256, 384), marks=pytest.mark.slow),
        pytest.param("vbench.background_consistency", (480, 832), marks=pytest.mark.slow),
        pytest.param("vbench.aesthetic_quality", (256, 384), marks=pytest.mark.slow),
        pytest.param("optical_flow.gt_optical_flow", (720, 1280), marks=pytest.mark.slow),
        pytest.param("vbench.motion_smoothness", (720, 1280), marks=pytest.mark.slow),
        pytest.param("common.ssim", (720, 1280), marks=pytest.mark.slow),
        pytest.param("common.lpips", (720, 1280), marks=pytest.mark.slow),
    ],
)
def test_what_a_chunk_is_said_to_take_holds(
    name: str, size: tuple[int, int], whole: Gauge, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate of a unit is at least what is alive at the peak, and not three times as much."""
    monkeypatch.setattr(raft, "ITERATIONS", 2)
    estimates = []
    chunk = BaseMetric.chunk

    def seen(metric: BaseMetric, count: int, each: int, on_processor: int) -> int:
        found = chunk(metric, count, each, on_processor)
        estimates.append(found * each)
        return found

    monkeypatch.setattr(BaseMetric, "chunk", seen)
    worker, metric = EvalWorker(MemoryStore(), "cuda:0"), registry.get_metric(name)
    worker.load(metric)
    whole.zero()
    whole.peaks = True
    (result,) = run(worker, [metric], sample(files["SOUND"], 9, *size))
    assert result is not None
    assert result.status == "scored", result
    clips = 9 * 3 * size[0] * size[1] * (2 if metric.requires_reference else 1)
    assert whole.peak - clips <= max(estimates) <= 3 * whole.peak


def test_the_simulation_sees_a_tensor_on_the_wrong_device(gpu: Gauge) -> None:
    on_device, on_host = torch.zeros(3, device="cuda:0"), torch.zeros(3)
    with pytest.raises(RuntimeError, match="device"):
        on_device + on_host
    with pytest.raises(TypeError, match="device mismatch"):
        on_device.numpy()


def test_the_simulation_counts_waits_and_uploads(gpu: Gauge) -> None:
    values = torch.zeros(8, 3, device="cuda:0")
    gpu.zero()
    float(values.sum())
    values.tolist()
    values[values > 0]
    values.cpu()
    assert (gpu.reads.total(), gpu.launches) == (4, 3)
    values + torch.tensor([1.0, 2.0, 3.0], device="cuda:0")
    torch.zeros(1 << 20).to("cuda:0", non_blocking=True)
    assert (gpu.tiny_uploads, len(gpu.large_uploads), gpu.blocking) == (1, 1, 5)


def test_the_simulation_moves_what_a_kernel_reads_and_writes(gpu: Gauge) -> None:
    image, table = torch.zeros(1, 1, 8, 8, device="cuda:0"), torch.zeros(100, 4, device="cuda:0")
    places, row = torch.zeros(5, dtype=torch.int64, device="cuda:0"), torch.zeros(4, device="cuda:0")
    heads = torch.zeros(2, 3, 5, 8, device="cuda:0")
    for work, launches, moved in (
        (lambda: F.interpolate(image, scale_factor=2.0, mode="bilinear"), 1, 4 * (64 + 256)),
        (lambda: image.copy_(image + 1), 2, 4 * 4 * 64),
        (lambda: torch.add(table, 1, out=table), 1, 4 * 2 * 400),
        (lambda: table[places], 1, 8 * 5 + 4 * 2 * 20),
        (lambda: row.expand(100, 4) + table, 1, 4 * (4 + 2 * 400)),
        (lambda: F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).reshape(2, 5, 24), 1, 4 * 4 * 240),
    ):
        gpu.zero()
        work()
        assert (gpu.launches, gpu.time.moved) == (launches, moved)
