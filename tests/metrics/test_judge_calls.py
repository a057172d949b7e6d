"""Calls to a judge over HTTP: a server that answers, fails, stalls and lies; what is sent, and what never is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.metrics.judge.calls import Caller, CallError, Reply, Request, Shown, read_answer
from pytest_vidmetrics.metrics.judge.http_client import KEY_VARIABLE, URL_VARIABLE, HttpClient, Server
from tests.support.clips import scene
from tests.support.judge_server import (
    JudgeServer,
    Play,
    drips,
    half,
    hangs_up,
    judge_server,
    refuses,
    says,
    sends,
    stalls,
    verdict,
)

KEY = "sk-very-secret-0123456789"
SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {"winner": {"type": "string"}}}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.delenv(URL_VARIABLE, raising=False)


def request(tmp_path: Path, **others: Any) -> Request:
    import torch

    frames = torch.from_numpy(scene(0, frames=3)).permute(0, 3, 1, 2)
    clips = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(name.encode() * 10)
        clips.append(Shown("video", name * 64, str(path), frames, 8.0))
    return Request("Be strict.", ("go left", "one:", clips[0], "two:", clips[1], "choose"), SCHEMA, 0.4, **others)


def client(judge: JudgeServer, **others: Any) -> HttpClient:
    given: dict[str, Any] = {"send": "video", "response_format": "json_schema", "max_tokens": 512, "timeout_s": 5.0}
    return HttpClient(Server.of(judge.url, KEY_VARIABLE, "judge.x"), "tiny-judge", **{**given, **others})


def ask(tmp_path: Path, *plays: Play, retries: int = 0, **others: Any) -> tuple[JudgeServer, list[float], Any]:
    """Return the server, the pauses, and the answer or the error of one call."""
    pauses: list[float] = []
    with judge_server(*plays) as judge:
        caller = Caller(client(judge, **others), retries, 2.0, sleep=pauses.append)
        try:
            return judge, pauses, caller.ask(request(tmp_path))
        except CallError as error:
            return judge, pauses, error


def test_an_answer_is_read_and_the_request_holds_both_clips_in_order(tmp_path: Path) -> None:
    judge, _, answer = ask(tmp_path, verdict("video_2"))
    assert (answer.winner, answer.served) == ("video_2", "tiny-judge")
    assert answer.reasons["comparison"] == "one is better"
    body = judge.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("tiny-judge", 0.4, 512)
    assert body["messages"][0] == {"role": "system", "content": "Be strict."}
    content = body["messages"][1]["content"]
    assert [part["type"] for part in content] == ["text", "text", "video_url", "text", "video_url", "text"]
    assert content[2]["video_url"]["url"] == "data:video/mp4;base64,YWFhYWFhYWFhYQ=="
    assert content[4]["video_url"]["url"].endswith("YmJiYmJiYmJiYg==")
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == SCHEMA["properties"]
    assert judge.keys == [f"Bearer {KEY}"]


def test_frames_are_sent_as_pictures_to_servers_that_take_no_videos(tmp_path: Path) -> None:
    judge, _, _ = ask(tmp_path, verdict("tie"), send="frames", response_format="json_object")
    content = judge.bodies[0]["messages"][1]["content"]
    pictures = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    assert len(pictures) == 6
    assert all(url.startswith("data:image/jpeg;base64,/9j/") for url in pictures)
    assert content[2]["text"] == "(3 frames of it, evenly spaced, in order:)"
    assert judge.bodies[0]["response_format"] == {"type": "json_object"}
    plain, _, _ = ask(tmp_path, verdict("tie"), response_format="none")
    assert "response_format" not in plain.bodies[0]


@pytest.mark.parametrize(
    ("play", "message"),
    [
        (refuses(500, "boom"), "HTTP 500, it refuses: 'boom'"),
        (refuses(429, "slow down", Retry_After="3"), "HTTP 429, too many calls"),
        (sends(b"<html><body>Sign in</body></html>"), "something else than an answer: '<html>"),
        (sends(b'{"choices": [{"message": {"content": "{'), "something else than an answer"),
        (sends(b"[1, 2]"), "something else than an answer"),
        (sends(b'{"choices": []}'), "something else than an answer"),
        (sends(b"\xff\xfe\x00"), "something else than an answer"),
        (half, "the server sent half an answer: 100 bytes are missing"),
        (hangs_up, "RemoteDisconnected"),
        (says(""), "without text"),
        (says("Video 1 is better."), "is not a JSON object: 'Video 1 is better.'"),
        (says('{"comparison": "both", "winner": "vid'), "is not a JSON object"),
        (says('{"winner": "video_3"}'), "the winner is 'video_3', not one of video_1, video_2, tie"),
        (says('{"winner": "Video_1"}'), "the winner is 'Video_1'"),
        (says('{"winner": null}'), "the winner is 'None'"),
        (says('{"winner": ["video_1"]}'), "the winner is"),
        (says('{"winner": "video_1"}', finish="length"), "the answer was cut at 512 tokens"),
    ],
)
def test_a_call_that_fails_is_tried_again_and_then_stays_failed(tmp_path: Path, play: Play, message: str) -> None:
    judge, pauses, error = ask(tmp_path, play, retries=2)
    assert isinstance(error, CallError)
    assert message in str(error)
    assert "(3 tries)" in str(error)
    assert len(judge.bodies) == 3
    assert pauses == ([3.0, 3.0] if "429" in str(error) else [2.0, 4.0])


@pytest.mark.parametrize("play", [refuses(503), half, sends(b"<html>"), says('{"winner": "neither"}')])
def test_a_later_try_may_succeed(tmp_path: Path, play: Play) -> None:
    judge, _, answer = ask(tmp_path, play, play, verdict("video_1"), retries=4)
    assert answer.winner == "video_1"
    assert len(judge.bodies) == 3


@pytest.mark.parametrize(("status", "text"), [(400, "it refuses"), (401, "take the key"), (404, "it refuses")])
def test_what_another_try_cannot_help_is_not_tried_again(tmp_path: Path, status: int, text: str) -> None:
    judge, pauses, error = ask(tmp_path, refuses(status, "because"), retries=5)
    assert isinstance(error, CallError)
    assert f"HTTP {status}" in str(error)
    assert text in str(error)
    assert len(judge.bodies) == 1
    assert pauses == []


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    with judge_server(verdict("video_1")) as other:
        judge, _, error = ask(tmp_path, refuses(307, "", Location=f"{other.url}/chat/completions"), retries=2)
        assert "does not follow redirects" in str(error)
        assert len(judge.bodies) == 1
        assert other.bodies == []


@pytest.mark.parametrize("play", [stalls, drips])
def test_a_server_that_stalls_is_left_when_the_time_is_over(tmp_path: Path, play: Play) -> None:
    start = time.monotonic()
    judge, _, error = ask(tmp_path, play, timeout_s=0.6, retries=1)
    assert "no answer within 0.6 s (2 tries)" in str(error)
    assert time.monotonic() - start < 35, "one try waited for the server, which plays for 20 s"
    assert len(judge.bodies) == 2


def test_a_judge_that_is_down_is_not_asked_about_every_pair(tmp_path: Path) -> None:
    clock = [0.0]
    with judge_server(refuses(500)) as judge:
        caller = Caller(client(judge), 1, 0.0, sleep=lambda seconds: None, now=lambda: clock[0])
        with pytest.raises(CallError, match=r"HTTP 500.*\(2 tries\)"):
            caller.ask(request(tmp_path))
        with pytest.raises(CallError, match=r"HTTP 500.*; not asked again for a while"):
            caller.ask(request(tmp_path))
        assert len(judge.bodies) == 2
        clock[0] = 61.0
        with pytest.raises(CallError):
            caller.ask(request(tmp_path))
        assert len(judge.bodies) == 4


def test_pauses_are_bounded(tmp_path: Path) -> None:
    _, pauses, _ = ask(tmp_path, refuses(429, "no", Retry_After="99999999999"), retries=1)
    assert pauses == [60.0]
    _, pauses, _ = ask(tmp_path, refuses(429, "no", Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"), retries=1)
    assert pauses == [60.0]
    _, pauses, _ = ask(tmp_path, refuses(429, "no", Retry_After="soon"), retries=1)
    assert pauses == [2.0]


def test_the_key_is_shown_nowhere(tmp_path: Path) -> None:
    for play in (refuses(400, f"bad key {KEY}"), sends(f"<b>{KEY}</b>".encode()), says(f'{{"winner": "{KEY}"}}')):
        _, _, error = ask(tmp_path, play)
        assert isinstance(error, CallError)
        assert KEY not in str(error)
        assert "[key]" in str(error)
    _, _, answer = ask(tmp_path, says(f'{{"winner": "tie", "comparison": "{KEY}"}}', model=KEY))
    assert KEY not in json.dumps(answer.to_json())
    with judge_server(verdict("tie")) as judge:
        assert KEY not in repr(client(judge))
        assert KEY not in json.dumps(client(judge).identity())


def test_what_a_server_says_cannot_move_the_cursor(tmp_path: Path) -> None:
    for play in (refuses(400, "\x1b[2J\u202egone"), says("\x1b]0;title\x07 no")):
        _, _, error = ask(tmp_path, play)
        assert isinstance(error, CallError)
        assert str(error).isprintable()


def test_an_answer_may_stand_in_a_fence() -> None:
    for text in ('```json\n{"winner": "tie", "comparison": "{}"}\n```', 'Sure: {"winner": "tie"} I think.'):
        assert read_answer(Reply(text, "m")).winner == "tie"
    with pytest.raises(CallError):
        read_answer(Reply("[" * 100_000 + "{}" + "]" * 100_000, "m"))


def test_a_clip_in_memory_cannot_be_sent_whole(tmp_path: Path) -> None:
    with judge_server(verdict("tie")) as judge:
        parts = (Shown("video", "a", None, None, 8.0),)
        with pytest.raises(CallError, match='use send = "frames"'):
            client(judge).ask(Request("s", parts, SCHEMA, 0.4), 0)
        folder = (Shown("video", "a", str(tmp_path), None, 8.0),)
        with pytest.raises(CallError, match="is a folder of images"):
            client(judge).ask(Request("s", folder, SCHEMA, 0.4), 0)
        assert judge.bodies == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, f"set base_url or ${URL_VARIABLE}"),
        ("ftp://judge/v1", "is not an http"),
        ("judge.example/v1", "is not an http"),
        ("http://judge.example:x/v1", "is not an http"),
        ("https://me:secret@judge.example/v1", "holds a user"),
        ("https://judge.example/v1?key=secret", "a key belongs into"),
        ("http://judge.example/v1", "in clear text: use https"),
    ],
)
def test_addresses_that_are_refused(url: str | None, message: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        Server.of(url, KEY_VARIABLE, "judge.x")
    assert message in str(caught.value)
    assert "secret" not in str(caught.value).replace(KEY, "")


def test_keys_that_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "two\nlines")
    with pytest.raises(UnavailableError, match="signs that no key has") as caught:
        Server.of("https://judge.example/v1", KEY_VARIABLE, "judge.x")
    assert "lines" not in str(caught.value)
    monkeypatch.delenv(KEY_VARIABLE)
    assert Server.of("http://judge.example/v1", KEY_VARIABLE, "judge.x").key is None
    monkeypatch.setenv(URL_VARIABLE, "https://judge.example:8443/v1/")
    assert Server.of(None, KEY_VARIABLE, "judge.x").address == "https://judge.example:8443/v1"
