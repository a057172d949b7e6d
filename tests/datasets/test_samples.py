from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.datasets import folders as module
from pytest_vidmetrics.datasets.folders import samples_from

TABLE = json.loads((Path(__file__).parents[1] / "data/io/samples_from.json").read_text("utf-8"))
# A string that names an existing file is read as one; upstream silently scored the file's name as the prompt. Numbers
# are counted, and nothing is paired by position unless that is asked for.
CHANGED = {
    "prompts_txt_string": {"raises": "ValueError", "message": "must be .jsonl or .json, got '.txt'"},
}
APART = frozenset({"fewer_references", "video_and_audio_references_surplus", "extras_not_on_surplus_references"})
"""Calls whose references have other names than the clips: upstream pairs the first with the first."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder, names in TABLE["inputs"]["files"].items():
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    for name, text in TABLE["inputs"]["prompt_files"].items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def argument(value: Any) -> Any:
    return Path(value["Path"]) if isinstance(value, dict) and set(value) == {"Path"} else value


def shown(value: Any) -> Any:
    return {"Video.source": value.source} if isinstance(value, Video) else value


@pytest.mark.parametrize("case", sorted(TABLE["expected"]))
def test_truth_table(case: str, files: Path) -> None:
    entry = TABLE["expected"][case]
    call = {key: argument(value) for key, value in entry["call"].items()}
    entry = {"call": entry["call"], **CHANGED.get(case, entry)}
    if entry["call"].get("video") == "ten" and "samples" in entry:  # recorded in the order 1, 10, 2
        order = {"ten/clip_1.mp4": 0, "ten/clip_2.mp4": 1, "ten/clip_10.mp4": 2}
        clips = sorted((sample["video"] for sample in entry["samples"]), key=lambda one: order[one["Video.source"]])
        entry = {
            **entry,
            "samples": [{**old, "video": clip} for old, clip in zip(entry["samples"], clips, strict=True)],
        }
    if "raises" in entry:
        kind = {"ValueError": ValueError, "FileNotFoundError": FileNotFoundError}[entry["raises"]]
        with pytest.raises(kind) as caught:
            samples_from(**call)
        assert entry["message"] in str(caught.value)
        return
    if case in APART:
        with pytest.warns(UserWarning, match="no reference has the name of a clip"):
            found = samples_from(**call)
        expected = [{key: value for key, value in one.items() if key != "reference"} for one in entry["samples"]]
        pairs = [{"video": one["reference"], "role": "reference"} for one in entry["samples"] if "reference" in one]
        at = next((i for i, one in enumerate(expected) if one.get("role")), len(expected))
        entry = {"samples": [*expected[:at], *pairs, *expected[at:]]}
    else:
        found = samples_from(**call)
    assert [{key: shown(value) for key, value in sample.items()} for sample in found] == entry["samples"]


def test_a_missing_reference_does_not_shift_the_others(tmp_path: Path) -> None:
    for name in ("gen/a.mp4", "gen/b.mp4", "gen/c.mp4", "ref/b.mp4", "ref/c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = samples_from(video=tmp_path / "gen", reference=tmp_path / "ref")
    assert "reference" not in found[0]
    assert [Path(sample["reference"].source).name for sample in found[1:]] == ["b.mp4", "c.mp4"]


def test_a_renamed_reference_is_reported_and_joins_the_reference_set(tmp_path: Path) -> None:
    for name in ("gen/a.mp4", "gen/b.mp4", "ref/a.mp4", "ref/renamed.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match=r"no reference for b.mp4, and no generated clip for renamed.mp4"):
        found = samples_from(video=tmp_path / "gen", reference=tmp_path / "ref")
    assert [sample.get("role") for sample in found] == [None, None, "reference"]
    assert "reference" not in found[1]


def test_extracted_audio_of_equal_stems_stays_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Path]] = []

    def extract(source: str, folder: Path) -> Path:
        calls.append((source, folder))
        return folder / module.digest_file(source) / "clip.wav"

    monkeypatch.setattr(module, "_extract", extract)
    for side in ("gen", "ref"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "clip.mp4").write_text(side)
    (sample,) = samples_from(
        video=tmp_path / "gen", reference=tmp_path / "ref", extract_audio=tmp_path / "wav", extract_workers=2
    )
    assert sample["audio"] != sample["reference_audio"]
    assert len(calls) == 2


def test_extraction_is_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytest_vidmetrics.media.audio")
    import pytest_vidmetrics.media.audio as audio

    monkeypatch.setattr(audio, "extract_audio_track", lambda source, *, output_dir: Path(output_dir) / "track.wav")
    clip = tmp_path / "clip.mp4"
    clip.write_text("old")
    (old,) = samples_from(video=clip, extract_audio=tmp_path / "wav")
    clip.write_text("new content")
    (new,) = samples_from(video=clip, extract_audio=tmp_path / "wav")
    assert old["audio"] != new["audio"]


def test_audio_that_was_given_is_kept_and_silent_clips_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_extract", lambda source, folder: None)
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.wav").touch()
    (silent,) = samples_from(video=tmp_path / "a.mp4", extract_audio=True)
    assert "audio" not in silent
    (given,) = samples_from(video=tmp_path / "a.mp4", audio=tmp_path / "a.wav", extract_audio=True)
    assert given["audio"] == str(tmp_path / "a.wav")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def pairs(found: list[dict[str, Any]]) -> dict[str, str]:
    return {Path(one["video"].source).name: Path(one["reference"].source).name for one in found if "reference" in one}


def test_numbered_clips_and_their_prompts_are_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"gen/{n}.mp4" for n in range(12)), *(f"ref/clip_{n:02}.mp4" for n in range(12)))
    (tmp_path / "p.jsonl").write_text("".join(f'"prompt {n}"\n' for n in range(12)))
    with pytest.warns(UserWarning, match="none is paired"):
        found = samples_from(video=tmp_path / "gen", reference=tmp_path / "ref", text_prompts=str(tmp_path / "p.jsonl"))
    assert [one["text_prompt"] for one in found[:12]] == [f"prompt {n}" for n in range(12)]
    assert [Path(one["video"].source).stem for one in found[:12]] == [str(n) for n in range(12)]
    assert not pairs(found)
    asked = samples_from(video=tmp_path / "gen", reference=tmp_path / "ref", pair="position")
    assert pairs(asked) == {f"{n}.mp4": f"clip_{n:02}.mp4" for n in range(12)}


def test_pairs_by_position_need_equal_counts_and_sets_have_none(tmp_path: Path) -> None:
    touch(tmp_path, "gen/a.mp4", "gen/b.mp4", "ref/a.mp4", "ref/b.mp4", "ref/c.mp4")
    with pytest.raises(ValueError, match="pair='position': 2 clips, but 3 for reference"):
        samples_from(video=tmp_path / "gen", reference=tmp_path / "ref", pair="position")
    found = samples_from(video=tmp_path / "gen", reference=tmp_path / "ref", pair="set")
    assert not pairs(found)
    assert [one.get("role") for one in found] == [None, None, "reference", "reference", "reference"]
    with pytest.raises(ValueError, match="pair is 'stem', 'position' or 'set', not 'stm'"):
        samples_from(video=tmp_path / "gen", reference=tmp_path / "ref", pair="stm")  # type: ignore[arg-type]


def test_one_clip_and_one_reference_are_a_pair(tmp_path: Path) -> None:
    touch(tmp_path, "out.mp4", "teacher.mp4")
    found = samples_from(video=tmp_path / "out.mp4", reference=[tmp_path / "teacher.mp4"])
    assert pairs(found) == {"out.mp4": "teacher.mp4"}


def test_whole_names_are_compared(tmp_path: Path) -> None:
    touch(tmp_path, "gen/猫_001.mp4", "gen/cafe\u0301.mp4", "ref/犬_001.mp4", "ref/caf\u00e9.webm")
    with pytest.warns(UserWarning, match=r"no reference for 猫_001\.mp4, and no generated clip for 犬_001\.mp4"):
        found = samples_from(video=tmp_path / "gen", reference=tmp_path / "ref")
    assert pairs(found) == {"cafe\u0301.mp4": "caf\u00e9.webm"}
    touch(tmp_path, "gen/x.mp4", "gen/x.webm")
    with pytest.raises(ValueError, match=r"two of the clips have one name.*x\.mp4 and .*x\.webm"):
        samples_from(video=tmp_path / "gen", reference=tmp_path / "ref")


def test_prompts_with_ids_belong_to_the_clips_of_these_names(tmp_path: Path) -> None:
    touch(tmp_path, "gen/a.mp4", "gen/b.mp4")
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "b", "prompt": "two"}\n{"id": "a", "prompt": "one"}\n')
    assert [one["text_prompt"] for one in samples_from(video=tmp_path / "gen", text_prompts=path)] == ["one", "two"]
    path.write_text('{"id": "b", "prompt": "two"}\n{"id": "z", "prompt": "one"}\n')
    with pytest.raises(ValueError, match=r"the ids of the prompts are not the names of the clips, each once: a, z"):
        samples_from(video=tmp_path / "gen", text_prompts=path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'\xef\xbb\xbf"one"\n{"prompt": "two\xe2\x80\xa8lines"}\n', None),
        (b'"one"\n{"prompt"\n', r"p\.jsonl:2: not valid JSON"),
        (b'"one"\n"\xff"\n', r"p\.jsonl:2: not UTF-8"),
        (b'"one"\n3\n', r"p\.jsonl: prompt entries must be strings or dicts, got int \(line 2\)"),
    ],
)
def test_prompt_files_are_read_like_every_text_file(tmp_path: Path, data: bytes, message: str | None) -> None:
    touch(tmp_path, "gen/a.mp4", "gen/b.mp4")
    (tmp_path / "p.jsonl").write_bytes(data)
    if message is None:
        found = samples_from(video=tmp_path / "gen", text_prompts=tmp_path / "p.jsonl")
        assert [one["text_prompt"] for one in found] == ["one", "two\u2028lines"]
        return
    with pytest.raises(ValueError, match=message):
        samples_from(video=tmp_path / "gen", text_prompts=tmp_path / "p.jsonl")
