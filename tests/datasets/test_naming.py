from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vidmetrics.datasets.base import PromptDataset
from pytest_vidmetrics.datasets.naming import default_filename, glob_videos, sanitize_prompt

TABLE = json.loads((Path(__file__).parents[1] / "data/io/names_and_frames.json").read_text("utf-8"))["expected"]


@pytest.mark.parametrize(("prompt", "expected"), TABLE["sanitize_prompt"])
def test_sanitize_prompt(prompt: str, expected: str) -> None:
    assert sanitize_prompt(prompt) == expected


@pytest.mark.parametrize(("prompt", "expected"), TABLE["sanitize_prompt_max_len_10"])
def test_sanitize_prompt_cut(prompt: str, expected: str) -> None:
    assert sanitize_prompt(prompt, max_len=10) == expected


def test_default_filename() -> None:
    for prompt, index, expected in TABLE["default_filename"]:
        assert default_filename({"prompt": prompt}, index) == expected
    for prompt, index, ext, expected in TABLE["default_filename_ext"]:
        assert default_filename({"text_prompt": prompt}, index, ext) == expected
    with pytest.raises(KeyError, match="neither 'prompt' nor"):
        default_filename({}, 0)


@pytest.mark.parametrize("sign", ["猫", "é", "😀", "한", "ก"])
def test_a_name_of_any_script_fits_into_a_file_system(tmp_path: Path, sign: str) -> None:
    name = default_filename({"prompt": 300 * sign}, 24)
    assert len(name.encode()) <= 230 + len("-24.mp4")
    assert name == f"{min(100, 230 // len(sign.encode())) * sign}-24.mp4"
    (tmp_path / name).touch()
    assert [path.name for path in glob_videos(tmp_path, {"prompt": 300 * sign})] == [name]


def test_long_prompts_that_are_cut_to_one_name_are_told_apart(tmp_path: Path) -> None:
    class Long(PromptDataset):
        def _prompts(self) -> list[str]:
            return ["猫" * 90 + end for end in ("a", "b")]

    dataset = Long()
    names = [dataset.filename({"prompt": prompt}, 0) for prompt in dataset._prompts()]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 255 for name in names)


def test_glob_videos(tmp_path: Path) -> None:
    table = TABLE["glob_videos"]
    for name in table["files"]:
        (tmp_path / name).touch()
    assert [path.name for path in glob_videos(tmp_path, {"prompt": table["row_prompt"]})] == table["result"]


def test_glob_videos_takes_brackets_literally(tmp_path: Path) -> None:
    (tmp_path / "a [b]-0.mp4").touch()
    (tmp_path / "a b-0.mp4").touch()
    assert [path.name for path in glob_videos(tmp_path, {"prompt": "a [b]"})] == ["a [b]-0.mp4"]


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=150))
def test_a_name_is_never_empty_long_or_a_path(prompt: str) -> None:
    name = sanitize_prompt(prompt)
    assert 0 < len(name) <= 100
    assert not set('\\/:*?"<>|') & set(name)
