from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.datasets import base as module
from pytest_vidmetrics.datasets.base import PromptDataset, get_dataset, list_datasets, register_dataset
from pytest_vidmetrics.datasets.vbench import VBenchPromptDataset

TABLE = json.loads((Path(__file__).parents[1] / "data/io/vbench_rows.json").read_text("utf-8"))["expected"]


def vbench(tmp_path: Path, entries: list[Any], dimensions: Any = "all") -> VBenchPromptDataset:
    path = tmp_path / "info.json"
    path.write_text(json.dumps(entries), "utf-8")
    return VBenchPromptDataset(dimensions, path)


def seed_keys(row: Any) -> dict[str, Any]:
    """Return the row as upstream gives it: without the key that its metrics never found."""
    assert row["text_prompt"] == row["prompt"]
    return {key: value for key, value in row.items() if key != "text_prompt"}


def test_rows_from_published_entries(tmp_path: Path) -> None:
    cases = TABLE["rows_from_published_entries"]
    rows = vbench(tmp_path, [case["entry"] for case in cases])
    assert [seed_keys(row) for row in rows] == [case["row"] for case in cases]


@pytest.mark.parametrize("case", TABLE["synthetic"], ids=lambda case: case["entry"]["prompt_en"])
def test_synthetic_rows(tmp_path: Path, case: dict[str, Any]) -> None:
    assert [seed_keys(row) for row in vbench(tmp_path, [case["entry"]])] == case["row"]


@pytest.mark.parametrize("case", TABLE["dimension_filter"], ids=lambda case: "+".join(case["dimensions"]))
def test_dimension_filter(tmp_path: Path, case: dict[str, Any]) -> None:
    entry = {"prompt_en": case["entry_prompt"], "dimension": case["entry_dimensions"]}
    if "raises" in case["row"]:
        with pytest.raises(ValueError, match="Unknown VBench dimensions") as caught:
            vbench(tmp_path, [entry], case["dimensions"])
        assert str(caught.value) == case["row"]["message"]
        return
    assert [seed_keys(row) for row in vbench(tmp_path, [entry], case["dimensions"])] == case["row"]


def test_one_dimension_by_name(tmp_path: Path) -> None:
    entries = [{"prompt_en": "a", "dimension": ["color"]}, {"prompt_en": "b", "dimension": ["scene"]}]
    assert [row["prompt"] for row in vbench(tmp_path, entries, "color")] == ["a"]
    with pytest.raises(ValueError, match=r"\['no_such'\]"):
        vbench(tmp_path, entries, ["no_such"])
    assert list(vbench(tmp_path, entries).by_dimension()) == ["color", "scene"]


def test_the_file_is_found_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "info.json"
    path.write_text(json.dumps([{"prompt_en": "a", "dimension": ["color"]}]), "utf-8")
    monkeypatch.setenv("VBENCH_FULL_INFO_JSON", str(path))
    assert len(get_dataset("vbench")) == 1
    monkeypatch.setenv("VIDMETRICS_OFFLINE", "1")
    monkeypatch.setenv("VIDMETRICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VBENCH_FULL_INFO_JSON")
    with pytest.raises(UnavailableError, match="VBENCH_FULL_INFO_JSON"):
        get_dataset("vbench")
    path.write_text('{"prompt": 1}', "utf-8")
    with pytest.raises(ValueError, match="expected a list of entries"):
        VBenchPromptDataset("all", path)


@pytest.mark.skipif(not os.environ.get("VBENCH_FULL_INFO_JSON"), reason="the published list is not in the repository")
def test_the_published_file() -> None:
    published = TABLE["published_file"]
    rows = get_dataset("vbench")
    assert len(rows) == published["entries"]
    assert {name: len(found) for name, found in rows.by_dimension().items()} == published["rows_per_dimension"]
    assert sum(row["n_samples"] for row in rows) == published["videos_to_generate"]
    names = {rows.filename(row, 0) for row in rows}
    assert len(names) == published["entries"] - len(published["duplicate_prompts"])


def test_names_survive_long_and_colliding_prompts(tmp_path: Path) -> None:
    long = "Snow rocky mountains peaks canyon. snow blanketed rocky mountains surround and shadow deep canyons "
    prompts = [f"{long}zoom in", f"{long}zoom out", "a cat?", "a cat", "short"]
    data = vbench(tmp_path, [{"prompt_en": prompt, "dimension": ["color"]} for prompt in prompts])
    names = [data.filename(row, 3) for row in data]
    assert len(set(names)) == 5
    assert names[-1] == "short-3.mp4"
    assert all(len(name) <= 107 for name in names)
    folder = tmp_path / "clips"
    folder.mkdir()
    for row in data:
        for index in (0, 10, 2):
            (folder / data.filename(row, index)).touch()
    for row in data:
        expected = [data.filename(row, index) for index in (0, 2, 10)]
        assert [path.name for path in data.videos(row, folder)] == expected


def test_clips_with_upstream_names_are_found_and_shared_names_are_not(tmp_path: Path) -> None:
    data = vbench(tmp_path, [{"prompt_en": prompt, "dimension": ["color"]} for prompt in ("a dog.", "a cat", "a cat?")])
    for name in ("a dog.-1.mp4", "a dog.-0.mp4", "a cat-0.mp4"):
        (tmp_path / name).touch()
    assert [path.name for path in data.videos(data[0], tmp_path)] == ["a dog.-0.mp4", "a dog.-1.mp4"]
    assert [path.name for path in data.videos(data[1], tmp_path)] == ["a cat-0.mp4"]
    assert data.videos(data[2], tmp_path) == []


def test_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_datasets() == ["physics_iq", "vbench"]
    monkeypatch.setattr(module, "_registry", dict(module._registry))

    @register_dataset("mine")
    class Mine(PromptDataset):
        def __init__(self, n: int = 2) -> None:
            super().__init__()
            self._rows = [{"prompt": str(i)} for i in range(n)]

    assert len(get_dataset("mine", n=3)) == 3
    assert get_dataset("mine")[1:] == [{"prompt": "1"}]
    with pytest.raises(ValueError, match="already registered"):
        register_dataset("mine")(VBenchPromptDataset)
    with pytest.raises(KeyError, match="did you mean 'vbench'"):
        get_dataset("vbensh")
