"""The class behind pairwise judges: both orders of a pair, failed calls that stay failed, one verdict a pair."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.clips import Kind
from pytest_vidmetrics.core.errors import IncompatibleSampleError
from pytest_vidmetrics.core.frames import ALL_FRAMES, FrameRequest
from pytest_vidmetrics.core.hashing import digest_json
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights, weights_sha256
from pytest_vidmetrics.metrics.asked import Attention, Dtype, asker_of, check_computing, checkpoint
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.judge.calls import Answer, Caller, CallError, Client, Request, Shown
from pytest_vidmetrics.metrics.judge.http_client import KEY_VARIABLE, HttpClient, ResponseFormat, Send, Server
from pytest_vidmetrics.metrics.judge.qwen_client import QwenClient
from pytest_vidmetrics.metrics.judge.recorded_client import RecordedClient
from pytest_vidmetrics.metrics.judge.shown import Rubric, shown_clip, shown_picture
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

ClientName = Literal["openai", "qwen", "recorded"]
_CONTROL = re.compile(r"<\|[^|<>]{1,40}\|>")
_CALL = 1
"""Changes whenever the same pair may be asked about in another way."""


class PairwiseJudge(BaseMetric):
    """Base of judges that compare ``video`` with ``reference``.

    A subclass gives the ``rubric`` and the words of a pair; the parameters are those of
    :class:`.third_person_separation.ThirdPersonSeparation`.
    """

    rubric: ClassVar[Rubric]
    requires: ClassVar[tuple[str, ...]] = ("video",)
    reads: ClassVar[tuple[str, ...]] = ("text_prompt", "action", "image_path")
    compares: ClassVar[tuple[Kind, ...]] = ()
    by_name_only: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share of decided pairs won; 0.5 is equal"
    value_range: ClassVar[tuple[float, float] | None] = (0.0, 1.0)
    pixels: ClassVar[Literal["uint8", "float32"]] = "uint8"
    dependencies: ClassVar[tuple[str, ...]] = ("jinja2",)
    noise_source: ClassVar[str] = "a judge draws its answers: measure it with --vidmetrics-calibrate"
    neutral: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "key_variable", "timeout_s", "retries", "pause_s", "recording"}
    )

    def __init__(
        self,
        model: str = "gemini-2.5-pro",
        k: int = 4,
        client: ClientName = "openai",
        send: Send = "video",
        frames_sent: int = 16,
        temperature: float = 0.4,
        max_tokens: int = 4096,
        response_format: ResponseFormat = "json_schema",
        dtype: Dtype = "bfloat16",
        attention: Attention = "sdpa",
        revision: str | None = None,
        base_url: str | None = None,
        key_variable: str = KEY_VARIABLE,
        timeout_s: float = 180.0,
        retries: int = 5,
        pause_s: float = 2.0,
        recording: str | None = None,
    ) -> None:
        if k < 2 or k % 2:
            raise ValueError(f"k is an even number of calls, so that both orders are shown equally often: got {k}")
        one_of("client", client, ("openai", "qwen", "recorded"))
        one_of("send", send, ("video", "frames"))
        one_of("response_format", response_format, ("json_schema", "json_object", "none"))
        check_computing(dtype, attention)
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature!r}: equal calls would be one call")
        if not timeout_s > 0 or retries < 0 or pause_s < 0 or frames_sent < 1 or max_tokens < 1:
            raise ValueError("timeout_s, frames_sent and max_tokens must be above 0, retries and pause_s at least 0")
        if (client == "recorded") != (recording is not None):
            raise ValueError("client = 'recorded' and recording (a file) belong together")
        self.model = model
        self.k = k
        self.client: ClientName = client
        self.send: Send = send
        self.frames_sent = frames_sent
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.response_format: ResponseFormat = response_format
        self.dtype: Dtype = dtype
        self.attention: Attention = attention
        self.revision = revision
        self.base_url = base_url
        self.key_variable = key_variable
        self.timeout_s = timeout_s
        self.retries = retries
        self.pause_s = pause_s
        self.recording = recording
        self._caller: Caller | None = None

    def identity(self) -> dict[str, Any]:
        """Return the parameters and the digest of the rubric."""
        return {**super().identity(), "protocol": {"rubric": self.rubric.digest(), "call": _CALL}}

    def weights_files(self) -> tuple[Weights, ...]:
        """Return the checkpoint of a local judge, or the recording."""
        if self.client == "qwen":
            return (checkpoint(self.model, self.revision),)
        if self.recording is not None:
            return (Weights("recording", str(Path(self.recording).expanduser().absolute())),)
        return ()

    def frames(self) -> FrameRequest:
        """Return the frames that are sent; files that are sent whole are decoded by whoever gets them."""
        if self.client == "qwen":
            return ALL_FRAMES
        return FrameRequest(self.frames_sent if self.send == "frames" else 1)

    def setup(self) -> None:
        """Find the judge; nobody is asked."""
        if self._caller is None:
            self._caller = Caller(self._client(), self.retries, self.pause_s)

    def _client(self) -> Client:
        if self.client == "recorded":
            from pytest_vidmetrics.core.weights import resolve

            return RecordedClient.read(resolve(self.weights_files()[0], self.name), self.model, self.name)
        if self.client == "qwen":
            asker = asker_of(self, self.weights_files()[0], self.dtype, self.attention)
            asker.check()
            return QwenClient(asker, self.model, self.max_tokens)
        server = Server.of(self.base_url, self.key_variable, self.name)
        return HttpClient(server, self.model, self.send, self.response_format, self.max_tokens, self.timeout_s)

    def words(self, sample: Mapping[str, Any]) -> str:
        """Return what is said about a pair before the clips are shown."""
        raise NotImplementedError(f"{type(self).__name__} must implement words(sample)")

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Judge one pair: 1 when the candidate is better, 0 when the reference is, 0.5 for a tie.

        A call that fails makes the pair fail: it is nobody's vote. Answers that came are kept, and not asked for again.
        """
        self.setup()
        candidate, reference = shown_clip(sample, "video"), shown_clip(sample, "reference")
        facts = {"action": sample.get("action"), "model": self.model}
        # Nobody has to be paid to say that a clip is as good as itself.
        if candidate.digest == reference.digest:
            details: dict[str, Any] = {"verdict": "tie", "identical": True, "calls": [], "consistent": None, **facts}
            return MetricResult(self.name, SCORES["tie"], details)
        if control := _CONTROL.search(self.words(sample)):
            raise IncompatibleSampleError(
                f"the prompt holds {control[0]}, which networks read as a control token: remove it"
            )
        picture = shown_picture(sample)
        votes: list[Vote] = []
        calls: list[dict[str, Any]] = []
        asked = {True: 0, False: 0}
        for number, first in enumerate(orders(candidate.digest, reference.digest, self.k), start=1):
            # Counted within each order: equal requests are told apart by the number alone.
            request = self._request(sample, candidate, reference, picture, first=first, number=asked[first])
            asked[first] += 1
            try:
                answer = self._answer(request)
            except CallError as error:
                return MetricResult.failed(self.name, f"call {number} of {self.k} failed: {error}")
            side = side_of(answer.winner, candidate_first=first)
            votes.append(Vote(first, side))
            calls.append({"candidate_first": first, "vote": side, **answer.to_json()})
        decided = verdict([vote.side for vote in votes])
        details = {"verdict": decided, "identical": False, "calls": calls, "consistent": is_consistent(votes), **facts}
        return MetricResult(self.name, SCORES[decided], details)

    def _request(
        self,
        sample: Mapping[str, Any],
        candidate: Shown,
        reference: Shown,
        picture: Shown | None,
        *,
        first: bool,
        number: int,
    ) -> Request:
        clips = (candidate, reference) if first else (reference, candidate)
        shown = () if picture is None else (self.rubric.picture, picture)
        parts = (
            self.words(sample),
            *shown,
            self.rubric.first,
            clips[0],
            self.rubric.second,
            clips[1],
            self.rubric.task,
        )
        return Request(self.rubric.system, parts, self.rubric.schema, self.temperature, number)

    def _answer(self, request: Request) -> Answer:
        """Return an answer from the store, or from the judge: by the content of the clips, never by their names."""
        from pytest_vidmetrics.networks.shared import keeper

        assert self._caller is not None
        parts = [part if isinstance(part, str) else [part.kind, part.digest, part.fps] for part in request.parts]
        # How many frames are sent is not in the digest of a clip.
        frames = self.frames_sent if self.send == "frames" else None
        weights = digest_json([[one.name, weights_sha256(one, self.name)] for one in self.weights_files()])
        key = digest_json(
            [
                ["judge call", _CALL, self._caller.client.identity(), weights, frames],
                [request.system, parts, dict(request.schema), request.temperature, request.number],
            ]
        )
        kept = keeper()
        if kept is not None and (found := kept.get_json("answers", key)) is not None:
            return Answer.from_json(found)
        answer = self._caller.ask(request)
        if kept is not None:
            kept.put_json("answers", key, answer.to_json())
        return answer

    def corpus_score(self, results: Mapping[str, MetricResult]) -> float | None:
        """Return the share of the decided pairs that the candidate won; ``None`` when none is decided."""
        return Tally.of(list(_sides(results).values())).rate

    def influences(self, results: Mapping[str, MetricResult]) -> Mapping[str, float]:
        """Return how much each pair raises the win rate."""
        return influences(_sides(results))

    def conditions(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        """Return the models that answered, as they name themselves: a server may change them."""
        served = {call["served"] for result in results.values() for call in result.details["calls"]}
        return {"served": sorted(served)} if served else {}

    def corpus_details(self, results: Mapping[str, MetricResult]) -> dict[str, Any]:
        """Return wins, losses and ties, in all and by action, and the position consistency."""
        sides = _sides(results)
        actions = {id: result.details["action"] for id, result in results.items()}
        per_action = {label: tally.to_json() for label, tally in by_label(sides, actions).items()}
        consistent = _consistency(results)
        return {
            **Tally.of(list(sides.values())).to_json(),
            "per_action": per_action,
            "position_consistency": sum(consistent) / len(consistent) if consistent else None,
        }

    def remarks(self, results: Mapping[str, MetricResult]) -> tuple[str, ...]:
        """Say how the win rate came about, and how often the verdict survives that the clips change places."""
        tally = Tally.of(list(_sides(results).values()))
        said = [f"{tally.wins} pairs won, {tally.losses} lost, {tally.ties} undecided"]
        if consistent := _consistency(results):
            said.append(f"{sum(consistent)} of {len(consistent)} verdicts are the same in both orders of the clips")
        others = sorted(name for name in self.conditions(results).get("served", []) if name != self.model)
        if self.client == "openai" and others:
            said.append(f"asked for {self.model!r}, answered by {', '.join(map(repr, others))}")
        return tuple(said)


def _sides(results: Mapping[str, MetricResult]) -> dict[str, Side]:
    return {id: result.details["verdict"] for id, result in results.items()}


def _consistency(results: Mapping[str, MetricResult]) -> list[bool]:
    return [bool(one) for result in results.values() if (one := result.details["consistent"]) is not None]
