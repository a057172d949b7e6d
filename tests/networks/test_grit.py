"""GRiT's parts against recorded values of the original, and against plain ways to compute the same."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.grit import backbone as vit
from pytest_vidmetrics.networks.grit import network as grit
from pytest_vidmetrics.networks.grit.boxes import BoxHeads, levels, pool
from pytest_vidmetrics.networks.grit.proposals import choose
from pytest_vidmetrics.networks.grit.search import search
from pytest_vidmetrics.networks.grit.text import CAPTION, LABEL, TextDecoder
from pytest_vidmetrics.networks.wordpiece import Vocabulary
from tests.support.grit_weights import DATA, WORDS, full_state, shallow_state, shapes, tied
from tests.support.oracle_fill import clip_uint8, fill_array, fill_state_dict
from tests.support.wordpiece import made_up_pieces, write_vocabulary

HEADS = "roi_heads.box_"
SCENE = torch.from_numpy(clip_uint8(8, 48, 64, 3)).permute(0, 3, 1, 2)
"""Eight frames in which the shallow network sees changing things, and nothing in the last one."""
FRAMES = {"a": (3, 96, 128, 0, 0), "b": (2, 250, 330, 1, 1)}


def record(name: str) -> dict:
    return json.loads((DATA / f"{name}.json").read_text())


def arrays(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(DATA / f"{name}.npz"))


def frame(case: str) -> torch.Tensor:
    """Return one recorded input as ``(1, 3, H, W)`` uint8."""
    count, height, width, seed, index = FRAMES[case]
    return torch.from_numpy(clip_uint8(count, height, width, seed)[index : index + 1]).permute(0, 3, 1, 2)


def difference(found: torch.Tensor, expected: np.ndarray) -> float:
    assert tuple(found.shape) == expected.shape
    return float(np.abs(found.numpy() - expected).max())


def vocabulary(known: dict[int, str] | None = None) -> Vocabulary:
    return Vocabulary(tuple(made_up_pieces(known)))


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


# The search for words


@pytest.mark.parametrize("case", record("search")["expected"], ids=lambda case: f"{case['gain']}+{case['add_to_end']}")
@pytest.mark.parametrize("beams", [1, 3])
def test_the_search_gives_the_recorded_ids(case: dict, beams: int) -> None:
    place = fill_array(f"search/position/{case['case']}", (3, 41, 40)) * math.sqrt(41 * 40) * case["gain"]
    place[..., 5] += case["add_to_end"]
    last = fill_array(f"search/last/{case['case']}", (40, 40)) * math.sqrt(40) * case["gain"]
    place, last = torch.from_numpy(place.astype(np.float32)), torch.from_numpy(last.astype(np.float32))
    found = search(lambda words, t: place[:, t + 1] + last[words], 3, 1, 5, "cpu", beams)
    expected = case[f"beam{beams}"]
    assert found.ids.tolist() == expected["ids"]
    assert found.mean_logprob.tolist() == pytest.approx(expected["mean_logprob"], abs=1e-5)


def test_less_than_one_beam_is_refused() -> None:
    with pytest.raises(ValueError, match="beams must be at least 1, got 0"):
        search(lambda words, t: torch.zeros(1, 3), 1, 1, 2, "cpu", 0)


# Boxes


def test_the_cascade_gives_the_recorded_boxes_on_all_three_maps() -> None:
    state = {key: shape for key, shape in shapes().items() if key.startswith(HEADS)}
    heads = BoxHeads()
    heads.load_state_dict({key.removeprefix("roi_heads."): value for key, value in fill_state_dict(state).items()})
    expected = arrays("roi_stage")
    maps = []
    for level in (3, 4, 5):
        shape = (1, 256, math.ceil(640 / 2**level), math.ceil(768 / 2**level))
        noise = fill_array(f"stage/p{level}", shape) * np.float64(math.sqrt(math.prod(shape[1:])))
        maps.append(torch.from_numpy(noise.astype(np.float32)))
    boxes, scores = (torch.from_numpy(expected[key]) for key in ("boxes_in", "proposal_scores"))
    assert levels(boxes).tolist() == record("roi_stage")["expected"]["levels_of_input_boxes"]
    frames, size, before = torch.zeros(len(boxes)), (640, 768), boxes
    for number, (logits, changes, after) in enumerate(heads.stages(maps, boxes, frames, size)):
        pooled = pool(maps, before, frames, 7)[:, ::32, ::3, ::3]
        assert difference(pooled, expected[f"s{number}_pooled_s"]) <= 1e-5
        assert difference(before, expected[f"s{number}_boxes"]) <= 2e-3
        assert difference(logits, expected[f"s{number}_logits"]) <= 1e-4
        assert difference(changes, expected[f"s{number}_deltas"]) <= 1e-4
        before = after
    ((kept, final),) = heads(maps, [(boxes, scores)], size)
    assert difference(kept, expected["boxes_out"]) <= 2e-3
    assert difference(final, expected["scores_out"]) <= 1e-5
    features = pool(maps, kept, torch.zeros(len(kept)), 14).flatten(2).transpose(1, 2)
    assert difference(features[:, ::28, ::32], expected["objfeat_s"]) <= 1e-5


def test_frames_together_are_frames_one_by_one() -> None:
    network = shallow()
    clip = SCENE[[0, 3, 5]]
    together = network(clip)
    assert together == network(clip.float(), chunk_size=1)
    assert len({shown.labels for shown in together}) == 3
    assert {word for shown in together for label in shown.labels for word in label.split()} <= set(WORDS.values())


def test_one_look_serves_both_tasks_and_a_frame_without_a_box_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, looks, texts = shallow(), [], []
    look, write = network.text.look, network.text.write
    monkeypatch.setattr(network.text, "look", lambda x: (looks.append(len(x)), look(x))[1])
    monkeypatch.setattr(network.text, "write", lambda memory, begin: (texts.append(begin), write(memory, begin))[1])
    shown = network(SCENE[[0, 7]])
    assert (shown[1].boxes, shown[1].labels, shown[1].captions) == ((), (), ())
    assert looks == [len(shown[0].boxes)]
    assert texts == [LABEL, CAPTION]
    assert network(SCENE[7:]) == shown[1:]
    assert len(looks) == 1


def test_boxes_are_written_about_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = shallow()(SCENE[:2])
    monkeypatch.setattr(grit, "BOXES_AT_ONCE", {"cpu": 2})
    assert sum(len(one.boxes) for one in expected) > 3
    assert shallow()(SCENE[:2], chunk_size=1) == expected


# Attention and text, against plain versions


@pytest.mark.parametrize(("height", "width"), [(3, 5), (14, 14)])
def test_attention_is_the_librarys(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import VitDetConfig
    from transformers.models.vitdet.modeling_vitdet import VitDetAttention

    torch.manual_seed(1)
    config = VitDetConfig(hidden_size=768, num_attention_heads=12, use_relative_position_embeddings=True)
    theirs = VitDetAttention(config, input_size=(14, 14)).eval()
    for table in (theirs.rel_pos_h, theirs.rel_pos_w):
        table.normal_()
    ours = vit.Attention(14)
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, height, width, 768)
    expected = theirs(tokens)[0]
    assert torch.allclose(ours(tokens)[0], expected, atol=1e-5)
    monkeypatch.setattr(vit, "SCORES_AT_ONCE", {"cpu": 1})
    assert torch.allclose(ours(tokens)[0], expected, atol=1e-5)


def plain_logits(decoder: TextDecoder, features: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Return the logits after every word with one mask over features and words, and nothing kept."""
    seen = decoder.object_feature_projection(features)
    at = decoder.embedding.positions.weight[: words.shape[1]]
    x = torch.cat([seen, decoder.embedding.layer_norm(decoder.embedding.words(words) + at)], dim=1)
    visual, total = seen.shape[1], x.shape[1]
    mask = torch.ones(total, total, dtype=torch.bool).tril()
    mask[:visual] = torch.arange(total) < visual
    mask[visual:, :visual] = True
    for layer in decoder.layers:
        own, split = layer.attention["self"], lambda y: y.view(*y.shape[:2], 12, 64).transpose(1, 2)
        query, key, value = (split(own[name](x)) for name in ("query", "key", "value"))
        weights = (query @ key.transpose(-1, -2) / 8).masked_fill(~mask, -math.inf).softmax(dim=-1)
        joined = layer.attention["output"]
        x = joined["LayerNorm"](joined["dense"]((weights @ value).transpose(1, 2).flatten(2)) + x)
        x = layer.output["LayerNorm"](layer.output["dense"](F.gelu(layer.intermediate["dense"](x))) + x)
    return decoder.output(x[:, visual:])


