"""Flow metrics from frames to score: RAFT in its published layout, DPFlow's interface, the store, hostile clips."""

from __future__ import annotations

import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.flow import memory as correlation
from pytest_vidmetrics.networks.flow import raft as raft_things
from pytest_vidmetrics.networks.flow.clip_flow import clip_flow
from pytest_vidmetrics.networks.flow.dpflow import DPFlow
from pytest_vidmetrics.networks.flow.memory import pair_bytes
from pytest_vidmetrics.networks.flow.model import FlowModel
from pytest_vidmetrics.networks.flow.raft import pad
from pytest_vidmetrics.stats.flow import FlowOptions, compare_flows
from tests.support.clips import write_clip
from tests.support.oracle_fill import clip_uint8
from tests.support.raft_weights import frames, raft_state, torchvision_flow

GT, SYNTHETIC, DYNAMIC = "optical_flow.gt_optical_flow", "optical_flow.synthetic_optical_flow", "vbench.dynamic_degree"
SIDES = (132, 128)
CALIBRATION = {
    "alpha_yaw": 0.087,
    "alpha_pitch": 0.082,
    "alpha_turn": 0.0,
    "beta_fwd": 0.028,
    "beta_strafe": 0.023,
    "focal_length": 457.0,
    "frame_shape": [352, 640],
}
ACTIONS = {"keyboard": [[1, 0, 0, 0, 0, 0]] * 4, "mouse": [[0.0, 0.02]] * 4}


@pytest.fixture(scope="module", autouse=True)
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "raft.pth"
    torch.save(raft_state(), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDMETRICS_RAFT_THINGS", str(path))
        yield path


@pytest.fixture(autouse=True)
def fewer_iterations(monkeypatch):
    """Most tests compare RAFT with itself."""
    monkeypatch.setattr(raft_things, "ITERATIONS", 2)


@pytest.fixture(scope="module")
def clips():
    return frames(4, *SIDES, seed=3), frames(4, *SIDES, seed=4)


def pairs_computed(work):
    before = shared.forwards["flow pairs"]
    value = work()
    return value, shared.forwards["flow pairs"] - before


def metric_with(name, network, **params):
    """Return a metric whose flow is ``network(frames)``, ``(n - 1, 2, H, W)``."""
    metric = get_metric(name, **params)
    metric.flow = lambda video: clip_flow(
        video, FlowModel(), lambda: lambda part: (network(part), (...,)), "cpu", 4, metric.precision
    )
    return metric


def still(part):
    return torch.zeros(len(part) - 1, 2, *part.shape[-2:])


def test_scores_are_those_of_torchvisions_own_flow(clips, monkeypatch) -> None:
    monkeypatch.setattr(raft_things, "ITERATIONS", 20)
    video, reference = clips[0][:2], clips[1][:2]
    result = get_metric(GT, precision="float32").compute({"video": video, "reference": reference})
    fields = []
    for clip in (reference, video):
        wide, inside = pad(clip.float())
        fields.append(torchvision_flow(raft_state(), *wide)[inside].permute(1, 2, 0).numpy())
    expected = compare_flows(*fields, FlowOptions())
    assert result.score == pytest.approx(expected["pixel_epe_mean"], rel=1e-4)
    found = result.details["per_frame_metrics"][0]
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-3, abs=1e-3)
    half = get_metric(GT).compute({"video": video, "reference": reference})
    assert half.score == pytest.approx(result.score, rel=2**-10)


