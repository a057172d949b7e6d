"""Judges from a manifest to a verdict, on tiny checkpoints and a recording."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

# Loaded once per process: runs of pytest inside of this one forget what they imported themselves.
from transformers import (  # noqa: F401
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2Tokenizer,
)

from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.metrics.judge import calls
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.qwen import asking  # noqa: F401
from tests.plugin.conftest import Bench, verdicts
from tests.support import judge_server as server
from tests.support.clips import scene, write_clip
from tests.support.qwen_actor import UNREADABLE, captioner, judge, write_actor

COUNT = 10


def _bench(bench: Bench, metrics: str, tables: str, prompts: list[str]) -> None:
    for i in range(COUNT):
        for folder, frames in (("candidate", scene(i)), ("reference", scene(i) // 4)):
            write_clip(bench.root / "clips" / folder / f"{i}.mp4", frames)
    rows = [
        {"id": str(i), "text_prompt": prompt, "auxiliary_info": {"scene": "alley"}} for i, prompt in enumerate(prompts)
    ]
    (bench.root / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.manifest(
        'schema = 1\n[case.demo]\nvideo = "clips/{checkpoint}/*.mp4"\ncheckpoint = "candidate"\n'
        f'samples = "samples.jsonl"\nmetrics = [{metrics}]\n{tables}'
    )


@pytest.fixture
def empty(pytester: pytest.Pytester, tmp_path: Path) -> Bench:
    return Bench(pytester, tmp_path / "recordings")


def test_two_unreadable_answers_of_ten_are_red_for_that_reason_and_record_nothing(empty: Bench) -> None:
    folder = write_actor(empty.root / "judge", "vl", judge())
    params = f'model_name = "{folder}"\ndtype = "float32"\nmax_tokens = 40\n'
    tables = "".join(f'[case.demo.metric."{name}"]\n{params}' for name in ("videoscore2", "videoscore2.failures"))
    prompts = ["a cat"] * COUNT
    _bench(empty, '"videoscore2"', tables, prompts)
    cache = f"--vidmetrics-cache={empty.root / 'cache'}"
    assert empty.run(cache, "--update-baselines").ret == 0
    assert verdicts(empty.run(cache)) == {"videoscore2": "PASS", "videoscore2.failures": "PASS"}
    written = {path: path.read_bytes() for path in empty.baselines.glob("*.json")}
    prompts[3] = prompts[7] = f"a cat {UNREADABLE}"
    _bench(empty, '"videoscore2"', tables, prompts)
    result = empty.run(cache, "--update-baselines", "-vv")
    assert verdicts(result)["videoscore2"] == "ERROR"
    text = result.stdout.str()
    assert "2 of 10 samples have no score; first: 3: unparsed: the answer does not have the three lines" in text
    assert "\x1b[31m" not in text.replace("\x1b[31m\x1b[1m", "")
    assert "\u202e" not in text
    kept = empty.baselines / "videoscore2.json"
    assert kept.read_bytes() == written[kept]


def test_a_scene_from_manifest_to_verdict(empty: Bench) -> None:
    folder = write_actor(empty.root / "captioner", "omni", captioner())
    tables = f'[case.demo.metric."vbench.scene_vlm"]\nmodel_name = "{folder}"\ndtype = "float32"\nmax_tokens = 20\n'
    _bench(empty, '"vbench.scene_vlm"', tables, ["x"] * COUNT)
    cache = f"--vidmetrics-cache={empty.root / 'cache'}"
    empty.run(cache, "--update-baselines")
    assert verdicts(empty.run(cache)) == {"vbench.scene_vlm": "PASS"}
    for i in range(COUNT):
        write_clip(empty.candidate(str(i)), scene(i) // 8)
    result = empty.run(cache)
    assert verdicts(result) == {"vbench.scene_vlm": "REGRESSED"}
    assert "\x1b[2J" not in result.stdout.str()


JUDGED = "judge.third_person_separation"


def _digest(path: Path) -> str:
    return digest_file(path)[:16]


def _answers(bench: Bench, won: int, first: int = 0) -> dict[str, list[str]]:
    """Return answers for the clips as they are: the candidate wins ``won`` pairs, and loses those after.

    Of the ``first`` pairs the clip that is shown first is preferred, in either order.
    """
    found = {}
    for i in range(COUNT):
        ours, other = _digest(bench.candidate(str(i))), _digest(bench.root / "clips" / "reference" / f"{i}.mp4")
        ahead = i < won + first
        found[f"{ours}|{other}"] = ["video_1" if ahead else "video_2"]
        found[f"{other}|{ours}"] = ["video_1" if i < first or not ahead else "video_2"]
    return found


def _judged(bench: Bench, params: str) -> str:
    tables = f'reference = "clips/reference/*.mp4"\n[case.demo.metric."{JUDGED}"]\n{params}\nk = 4\n'
    _bench(bench, f'"{JUDGED}"', tables, ["left"] * COUNT)
    return f"--vidmetrics-cache={bench.root / 'cache'}"


def test_a_pairwise_judge_from_manifest_to_pass_and_to_regressed(empty: Bench) -> None:
    recording: Path = empty.root / "answers.json"
    cache = _judged(empty, f'client = "recorded"\nrecording = "{recording}"')
    known = _answers(empty, won=7, first=1)
    worse = {str(i): scene(i) // 2 for i in range(COUNT)}
    for id, frames in worse.items():
        write_clip(empty.candidate(id), frames)
    known |= _answers(empty, won=1)
    recording.write_text(json.dumps(known))
    _judged(empty, f'client = "recorded"\nrecording = "{recording}"')
    assert empty.run(cache, "--update-baselines").ret == 0
    assert empty.baseline(JUDGED)["score"] == pytest.approx(7 / 9)
    passed = empty.run(cache, "-vv", "--vidmetrics-report=run.json")
    assert verdicts(passed) == {JUDGED: "PASS"}
    record = json.loads((empty.root / "run.json").read_text())["gates"][0]["scores"]["details"]
    assert (record["wins"], record["losses"], record["ties"], record["position_consistency"]) == (7, 2, 1, 0.9)
    assert "9 of 10 verdicts are the same in both orders of the clips" in passed.stdout.str()
    for id, frames in worse.items():
        write_clip(empty.candidate(id), frames)
    assert verdicts(empty.run(cache)) == {JUDGED: "REGRESSED"}


def test_a_judge_that_prefers_a_place_decides_nothing(empty: Bench) -> None:
    recording: Path = empty.root / "answers.json"
    recording.write_text(json.dumps({"*": ["video_1"]}))
    result = empty.run(_judged(empty, f'client = "recorded"\nrecording = "{recording}"'))
    assert verdicts(result) == {JUDGED: "ERROR"}
    assert "the score of this corpus is undefined" in result.stdout.str()


def test_an_outage_is_red_and_its_calls_are_not_kept_and_the_key_is_nowhere(
    empty: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("VIDMETRICS_JUDGE_KEY", key)
    monkeypatch.setattr(calls, "_DOWN_S", math.inf)

    def leaky(handler: server.Handler, body: Mapping[str, Any]) -> None:
        server.brightest(handler, body, model=f"judge {key}")

    with server.judge_server(leaky, server.refuses(500, f"no, {key}")) as judge:
        cache = _judged(
            empty, f'base_url = "{judge.url}"\nretries = 0\npause_s = 0.0\nsend = "frames"\nframes_sent = 2'
        )
        down = empty.run(cache, "--update-baselines", "-vv", "--vidmetrics-report=down.json")
        assert verdicts(down) == {JUDGED: "ERROR"}
        assert "HTTP 500, it refuses: 'no, [key]'" in down.stdout.str()
        assert not list(empty.baselines.glob("*.json"))
        asked = len(judge.bodies)
        assert asked == 2, "a server that is down is not asked about every pair"
        judge.plays[1:] = [leaky]
        up = empty.run(cache, "--update-baselines", "-vv", "--vidmetrics-report=up.json")
        assert up.ret == 0
        assert len(judge.bodies) == asked + 4 * COUNT - 1, "the one answer that came is kept, the failure is not"
        assert verdicts(empty.run(cache, "--vidmetrics-report=page.html")) == {JUDGED: "PASS"}
        assert len(judge.bodies) == asked + 4 * COUNT - 1
    assert judge.keys[0] == f"Bearer {key}"
    assert "answered by 'judge [key]'" in up.stdout.str()
    assert key not in down.stdout.str() + up.stdout.str() + down.stderr.str() + up.stderr.str()
    for path in empty.root.rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_the_noise_of_videoscore2_is_measured_in_processes_of_their_own(empty: Bench) -> None:
    folder = write_actor(empty.root / "judge", "vl", judge())
    tables = f'[case.demo.metric."videoscore2"]\nmodel_name = "{folder}"\ndtype = "float32"\nmax_tokens = 40\n'
    _bench(empty, '"videoscore2"', tables, ["a cat"] * COUNT)
    cache = f"--vidmetrics-cache={empty.root / 'cache'}"
    assert empty.run(cache, "--update-baselines", selection="videoscore2").ret == 0
    before = shared.forwards["qwen answers"]
    result = empty.run(cache, "--vidmetrics-calibrate=2", "-vv", selection="videoscore2")
    assert verdicts(result)["videoscore2"] == "CALIBRATED"
    assert shared.forwards["qwen answers"] == before
    assert empty.baseline("videoscore2")["noise"] == {"kind": "scoring", "runs": 2, "sigma": 0.0}