def test_kept_keys_and_values_give_the_logits_of_the_whole_text() -> None:
    decoder = shallow().text
    features, words = torch.randn(2, 196, 256), torch.tensor([[101, 2000, 2001, 5], [104, 7, 2003, 102]])
    memory = decoder.look(features)
    found = torch.stack([decoder.next_word(memory, words[:, i], i) for i in range(4)], dim=1)
    assert torch.allclose(found, plain_logits(decoder, features, words), atol=1e-4)
    texts = decoder.write(memory, LABEL), decoder.write(memory, CAPTION), decoder.write(memory, LABEL)
    assert torch.equal(texts[0].ids, texts[2].ids)
    assert int(texts[1].ids[0, 0]) == CAPTION


# Files


def shallow() -> grit.Grit:
    """Return the shallow network, built once in this process."""
    return shared.load("shallow-grit-of-tests", "cpu", lambda: grit.Grit(shallow_state(), vocabulary(WORDS)))


def test_a_flat_file_without_masks_and_with_another_name_of_the_decoder_loads(tmp_path: Path) -> None:
    state = {key: value for key, value in shallow_state().items() if "mask_head" not in key}
    alias = {"roi_heads.text_decoder_det.textual.output.bias": torch.zeros(3)}
    torch.save({**state, **alias}, tmp_path / "grit.pth")
    read = grit.read(tmp_path / "grit.pth", write_vocabulary(tmp_path / "vocab.txt"), "cpu")
    assert read.text.output.weight is read.text.embedding.words.weight
    mine, theirs = read.state_dict(), shallow().state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert {value.dtype for value in mine.values()} == {torch.float32}


