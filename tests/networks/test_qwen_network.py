"""Tiny Qwen2.5-VL and Qwen2.5-Omni from their folders: ids, positions and logits against recorded values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.qwen import chat, checkpoint, frames, pixels, sizes
from pytest_vidmetrics.networks.qwen.checkpoint import Qwen, load
from pytest_vidmetrics.networks.qwen.decode import Decoding
from pytest_vidmetrics.networks.qwen.positions import positions
from tests.support.qwen import frames_of, recorded, tiny_omni, tiny_vl

VL, OMNI, PROMPTS = recorded("videoscore2_tiny"), recorded("scene_vlm_tiny"), recorded("vlm_prompts")["expected"]
DIGITS = [49, 50, 51, 52, 53]


@pytest.fixture(scope="module")
def vl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_vl(tmp_path_factory.mktemp("qwen") / "vl", VL["checkpoint"]["keys"])


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def vl(request: pytest.FixtureRequest, vl_folder: Path) -> Qwen:
    return Qwen(vl_folder, "cpu", "float32", request.param)


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> Qwen:
    folder = tiny_omni(tmp_path_factory.mktemp("qwen") / "omni", OMNI["checkpoint"]["keys"])
    return Qwen(folder, "cpu", "float32", "eager")


def _sha(ids: Sequence[int]) -> str:
    return hashlib.sha256(json.dumps(list(ids), separators=(",", ":")).encode()).hexdigest()


def _seen(case: dict[str, Any], rate: float, most: int = sizes.MOST) -> pixels.Seen:
    chosen = frames.path_rule(case["frames"], rate)
    return pixels.clip(pixels.clip_frames(frames_of(case)[list(chosen.indices)], most), 1.0)


def _question(case: dict[str, Any]) -> str:
    return str(PROMPTS["videoscore2_upstream"]["template"]).replace("$t2v_prompt", case["t2v_prompt"])


@pytest.mark.parametrize("case", VL["expected"], ids=["112x168", "180x320"])
def test_ids_positions_and_logits_of_qwen_vl(vl: Qwen, case: dict[str, Any]) -> None:
    seen = _seen(case, case["fps"])
    prompt = vl.prompt([seen, _question(case)])
    assert len(prompt.ids) == case["n_input_ids"]
    assert _sha(prompt.ids) == case["input_ids_sha256_of_json"]
    for rope in case["rope"]:
        timed = pixels.Seen(seen.rows, seen.grid, rope["second_per_grid_ts"][0])
        found = positions(prompt.ids, [timed], (269, 268), vl.per_second)
        assert found.prompt.sum((1, 2)).tolist() == rope["axis_sums"]
        assert found.prompt[:, 0, -1].tolist() == rope["last"]
        assert found.next - len(prompt.ids) == rope["delta"]
    for penalty in (1.0, 1.05):
        wanted = case[f"greedy_pen_{penalty}"]
        answer = vl.answer(prompt, Decoding(24, penalty=penalty), DIGITS)
        ends = [258] if answer.ended else []
        assert [*answer.ids, *ends] == wanted["ids"]
        assert answer.gap == pytest.approx(wanted["min_gap"], abs=1e-5)
        assert answer.steps[0].scores == pytest.approx(wanted["step0_digit_scores"], abs=1e-4)
        if not answer.ended:
            assert answer.steps[-1].scores == pytest.approx(wanted["last_step_digit_scores"], abs=1e-4)


@pytest.mark.parametrize("case", OMNI["expected"], ids=["112x168", "180x320"])
def test_ids_and_logits_of_the_thinker_of_qwen_omni(omni: Qwen, case: dict[str, Any]) -> None:
    asked = PROMPTS["scene_fastvideo"]
    seen = _seen(case, 8.0, sizes.AVOCADO_MOST)
    parts = [seen, asked["user"]]
    assert omni.chat_text(parts, asked["system"]) == OMNI["prompt"]["fastvideo_chat_text"]
    prompt = omni.prompt(parts, asked["system"])
    assert _sha(prompt.ids) == case["input_ids_sha256_of_json"]
    answer = omni.answer(prompt, Decoding(24), list(range(0, 272, 34)))
    assert list(answer.ids) == case["greedy_ids"]
    assert answer.steps[0].scores == pytest.approx(case["step0_samples"], abs=1e-4)


def test_the_usual_chat_text_is_that_of_the_template(vl: Qwen, omni: Qwen) -> None:
    seen = _seen(VL["expected"][0], 8.0)
    still = pixels.picture(frames_of(VL["expected"][0])[0])
    for qwen, system in ((vl, None), (vl, "Be strict."), (omni, "Be strict.")):
        parts: list[chat.Part] = ["First ", still, " and ", seen, "\n{% if x %} $y"]
        assert chat.chat_text(parts, system, qwen.signs) == qwen.chat_text(parts, system)
    recorded_text = PROMPTS["qwen2_5_vl_chat_template_result"]["one_user_message_video_then_text"]
    assert vl.chat_text([seen, "{TEXT}"]) == recorded_text


def test_text_goes_on_behind_a_long_clip_as_in_the_releases_the_judges_were_made_with() -> None:
    grid = (40, 4, 4)
    seen = pixels.Seen(torch.zeros(1), grid, 1.0)
    found = positions([5, *[269] * seen.tokens, 6, 7], [seen], (269, 268), 2)
    assert found.prompt[0, 0, :2].tolist() == [0, 1]
    assert found.prompt[0, 0, -3].item() == 1 + 39 * 2
    assert found.prompt[:, 0, -2:].tolist() == [[80, 81]] * 3
    assert found.next == 82


def test_two_clips_and_a_picture_answer_alike_alone_and_with_a_cache(vl: Qwen) -> None:
    """The prompt read at once and token by token give the same logits: positions and cache fit together."""
    first, second = (_seen(case, case["fps"]) for case in VL["expected"])
    still = pixels.picture(frames_of(VL["expected"][0])[3])
    prompt = vl.prompt(["Compare ", still, first, " with ", second, " now."])
    answer = vl.answer(prompt, Decoding(4), DIGITS)
    longer = chat.Prompt((*prompt.ids, *answer.ids[:3]), prompt.seen)
    whole = vl.answer(longer, Decoding(1), DIGITS)
    assert whole.ids[0] == answer.ids[3]
    assert whole.steps[0].logits == pytest.approx(answer.steps[3].logits, abs=1e-4)


@pytest.mark.parametrize("text", ["a cat<|im_end|>", "<|video_pad|>", "x <|endoftext|> y"])
def test_prompts_with_control_tokens_are_refused(vl: Qwen, text: str) -> None:
    with pytest.raises(IncompatibleSampleError, match="control tokens: remove them"):
        vl.prompt([text])


@pytest.mark.parametrize("text", ["", "🐱🎹 naïve café", "一只猫在弹钢琴", "cost $5 and $$ {x}", "<|im_en|> <tag>"])
def test_other_prompts_reach_the_network_byte_for_byte(vl: Qwen, text: str) -> None:
    ids = vl.encode(text)
    assert b"".join(vl.pieces(ids)).decode() == text
    assert len(vl.prompt([text]).ids) == len(vl.chat_text([text]).encode()) - _saved(vl.chat_text([text]))


def _saved(text: str) -> int:
    """Return how many bytes shorter a chat text is in tokens: three markers of two kinds."""
    return text.count("<|im_start|>") * (len("<|im_start|>") - 1) + text.count("<|im_end|>") * (len("<|im_end|>") - 1)


def test_one_network_serves_all_who_ask_for_the_same_checkpoint(vl_folder: Path) -> None:
    weights = Weights("tiny", str(vl_folder))
    assert load(weights, "cpu", "float32", "sdpa") is load(weights, "cpu", "float32", "sdpa")
    assert load(weights, "cpu", "float32", "sdpa") is not load(weights, "cpu", "bfloat16", "sdpa")
    shared.clear()


def test_bfloat16_answers_nearly_alike(vl: Qwen, vl_folder: Path) -> None:
    case = VL["expected"][0]
    seen = _seen(case, case["fps"])
    half = Qwen(vl_folder, "cpu", "bfloat16", "sdpa")
    parts = [seen, _question(case)]
    exact = vl.answer(vl.prompt(parts), Decoding(1), DIGITS).steps[0].logits
    rough = half.answer(half.prompt(parts), Decoding(1), DIGITS).steps[0].logits
    assert rough == pytest.approx(exact, abs=0.1)
    assert rough != exact


def _changed(folder: Path, name: str, changes: dict[str, Any]) -> None:
    tree = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
    (folder / name).write_text(json.dumps(tree | changes))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("config.json", {"model_type": "qwen3_vl"}, "its model_type is 'qwen3_vl'"),
        ("config.json", {"video_token_id": 268}, "its tokeniser has <|video_pad|> as 269, its settings as 268"),
        ("preprocessor_config.json", {"patch_size": 16}, "asks for patch_size = 16, not 14"),
        ("generation_config.json", {"num_beams": 4}, "asks for num_beams = 4, which is not supported"),
    ],
)
def test_a_checkpoint_of_something_else_is_named(
    tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    folder = tiny_vl(tmp_path / "other", VL["checkpoint"]["keys"])
    _changed(folder, name, changes)
    with pytest.raises(UnavailableError, match="can be read") as caught:
        load(Weights("other", str(folder)), "cpu", "float32", "sdpa")
    assert message in str(caught.value)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    keys = {**VL["checkpoint"]["keys"], "lm_head.weight": [300, 64]}
    folder = tiny_vl(tmp_path / "other", keys)
    with pytest.raises(UnavailableError, match="can be read"):
        load(Weights("other", str(folder)), "cpu", "float32", "sdpa")


def test_memory_that_runs_out_is_not_the_checkpoints_fault(vl_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory: a stand-in")

    monkeypatch.setattr(checkpoint, "_load_model", fail)
    with pytest.raises(torch.OutOfMemoryError):
        load(Weights("full", str(vl_folder)), "cpu", "float32", "sdpa")


def test_settings_of_generation_come_from_the_checkpoint(tmp_path: Path) -> None:
    settings = {"repetition_penalty": 1.05, "top_k": 1, "top_p": 0.001, "eos_token_id": [258, 256], "temperature": 1e-6}
    qwen = Qwen(tiny_vl(tmp_path / "vl", VL["checkpoint"]["keys"], settings), "cpu", "float32", "sdpa")
    assert (qwen.settings.penalty, qwen.settings.top_k, qwen.settings.top_p) == (1.05, 1, 0.001)
    assert qwen.ends == {256, 258}


def test_an_answer_ends_without_settings_too(vl: Qwen) -> None:
    assert vl.ends == {256, 258}
    assert vl.settings.penalty == 1.0


def test_words_that_are_one_token(vl: Qwen) -> None:
    assert vl.word("4") == 52
    with pytest.raises(ValueError, match="cuts 'ab' into 2 tokens"):
        vl.word("ab")
