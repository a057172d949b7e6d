"""The four dimensions on GRiT: recorded scores of upstream, clips all the way to a score, sharing, and bad input."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.media.video import read_clip
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.vbench import totals
from pytest_vidmetrics.metrics.vbench.color import Color, Counts, count, object_of
from pytest_vidmetrics.metrics.vbench.objects import ObjectMetric, resized
from pytest_vidmetrics.metrics.vbench.spatial_relationship import on_its_side, overlap, pair_score
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.grit import clip as grit_clip
from pytest_vidmetrics.networks.grit.network import FrameObjects, Grit
from pytest_vidmetrics.networks.wordpiece import Vocabulary
from tests.support.clips import write_clip
from tests.support.grit_weights import DATA, changing_clip, full_state, write_weights
from tests.support.kept_files import kept
from tests.support.oracle_fill import clip_uint8
from tests.support.wordpiece import made_up_pieces

FOUR = ("vbench.object_class", "vbench.multiple_objects", "vbench.color", "vbench.spatial_relationship")
BESIDE = {"object_a": "car", "object_b": "bird", "relationship": "on the left of"}
ASKED: dict[str, Any] = {
    "text_prompt": "a white bird",
    "auxiliary_info": {"object": "car", "color": "white", "spatial_relationship": BESIDE},
}
"""What three of the dimensions ask for; multiple_objects wants two names."""


CLIP = torch.from_numpy(changing_clip()).permute(0, 3, 1, 2)


def record(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text())["expected"]


def sample(name: str, video: Any) -> dict[str, Any]:
    info = {**ASKED["auxiliary_info"], **({"object": "car and bird"} if name == "vbench.multiple_objects" else {})}
    return {**ASKED, "auxiliary_info": info, "video": video}


def shown(frames: list[list[Any]], *, caption_is_label: bool) -> list[FrameObjects]:
    """Return recorded frames, ``[caption, box, labels of the frame]`` for each box."""
    found = []
    for frame in frames:
        texts = tuple(text for text, _, _ in frame)
        labels = texts if caption_is_label else tuple(frame[0][2]) if frame else ()
        found.append(FrameObjects(tuple(tuple(box) for _, box, _ in frame), labels, texts))
    return found


def scored(name: str, frames: list[FrameObjects], monkeypatch: pytest.MonkeyPatch, **values: Any) -> MetricResult:
    """Return what a metric says of a clip in which GRiT saw ``frames``."""
    monkeypatch.setattr(ObjectMetric, "objects", lambda self, sample: frames)
    return registry.get_metric(name).compute({"video": None, **values})


# Scores of what was seen


@pytest.mark.parametrize("name", ["object_class", "multiple_objects", "spatial_relationship"])
def test_scores_of_recorded_detections_match_upstream(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block, results = record("scoring")[name], {}
    for number, (video, expected) in enumerate(zip(block["videos"], block["expected"]["per_video"], strict=True)):
        asked = {"object": video.get("object")}
        if name == "spatial_relationship":
            asked = {name: {key: video[key] for key in ("object_a", "object_b", "relationship")}}
        frames = shown(video["frames"], caption_is_label=name == "spatial_relationship")
        found = scored(f"vbench.{name}", frames, monkeypatch, auxiliary_info=asked)
        assert found.score == pytest.approx(expected["video_score"], abs=1e-12)
        assert sum(found.details["frame_results"]) == pytest.approx(
            expected["frames_ok"] if "frames_ok" in expected else sum(expected["frame_scores"])
        )
        results[str(number)] = found
    whole = {id: one for id, one in results.items() if len(one.details["frame_results"]) == 16}
    expected_mean = sum(one.score or 0.0 for one in whole.values()) / len(whole)
    assert registry.get_metric(f"vbench.{name}").corpus_score(whole) == pytest.approx(expected_mean, abs=1e-12)


def test_colours_of_recorded_detections_match_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    block, results, metric = record("scoring")["color"], {}, registry.get_metric("vbench.color")
    for number, (video, expected) in enumerate(zip(block["videos"], block["expected"]["per_video"], strict=True)):
        frames = shown(video["frames"], caption_is_label=False)
        asked = {"color": video["color"]}
        found = scored("vbench.color", frames, monkeypatch, auxiliary_info=asked, text_prompt=video["prompt"])
        assert found.score == expected["video_score"]
        assert found.details["object"] == expected["object_name"]
        counts = found.details["object_frames"], found.details["color_frames"]
        assert counts == (expected["frames_with_object"], expected["frames_with_color"])
        assert metric.left_out(found) == (expected["video_score"] is None)
        results[str(number)] = found
    kept = {id: one for id, one in results.items() if not metric.left_out(one)}
    assert len(kept) == block["expected"]["videos_counted"]
    assert metric.corpus_score(kept) == pytest.approx(block["expected"]["aggregate"], abs=1e-12)


def test_scores_of_pairs_of_boxes_match_upstream() -> None:
    for row in record("scoring")["position_score"]["table"]:
        for relation, expected in row["scores"].items():
            assert pair_score(*(tuple(box) for box in row["boxes"]), relation) == pytest.approx(expected, abs=1e-12)
    assert pair_score((0, 0, 10, 10), (20, 0, 30, 10), "inside") == 0.0


def test_boxes_of_no_area_overlap_by_nothing() -> None:
    assert overlap((5, 5, 5, 9), (5, 5, 5, 9)) == 0.0
    assert pair_score((5, 5, 5, 9), (8, 5, 8, 9), "on the left of") == 1.0


@pytest.mark.parametrize("case", record("metric_level"), ids=lambda case: case["dimension"])
def test_recorded_frames_of_the_network_have_upstreams_scores(case: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = next(
        one
        for one in record("e2e")
        if (one["frame"], one["task"], one["variant"]) == (case["frame"], case["task"], case["variant"])
    )
    frames = shown([frame["result"]], caption_is_label=case["task"] == "ObjectDet") * 16
    name, asked = case["dimension"], case["aux"]
    if name == "color":
        texts = frames[0].captions
        changed = {
            "as recorded": texts,
            '"a red " put before every caption': tuple("a red " + text for text in texts),
            '"grey " put before the last caption': (*texts[:-1], "grey " + texts[-1]),
        }[case["captions"]]
        frames = [FrameObjects(frames[0].boxes, frames[0].labels, changed)] * 16
        counts = count(frames, asked["object_name"], asked["color"])
        assert counts == Counts(case["object_frames"], case["colour_frames"])
        assert Color().result(counts, asked["object_name"], asked["color"]).score == case["video_score"]
        return
    values = {name: asked} if name == "spatial_relationship" else asked
    found = scored(f"vbench.{name}", frames, monkeypatch, auxiliary_info=values)
    assert found.score == pytest.approx(case["video_score"], abs=1e-12)


FIXED_FRAMES = [
    FrameObjects(((0, 0, 10, 10), (20, 0, 30, 10)), ("cat", "dog"), ("a red cat", "a colored dog")),
    FrameObjects(((20, 0, 30, 10), (0, 0, 10, 10)), ("dog", "cat"), ("a blue dog", "a red cat")),
]


def test_fixed_looks_at_a_captions_own_label_and_at_whole_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(FIXED_FRAMES, "cat", "red") == Counts(1, 1)
    assert count(FIXED_FRAMES, "cat", "red", "fixed") == Counts(2, 2)
    assert count(FIXED_FRAMES, "dog", "blue", "fixed") == Counts(1, 1)
    assert object_of("a green panda bear", "green") == "pandbear"
    assert object_of("A green panda bear", "green", "fixed") == "panda bear"
    fixed = registry.get_metric("vbench.color", compat="fixed")
    monkeypatch.setattr(ObjectMetric, "objects", lambda self, sample: FIXED_FRAMES)
    found = fixed.compute({"auxiliary_info": {"color": "red"}, "text_prompt": "a red bird"})
    assert (found.score, fixed.left_out(found)) == (0.0, False)


@pytest.mark.parametrize(
    ("relation", "expected"), [("on the left of", 1.0), ("on the right of", 0.0), ("on the top of", 0.0)]
)
def test_fixed_asks_for_the_side(relation: str, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"spatial_relationship": {"object_a": "cat", "object_b": "dog", "relationship": relation}}
    fixed = registry.get_metric("vbench.spatial_relationship", compat="fixed")
    monkeypatch.setattr(ObjectMetric, "objects", lambda self, sample: FIXED_FRAMES)
    assert fixed.compute({"auxiliary_info": asked}).score == expected
    twins = {"spatial_relationship": {"object_a": "cat", "object_b": "cat", "relationship": relation}}
    assert fixed.compute({"auxiliary_info": twins}).score == 0.0
    assert on_its_side((0, 0, 2, 2), (0, 8, 2, 10), "on the top of")
    assert not on_its_side((0, 0, 2, 2), (0, 8, 2, 10), "on the bottom of")


# Sizes


def test_sizes_are_cut_in_upstreams_order() -> None:
    assert resized(480, 832) is None
    assert resized(768, 2000) is None
    assert resized(780, 1000) == (720, 923)
    assert resized(1080, 800) == (972, 720)
    assert resized(2160, 3840) == (720, 1280)
    assert resized(3840, 2160) == (1280, 720)
    short = [side for side in range(769, 4321) if min(resized(side, side) or ()) == 719]
    assert (len(short), short[:5]) == (87, [1142, 1189, 1194, 1206, 1229])


@pytest.mark.parametrize("number", [0, 1])
def test_large_frames_are_resized_as_upstream_reads_them(number: int) -> None:
    expected, arrays = record("resize")[number], np.load(DATA / "resize.npz")
    size, seed = ((780, 1000), 21) if number == 0 else ((1080, 800), 22)
    frame = torch.from_numpy(clip_uint8(1, *size, seed)).permute(0, 3, 1, 2)
    resize, how = registry.get_metric("vbench.color").resizing(frame)
    levels = resize(frame)
    assert (how, list(levels.shape[-2:])) == ("cv2", expected["new_size"])
    off = np.abs(levels[0].permute(1, 2, 0).numpy()[::24, ::24].astype(int) - arrays[f"{number}_color_s"])
    assert (off.max(), int(levels.sum())) == (0, expected["color_uint8_sum"])
    for name in ("vbench.object_class", "vbench.spatial_relationship"):
        resize, how = registry.get_metric(name).resizing(frame)
        floats = resize(frame)
        assert how == "antialias"
        assert np.abs(floats[..., ::24, ::24].numpy() - arrays[f"{number}_float_antialias_s"]).max() < 1e-3
    assert registry.get_metric("vbench.color", compat="fixed").resizing(frame)[1] == "antialias"


# From clips to scores, by the shallow network


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    yield kept("grit", write_weights)
    shared.clear()


@pytest.fixture
def weights(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in variables.items():
        monkeypatch.setenv(name, path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", changing_clip(), crf=4)


def frames_seen(before: Counter[Any]) -> int:
    return (shared.forwards - before)[grit_clip.COUNTER]


@pytest.mark.usefixtures("weights")
def test_a_file_becomes_four_scores_from_one_look_at_each_frame(path: Path, tmp_path: Path) -> None:
    scorer, before = EvalWorker(FileStore(tmp_path)), shared.forwards.copy()
    three = [registry.get_metric(name) for name in FOUR if name != "vbench.multiple_objects"]
    results = {one.result.name: one.result for one in scorer.fill(sample("", str(path)), three) if one.result}
    assert frames_seen(before) == 8
    both = scorer.fill(sample("vbench.multiple_objects", str(path)), [registry.get_metric("vbench.multiple_objects")])
    assert frames_seen(before) == 8
    results["vbench.multiple_objects"] = both[0].result or MetricResult.failed("", "")

    network: Grit = three[0]._network
    seen = [network(frame[None])[0] for frame in read_clip(path).frames]
    labels = [set(frame.labels) for frame in seen]
    cars = sum("car" in one for one in labels)
    assert 0 < cars < 8
    assert results["vbench.object_class"].score == (cars + 8 * ("car" in labels[-1])) / 16
    pairs = sum({"car", "bird"} <= one for one in labels)
    assert 0 < pairs < 8
    assert results["vbench.multiple_objects"].score == (pairs + 8 * ({"car", "bird"} <= labels[-1])) / 16
    white = [any("white" in text for text in one.captions) for one in seen if one.labels[:1] == ("bird",)]
    assert results["vbench.color"].details["color_frames"] == sum(white)
    assert results["vbench.color"].score == sum(white) / results["vbench.color"].details["object_frames"]
    assert 0.0 < results["vbench.color"].score < 1.0
    spatial = results["vbench.spatial_relationship"]
    assert 0.0 < (spatial.score or 0.0) < 1.0
    assert [score > 0 for score in spatial.details["frame_results"][:8]] == [
        any(pair_score(a, b, "left") > 0 for a in named for b in named)
        for named in (
            [box for box, label in zip(one.boxes, one.labels, strict=True) if label in ("car", "bird")] for one in seen
        )
    ]


@pytest.mark.usefixtures("weights")
def test_another_dimension_in_a_second_run_looks_at_nothing(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = registry.get_metric("vbench.object_class")
    EvalWorker(FileStore(tmp_path)).fill(sample("", str(path)), [first])
    before = shared.forwards.copy()
    rest = [registry.get_metric(name) for name in FOUR[2:]]
    monkeypatch.setattr(ObjectMetric, "setup", lambda self: None)  # nor does it need the network
    outcomes = EvalWorker(FileStore(tmp_path)).fill(sample("", str(path)), rest)
    assert all(one.result is not None and one.result.status in ("scored", "skipped") for one in outcomes)
    assert frames_seen(before) == 0


@pytest.mark.usefixtures("weights")
def test_a_sample_in_memory_is_looked_at_once_for_all() -> None:
    clip = CLIP[[0, 1, 1, 3]]
    before = shared.forwards.copy()
    with Evaluator([name for name in FOUR if name != "vbench.multiple_objects"], "cpu") as evaluator:
        found = evaluator.evaluate(**sample("", clip))
    assert frames_seen(before) == 3  # one of the four is a repeated one
    assert found["vbench.object_class"].details["frame_results"] == [1, 0, 0, *[1] * 13]
    assert found["vbench.spatial_relationship"].details["frame_results"][:3] == [0, 0, 0]


@pytest.mark.usefixtures("weights")
def test_other_weights_and_other_pixels_are_other_entries(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, metric, clip = FileStore(tmp_path), registry.get_metric("vbench.object_class"), CLIP[:1]

    def looks(video: torch.Tensor) -> int:
        before = shared.forwards.copy()
        with shared.sample_scope(store):
            metric.compute(sample("", video))
        return frames_seen(before)

    assert [looks(clip), looks(clip.clone()), looks(clip ^ 1)] == [1, 0, 1]
    other = tmp_path / "vocab.txt"
    other.write_text(Path(variables["VIDMETRICS_BERT_VOCABULARY"]).read_text().replace("car", "cart"))
    monkeypatch.setenv("VIDMETRICS_BERT_VOCABULARY", str(other))
    assert looks(clip) == 1


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips_repeat_their_last_frame(frames: int) -> None:
    found = registry.get_metric("vbench.object_class").compute(sample("", CLIP[[1, 3]][-frames:]))
    assert found.details["frame_results"] == [0] * (frames - 1) + [1] * (17 - frames)


@pytest.mark.usefixtures("weights")
def test_frames_without_any_box_show_nothing() -> None:
    for name in FOUR:
        found = registry.get_metric(name).compute(sample(name, CLIP[1:2]))
        if name == "vbench.color":
            assert (found.score, found.status) == (None, "skipped")
            assert "no caption gives the object 'bird' a colour" in found.reason
        else:
            assert found.score == 0.0


@pytest.mark.usefixtures("weights")
def test_what_the_network_raises_is_an_error_and_no_empty_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(Grit, "look", fail)
    clip = torch.zeros(1, 3, 48, 64, dtype=torch.uint8)
    with Evaluator(["vbench.object_class"], "cpu") as evaluator:
        found = evaluator.evaluate(**sample("", clip))["vbench.object_class"]
    assert (found.status, "no kernel image" in found.reason) == ("failed", True)


@pytest.mark.slow
@pytest.mark.usefixtures("weights")
def test_4k_and_portrait_frames_have_scores_and_colours_have_a_look_of_their_own() -> None:
    large = torch.from_numpy(clip_uint8(1, 540, 960, 3)).permute(0, 3, 1, 2)
    large = large.repeat_interleave(4, 2).repeat_interleave(4, 3)
    before = shared.forwards.copy()
    with Evaluator([name for name in FOUR if name != "vbench.multiple_objects"], "cpu") as evaluator:
        for clip in (large, large.transpose(2, 3)):
            for found in evaluator.evaluate(**sample("", clip)).values():
                assert found.status in ("scored", "skipped"), found.reason
    assert frames_seen(before) == 4


# Bad input


BAD: list[tuple[str, Any, str]] = [
    ("object_class", {}, "skip: auxiliary_info has no name under 'object'"),
    ("multiple_objects", {"color": "red"}, "skip: auxiliary_info has no two names under 'object'"),
    ("color", {}, "skip: auxiliary_info has no colour under 'color'"),
    ("spatial_relationship", {}, "skip: auxiliary_info has no table under 'spatial_relationship'"),
    ("object_class", "cat", r"needs auxiliary_info to be a table, got 'cat' \(str\)"),
    ("object_class", {"object": ["cat"]}, r"needs auxiliary_info\.object to be a text, got \['cat'\] \(list\)"),
    (
        "object_class",
        {"object": "cat and dog"},
        "to be one name, got 'cat and dog': two are for vbench.multiple_objects",
    ),
    ("multiple_objects", {"object": "cat"}, "to be two names, such as 'dog and cat', got 'cat'"),
    ("multiple_objects", {"object": "cat and dog and bird"}, "to be two names.*got 'cat and dog and bird'"),
    ("color", {"color": 3}, r"needs auxiliary_info\.color to be a text, got 3 \(int\)"),
    ("color", {"color": ""}, "does not know the colour ''"),
    ("color", {"color": "gren"}, "does not know the colour 'gren'; did you mean 'green'"),
    ("spatial_relationship", {"spatial_relationship": "left"}, "needs a table with object_a, .* is 'left'"),
    ("spatial_relationship", {"spatial_relationship": {"object_a": "a"}}, "lacks object_b, relationship"),
    ("spatial_relationship", {"spatial_relationship": {**BESIDE, "relationship": ""}}, "relationship ''"),
    (
        "spatial_relationship",
        {"spatial_relationship": {**BESIDE, "relationship": "under"}},
        "does not know the relationship 'under'",
    ),
    (
        "spatial_relationship",
        {"spatial_relationship": {**BESIDE, "object_b": 7}},
        r"object_b to be a text, got 7 \(int\)",
    ),
]


@pytest.mark.parametrize(("name", "info", "reason"), BAD)
def test_bad_prompts_are_said_before_anything_is_looked_at(name: str, info: Any, reason: str) -> None:
    metric = registry.get_metric(f"vbench.{name}")
    clip = torch.zeros(1, 3, 48, 64, dtype=torch.uint8)
    values = {"video": clip, "auxiliary_info": info, "text_prompt": "a red cat"}
    if reason.startswith("skip: "):
        found = metric.compute(values)
        assert (found.status, found.reason) == ("skipped", reason.removeprefix("skip: "))
        return
    with pytest.raises(IncompatibleSampleError, match=reason) as raised:
        metric.compute(values)
    assert str(raised.value).startswith(f"vbench.{name} ")


def test_a_prompt_that_is_a_colour_and_nothing_else_has_no_object() -> None:
    clip = torch.zeros(1, 3, 48, 64, dtype=torch.uint8)
    with pytest.raises(IncompatibleSampleError, match="finds no object in 'a red' beside 'red'"):
        registry.get_metric("vbench.color").compute(
            {"video": clip, "auxiliary_info": {"color": "red"}, "text_prompt": "a red"}
        )


@pytest.mark.parametrize("name", FOUR)
def test_a_nested_table_of_upstreams_file_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = name.removeprefix("vbench.")
    flat = sample(name, None)["auxiliary_info"]
    nested = {key: {key: flat[key]} if key in flat else {"object": flat["object"]}}
    expected = scored(name, FIXED_FRAMES, monkeypatch, auxiliary_info=flat, text_prompt="a white dog")
    found = scored(name, FIXED_FRAMES, monkeypatch, auxiliary_info=nested, text_prompt="a white dog")
    assert found == expected


def test_settings_are_checked_and_part_of_the_identity() -> None:
    for name in ("vbench.color", "vbench.spatial_relationship"):
        with pytest.raises(ValueError, match="compat must be one of upstream, fixed, got"):
            registry.get_metric(name, compat="other")
        assert registry.get_metric(name).identity()["params"] == {"compat": "upstream"}
    with pytest.raises(ValueError, match="chunk_size must be at least 1"):
        registry.get_metric("vbench.object_class", chunk_size=0)
    assert not any(registry.metric_class(name).binary for name in FOUR)


# Totals, and the whole network


def test_totals_leave_out_clips_without_a_coloured_object() -> None:
    kept = [MetricResult("x", score, {"object_frames": 4}) for score in (0.5, 1.0)]
    lost = Color().result(Counts(0, 0), "dog", "red")
    assert totals.aggregate("color", [*kept, lost]) == 0.75
    with pytest.raises(ValueError, match="1 of 3 clips have no score"):
        totals.aggregate("object_class", [*kept, lost])
    with pytest.raises(ValueError, match="color: 0 of 0 clips"):
        totals.aggregate("color", [lost])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["DenseCap", "ObjectDet"])
def test_the_whole_network_gives_recorded_scores_from_a_clip(task: str) -> None:
    state = full_state()
    state["proposal_generator.centernet_head.bbox_pred.bias"].fill_(8.0)
    state["roi_heads.text_decoder.textual.output.bias"][102] += 2.2
    network = Grit(state, Vocabulary(tuple(made_up_pieces())), least=0.6582)
    clip = torch.from_numpy(clip_uint8(2, 250, 330, 1)).permute(0, 3, 1, 2)[1:]
    cases = [case for case in record("metric_level") if case["variant"] == "wide" and case["task"] == task]
    checked = 0
    with shared.sample_scope():
        for case in cases:
            metric: Any = registry.get_metric(f"vbench.{case['dimension']}")
            metric._network = network
            asked = case["aux"]
            if case["dimension"] == "color":
                if case["captions"] != "as recorded" or not asked["object_name"]:
                    continue
                values = {"auxiliary_info": {"color": asked["color"]}, "text_prompt": asked["object_name"]}
            else:
                nested = case["dimension"] == "spatial_relationship"
                values = {"auxiliary_info": {"spatial_relationship": asked} if nested else asked}
            found = metric.compute({"video": clip, **values})
            assert found.score == (
                case["video_score"] if case["video_score"] is None else pytest.approx(case["video_score"])
            )
            checked += 1
    assert checked >= 4