PROJECTION, NORM = "backbone.bottom_up.patch_embed.proj.bias", "backbone.bottom_up.blocks.2.norm1.bias"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {PROJECTION: torch.zeros(1024)},
            rf"1 tensors are of another shape: {PROJECTION} \(1024,\), expected \(768,\)",
        ),
        ({NORM: None}, r"1 tensors are missing: backbone\..*layer\.2\.norm1\.bias"),
        ({"roi_heads.other.weight": torch.zeros(1)}, r"1 tensors are not of GRiT-B: roi_heads\.other"),
        ({"backbone.bottom_up.blocks.7.norm1.bias": torch.zeros(768)}, r"tensors are missing"),
    ],
    ids=["large", "missing", "surplus", "gap"],
)
def test_other_tensors_are_refused(change: dict[str, torch.Tensor | None], reason: str) -> None:
    changed = {**shallow_state(), **change}
    with pytest.raises(ValueError, match=reason):
        grit.Grit({key: value for key, value in changed.items() if value is not None}, vocabulary())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"model": {}}, "holds no state dict"),
        ({"weight": torch.zeros(1)}, r"there is no tensor backbone\.bottom_up\.blocks\.0"),
        (b"<html>sign in</html>", ""),
    ],
    ids=["empty", "another network", "a page"],
)
def test_another_file_is_named(
    body: dict | bytes, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grit_l.pth"
    if isinstance(body, bytes):
        path.write_bytes(body)
    else:
        torch.save(body, path)
    monkeypatch.setenv("VIDMETRICS_BERT_VOCABULARY", str(write_vocabulary(tmp_path / "vocab.txt")))
    monkeypatch.setenv("VIDMETRICS_GRIT", str(path))
    with pytest.raises(UnavailableError, match=rf"grit_l\.pth .* not hold the weights of grit-b: .*{reason}"):
        get_metric("vbench.color").setup()


# The recorded values of the whole network


@pytest.fixture(scope="module")
def full() -> grit.Grit:
    return grit.Grit(full_state(), vocabulary())


@pytest.fixture
def changed(full: grit.Grit) -> Iterator[grit.Grit]:
    """The whole network, whose biases and threshold a test may change."""
    sides, ends, least = full.proposals.bbox_pred.bias.clone(), full.text.output.bias.clone(), full.least
    yield full
    full.proposals.bbox_pred.bias.copy_(sides)
    full.text.output.bias.copy_(ends)
    full.least = least


@pytest.mark.slow
@pytest.mark.parametrize("case", "ab")
def test_maps_are_the_recorded_ones(full: grit.Grit, case: str) -> None:
    expected = arrays("backbone")
    features = full.backbone.last_map(vit.prepare(frame(case)))
    maps = dict(zip(("vit", "p3", "p4", "p5", "p6", "p7"), (features, *full.backbone.pyramid(features)), strict=True))
    for name, found in maps.items():
        sample = expected[f"{case}_{name}"]
        step = [-(-mine // theirs) for mine, theirs in zip(found.shape, sample.shape, strict=True)]
        assert difference(found[:, :: step[1], :: step[2], :: step[3]], sample) <= 5e-5


@pytest.mark.slow
@pytest.mark.parametrize("case", "ab")
@pytest.mark.parametrize("variant", ["rule", "wide"])
def test_proposals_and_boxes_are_the_recorded_ones(changed: grit.Grit, case: str, variant: str) -> None:
    expected, boxes = arrays("proposals"), arrays("boxes")
    pyramid, size = changed.backbone(vit.prepare(frame(case))), FRAMES[case][1:3]
    if variant == "wide":
        changed.proposals.bbox_pred.bias.fill_(8.0)
    else:
        for level, (heat, sides) in enumerate(changed.proposals.maps(pyramid), 3):
            assert difference(heat, expected[f"{case}_heat{level}"]) <= 5e-5
            step = 2 if (case, level) == ("b", 3) else 1
            assert difference(sides[..., ::step, ::step], expected[f"{case}_reg{level}"]) <= 5e-5
    ((found, scores),) = choose(changed.proposals(pyramid))
    order = in_recorded_order(found, expected[f"{case}_{variant}_boxes"])
    assert difference(found[order], expected[f"{case}_{variant}_boxes"]) <= 0.01
    assert difference(scores, expected[f"{case}_{variant}_scores"]) <= 1e-5
    first, before = order[:64], found[order]
    for number, (logits, changes, after) in enumerate(
        changed.roi_heads.stages(pyramid, before, torch.zeros(len(before)), size)
    ):
        assert difference(before[: len(first)], boxes[f"{case}_{variant}_s{number}_in"]) <= 0.005
        assert difference(logits[: len(first)], boxes[f"{case}_{variant}_s{number}_logits"]) <= 5e-5
        assert difference(changes[: len(first)], boxes[f"{case}_{variant}_s{number}_deltas"]) <= 5e-5
        before = after
    ((final, score),) = changed.roi_heads(pyramid, [(found, scores)], size)
    assert difference(final, boxes[f"{case}_{variant}_boxes"]) <= 0.005
    assert difference(score, boxes[f"{case}_{variant}_scores"]) <= 1e-5
    features = pool(pyramid, final[:4], torch.zeros(len(final[:4])), 14).flatten(2).transpose(1, 2)
    assert difference(features[:, ::14, ::16], boxes[f"{case}_{variant}_objfeat"]) <= 1e-4


def in_recorded_order(found: torch.Tensor, expected: np.ndarray) -> list[int]:
    """Return the numbers of ``found`` in the recorded order: neighbours of nearly one score may have changed places."""
    distance = torch.cdist(torch.from_numpy(expected), found, p=math.inf)
    order: list[int] = distance.argmin(dim=1).tolist()
    assert max(abs(mine - theirs) for theirs, mine in enumerate(order)) <= 3
    assert sorted(order) == list(range(len(found)))
    return order


@pytest.mark.slow
def test_logits_and_texts_are_the_recorded_ones(changed: grit.Grit) -> None:
    expected, values = record("text")["expected"], arrays("text")
    noise = fill_array("stage/object_features", (6, 196, 256)) * np.float64(math.sqrt(196 * 256))
    features = torch.from_numpy(noise.astype(np.float32))
    projected = changed.text.object_feature_projection(features)
    assert difference(projected[:, ::14, ::24], values["projected_s"]) <= 5e-5
    memory, words = changed.text.look(features), torch.from_numpy(values["tokens"]).long()
    logits = torch.stack([changed.text.next_word(memory, words[:, i], i) for i in range(words.shape[1])], dim=1)
    assert difference(logits[..., ::244], values["logits_s"]) <= 5e-5
    assert torch.equal(logits.argmax(dim=-1), torch.from_numpy(values["argmax"]).long())
    plain = changed.text.output.bias.clone()
    for name, decoded in expected["decode"].items():
        changed.text.output.bias.copy_(plain)
        changed.text.output.bias[102] += decoded["add_to_output_bias_102"]
        found = changed.text.write(memory, decoded["begin"])
        ids = decoded["predictions"] if name == "all_eos" else values[f"ids_{name}"].tolist()
        assert found.ids.tolist() == ids, name
        assert [changed.vocabulary.decode(row[1:]) for row in found.ids.tolist()] == decoded["strings"]
        if "mean_logprob" in decoded:
            assert found.mean_logprob.tolist() == pytest.approx(decoded["mean_logprob"], abs=2e-5)


def set_up(network: grit.Grit, case: dict) -> str:
    """Change a network as a recorded case says; return the key of its frame."""
    network.least = case["score_threshold"]
    network.text.output.bias[102] += case["add_to_output_bias_102"]
    if case["variant"] == "wide":
        network.proposals.bbox_pred.bias.fill_(case["bbox_pred_bias"])
    return "a" if case["frame"].startswith("clip_uint8(3, 96, 128") else "b"


@pytest.mark.slow
@pytest.mark.parametrize("case", record("e2e")["expected"], ids=lambda case: f"{case['variant']}-{case['task']}")
def test_a_frame_shows_what_was_recorded(changed: grit.Grit, case: dict) -> None:
    picture = frame(set_up(changed, case))
    objects, features = changed.look(picture)
    ((boxes, scores),) = objects
    assert difference(boxes, np.array(case["boxes"], dtype=np.float32)) <= 0.01
    memory = changed.text.look(features)
    texts = {begin: changed.text.write(memory, begin) for begin in (LABEL, CAPTION)}
    mine = texts[CAPTION if case["task"] == "DenseCap" else LABEL]
    assert mine.ids.tolist() == case["caption_ids"]
    assert texts[LABEL].ids.tolist() == case["label_ids"]
    assert mine.mean_logprob.tolist() == pytest.approx(case["caption_mean_logprob"], abs=2e-5)
    mixed = (scores * mine.mean_logprob.exp()).sqrt()
    assert mixed.tolist() == pytest.approx(case["scores_after_caption"], abs=1e-4)
    (shown,) = changed(picture)
    said = shown.captions if case["task"] == "DenseCap" else shown.labels
    found = [[text, list(box), list(shown.labels)] for text, box in zip(said, shown.boxes, strict=True)]
    assert found == case["result"]
    assert grit.FrameObjects.from_json(json.loads(json.dumps(shown.to_json()))) == shown


def test_tied_words_are_one_tensor() -> None:
    state = tied({"roi_heads.text_decoder.textual.embedding.words.weight": torch.zeros(2, 2)})
    assert len({value.data_ptr() for value in state.values()}) == 1
