"""Judges from a manifest to a verdict, on tiny checkpoints and a recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# Loaded once per process: runs of pytest inside of this one forget what they imported themselves.
from transformers import (  # noqa: F401
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2Tokenizer,
)

from tests.plugin.conftest import Bench, verdicts
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
def empty(pytester: pytest.Pytester) -> Bench:
    return Bench(pytester)


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


def test_a_pairwise_judge_from_manifest_to_verdict(empty: Bench) -> None:
    recording: Path = empty.root / "answers.json"
    tables = (
        f'[case.demo.metric."judge.third_person_separation"]\nclient = "recorded"\nrecording = "{recording}"\nk = 2\n'
    )
    recording.write_text(json.dumps({"*": ["video_1"]}))
    _bench(empty, '"judge.third_person_separation"', 'reference = "clips/reference/*.mp4"\n' + tables, ["left"] * COUNT)
    result = empty.run(f"--vidmetrics-cache={empty.root / 'cache'}")
    assert verdicts(result) == {"judge.third_person_separation": "ERROR"}  # always the first clip: nothing is decided
    assert "the score of this corpus is undefined" in result.stdout.str()
