"""vbench.scene: recorded scores, from a file to the score, what is shared and kept, and unusual input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.media.video import read_clip
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.vbench.frames import middle_indices
from pytest_vidmetrics.metrics.vbench.scene import captioned_rows, successes
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.tag2text import network as tag2text
from pytest_vidmetrics.networks.tag2text.network import Described
from tests.support.clips import write_clip
from tests.support.oracle_fill import clip_uint8
from tests.support.tag2text_weights import write_weights

DATA = Path(__file__).parents[1] / "data" / "vbench"


def test_words_are_found_as_upstream_finds_them():
    oracle = json.loads((DATA / "scene_scoring.json").read_text())
    counts = []
    for case, expected in zip(oracle["inputs"], oracle["expected"]["per_video"], strict=True):
        counts.append(successes(case["captions"], case["scene"].split()))
        assert counts[-1] == expected["success_frame_count"]
        assert counts[-1] / len(case["captions"]) == expected["video_score"]
    assert sum(counts) / (16 * len(counts)) == oracle["expected"]["aggregate"]


@pytest.mark.parametrize("case", json.loads((DATA / "tag2text_metric_level.json").read_text())["expected"])
def test_recorded_captions_have_upstreams_score_in_both_modes(case):
    captions = json.loads((DATA / "tag2text_e2e.json").read_text())["expected"]
    single = captions["captions_single"]
    mixed = [single[row] for row in captioned_rows(range(4), "upstream")]
    assert mixed == captions["captions_batch"]
    assert successes(single, case["key"].split()) / 4 == case["single"]
    assert successes(mixed, case["key"].split()) / 4 == case["batch"]


def test_upstreams_mix_up_uses_six_frames():
    rows = captioned_rows(list(range(16)), "upstream")
    assert [rows.count(i) for i in range(16)] == [3, 3, 3, 3, 3, 1] + [0] * 10
    assert captioned_rows(list(range(16)), "fixed") == list(range(16))
    # Of a short clip the last frame is repeated first, as if 16 had been there.
    assert captioned_rows(middle_indices(2, 16), "upstream") == [0] * 3 + [1] * 13


class Says:
    """Stands for the network where a test is about what is asked: the caption is the frame's mean brightness."""

    def __init__(self):
        self.asked = []

    def __call__(self, pixels):
        assert pixels.shape[1:] == (3, 384, 384)
        assert pixels.dtype == torch.float32
        self.asked.append(len(pixels))
        return [Described("", f"grey {round(float(one.mean() * 10))} street") for one in pixels]


@pytest.fixture
def metric():
    def make(**options):
        made = get_metric("vbench.scene", **options)
        made._network = Says()
        return made

    return make


def ramp(count, height=20, width=30):
    """Frames that brighten."""
    return torch.arange(count, dtype=torch.uint8).mul(10).view(-1, 1, 1, 1).expand(-1, 3, height, width).contiguous()


def score(metric, video, scene="street"):
    return metric.compute({"video": video, "auxiliary_info": {"scene": scene}})


