"""Tag2Text in the small: the search, the stages that can be compared without the whole network, and its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.media.resize import pil_resize
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.vbench.frames import normalise
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.tag2text import network as tag2text
from pytest_vidmetrics.networks.tag2text import swin
from pytest_vidmetrics.networks.tag2text.beams import BEAMS, search
from pytest_vidmetrics.networks.tag2text.bert import Embeddings
from pytest_vidmetrics.networks.tag2text.decoder import CaptionDecoder, Captioning
from pytest_vidmetrics.networks.training_colours import IMAGENET_MEAN, IMAGENET_STD
from pytest_vidmetrics.networks.wordpiece import Vocabulary
from tests.support.oracle_fill import clip_uint8, fill_array, fill_state_dict
from tests.support.tag2text_weights import narrow_state, published_shapes, tag_names, write_weights
from tests.support.wordpiece import made_up_pieces

DATA = Path(__file__).parents[1] / "data" / "vbench"
SEARCHES = json.loads((DATA / "beam_search.json").read_text())["expected"]


def recorded(name):
    return json.loads((DATA / f"tag2text_{name}.json").read_text())["expected"]


class Tables:
    """The recorded stand-in for a decoder: what comes next depends on the length and the last token only."""

    def __init__(self, *cases):
        self._cases, self._rows = list(cases), []
        self.calls = []

    def start(self, prompt):
        self._rows = [[case, list(prompt)] for case in self._cases]
        return self._logits()

    def step(self, items, parents, tokens):
        assert len(parents) == len(tokens) == len(items) * BEAMS
        self.calls.append(len(items))
        self._rows = [
            [self._rows[parent][0], [*self._rows[parent][1], token]]
            for parent, token in zip(parents, tokens, strict=True)
        ]
        return self._logits()

    def _logits(self):
        out = []
        for case, ids in self._rows:
            k, gain = case["case"], np.float32(case["gain"])
            position = fill_array(f"beam/position/{k}", (31, 40)) * np.float32(np.sqrt(40)) * gain
            position[:, 5] += np.float32(case["add_to_end"])
            last = fill_array(f"beam/last/{k}", (40, 40)) * np.float32(np.sqrt(40)) * gain
            out.append(position[len(ids)] + last[ids[-1]])
        return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize("case", SEARCHES, ids=lambda case: str(case["case"]))
def test_search_finds_what_transformers_4_33_found(case):
    found = search(Tables(case), [1, 2, 3, 4], 5)
    assert [list(one.ids) for one in found] == [case["ids"]]
    assert found[0].score == pytest.approx(case["score"], abs=1e-5)


def test_items_are_searched_together_and_leave_as_they_end():
    tables = Tables(*SEARCHES)
    found = search(tables, [1, 2, 3, 4], 5)
    assert [list(one.ids) for one in found] == [case["ids"] for case in SEARCHES]
    assert tables.calls == sorted(tables.calls, reverse=True)
    assert tables.calls[0] == len(SEARCHES) > tables.calls[-1]


def test_the_first_stages_of_the_image_encoder():
    """Two whole stages and one block of the third, at the published widths."""
    kept = ("patch_embed.", "layers.0.", "layers.1.", "layers.2.blocks.0.")
    shapes = {k: v for k, v in published_shapes().items() if k.removeprefix(swin.PREFIX).startswith(kept)}
    state = fill_state_dict(shapes)
    state |= {f"{swin.PREFIX}norm.{kind}": torch.ones(512) for kind in ("weight", "bias")}
    network = swin.build(state)
    seen = {}
    for i in (0, 1):
        network.encoder.layers[i].register_forward_hook(lambda _, __, out, i=i: seen.update({i: out[0]}))
    frames = torch.from_numpy(clip_uint8(4, 384, 384, seed=3)[:2]).permute(0, 3, 1, 2)
    pixels = normalise(frames.float(), IMAGENET_MEAN, IMAGENET_STD)
    expected, arrays = recorded("swin"), np.load(DATA / "tag2text_swin.npz")
    assert pixels[0, 0, 0, :8].tolist() == pytest.approx(expected["input_row0"]["first8"], abs=1e-6)
    with torch.inference_mode():
        assert swin.features(network, pixels).shape == (2, 1 + 24 * 24, 512)
    np.testing.assert_allclose(seen[0][:, ::37, ::16].numpy(), arrays["stage0_s"], atol=5e-5)
    np.testing.assert_allclose(seen[1][:, ::11, ::32].numpy(), arrays["stage1_s"], atol=5e-5)


def test_a_frame_of_another_size_is_resized_as_pillow_does():
    frame = torch.from_numpy(clip_uint8(1, 240, 320, seed=4)).permute(0, 3, 1, 2)
    pixels = normalise(pil_resize(frame, (384, 384), "bilinear").float(), IMAGENET_MEAN, IMAGENET_STD)
    stored = np.load(DATA / "tag2text_swin.npz")["resized_small_s"]
    np.testing.assert_allclose(pixels[0, :, ::16, ::16].numpy(), stored, atol=1e-6)


def test_embeddings_of_tags():
    prefix = "tag_encoder.embeddings."
    shapes = {k: v for k, v in published_shapes().items() if k.startswith(prefix)}
    table = Embeddings(30524, 512, 768)
    table.load_state_dict({k.removeprefix(prefix): v for k, v in fill_state_dict(shapes).items()})
    ids = torch.from_numpy(np.load(DATA / "tag2text_text.npz")["tag_ids"]).long()
    with torch.inference_mode():
        found = table(ids)
    expected = recorded("text")["tag_embeddings"]
    assert found[0, 0, :8].tolist() == pytest.approx(expected["first8"], abs=2e-5)
    assert float(found.std()) == pytest.approx(expected["std"], abs=1e-5)


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(5)
    made = CaptionDecoder(depth=2, words=50, positions=32, width=32, inner=64, heads=4)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return made.eval()


def test_decoder_is_berts(decoder):
    """transformers' own decoder with the same tensors; it has token types, which are zero here."""
    from transformers import BertConfig, BertLMHeadModel

    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        is_decoder=True,
        add_cross_attention=True,
    )
    theirs = BertLMHeadModel(config).eval()
    state = theirs.state_dict()
    state.update(decoder.state_dict())
    state["bert.embeddings.token_type_embeddings.weight"] = torch.zeros(2, 32)
    state["cls.predictions.decoder.weight"] = decoder.bert.embeddings.word_embeddings.weight
    state["cls.predictions.decoder.bias"] = decoder.cls.predictions.bias
    theirs.load_state_dict(state)
    ids, states = torch.randint(0, 50, (3, 7)), torch.randn(3, 5, 32)
    with torch.inference_mode():
        expected = theirs(ids, encoder_hidden_states=states).logits
        torch.testing.assert_close(decoder(ids, states), expected, atol=2e-5, rtol=1e-5)


