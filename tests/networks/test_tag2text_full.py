"""Tag2Text at full size against recorded values of the original: 372 million values, about two minutes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.metrics.vbench.frames import normalise
from pytest_vidmetrics.metrics.vbench.scene import captioned_rows, successes
from pytest_vidmetrics.networks.tag2text.beams import search
from pytest_vidmetrics.networks.tag2text.decoder import Captioning
from pytest_vidmetrics.networks.tag2text.network import Tag2Text
from pytest_vidmetrics.networks.training_colours import IMAGENET_MEAN, IMAGENET_STD
from pytest_vidmetrics.networks.wordpiece import Vocabulary
from tests.support.oracle_fill import clip_uint8, fill_array
from tests.support.tag2text_weights import full_state, lively, tag_names
from tests.support.wordpiece import made_up_pieces

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[1] / "data" / "vbench"
PROMPT = [30522, 1037, 3861, 1997]
END = 102


def recorded(name):
    found = json.loads((DATA / f"tag2text_{name}.json").read_text())
    arrays = DATA / f"tag2text_{name}.npz"
    return found["expected"], np.load(arrays) if arrays.exists() else {}


def made_up_states(gain=1.0):
    values = fill_array("stage/tag_states", (4, 40, 768)) * np.sqrt(40 * 768) * gain
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="module")
def state():
    return full_state()


@pytest.fixture(scope="module")
def network(state):
    return Tag2Text(state, tag_names(), Vocabulary(tuple(made_up_pieces()))).eval()


@pytest.fixture(scope="module")
def features(network):
    frames = torch.from_numpy(clip_uint8(4, 384, 384, seed=3)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return network.features(normalise(frames.float(), IMAGENET_MEAN, IMAGENET_STD))


def test_image_features(features):
    expected, arrays = recorded("swin")
    np.testing.assert_allclose(features[:2, ::6, ::8].numpy(), arrays["features_s"], atol=5e-5)
    np.testing.assert_allclose(features[:2, 0].numpy(), arrays["mean_token"], atol=5e-5)
    assert float(features[:2].std()) == pytest.approx(expected["features"]["std"], abs=1e-5)


def test_tags(network, features):
    expected, arrays = recorded("tags")
    with torch.inference_mode():
        np.testing.assert_allclose(network.tag_logits(features).numpy(), arrays["logits"], atol=2e-6)
        assert network.tags(features, expected["threshold"]) == expected["tag_indices"]
        assert network.tags(features) == [[], [], [], []]


def test_states_of_tags_and_logits_of_words(network, features):
    _, arrays = recorded("text")
    ids = torch.from_numpy(arrays["tag_ids"]).long()
    lengths = torch.tensor([row.index(END) + 1 for row in ids.tolist()])
    assert lengths.tolist() == [40, 12, 2]
    with torch.inference_mode():
        states = network.encode_tags(ids, lengths, features[:3])
        np.testing.assert_allclose(states[:, ::3, ::16].numpy(), arrays["tag_states_out_s"], atol=2e-5)
        logits = network.text.text_decoder(torch.from_numpy(arrays["tokens"]).long(), made_up_states()[:3])
    np.testing.assert_allclose(logits[..., ::61].numpy(), arrays["decoder_logits_s"], atol=1e-4)
    np.testing.assert_allclose(logits.amax(-1).numpy(), arrays["decoder_max"], atol=1e-4)
    assert (logits.argmax(-1).numpy() == arrays["decoder_argmax"]).all()


def test_beams(network):
    expected, _ = recorded("beam")
    states = made_up_states(1.5)
    bias = network.text.text_decoder.cls.predictions.bias
    for more, rows in expected["single"].items():
        bias[END] += float(more)
        with torch.inference_mode():
            numbers = [row["row"] for row in rows]
            found = search(Captioning(network.text.text_decoder, states[numbers]), PROMPT, END)
        bias[END] -= float(more)
        for one, row in zip(found, rows, strict=True):
            assert list(one.ids) == row["ids"]
            assert one.score == pytest.approx(row["score"], abs=2e-5)
    # In one call of upstream row i is decoded from states i // 3.
    for more, rows in expected["batch"].items():
        single = {row["row"]: row["ids"] for row in expected["single"][more]}
        assert rows == [single[i] for i in captioned_rows([0, 1, 2, 3], "upstream")]


def test_captions_and_scores(state, features):
    expected, _ = recorded("e2e")
    network = Tag2Text(lively(state), tag_names(), Vocabulary(tuple(made_up_pieces()))).eval()
    with torch.inference_mode():
        texts = [network.tag_text(row) for row in network.tags(features, expected["threshold"])]
        states = network.tag_states(features, texts)
        single = network.captions(states)
        given = network.captions(network.tag_states(features[:1], ["tok2000 | tok2001 tok2002"]))
    assert single == expected["captions_single"]
    assert given == expected["given_tags"]
    batch = [single[i] for i in captioned_rows([0, 1, 2, 3], "upstream")]
    assert batch == expected["captions_batch"]
    assert [texts[i] for i in captioned_rows([0, 1, 2, 3], "upstream")] == expected["tag_strings"]
    levels, _ = recorded("metric_level")
    for level in levels:
        if level["key"]:
            assert successes(single, level["key"].split()) / 4 == level["single"]
            assert successes(batch, level["key"].split()) / 4 == level["batch"]