def test_three_metrics_share_one_forward_per_pair_and_a_later_run_needs_none(tmp_path, clips) -> None:
    sample = {"actions": ACTIONS, "calibration": CALIBRATION}
    for key, seed in (("video", 3), ("reference", 4)):
        sample[key] = str(write_clip(tmp_path / f"{key}.mp4", clip_uint8(4, *SIDES, seed), fps=8))

    def run(**params):
        scorer = EvalWorker(FileStore(tmp_path / "store"))
        compat = "fixed" if params else "upstream"
        metrics = [get_metric(DYNAMIC, compat=compat), get_metric(GT, **params), get_metric(SYNTHETIC, **params)]
        return [outcome.result for outcome in scorer.fill(sample, metrics)], scorer.counts.computed

    (first, computed), forwards = pairs_computed(run)
    assert (computed, forwards) == (3, 2 * 3)
    assert [result.status for result in first] == ["scored"] * 3
    # The same results need no metric at all; other scores of the same flow need no network.
    assert pairs_computed(run) == ((first, 0), 0)
    (other, computed), forwards = pairs_computed(lambda: run(grid_size=4))
    assert (computed, forwards) == (3, 0)
    for before, after in zip(first[1:], other[1:], strict=True):
        assert after.score == before.score
        assert after.details["pixel_epe_max_max"] == before.details["pixel_epe_max_max"]
    # The lossless fields are others, and are named so.
    assert pairs_computed(lambda: run(precision="float32"))[1] == 2 * 3
    assert get_metric(GT).identity() != get_metric(GT, precision="float32").identity()


def test_fields_need_not_be_stored(tmp_path, clips) -> None:
    store = FileStore(tmp_path)
    sample = {"video": clips[0][:2], "reference": clips[1][:2]}
    with shared.sample_scope(store):
        get_metric(GT, store_fields=False).compute(sample)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert get_metric(GT, store_fields=False).identity() == get_metric(GT).identity()


def test_a_pair_is_stored_by_its_pixels_and_its_network(tmp_path, clips) -> None:
    store, calls = FileStore(tmp_path), []

    def network(part):
        calls.append(len(part) - 1)
        return still(part)

    def run(video, model):
        with shared.sample_scope(store):
            flow = clip_flow(video, model, lambda: lambda part: (network(part), (...,)), "cpu", 1)
            return [flow.field(pair) for pair in range(len(flow))]

    def weights_of(name):
        return str(tmp_path / name)

    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    video = clips[0][:3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDMETRICS_RAFT_THINGS", weights_of("a"))
        run(video, FlowModel())
        run(video[1:], FlowModel())
        assert sum(calls) == 2
        run(video.flip(0), FlowModel())
        assert sum(calls) == 4
        patch.setenv("VIDMETRICS_DPFLOW_THINGS", weights_of("a"))
        run(video, FlowModel("dpflow"))
        assert sum(calls) == 6
        patch.setenv("VIDMETRICS_RAFT_THINGS", weights_of("b"))
        run(video, FlowModel())
        assert sum(calls) == 8


def test_the_network_is_part_of_the_identity() -> None:
    raft, dpflow = get_metric(GT), get_metric(GT, model_name="dpflow")
    assert raft.identity() != dpflow.identity()
    assert [c.name for c in (*raft.weights_files(), *dpflow.weights_files())] == [
        "raft-things.pth",
        "dpflow-things-2012b5d6.ckpt",
    ]
    with pytest.raises(ValueError, match="model_name must be one of raft_large, dpflow"):
        get_metric(GT, model_name="farneback").weights_files()
    with pytest.raises(ValueError, match="ckpt of raft_large"):
        get_metric(GT, ckpt="sintel").weights_files()


def test_batches_do_not_change_the_score(clips, monkeypatch) -> None:
    monkeypatch.setattr(correlation, "PAIRS_ON_PROCESSOR", 50)
    sample = {"video": clips[0], "reference": clips[1]}
    metrics = [get_metric(GT, chunk_size=size) for size in (3, 2, 1)]
    scores = [metric.compute(sample).score for metric in metrics]
    assert scores[1:] == pytest.approx(scores[:1] * 2, rel=1e-4)
    assert all(metric.identity() == metrics[0].identity() for metric in metrics)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares with a CUDA device")
def test_the_device_does_not_change_the_score(clips) -> None:
    on_cpu = get_metric(GT).compute({"video": clips[0], "reference": clips[1]})
    on_gpu = get_metric(GT).to("cuda").compute({"video": clips[0].cuda(), "reference": clips[1].cuda()})
    assert on_gpu.score == pytest.approx(on_cpu.score, rel=1e-2)


@pytest.mark.parametrize("free", [80 << 30, 16 << 30, 1 << 30])
@pytest.mark.parametrize("size", [(128, 128), (480, 832), (720, 1280), (1088, 1920), (2160, 3840)])
def test_pairs_at_a_time_follow_the_free_memory_of_a_gpu(monkeypatch, free, size) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 << 30))
    each = pair_bytes(*size)
    found = get_metric(GT).to("cuda:0").chunk(60, each, 1)
    assert found == 1 or found * each <= free / 2
    assert found == 60 or (found + 1) * each > free / 2
    assert get_metric(GT).chunk(60, each, 1) == 1
    assert get_metric(GT, chunk_size=2).to("cuda:0").chunk(60, each, 1) == min(2, found)