def test_words_one_by_one_are_words_at_once(decoder):
    """Keys and values that are kept, rows that move, frames that leave: the same logits as from the whole text."""
    states = torch.randn(3, 5, 32)
    with torch.inference_mode():
        writing = Captioning(decoder, states)
        first = writing.start([1, 2, 3])
        torch.testing.assert_close(first, decoder(torch.tensor([[1, 2, 3]] * 3), states)[:, -1])
        writing.step([0, 1, 2], [0, 0, 0, 1, 1, 1, 2, 2, 2], list(range(10, 19)))
        # The second frame leaves; the third frame's beams change places.
        found = writing.step([0, 2], [0, 2, 2, 8, 6, 6], list(range(20, 26)))
        texts = [(10, 20), (12, 21), (12, 22), (18, 23), (16, 24), (16, 25)]
        ids = torch.tensor([[1, 2, 3, *text] for text in texts])
        expected = decoder(ids, states[[0, 0, 0, 2, 2, 2]])[:, -1]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def narrow():
    return narrow_state()


@pytest.fixture(scope="module")
def network(narrow):
    return tag2text.Tag2Text(narrow, tag_names(), Vocabulary(tuple(made_up_pieces()))).eval()


@pytest.fixture(scope="module")
def pixels():
    frames = torch.from_numpy(clip_uint8(5, 384, 384, seed=3)).permute(0, 3, 1, 2)
    return normalise(frames.float(), IMAGENET_MEAN, IMAGENET_STD)


def test_a_picture_is_described_by_itself(network, pixels):
    together = network(pixels)
    assert [network(one[None])[0] for one in pixels] == together
    assert network(pixels) == together
    assert len({one.caption for one in together}) > 1


