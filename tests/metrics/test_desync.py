"""DeSync against recorded scores; windows, short clips, silence, rates, identity, threads."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, NoAudioStreamError
from pytest_vidmetrics.engine.api import evaluate
from pytest_vidmetrics.metrics.audio import desync_inputs
from pytest_vidmetrics.metrics.audio.desync import GRID, Desync, estimate
from pytest_vidmetrics.metrics.audio.desync_inputs import Plan, nearest, plan
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.synchformer import network as synchformer
from pytest_vidmetrics.networks.synchformer.mel import synchformer_mel
from tests.support.media_clips import gray_ramp, write_video
from tests.support.oracle_fill import clip_uint8, fill_state_dict, tone

DATA = Path(__file__).parents[1] / "data" / "audio"
TABLES = json.loads((DATA / "segment_tables.json").read_text())["expected"]
INPUTS = {
    ("desync_shallow", "a"): ((150, 120, 160, 300), (6.0, 310), 25.0),
    ("desync_shallow", "b"): ((121, 120, 160, 301), (5.0416875, 311), 24.0),
    ("desync", "a"): ((125, 180, 240, 310), (5.0, 320), 25.0),
}
RECORDED = {"fastvideo": "result_fastvideo", "av-benchmark": "result"}
full = pytest.mark.slow


class Network:
    """Stands for Synchformer: its features are the mean level of a segment, its logits the levels it compares."""

    def video(self, frames):
        assert frames.shape[1:] == (16, 3, 224, 224)
        return frames.mean(dim=(1, 2, 3, 4))[:, None, None].expand(-1, 8, 768)

    def audio(self, mel):
        assert mel.shape[1:] == (128, 66)
        return mel.mean(dim=(1, 2))[:, None, None].expand(-1, 6, 768)

    def compare(self, video, audio):
        assert video.shape == (1, 14, 8, 768)
        assert audio.shape == (1, 14, 6, 768)
        logits = torch.zeros(1, 21)
        logits[0, 12] = 1 + video.mean() + audio.mean().abs()
        return logits


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(Desync, "_network", Network())


def video(frames=125, seed=5):
    return torch.from_numpy(clip_uint8(frames, 32, 40, seed)).permute(0, 3, 1, 2)


def sample(frames=125, seconds=5.0, fps=25.0):
    return {"video": video(frames), "audio": (tone(seconds, 16000, 1), 16000), "fps": fps}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return paths of stand-in checkpoints in the published layout, written when first asked for."""
    folder = tmp_path_factory.mktemp("weights")

    def of(name):
        path = folder / f"{name}.pth"
        if not path.exists():
            with gzip.open(DATA / f"{name}.keys.json.gz", "rt") as stream:
                torch.save(fill_state_dict({key: tuple(v[0]) for key, v in json.load(stream).items()}), path)
        return str(path)

    return of


