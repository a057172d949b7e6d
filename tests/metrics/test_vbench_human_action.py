from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.vbench import human_action
from pytest_vidmetrics.metrics.vbench.frames import middle_indices
from pytest_vidmetrics.networks.umt import Umt, sinusoid_table
from tests.support.oracle_fill import clip_uint8, fill_state_dict

DATA = Path(__file__).parents[1] / "data" / "vbench"
ORACLE = json.loads((DATA / "human_action_shallow.json").read_text())
EXPECTED = ORACLE["expected"]
ARRAYS = np.load(DATA / "human_action_shallow.npz")


def filled(name):
    with gzip.open(DATA / f"{name}.keys.json.gz", "rt") as stream:
        return fill_state_dict({key: tuple(value[0]) for key, value in json.load(stream).items()})


def clip(case):
    return torch.from_numpy(clip_uint8(*case["input"]["clip_uint8"])).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def network():
    return Umt(filled("human_action_shallow")).eval()


class Answers(torch.nn.Module):
    """Stands for the network where its logits are known."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, pixels):
        assert pixels.shape == (1, 16, 3, 224, 224)
        return self.logits[None]


@pytest.mark.parametrize(
    "case", [EXPECTED["videos"][0], *(pytest.param(case, marks=pytest.mark.slow) for case in EXPECTED["videos"][1:])]
)
def test_logits_match_upstream(case, network):
    video = clip(case)
    picked = middle_indices(len(video), 16)
    assert picked == case["frame_index"]
    request = get_metric("vbench.human_action").frames()
    assert request.indices(len(video)) == sorted(set(picked))
    pixels = human_action.prepare(video[picked])
    assert float(pixels.double().mean()) == pytest.approx(case["model_input"]["mean"], abs=1e-6)
    logits = network(pixels[None])[0]
    np.testing.assert_allclose(logits.numpy(), ARRAYS[f"{case['case']}_logits"], atol=2e-5)
    kept = human_action.likely_actions(logits)
    assert [label for label, _ in kept] == case["kept_labels_at_0.85"]
    assert [value for _, value in kept] == case["top5_sigmoid_rounded_4"]


def test_decisions_match_upstream():
    cases = EXPECTED["file_name_rule"]["cases"]
    correct = []
    for case in cases:
        action = Path(case["file"]).name.split("-")[0].split("_")[0]
        metric = get_metric("vbench.human_action")
        metric._network = Answers(torch.from_numpy(ARRAYS[f"{case['logits_of_case']}_logits"]))
        result = metric.compute({"video": clip(EXPECTED["videos"][2]), "text_prompt": action or "-"})
        if human_action.action_of(action) in human_action.known_actions():
            assert result.score == float(case["correct"])
            correct.append(result.score)
        else:
            assert result.status == "skipped"
            assert not case["correct"]
    assert 1.0 in correct


def test_threshold_and_rounding_match_upstream():
    for rule in EXPECTED["threshold_rule"]:
        logits = torch.full((400,), float(rule["others"]))
        logits[[3, 77, 150, 301, 399]] = torch.tensor([float(x) for x in rule["logits_at_3_77_150_301_399"]])
        assert [label for label, _ in human_action.likely_actions(logits)] == rule["kept"]


def test_labels_are_upstreams():
    names = human_action.labels()
    assert len(names) == len(human_action.known_actions()) == 400
    for index, name in ORACLE["labels"]["used_here"].items():
        assert names[int(index)] == name


def test_a_prompt_without_a_known_action_is_skipped_with_the_nearest():
    result = get_metric("vbench.human_action").compute(
        {"video": torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "text_prompt": "A person is flying kites"}
    )
    assert result.status == "skipped"
    assert "flying kite" in result.reason
    assert get_metric("vbench.human_action").required_keys() == ("video", "text_prompt")


@pytest.mark.parametrize(
    "prompt", ["A person is riding a bike", "a PERSON is Riding a bike.", "riding a bike", " person is riding a bike"]
)
def test_the_action_comes_from_the_prompt(prompt):
    assert human_action.action_of(prompt) == "riding a bike"


def test_built_in_position_table_matches_upstream():
    expected = EXPECTED["sinusoid_table"]
    table = sinusoid_table(1024)
    assert list(table.shape) == expected["summary"]["shape"]
    stored = ARRAYS["sinusoid_table_every_196th_token_64_dims"]
    np.testing.assert_allclose(table[0, ::196, :64].numpy(), stored, atol=1e-6)
    assert table[0, -1, -4:].tolist() == pytest.approx(expected["last_token_last_4"], abs=1e-6)


@pytest.mark.slow
def test_full_depth_with_the_built_in_table():
    network = Umt(filled("human_action")).eval()
    arrays = np.load(DATA / "human_action.npz")
    for case in json.loads((DATA / "human_action.json").read_text())["expected"]["videos"]:
        pixels = human_action.prepare(clip(case)[case["frame_index"]])
        found = network(pixels[None])[0].numpy()
        np.testing.assert_allclose(found, arrays[f"{case['case']}_logits"], atol=5e-5)
