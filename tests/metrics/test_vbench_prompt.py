from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.vbench.appearance_style import style_of
from pytest_vidmetrics.metrics.vbench.frames import clip_uint8 as prepare
from pytest_vidmetrics.metrics.vbench.frames import middle_indices
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.clip.tokenizer import ClipTokenizer
from pytest_vidmetrics.networks.clip.towers import ClipImage, ClipText
from pytest_vidmetrics.networks.clip.viclip import ViClipText, ViClipVideo
from tests.support.oracle_fill import clip_uint8, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "vbench"


def oracle(name):
    return json.loads((DATA / f"{name}.json").read_text())["expected"]


def filled(name):
    with gzip.open(DATA / f"{name}.keys.json.gz", "rt") as stream:
        return fill_state_dict({key: tuple(value[0]) for key, value in json.load(stream).items()})


def clip(case):
    return torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def tokenizer():
    touched = oracle("viclip_tokenizer")["merge_ranks_touched"]
    return ClipTokenizer({tuple(pair.split(" ")): rank for pair, rank in touched.items()})


@pytest.fixture(scope="module")
def viclip():
    state = filled("overall_consistency_shallow")
    return ViClipVideo(state), ViClipText(state)


@pytest.fixture
def metric_of(viclip, tokenizer):
    def make(name):
        metric = get_metric(name)
        metric._video, metric._text = viclip
        metric._tokenizer = tokenizer
        return metric

    return make


def test_overall_consistency_and_temporal_style_match_upstream(metric_of):
    expected = oracle("overall_consistency_shallow")
    names = ("vbench.overall_consistency", "vbench.temporal_style")
    metrics = [metric_of(name) for name in names]
    for case in expected["videos"]:
        sample = {"video": clip(case), "text_prompt": case["input"]["prompt"]}
        # What the engine decodes for the metric is enough for it.
        asked = metrics[0].frames().indices(len(sample["video"]))
        again = [asked[i] for i in middle_indices(len(asked), 8)]
        assert again == middle_indices(len(sample["video"]), 8) == case["frame_index"]
        with shared.sample_scope():
            before = sum(shared.forwards.values())
            results = [metric.compute(sample) for metric in metrics]
            assert sum(shared.forwards.values()) == before + 1
        assert [result.name for result in results] == list(names)
        for result in results:
            assert result.score == pytest.approx(case["video_result"], abs=3e-6)


def test_viclip_features_match_upstream(viclip, tokenizer):
    expected = oracle("overall_consistency_shallow")
    arrays = np.load(DATA / "overall_consistency_shallow.npz")
    video, text = viclip
    case = expected["videos"][0]
    pixels = prepare(clip(case)[case["frame_index"]])[None]
    np.testing.assert_allclose(video(pixels)[0].numpy(), arrays["0_vision_feature"], atol=3e-5)
    features = text([tokenizer.row(entry["text"], 32) for entry in expected["texts"]])
    for i, feature in enumerate(features):
        np.testing.assert_allclose(feature.numpy(), arrays[f"text{i}_feature"], atol=3e-5)


def test_an_empty_prompt_is_no_prompt(metric_of):
    with pytest.raises(IncompatibleSampleError, match="text_prompt"):
        metric_of("vbench.overall_consistency").compute(
            {"video": torch.zeros(8, 3, 8, 8, dtype=torch.uint8), "text_prompt": " "}
        )


def test_appearance_style_matches_upstream(tokenizer):
    expected = oracle("appearance_style_shallow")
    state = filled("appearance_style_shallow")
    metric = get_metric("vbench.appearance_style")
    metric._image, metric._text, metric._tokenizer = ClipImage(state), ClipText(state), tokenizer
    # The recorded ids of the styles stand in for the vocabulary, which the tests do not carry.
    rows = {text["text"]: text["token_ids"] for text in expected["texts"]}
    metric._styles = {
        style: torch.nn.functional.normalize(metric._text([ids + [0] * (77 - len(ids))]), dim=-1)[0]
        for style, ids in rows.items()
    }
    frames = []
    for case in expected["videos"]:
        sample = {"video": clip(case), "auxiliary_info": {"appearance_style": case["style"]}}
        result = metric.compute(sample)
        assert result.score == pytest.approx(case["video_result"], abs=2e-6)
        assert result.details["frame_results"] == pytest.approx(case["frame_results"], abs=2e-6)
        assert result.details["frame_results"][-1] == pytest.approx(case["last_frame"], abs=2e-6)
        frames += result.details["frame_results"]
    assert sum(frames) / len(frames) == pytest.approx(expected["aggregate_single_process"], abs=2e-6)


def test_a_sample_without_a_style_is_skipped_with_the_reason():
    result = get_metric("vbench.appearance_style").compute(
        {"video": torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "auxiliary_info": {"color": "red"}}
    )
    assert result.status == "skipped"
    assert "appearance_style" in result.reason


@pytest.mark.parametrize(
    ("auxiliary", "style"),
    [
        ({"appearance_style": "cyberpunk"}, "cyberpunk"),
        ({"appearance_style": {"appearance_style": "cyberpunk"}}, "cyberpunk"),
        ("cyberpunk", "cyberpunk"),
        ({"appearance_style": " "}, None),
        ({}, None),
        (None, None),
    ],
)
def test_styles_are_found_at_both_depths(auxiliary, style):
    assert style_of(auxiliary) == style


@pytest.mark.slow
def test_full_depth_viclip(tokenizer):
    state = filled("overall_consistency")
    metric = get_metric("vbench.overall_consistency")
    metric._video, metric._text, metric._tokenizer = ViClipVideo(state), ViClipText(state), tokenizer
    for case in oracle("overall_consistency")["videos"]:
        result = metric.compute({"video": clip(case), "text_prompt": case["input"]["prompt"]})
        assert result.score == pytest.approx(case["video_result"], abs=5e-6)


@pytest.mark.slow
def test_full_depth_appearance_style():
    expected = oracle("appearance_style")
    state = filled("appearance_style")
    metric = get_metric("vbench.appearance_style")
    metric._image, metric._text, metric._tokenizer = ClipImage(state), ClipText(state), ClipTokenizer({})
    for text in expected["texts"]:
        row = text["token_ids"] + [0] * (77 - len(text["token_ids"]))
        metric._styles[text["text"]] = torch.nn.functional.normalize(metric._text([row]), dim=-1)[0]
    for case in expected["videos"]:
        sample = {"video": clip(case), "auxiliary_info": {"appearance_style": case["style"]}}
        assert metric.compute(sample).score == pytest.approx(case["video_result"], abs=3e-6)