def mux(path, frames, sound, late):
    """Write frames at 10 fps with sound that starts ``late`` seconds after them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        track = container.add_stream("aac", rate=24000, layout="mono")
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        block = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
        block.sample_rate, block.pts = 24000, round(late * 24000)
        container.mux(track.encode(block))
        container.mux(track.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "case", "compat"),
    [
        pytest.param("desync_shallow", "a", "av-benchmark"),
        pytest.param("desync_shallow", "b", "fastvideo", marks=full),
        pytest.param("desync_shallow", "a", "fastvideo", marks=full),
        pytest.param("desync_shallow", "b", "av-benchmark", marks=full),
        pytest.param("desync", "a", "av-benchmark", marks=full),
    ],
)
def test_scores_are_the_recorded_ones(name, case, compat, weights):
    clip, sound, fps = INPUTS[name, case]
    recorded = json.loads((DATA / f"{name}.json").read_text())
    expected = recorded["expected"][case][RECORDED[compat]]
    frames = torch.from_numpy(clip_uint8(*clip)).permute(0, 3, 1, 2)
    given = {"video": frames, "audio": (tone(sound[0], 16000, sound[1]), 16000), "fps": fps}
    with shared.sample_scope():
        result = Desync(compat, weights=weights(name)).compute(given)
    assert result.score == pytest.approx(expected["score"], abs=1e-6)
    for window, place in zip(result.details["windows"], ("front", "back"), strict=True):
        logits = np.asarray(expected[place]["logits"])
        likely = np.exp(logits) / np.exp(logits).sum()
        # Far below the tolerance for logits: no rule of the protocol may be off by one level of one pixel.
        assert np.allclose(window["probabilities"], likely, atol=1e-5, rtol=0)
        assert window["offset_s"] == pytest.approx(expected[place]["offset_s"], abs=1e-6)
        assert window["expected_offset_s"] == pytest.approx(expected[place]["expected_offset_s"], abs=1e-5)
        assert window["expected_abs_offset_s"] == pytest.approx(expected[place]["expected_abs_offset_s"], abs=1e-5)


@pytest.mark.parametrize("case", [pytest.param("a", marks=full), "b"])
@pytest.mark.parametrize(("compat", "kind"), [("fastvideo", "float_resize"), ("av-benchmark", "uint8_resize")])
def test_frames_are_resized_as_recorded(case, compat, kind):
    (count, *size), _, fps = INPUTS["desync_shallow", case]
    expected = json.loads((DATA / "desync_shallow.json").read_text())["expected"][case]["preprocessed_frames"][kind]
    clip = torch.from_numpy(clip_uint8(count, *size)).permute(0, 3, 1, 2)
    picked = nearest(count, fps)
    found = desync_inputs._prepare(clip, compat)[list(picked)]
    assert list(found.shape) == expected["shape"]
    assert found.flatten()[:8].tolist() == pytest.approx(expected["first"], abs=1e-6)
    for name in ("mean", "min", "max"):
        assert float(getattr(found.double(), name)()) == pytest.approx(expected[name], abs=1e-6)
    if compat == "av-benchmark":
        grid = [8, 56, 104, 152, 200]
        recorded = np.load(DATA / "desync_shallow.npz")[f"{case}_frames_sample"]
        assert np.allclose(found[::25][:, :, grid][..., grid].numpy(), recorded, atol=1e-6, rtol=0)


def test_tall_clips_are_cut_at_the_top_and_the_bottom():
    wide = video(2)
    for compat in ("fastvideo", "av-benchmark"):
        tall = desync_inputs._prepare(wide.transpose(2, 3), compat)
        # Rounded after each direction, columns first: two levels may lie between the two orders.
        assert torch.allclose(tall.transpose(2, 3), desync_inputs._prepare(wide, compat), atol=2.5 / 127.5)


@pytest.mark.parametrize("name", TABLES["nearest_resample_to_25_fps"])
def test_frames_at_25_fps_are_the_recorded_ones(name):
    row = TABLES["nearest_resample_to_25_fps"][name]
    found = nearest(row["source_frames"], float(name.split("fps")[0]))
    assert len(found) == row["target_frames"]
    assert Plan(found, 0).video == row["segments"]
    indices = row["indices"]
    if isinstance(indices, list):
        assert list(found) == indices
    else:
        assert [*found[:32]] == indices["first32"]
        assert [*found[-16:]] == indices["last16"]
        assert sum(found) == indices["sum"]


@pytest.mark.parametrize("seconds", TABLES["by_duration"])
def test_segments_of_a_length_are_the_recorded_ones(seconds):
    row = TABLES["by_duration"][seconds]
    found = plan(25, 25 / float(seconds), round(float(seconds) * 16000), "fastvideo")
    assert found.audio == row["sync_audio_segments"]
    assert found.video == row["sync_video_segments"]
    assert len(found.frames) == row["sync_video_frames_at_25"]


def test_the_needed_length_is_the_recorded_one():
    needed = TABLES["needed"]
    assert needed["video_frames"] == desync_inputs.NEEDED_FRAMES
    assert needed["audio_samples_16k"] == desync_inputs.NEEDED_SAMPLES
    assert needed["seconds"] == desync_inputs.NEEDED_SECONDS


def test_only_av_benchmark_cuts_both_streams_to_their_common_length():
    old, cut = (plan(126, 25.0, 160000, compat) for compat in ("fastvideo", "av-benchmark"))
    assert old.windows()[1] == (0, 16)
    assert cut.windows()[1] == (0, 0)
    assert cut.samples == round(126 / 25 * 16000)
    for compat in ("fastvideo", "av-benchmark"):
        fixed = plan(250, 25.0, 160000, compat, 8.0)
        assert (len(fixed.frames), fixed.samples, fixed.video, fixed.audio) == (200, 128000, 24, 24)


def test_the_windows_of_a_long_clip(stand_in):
    found = Desync().compute(sample(300, 12.0)).details
    assert found["segments"] == {"video": 36, "audio": 36}
    assert found["segments_dropped"] == {"video": 8, "audio": 8}
    assert [window["video_start_s"] for window in found["windows"]] == [0.0, 22 * 0.32]
    assert found["windows"][1]["audio_start_s"] == pytest.approx(22 * 0.32)
    json.dumps(found, allow_nan=False)


def test_the_score_is_the_mean_of_both_windows(stand_in, monkeypatch):
    rows = iter([torch.eye(21)[None, 3], torch.eye(21)[None, 11]])
    monkeypatch.setattr(Network, "compare", lambda *_: next(rows))
    found = Desync().compute(sample(150, 6.0))
    assert found.score == pytest.approx((1.4 + 0.2) / 2)
    assert (found.details["front_desync_s"], found.details["back_desync_s"]) == (1.4, 0.2)
    assert found.details["offset_s"] == pytest.approx((-1.4 + 0.2) / 2)


def test_a_segment_that_both_windows_read_is_computed_once(stand_in, monkeypatch):
    seen = []
    read = Network.video
    monkeypatch.setattr(Network, "video", lambda self, frames: seen.append(len(frames)) or read(self, frames))
    Desync(chunk_size=4).compute(sample(150, 6.0))
    assert sum(seen) == 17
    assert max(seen) == 4


@pytest.mark.parametrize(("frames", "fps", "seconds"), [(119, 25.0, 5.0), (125, 25.0, 4.79), (10, 25.0, 5.0)])
def test_short_clips_are_skipped_with_the_needed_length(frames, fps, seconds, stand_in):
    found = Desync().compute(sample(frames, seconds, fps))
    assert found.status == "skipped"
    assert "needs 4.8 s" in found.reason
    assert f"{frames / fps:.2f} s of video" in found.reason
    assert f"{seconds:.2f} s of audio" in found.reason


def test_a_clip_shorter_than_the_fixed_length_is_skipped(stand_in):
    found = Desync(seconds=8.0).compute(sample())
    assert found.status == "skipped"
    assert "seconds=8" in found.reason
    assert Desync(seconds=5.0).compute(sample()).status == "scored"


@pytest.mark.parametrize("compat", ["fastvideo", "av-benchmark"])
def test_silence_has_a_finite_score_and_is_marked(compat, weights, monkeypatch):
    net = synchformer.Synchformer(torch.load(weights("desync_shallow"), weights_only=True))
    # The visual tower is the slow part, and silence does not reach it.
    monkeypatch.setattr(net, "video", lambda frames: torch.zeros(len(frames), 8, 768))
    monkeypatch.setattr(Desync, "_network", net)
    given = sample() | {"audio": (np.zeros(80000, np.float32), 16000)}
    found = Desync(compat).compute(given)
    assert found.status == "scored"
    assert found.details["silent"] is True
    assert 0.0 <= found.score <= 2.0
    assert np.isfinite(found.details["expected_abs_offset_s"])


def test_the_rate_comes_from_the_container_unless_it_is_given(stand_in, tmp_path):
    path = write_video(tmp_path / "clip.mp4", gray_ramp(52), tone=tone(5.2, 24000, 1))
    found = evaluate(path, metrics="audio.desync", device="cpu")["audio.desync"]
    assert found.status == "scored"
    assert found.details["fps"] == 10.0
    assert found.details["segments"]["video"] == (130 - 16) // 8 + 1
    given = evaluate(path, metrics="audio.desync", device="cpu", fps=20.0)["audio.desync"]
    assert given.status == "skipped"
    assert "2.60 s of video" in given.reason


def test_frames_without_a_rate_are_skipped_unless_the_metric_has_one(stand_in):
    given = sample()
    del given["fps"]
    assert "no frame rate" in Desync().compute(given).reason
    assert Desync(src_fps=25.0).compute(given).details["fps"] == 25.0


def test_a_clip_without_sound_is_skipped_with_the_reason(stand_in, tmp_path):
    path = write_video(tmp_path / "mute.mp4", gray_ramp(52))
    found = evaluate(path, metrics="audio.desync", device="cpu")["audio.desync"]
    assert (found.status, found.score) == ("skipped", None)
    assert "no audio stream" in found.reason
    with pytest.raises(NoAudioStreamError):
        Desync().compute({"video": video(), "audio": str(path), "fps": 25.0})


def test_late_sound_stays_late(stand_in, monkeypatch, tmp_path):
    sound = tone(5.2, 24000, 1)
    heard = []
    read = Network.audio
    monkeypatch.setattr(Network, "audio", lambda self, mel: heard.append(mel) or read(self, mel))
    for name, late in (("prompt", 0.0), ("late", 0.64)):
        path = mux(tmp_path / f"{name}.mp4", gray_ramp(52), sound, late)
        assert evaluate(path, metrics="audio.desync", device="cpu")["audio.desync"].status == "scored"
    prompt, late = (mel[:, :, 4:50] for mel in heard)
    silent = (np.log(1e-6) + 4.2677393) / (2 * 4.5689974)
    assert np.allclose(late[0], silent, atol=1e-3)
    # Two segments of 0.32 s later; the coded sound is not exactly the same.
    assert (late[3:14] - prompt[1:12]).abs().mean() < 0.02
    assert (late[3:14] - prompt[3:14]).abs().mean() > 0.02


def test_frames_that_are_not_rgb_are_refused(stand_in):
    with pytest.raises(IncompatibleSampleError, match=r"\(T, 3, H, W\)"):
        Desync().compute(sample() | {"video": torch.zeros(125, 1, 32, 40, dtype=torch.uint8)})


@pytest.mark.parametrize("wrong", [{"compat": "other"}, {"seconds": 4.0}, {"src_fps": 0.0}, {"chunk_size": 0}])
def test_what_makes_no_protocol_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Desync(**wrong)


def test_the_protocol_is_part_of_the_identity_and_the_batch_is_not():
    plain = get_metric("audio.desync")
    assert plain.identity()["params"] == {"compat": "fastvideo", "seconds": None, "src_fps": None}
    assert get_metric("audio.desync", chunk_size=8).identity() == plain.identity()
    assert get_metric("audio.desync", compat="av-benchmark").identity() != plain.identity()
    assert plain.weights_files()[0].override == "VIDMETRICS_SYNCHFORMER"


def test_the_estimate_over_the_grid():
    certain = estimate([0.0 if i == 4 else -1e4 for i in range(21)])
    assert certain["offset_s"] == certain["expected_offset_s"] == GRID[4] == -1.2
    even = estimate([3.0] * 21)
    assert even["expected_offset_s"] == pytest.approx(0.0, abs=1e-12)
    assert even["expected_abs_offset_s"] == pytest.approx(2 * sum(0.2 * i for i in range(11)) / 21)
    assert sum(even["probabilities"]) == pytest.approx(1.0)


def test_two_threads_give_the_numbers_of_one_and_draw_nothing(weights):
    net = synchformer.Synchformer(torch.load(weights("desync_shallow"), weights_only=True))
    clip, sound = video(24), tone(1.0, 16000, 3)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    threads, functions = torch.get_num_threads(), (torch.stft, torch.nn.functional.interpolate)

    def features(_):
        pixels = next(desync_inputs.segments(clip, range(24), [0], "fastvideo", 1))
        return net.video(pixels), net.audio(torch.from_numpy(synchformer_mel(sound)))

    alone = features(0)
    with ThreadPoolExecutor(2) as pool:
        for pair in pool.map(features, range(2)):
            assert all(torch.equal(one, other) for one, other in zip(pair, alone, strict=True))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.get_num_threads() == threads
    assert functions == (torch.stft, torch.nn.functional.interpolate)
