"""vbench.scene_vlm: recorded captions and scenes, and a tiny captioner end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.vbench.base import dimension_of
from pytest_vidmetrics.metrics.vbench.scene_vlm import QUESTION, SYSTEM, caption_of, missing
from pytest_vidmetrics.networks import shared
from tests.support.qwen import frames_of, recorded
from tests.support.qwen_actor import captioner, write_actor

KEYWORDS = recorded("scene_vlm_keywords")["expected"]


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_actor(tmp_path_factory.mktemp("captioner") / "avocado", "omni", captioner())


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> FileStore:
    return FileStore(tmp_path_factory.mktemp("answers"))


@pytest.fixture(autouse=True)
def _kept(answers: FileStore) -> Iterator[None]:
    with shared.sample_scope(answers):
        yield


def metric(folder: Path, **params: Any) -> BaseMetric:
    return registry.get_metric("vbench.scene_vlm", model_name=str(folder), dtype="float32", max_tokens=20, **params)


def sample(scene: Any = "beach", *, dark: bool = True, **others: Any) -> dict[str, Any]:
    clip = frames_of({"frames": 16, "h": 112, "w": 168, "seed": 0})
    return {"video": clip // 8 if dark else clip, "fps": 8.0, "auxiliary_info": {"scene": scene}, **others}


def test_the_question_is_the_recorded_one() -> None:
    wanted = recorded("vlm_prompts")["expected"]["scene_fastvideo"]
    assert (wanted["system"], wanted["user"]) == (SYSTEM, QUESTION)


@pytest.mark.parametrize("case", [case for case in KEYWORDS if case["key"].strip()], ids=lambda case: case["key"])
def test_fastvideos_rule_has_the_recorded_scores(case: dict[str, Any]) -> None:
    absent = missing(caption_of(case["decoded"]), case["key"].split(), "fastvideo")
    assert float(not absent) == case["fastvideo"]["score"]


@pytest.mark.parametrize(
    ("scene", "caption", "absent"),
    [
        ("bar", "A man in a barn.", ["bar"]),
        ("art gallery", "A party gallery with lights.", ["art"]),
        ("art gallery", "Gallery of modern ART.", []),
        ("train station platform", "The platform of a train-station.", []),
        ("phone booth", "A telephone booth.", ["phone"]),
        ("bathroom", "bath-room", ["bathroom"]),
        ("café", "A CAFE\u0301 terrace", []),
        ("straße", "STRASSE", []),
        ("castle", "城堡 and a castle。", []),
        ("t-shirt shop", "A shop for shirts, t shirt", []),
        ("!", "Anything!", ["!"]),
    ],
)
def test_whole_words_count_by_default(scene: str, caption: str, absent: list[str]) -> None:
    assert missing(caption, scene.split(), "fixed") == absent


def test_the_caption_is_the_last_turn_without_signs() -> None:
    assert caption_of("A hall.\nassistant\nA <|vision_pad|>kitchen.") == "A kitchen."


def test_a_clip_is_asked_about_once_for_all_scenes(actor: Path, tmp_path: Path) -> None:
    before = shared.forwards["qwen answers"]
    with shared.sample_scope(FileStore(tmp_path)):
        assert metric(actor).compute(sample("beach")).score == 1.0
        other = metric(actor).compute(sample("alley"))
    assert (other.score, other.details["missing"]) == (0.0, ["alley"])
    assert shared.forwards["qwen answers"] == before + 1
    assert other.details["caption"].startswith("A sandy Beach")
    assert not other.details["truncated"]


def test_another_clip_has_another_caption(actor: Path) -> None:
    assert metric(actor).compute(sample("alley", dark=False)).score == 1.0
    assert metric(actor).compute(sample("beach", dark=False)).score == 0.0
    assert metric(actor, compat="fastvideo").compute(sample("beach", dark=False)).score == 1.0


def test_a_scene_may_be_nested_as_in_vbenchs_files(actor: Path) -> None:
    assert metric(actor).compute(sample({"scene": {"scene": "beach"}})).score == 1.0


def test_samples_without_a_scene_are_skipped_and_blank_ones_refused(actor: Path) -> None:
    assert metric(actor).compute({**sample(), "auxiliary_info": {"color": "red"}}).status == "skipped"
    with pytest.raises(IncompatibleSampleError, match="needs the name of a scene"):
        metric(actor).compute(sample("  "))


def test_fastvideos_clips_have_8_frames_a_second(actor: Path) -> None:
    fast = {**sample(), "fps": 16.0}
    assert metric(actor, compat="fastvideo").compute(fast).details["chosen"]["fps"] == 2.0
    assert metric(actor).compute(fast).details["chosen"]["fps"] == 4.0
    with pytest.raises(IncompatibleSampleError, match='give "fps"'):
        metric(actor).compute(sample(fps=None))


def test_cut_captions_are_named(actor: Path) -> None:
    result = registry.get_metric("vbench.scene_vlm", model_name=str(actor), dtype="float32", max_tokens=1)
    cut = result.compute(sample())
    assert cut.details["truncated"]
    assert result.remarks({"a": cut}) == ("1 of 1 captions did not end within 1 tokens",)


def test_it_is_never_part_of_a_group_or_a_total() -> None:
    assert "vbench.scene_vlm" not in registry.expand(["vbench"])
    assert "vbench.scene_vlm" not in registry.expand(["all"])
    assert "vbench.scene_vlm" in registry.expand(["vbench"], every=True)
    assert registry.expand(["vbench.scene_vlm"]) == ["vbench.scene_vlm"]
    for total in ("vbench.quality", "vbench.semantic", "vbench.total"):
        assert "vbench.scene_vlm" not in getattr(registry.metric_class(total), "parts", ())
    assert dimension_of("vbench.scene_vlm") == "scene"
    assert dimension_of("vbench.subject_consistency") == "subject_consistency"


def test_a_checkpoint_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDMETRICS_AVOCADO", str(tmp_path / "nothing"))
    with pytest.raises(UnavailableError, match="AVoCaDO"):
        registry.get_metric("vbench.scene_vlm").setup()


@pytest.mark.parametrize("params", [{"compat": "upstream"}, {"dtype": "int8"}, {"attention": "x"}, {"max_tokens": 0}])
def test_parameters_that_make_no_sense(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        registry.get_metric("vbench.scene_vlm", **params)