def test_each_picture_is_described_once(metric):
    fixed = metric(compat="fixed", chunk_size=6)
    result = score(fixed, ramp(16))
    assert fixed._network.asked == [6, 6, 4]
    assert len(set(result.details["captions"])) == 16
    assert result.score == 1.0
    one = metric(compat="fixed")
    score(one, ramp(1).expand(20, -1, -1, -1))
    assert one._network.asked == [1]
    usual = metric()
    captions = score(usual, ramp(16)).details["captions"]
    assert usual._network.asked == [6]
    assert captions == [result.details["captions"][i // 3] for i in range(16)]


@pytest.mark.parametrize("shape", [(1, 90, 60), (2, 60, 90), (3, 2160, 3840), (40, 16, 16)])
def test_clips_of_any_length_and_size_have_a_score(metric, shape):
    result = score(metric(), ramp(*shape))
    assert result.score == 1.0
    assert len(result.details["captions"]) == result.details["frame_count"] == 16


def test_part_of_the_frames(metric):
    said = score(metric(compat="fixed"), ramp(16)).details["captions"]
    word = said[5].split()[1]
    result = score(metric(compat="fixed"), ramp(16), f"street {word}")
    assert 0 < result.score < 1
    assert result.score == sum(word in caption for caption in said) / 16
    assert score(metric(compat="fixed"), ramp(16), "Street").score == 0.0


@pytest.mark.parametrize("nested", ["alley", {"scene": "alley"}, {"scene": {"scene": " alley "}}])
def test_the_name_may_be_nested_as_in_vbenchs_files(metric, nested):
    result = metric().compute({"video": ramp(2), "auxiliary_info": {"scene": nested}})
    assert result.details["scene"] == "alley"


def test_blanks_of_the_name_are_collapsed(metric):
    assert score(metric(), ramp(2), "grey   street").details["scene"] == "grey street"


def test_a_sample_without_a_scene_is_skipped(metric):
    for info in ({}, {"color": "red"}, {"scene": {}}, {"scene": None}):
        result = metric().compute({"video": ramp(2), "auxiliary_info": info})
        assert result.status == "skipped"
        assert "no scene" in result.reason


@pytest.mark.parametrize("name", ["", "  ", 7, ["alley"], {"scene": ""}])
def test_another_kind_of_name_is_an_error(metric, name):
    with pytest.raises(IncompatibleSampleError, match=r"vbench\.scene needs the name of a scene"):
        metric().compute({"video": ramp(2), "auxiliary_info": {"scene": name}})


def test_compat_is_checked():
    with pytest.raises(ValueError, match="compat must be one of upstream, fixed, got"):
        get_metric("vbench.scene", compat="corrected")
    assert get_metric("vbench.scene").params() == {"compat": "upstream"}


def test_weights_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "1")
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    shared.clear()
    with pytest.raises(UnavailableError, match=r"tag2text-swin-14m.*vidmetrics fetch vbench\.scene"):
        get_metric("vbench.scene").setup()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    shared.clear()
    yield write_weights(tmp_path_factory.mktemp("tag2text"))
    shared.clear()


@pytest.fixture
def installed(weights, monkeypatch):
    for name, value in weights.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", clip_uint8(20, 96, 160, seed=3))


class Kept:
    """A store of the engine in memory, with JSON bodies only."""

    def __init__(self):
        self.bodies = {}

    def get_json(self, kind, key):
        body = self.bodies.get((kind, key))
        return None if body is None else json.loads(body)

    def put_json(self, kind, key, body):
        self.bodies[kind, key] = json.dumps(body)


def compute(metric, clip, scene, keeper=None):
    frames = read_clip(clip, metric.frames()).select(metric.frames())
    with shared.sample_scope(keeper):
        return metric.compute({"video": frames, "auxiliary_info": {"scene": {"scene": scene}}})


def test_from_a_file_to_a_score_and_what_is_kept(installed, clip):
    """A share strictly between 0 and 1 that the network itself gives, and captions that are never made twice."""
    store = Kept()
    shared.forwards.clear()
    first = compute(get_metric("vbench.scene"), clip, "alley", store)
    assert shared.forwards["tag2text frames"] == 6
    words = [caption.split() for caption in first.details["captions"]]
    common = next(word for word in words[0] if any(word not in other for other in words))
    expected = sum(common in caption for caption in first.details["captions"])
    assert 0 < expected < 16
    # Another scene: no frame is described again.
    second = compute(get_metric("vbench.scene"), clip, common, store)
    assert second.score == expected / 16
    assert shared.forwards["tag2text frames"] == 6
    # The mode that counts all frames needs the other ten.
    fixed = compute(get_metric("vbench.scene", compat="fixed"), clip, common, store)
    assert shared.forwards["tag2text frames"] == 16
    assert [fixed.details["captions"][i // 3] for i in range(16)] == first.details["captions"]
    # Without the store, and in other chunks: the same.
    alone = get_metric("vbench.scene", compat="fixed", chunk_size=3)
    assert compute(alone, clip, common) == fixed


def test_captions_of_other_weights_are_not_taken(installed, clip, weights, tmp_path, monkeypatch):
    store = Kept()
    shared.forwards.clear()
    compute(get_metric("vbench.scene"), clip, "alley", store)
    tags = tmp_path / "other_tags.txt"
    tags.write_text(Path(weights["VIDMETRICS_TAG2TEXT_TAGS"]).read_text().replace("tok2001", "tok2002", 1))
    monkeypatch.setenv("VIDMETRICS_TAG2TEXT_TAGS", str(tags))
    compute(get_metric("vbench.scene"), clip, "alley", store)
    assert shared.forwards["tag2text frames"] == 12


def test_frames_of_a_file_are_scaled_by_the_decoder_and_those_of_memory_by_pillow(installed, clip):
    from pytest_vidmetrics.engine.api import create_evaluator

    metric = get_metric("vbench.scene")
    scaled = read_clip(clip, metric.frames()).select(metric.frames())
    seen = []
    metric._describe = lambda frames: seen.append(frames) or [Described("", "street")] * len(frames)
    score(metric, read_clip(clip).frames)
    assert seen[0].shape == scaled[:6].shape
    assert not torch.equal(seen[0], scaled[:6])
    assert float((seen[0].float() - scaled[:6].float()).abs().mean()) < 4
    info = {"scene": "alley"}
    [found] = create_evaluator("vbench.scene").evaluate([{"video": str(clip), "auxiliary_info": info}])
    assert found["vbench.scene"] == compute(get_metric("vbench.scene"), clip, "alley")
    [found] = create_evaluator("vbench.scene").evaluate([{"video": read_clip(clip).frames, "auxiliary_info": info}])
    assert found["vbench.scene"] == score(get_metric("vbench.scene"), read_clip(clip).frames, "alley")


def test_a_network_in_memory_is_shared(installed):
    shared.clear()
    before = shared.loads.total()
    first, second = get_metric("vbench.scene"), get_metric("vbench.scene", compat="fixed")
    first.setup()
    second.setup()
    assert first._network is second._network
    assert isinstance(first._network, tag2text.Tag2Text)
    assert shared.loads.total() == before + 1