def test_a_clip_against_itself_and_a_static_one(clips) -> None:
    static = clips[0][:1].expand(3, -1, -1, -1)
    for video in (clips[0][:2], static):
        result = get_metric(GT).compute({"video": video, "reference": video.clone()})
        assert result.score == 0
        assert all(np.isfinite(value) for value in result.details.values() if isinstance(value, float))
    nothing_moves = metric_with(GT, still).compute({"video": static, "reference": static.clone()})
    assert (nothing_moves.score, nothing_moves.details["fl_all_mean"]) == (0, 0)
    assert nothing_moves.details["divergence_onset_frame"] is None


def test_the_longer_clip_is_cut_and_says_so(clips) -> None:
    sample = {"video": clips[0], "reference": clips[1][:3]}
    result, forwards = pairs_computed(lambda: get_metric(GT, chunk_size=2).compute(sample))
    assert forwards == 2 * 2
    assert result.details["n_frames"] == 2
    said = {key: result.details[key] for key in ("frames_generated", "frames_reference", "frames_scored")}
    assert said == {"frames_generated": 4, "frames_reference": 3, "frames_scored": 3}


def synthetic(video, *, actions=ACTIONS, calibration=CALIBRATION, **params):
    sample = {"video": video, "actions": actions, "calibration": calibration}
    return metric_with(SYNTHETIC, still, **params).compute(sample)


def test_the_focal_length_is_rescaled_to_the_clip(clips) -> None:
    turn = {"keyboard": [[0, 0, 0, 0]] * 4, "mouse": [[0.0, 0.2]] * 4}
    result, seed = synthetic(clips[0], actions=turn), synthetic(clips[0], actions=turn, protocol="fastvideo")
    assert result.details["focal_length"] == pytest.approx(457.0 * SIDES[1] / 640)
    assert seed.details["focal_length"] == 457.0
    # A turn moves the middle of the frame by the focal length times the angle.
    assert seed.score == pytest.approx(457.0 * 0.087 * 0.2, rel=0.02)
    assert result.score == pytest.approx(91.4 * 0.087 * 0.2, rel=0.25)


def test_what_a_calibration_says_is_used_or_refused(clips) -> None:
    unsized = {key: value for key, value in CALIBRATION.items() if key != "frame_shape"}
    with pytest.raises(IncompatibleSampleError, match=r"no frame_shape \[height, width\]"):
        synthetic(clips[0], calibration=unsized)
    with pytest.raises(IncompatibleSampleError, match=r"init_pitch = 0\.1"):
        synthetic(clips[0], calibration={**CALIBRATION, "init_pitch": 0.1})
    with pytest.raises(IncompatibleSampleError, match="the calibration has no alpha_yaw, focal_length"):
        synthetic(clips[0], calibration=dict(list(CALIBRATION.items())[1:5]))
    seed = synthetic(clips[0], calibration={**unsized, "init_pitch": 0.1, "notes": "x"}, protocol="fastvideo")
    assert seed.score == synthetic(clips[0], protocol="fastvideo").score


