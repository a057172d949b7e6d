from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.datasets import folders as module
from pytest_vidmetrics.datasets.folders import samples_from

TABLE = json.loads((Path(__file__).parents[1] / "data/io/samples_from.json").read_text("utf-8"))
# A string that names an existing file is read as one; upstream silently scored the file's name as the prompt.
CHANGED = {"prompts_txt_string": {"raises": "ValueError", "message": "must be .jsonl or .json, got '.txt'"}}


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
    entry = CHANGED.get(case, entry)
    if "raises" in entry:
        kind = {"ValueError": ValueError, "FileNotFoundError": FileNotFoundError}[entry["raises"]]
        with pytest.raises(kind) as caught:
            samples_from(**call)
        assert entry["message"] in str(caught.value)
        return
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