def test_tags_that_are_silenced_are_never_on(network, pixels):
    with torch.inference_mode():
        found = network.tags(network.features(pixels[:1]), threshold=0.0)
    assert found == [sorted(set(range(3429)) - {127, 3351, 3265, 3338, 3355, 3359})]
    assert network.tag_text([0, 2]) == "tok2000 | tok2002"


def test_long_lists_of_tags_are_cut_and_padding_is_not_attended_to(network, pixels):
    many = " | ".join(tag_names()[:60])
    assert network._tag_ids(many)[0] == 30523
    assert len(network._tag_ids(many)) == 40
    assert network._tag_ids(many)[-1] == 102
    assert network._tag_ids("") == [30523, 102]
    with torch.inference_mode():
        features = network.features(pixels[:1])
        states = network.tag_states(features, ["tok2000"])
        alone = network.encode_tags(torch.tensor([network._tag_ids("tok2000")]), torch.tensor([3]), features)
    assert states.shape == (1, 40, 64)
    torch.testing.assert_close(states[:, :3], alone, atol=1e-5, rtol=1e-5)


def test_copies_and_tables_in_the_file_are_not_needed(narrow, network, pixels):
    lean = {
        key: value
        for key, value in narrow.items()
        if not key.startswith(("vision_multi.", "text_decoder.cls.predictions.decoder."))
    }
    rich = narrow | {
        "visual_encoder.layers.0.blocks.0.attn.relative_position_index": torch.zeros(144, 144, dtype=torch.int64),
        "visual_encoder.layers.0.blocks.1.attn_mask": torch.zeros(64, 144, 144),
        "tag_encoder.embeddings.position_ids": torch.zeros(1, 512, dtype=torch.int64),
        "text_encoder.embeddings.word_embeddings.weight": torch.zeros(2, 2),
    }
    for state in (lean, rich):
        other = tag2text.Tag2Text(state, tag_names(), Vocabulary(tuple(made_up_pieces()))).eval()
        assert other(pixels[:2]) == network(pixels[:2])


@pytest.fixture
def files(tmp_path, monkeypatch):
    found = write_weights(tmp_path / "weights", {"stand-in": torch.zeros(1)})
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    shared.clear()
    yield {name: Path(value) for name, value in found.items()}
    shared.clear()


def loaded():
    metric = get_metric("vbench.scene")
    metric.setup()
    return metric._network


@pytest.mark.parametrize(
    "lost",
    [
        "visual_encoder.norm.weight",
        "visual_encoder.layers.1.blocks.1.attn.qkv.weight",
        "tag_encoder.encoder.layer.1.output.dense.bias",
        "text_decoder.cls.predictions.bias",
        "fc.W",
        "label_embed.weight",
    ],
)
def test_a_file_without_a_tensor_is_named(files, narrow, lost):
    path = files["VIDMETRICS_TAG2TEXT"]
    torch.save({"model": {key: value for key, value in narrow.items() if key != lost}}, path)
    with pytest.raises(UnavailableError, match="not hold the weights of tag2text-swin-b") as caught:
        loaded()
    assert str(path.parent) in str(caught.value)
    part = lost.split(".")[-2] if lost.startswith("visual") else lost
    assert part in str(caught.value) or "layernorm" in str(caught.value) or "k_proj" in str(caught.value)


def test_another_shape_is_named(files, narrow):
    torch.save({"model": narrow | {"fc.b": torch.zeros(1, 7)}}, files["VIDMETRICS_TAG2TEXT"])
    with pytest.raises(UnavailableError, match=r"(?s)not hold the weights of tag2text-swin-b.*fc\.b"):
        loaded()


def test_a_wrong_list_of_tags_or_vocabulary_is_named(files, narrow):
    torch.save({"model": narrow}, files["VIDMETRICS_TAG2TEXT"])
    good = files["VIDMETRICS_TAG2TEXT_TAGS"].read_text()
    files["VIDMETRICS_TAG2TEXT_TAGS"].write_text("\n".join(good.split("\n")[:-1]))
    with pytest.raises(UnavailableError, match=r"tags\.txt is not the list of tags: it has 3428 lines"):
        loaded()
    files["VIDMETRICS_TAG2TEXT_TAGS"].write_text(good + "\n")
    files["VIDMETRICS_BERT_VOCABULARY"].write_text("[PAD]\n")
    shared.clear()
    with pytest.raises(UnavailableError, match=r"vocab\.txt is not BERT's vocabulary: it has 1 lines"):
        loaded()