def test_actions_that_do_not_fit_the_clip(clips) -> None:
    def first(count):
        return {key: rows[:count] for key, rows in ACTIONS.items()}

    with pytest.raises(IncompatibleSampleError, match="3 key and 3 mouse actions for 4 frames"):
        synthetic(clips[0], actions=first(3))
    assert synthetic(clips[0], actions=first(3), protocol="fastvideo").details["n_frames"] == 2
    with pytest.raises(IncompatibleSampleError, match="1 key and 1 mouse actions"):
        synthetic(clips[0], actions=first(1), protocol="fastvideo")
    with pytest.raises(IncompatibleSampleError, match=r"expected keyboard \(T, 4 or 6\)"):
        synthetic(clips[0], actions={**ACTIONS, "keyboard": [[1, 0, 0]] * 4})
    with pytest.raises(IncompatibleSampleError, match="two frames"):
        synthetic(clips[0][:1])
    with pytest.raises(IncompatibleSampleError, match="RGB frames"):
        synthetic(clips[0][:, :1])


class _Network(torch.nn.Module):
    """Stands for ptlflow's DPFlow: ``forward`` goes on with another algorithm when memory runs out."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(2))
        self.full = False

    def forward(self, inputs):
        raise AssertionError("forward() falls back to another correlation")

    def forward_flow(self, inputs):
        if self.full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        images = inputs["images"]
        assert images.dtype == torch.float32
        images = images.view(-1, 2, *images.shape[-3:])  # as ptlflow does it: frames of a decoder lie otherwise
        assert 0 <= float(images.min()) <= float(images.max()) <= 1
        blue = images[:, 0, 0].mean(dim=(1, 2))
        flow = self.shift + torch.stack([blue, torch.zeros_like(blue)], dim=1)
        return {"flows": flow[:, None, :, None, None].expand(-1, 1, -1, *images.shape[-2:])}


@pytest.fixture
def dpflow(tmp_path, monkeypatch):
    library = ModuleType("ptlflow")
    library.__spec__ = ModuleSpec("ptlflow", None)
    library.made = []
    library.get_model = lambda name: library.made.append(_Network()) or library.made[-1]
    monkeypatch.setitem(sys.modules, "ptlflow", library)
    torch.save({"state_dict": {"shift": torch.tensor([3.0, -1.0])}}, tmp_path / "dpflow.ckpt")
    monkeypatch.setenv("VIDMETRICS_DPFLOW_THINGS", str(tmp_path / "dpflow.ckpt"))
    return SimpleNamespace(model=lambda: library.made[-1])


def test_dpflow_reads_blue_green_red_and_its_own_weights(dpflow) -> None:
    video = torch.zeros(3, 16, 24, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    video[:, 2] = 255
    flow = get_metric(GT, model_name="dpflow").flow(video)
    assert flow.field(1).shape == (16, 24, 2)
    assert flow.field(1)[5, 5].tolist() == [4.0, -1.0]
    with pytest.raises(IncompatibleSampleError, match="at least 33 pixels a side, got 16 x 24"):
        get_metric(GT, model_name="dpflow").compute({"video": video, "reference": video})


def test_dpflow_equals_ptlflows_own_forward_pass(clips) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = pytest.importorskip("ptlflow")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            theirs = library.get_model("dpflow").eval()
        flow, inside = DPFlow(theirs.state_dict())(clips[0][:3])
        assert float(flow.abs().mean()) > 0.1
        assert inside == (...,)
        backwards = clips[0][:3].flip(1).float() / 255
        with torch.inference_mode():
            expected = [theirs({"images": backwards[i : i + 2][None]})["flows"][0, 0] for i in range(2)]
    torch.testing.assert_close(flow, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_dpflow_without_memory_fails_instead_of_changing_its_algorithm(dpflow, tmp_path) -> None:
    metric = get_metric(GT, model_name="dpflow")
    metric.setup()
    dpflow.model().full = True
    clip = str(write_clip(tmp_path / "a.mp4", clip_uint8(2, 48, 48, 0)))
    outcome = EvalWorker(FileStore(tmp_path / "store")).fill({"video": clip, "reference": clip}, [metric])[0]
    assert outcome.result.status == "failed"
    assert "out of memory" in outcome.result.details["reason"]


def test_dpflow_without_its_library_is_unavailable(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ptlflow", None)
    with pytest.raises(UnavailableError, match="ptlflow"):
        get_metric(GT, model_name="dpflow").setup()
