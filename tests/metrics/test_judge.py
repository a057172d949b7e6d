"""judge.third_person_separation: recorded verdicts, both orders, failed pairs, answers that are kept by content."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.judge.third_person_separation import ThirdPersonSeparation
from pytest_vidmetrics.metrics.judge.verdicts import (
    SCORES,
    Side,
    Tally,
    Vote,
    by_label,
    influences,
    is_consistent,
    orders,
    side_of,
    verdict,
)
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.shared import sample_scope
from tests.support import judge_server as server
from tests.support.clips import scene, write_clip
from tests.support.qwen import recorded
from tests.support.qwen_actor import END, Actor, write_actor

RECORDED = recorded("judge_win_rate")["expected"]
NAMES = {"baseline": "reference"}


def _renamed(side: str) -> Side:
    return NAMES.get(side, side)  # type: ignore[return-value]


def test_orders_votes_and_verdicts_are_the_recorded_ones() -> None:
    for pair in RECORDED["pairs"]:
        first = orders(pair["candidate"], pair["baseline"], pair["k"])
        assert first == pair["candidate_first"]
        sides = [side_of(winner, candidate_first=one) for winner, one in zip(pair["winners"], first, strict=True)]
        assert sides == [_renamed(side) for side in pair["mapped"]]
        assert verdict(sides) == _renamed(pair["verdict"])


def test_win_rates_are_the_recorded_ones_and_labels_of_any_type_are_counted() -> None:
    for corpus in RECORDED["corpus"]:
        records = corpus.get("records") or []
        sides = [_renamed(one["verdict"]) for one in records]
        tally = Tally.of(sides)
        assert tally.rate == corpus["score"]
        if "wins" in corpus:
            assert (tally.wins, tally.losses, tally.ties) == (corpus["wins"], corpus["losses"], corpus["ties"])
        named = {str(i): side for i, side in enumerate(sides)}
        labels = {str(i): one["action"] for i, one in enumerate(records)}
        texts = by_label(named, {id: label for id, label in labels.items() if isinstance(label, str)})
        for label, wanted in corpus.get("per_action", {}).items():
            if wanted["n"]:
                assert texts[label].to_json() == wanted
        # A label that is a number has a group too: FastVideo loses its pairs.
        counted = sum(tally.to_json()["n"] for tally in by_label(named, labels).values())
        assert counted == sum(label is not None for label in labels.values())


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 10))
def test_an_even_number_of_calls_shows_both_orders_equally_often(candidate: str, reference: str, half: int) -> None:
    assert sum(orders(candidate, reference, 2 * half)) == half


def test_consistency_is_the_same_verdict_in_both_orders() -> None:
    assert is_consistent([Vote(True, "candidate"), Vote(False, "candidate")]) is True
    assert is_consistent([Vote(True, "candidate"), Vote(False, "reference")]) is False
    assert is_consistent([Vote(True, "tie"), Vote(False, "tie")]) is True
    assert is_consistent([Vote(True, "tie"), Vote(True, "candidate")]) is None


@given(st.lists(st.sampled_from(["candidate", "reference", "tie"]), min_size=1, max_size=40))
def test_influences_say_how_much_a_pair_moves_the_rate(sides: list[Side]) -> None:
    """They add up to nothing, and their squares are the variance of a share: p (1 - p) / n over the decided pairs."""
    named = {str(i): side for i, side in enumerate(sides)}
    found, rate = influences(named), Tally.of(sides).rate
    assert math.fsum(found.values()) == pytest.approx(0, abs=1e-12)
    if rate is None:
        assert not any(found.values())
        return
    decided = sum(side != "tie" for side in sides)
    assert math.fsum(value**2 for value in found.values()) == pytest.approx(rate * (1 - rate) / decided)
    assert all(found[id] == 0 for id, side in named.items() if side == "tie")


def test_the_words_are_the_recorded_ones() -> None:
    wanted, rubric = recorded("vlm_prompts")["expected"]["judge_third_person_separation"], ThirdPersonSeparation.rubric
    sha = {name: hashlib.sha256(wanted[name].encode()).hexdigest() for name in ("system_prompt", "rubric", "user_task")}
    assert sha == {name: wanted[f"sha256_{name}"] for name in sha}
    assert rubric.system == wanted["system_prompt"]
    assert rubric.task == f"\n{wanted['rubric']}\n\n{wanted['user_task']}"
    assert rubric.schema == wanted["response_schema"]
    assert [
        f'"{text}"'.replace("\n", "\\n") in order
        for text, order in zip(
            (rubric.picture, rubric.first, rubric.second), wanted["contents_order"][1:], strict=False
        )
    ] == [True, True, True]


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """Three small clips in files: the second is brighter, the third is the first under another name."""
    dim, bright = scene(0) // 3, np.clip(scene(0).astype(int) + 60, 0, 255).astype(np.uint8)
    return [str(write_clip(tmp_path / f"{name}.mp4", one)) for name, one in (("a", dim), ("b", bright), ("c", dim))]


def sample(candidate: str, reference: str, **others: Any) -> dict[str, Any]:
    from pytest_vidmetrics.media.video import read_clip

    loaded = {key: read_clip(path) for key, path in (("video", candidate), ("reference", reference))}
    frames = {key: clip.frames for key, clip in loaded.items()}
    rates = {"fps": loaded["video"].fps, "reference_fps": loaded["reference"].fps}
    return {**frames, "video_path": candidate, "reference_path": reference, **rates, "text_prompt": "go left", **others}


def metric(judge: server.JudgeServer | None = None, **params: Any) -> Any:
    given: dict[str, Any] = {"model": "tiny-judge", "pause_s": 0.0, "timeout_s": 5.0, "retries": 1}
    if judge is not None:
        given["base_url"] = judge.url
    return registry.get_metric("judge.third_person_separation", **{**given, **params})


def test_a_judge_that_looks_at_the_clips_prefers_the_same_one_in_both_orders(clips: list[str]) -> None:
    with server.judge_server(server.brightest) as judge:
        asked = metric(judge, send="frames", frames_sent=4)
        won = asked.compute(sample(clips[1], clips[0], action="left"))
        lost = asked.compute(sample(clips[0], clips[1], action=7))
    assert (won.score, lost.score) == (1.0, 0.0)
    assert won.details["consistent"] is True
    assert [call["candidate_first"] for call in won.details["calls"]].count(True) == 2
    assert won.details["calls"][0]["reasons"]["comparison"] == "one is better"
    results = {"won": won, "lost": lost, "again": won}
    assert asked.corpus_score(results) == pytest.approx(2 / 3)
    details = asked.corpus_details(results)
    assert details["per_action"]["7"]["losses"] == 1
    assert details["position_consistency"] == 1.0
    assert asked.remarks(results) == (
        "2 pairs won, 1 lost, 0 undecided",
        "3 of 3 verdicts are the same in both orders of the clips",
    )


def test_a_judge_that_always_prefers_the_first_clip_decides_nothing(clips: list[str]) -> None:
    with server.judge_server(server.verdict("video_1")) as judge:
        result = metric(judge).compute(sample(clips[0], clips[1]))
    assert result.score == SCORES["tie"]
    assert result.details["consistent"] is False
    assert metric(judge).corpus_score({"a": result}) is None


def test_a_pair_with_a_failed_call_fails_and_its_answers_are_kept(clips: list[str]) -> None:
    store = MemoryStore()
    plays = [server.verdict("tie"), server.verdict("tie"), server.refuses(400, "no"), server.verdict("tie")]
    with server.judge_server(*plays) as judge:
        with sample_scope(store):
            failed = metric(judge).compute(sample(clips[0], clips[1]))
        assert failed.status == "failed"
        assert failed.reason.startswith("call 3 of 4 failed: ")
        assert not failed.is_unanswered
        assert len(judge.bodies) == 3
        with sample_scope(store):
            done = metric(judge).compute(sample(clips[0], clips[1]))
        assert done.status == "scored"
        assert len(judge.bodies) == 5


def test_answers_are_known_by_content_never_by_name(clips: list[str]) -> None:
    store = MemoryStore()
    with server.judge_server(server.verdict("tie")) as judge, sample_scope(store):
        metric(judge).compute(sample(clips[0], clips[1]))
        metric(judge).compute(sample(clips[2], clips[1]))  # the same clip under another name
        assert len(judge.bodies) == 4
        write_clip(Path(clips[0]), scene(5))  # another clip under the same name
        metric(judge).compute(sample(clips[0], clips[1]))
        assert len(judge.bodies) == 8
        for changed in ({"model": "other"}, {"temperature": 0.5}, {"send": "frames"}, {"max_tokens": 9}):
            before = len(judge.bodies)
            metric(judge, **changed).compute(sample(clips[0], clips[1]))
            assert len(judge.bodies) == before + 4, changed
        before = len(judge.bodies)
        metric(judge, k=6).compute(sample(clips[0], clips[1]))
        assert len(judge.bodies) == before + 2
        metric(judge).compute(sample(clips[0], clips[1], text_prompt="go right"))
        assert len(judge.bodies) == before + 6


def test_the_same_clip_twice_is_a_tie_without_a_call(clips: list[str]) -> None:
    with server.judge_server(server.verdict("video_1")) as judge:
        result = metric(judge).compute(sample(clips[0], clips[2]))
        assert judge.bodies == []
    assert result.score == 0.5
    assert result.details["identical"]
    assert metric().corpus_details({"a": result})["position_consistency"] is None


def test_the_first_frame_and_the_default_words(clips: list[str], tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "first.png"
    Image.fromarray(scene(0)[0]).save(picture)
    with server.judge_server(server.verdict("tie")) as judge:
        metric(judge, k=2).compute(sample(clips[0], clips[1], text_prompt=None, image_path=str(picture)))
        content = judge.bodies[0]["messages"][1]["content"]
    rubric = ThirdPersonSeparation.rubric
    texts = [part.get("text") for part in content]
    assert texts == [
        "Compare these two rollouts.",
        rubric.picture,
        None,
        rubric.first,
        None,
        rubric.second,
        None,
        rubric.task,
    ]
    assert content[2]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_server_with_another_model_is_named_and_another_judge(clips: list[str]) -> None:
    with server.judge_server(server.verdict("tie", model="cheaper-judge")) as judge:
        asked = metric(judge)
        results = {"a": asked.compute(sample(clips[0], clips[1]))}
    assert asked.conditions(results) == {"served": ["cheaper-judge"]}
    assert asked.remarks(results)[-1] == "asked for 'tiny-judge', answered by 'cheaper-judge'"


def test_prompts_with_control_tokens_are_refused(clips: list[str]) -> None:
    with server.judge_server(server.verdict("tie")) as judge:
        with pytest.raises(IncompatibleSampleError, match=r"holds <\|im_end\|>"):
            metric(judge).compute(sample(clips[0], clips[1], text_prompt="go <|im_end|>"))
        assert judge.bodies == []


def test_recorded_answers(clips: list[str], tmp_path: Path) -> None:
    first, second = digest_file(clips[0])[:16], digest_file(clips[1])[:16]
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({f"{first}|{second}": ["video_1"], f"{second}|{first}": ['{"winner": "video_2"}']}))
    asked = metric(client="recorded", recording=str(path))
    assert asked.compute(sample(clips[0], clips[1])).score == 1.0
    assert asked.compute(sample(clips[1], clips[0])).score == 0.0
    write_clip(Path(clips[2]), scene(7))
    assert asked.compute(sample(clips[0], clips[2])).reason.startswith("call 1 of 4 failed: nothing is recorded")
    assert [one.source for one in asked.weights_files()] == [str(path)]
    for text in ("[]", '{"*": "tie"}', '{"*": []}', "{"):
        path.write_text(text)
        with pytest.raises(UnavailableError, match="recording"):
            metric(client="recorded", recording=str(path)).setup()


def test_without_a_server_the_judge_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDMETRICS_JUDGE_URL", raising=False)
    with pytest.raises(UnavailableError, match=r"judge.third_person_separation asks a judge and knows of none"):
        metric().setup()


def test_groups_do_not_bring_it_in() -> None:
    assert "judge.third_person_separation" not in registry.expand(["all"])
    assert registry.expand(["judge"]) == ["judge.third_person_separation"]


def test_what_is_secret_or_local_is_no_part_of_the_identity() -> None:
    plain = metric().identity()
    for params in ({"base_url": "https://x/v1"}, {"key_variable": "X"}, {"timeout_s": 1.0}, {"retries": 0}):
        assert metric(**params).identity() == plain
    for params in ({"model": "m"}, {"k": 2}, {"send": "frames"}, {"temperature": 0.1}):
        assert metric(**params).identity() != plain
    assert plain["protocol"]["rubric"] == ThirdPersonSeparation.rubric.digest()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"k": 3}, "k is an even number of calls"),
        ({"k": 0}, "k is an even number"),
        ({"client": "gemini"}, "client must be one of"),
        ({"send": "url"}, "send must be one of"),
        ({"response_format": "xml"}, "response_format must be one of"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"client": "recorded"}, "belong together"),
        ({"recording": "x.json"}, "belong together"),
    ],
)
def test_parameters_that_make_no_sense(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(**params)


LEFT = '{"comparison": "the first moves", "winner": "video_1"}'
NOISE = "I like both of them"


def test_a_local_network_judges_by_the_same_rules(clips: list[str], tmp_path: Path) -> None:
    """A network that looks at all tokens alike cannot tell the orders apart, and decides nothing."""
    folder = write_actor(tmp_path / "judge", "vl", Actor({"\n": {LEFT: 9.0}, LEFT: {END: 9.0}}, {LEFT: {LEFT: -60.0}}))
    asked = metric(client="qwen", model=str(folder), dtype="float32", k=2, max_tokens=8)
    result = asked.compute(sample(clips[0], clips[1], image_path=clips[2]))
    assert result.score == 0.5
    assert result.details["consistent"] is False
    assert [call["winner"] for call in result.details["calls"]] == ["video_1", "video_1"]
    assert result.details["calls"][0]["served"].endswith(f"on cpu, torch {torch.__version__.partition('+')[0]}")
    assert asked.frames().count is None
    other = write_actor(
        tmp_path / "babbler", "vl", Actor({"\n": {NOISE: 9.0}, NOISE: {END: 9.0}}, {NOISE: {NOISE: -60.0}})
    )
    failed = metric(client="qwen", model=str(other), dtype="float32", k=2, max_tokens=8).compute(
        sample(clips[0], clips[1])
    )
    assert isinstance(failed, MetricResult)
    assert failed.reason == f"call 1 of 2 failed: the answer is not a JSON object: {NOISE!r} (2 tries)"


def test_answers_of_a_local_network_are_known_by_its_weights(clips: list[str], tmp_path: Path) -> None:
    folder, store, votes = tmp_path / "judge", MemoryStore(), []
    for answer in (LEFT, LEFT.replace("video_1", "video_2")):
        shared.clear()  # as a new process would
        write_actor(folder, "vl", Actor({"\n": {answer: 9.0}, answer: {END: 9.0}}, {answer: {answer: -60.0}}))
        with sample_scope(store):
            judge = metric(client="qwen", model=str(folder), dtype="float32", k=2, max_tokens=8)
            votes.append([call["winner"] for call in judge.compute(sample(clips[0], clips[1])).details["calls"]])
    assert votes == [["video_1"] * 2, ["video_2"] * 2]
