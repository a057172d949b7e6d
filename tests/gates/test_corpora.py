"""VBench's prompt list as the samples of a case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest

ENTRIES = [
    {"prompt_en": "a person is surfing", "dimension": ["human_action"]},
    {
        "prompt_en": "a cat, in van Gogh style",
        "dimension": ["appearance_style"],
        "auxiliary_info": {"appearance_style": {"appearance_style": "van Gogh style"}},
    },
    {"prompt_en": "a still lake", "dimension": ["temporal_flickering"]},
    {"prompt_en": "what a day: " + "long " * 30, "dimension": ["overall_consistency", "aesthetic_quality"]},
]
TEXT = "schema = 1\n[case.v]\ndataset = 'vbench'\nvideo = 'clips'\nmetrics = [{}]\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "info.json").write_text(json.dumps(ENTRIES))
    monkeypatch.setenv("VBENCH_FULL_INFO_JSON", str(tmp_path / "info.json"))
    (tmp_path / "clips").mkdir()
    return tmp_path


def fill(folder: Path, prompt: str, count: int) -> None:
    for number in range(count):
        (folder / "clips" / f"{prompt}-{number}.mp4").touch()


def corpus(folder: Path, metrics: str):
    path = folder / "m.vidmetrics.toml"
    path.write_text(TEXT.format(metrics))
    return resolve_samples(load_manifest(path).cases[0])


def test_clips_go_to_the_metrics_of_their_prompts_dimensions(folder) -> None:
    fill(folder, "a person is surfing", 5)
    fill(folder, "a cat, in van Gogh style", 5)
    found = corpus(folder, "'vbench.human_action', 'vbench.appearance_style', 'common.psnr'")
    assert len(found.samples) == 10
    surfing = found.of("vbench.human_action").samples
    assert {sample.values["text_prompt"] for sample in surfing} == {"a person is surfing"}
    styled = found.of("vbench.appearance_style").samples
    assert [sample.values["auxiliary_info"] for sample in styled] == [{"appearance_style": "van Gogh style"}] * 5
    assert len(found.of("common.psnr").samples) == 10


def test_clips_of_one_prompt_are_a_cluster_unless_the_case_says_what_is(folder) -> None:
    path = folder / "m.vidmetrics.toml"
    path.write_text(TEXT.format("'vbench.human_action'"))
    assert load_manifest(path).cases[0].cluster == "text_prompt"
    path.write_text(TEXT.format("'vbench.human_action'") + "cluster = 'scene'\n")
    assert load_manifest(path).cases[0].cluster == "scene"
    path.write_text("schema = 1\n[case.v]\nvideo = 'clips'\n")
    assert load_manifest(path).cases[0].cluster is None


def test_flicker_has_25_clips_a_prompt_and_other_prompts_are_not_expected(folder) -> None:
    fill(folder, "a still lake", 25)
    assert len(corpus(folder, "'vbench.temporal_flickering'").samples) == 25


def test_upstreams_own_long_names_are_found(folder) -> None:
    fill(folder, ENTRIES[3]["prompt_en"], 5)
    found = corpus(folder, "'vbench.overall_consistency'")
    assert len(found.samples) == 5
    assert found.of("vbench.aesthetic_quality").samples == ()


def test_missing_and_surplus_files_are_counted_and_named(folder) -> None:
    fill(folder, "a person is surfing", 4)
    fill(folder, "a stranger", 1)
    with pytest.raises(ManifestError) as caught:
        corpus(folder, "'vbench.human_action'")
    assert "m.vidmetrics.toml:3: 1 clips are missing: a person is surfing-4" in str(caught.value)
    assert "1 files belong to no prompt: a stranger-0.mp4" in str(caught.value)


def test_the_list_must_be_there(folder, monkeypatch) -> None:
    monkeypatch.setenv("VBENCH_FULL_INFO_JSON", str(folder / "absent.json"))
    with pytest.raises(ManifestError, match="the prompts of vbench cannot be read"):
        corpus(folder, "'vbench.human_action'")


def test_references_beside_a_dataset_are_a_set_or_have_the_names_of_its_clips(folder) -> None:
    fill(folder, "a person is surfing", 5)
    (folder / "ref").mkdir()
    for number in range(5):
        (folder / "ref" / f"a person is surfing-{number}.mp4").touch()
    paired = corpus(folder, "'vbench.human_action', 'common.psnr']\nreference = 'ref'\nallow = [")
    assert [Path(one.values["reference"]).name for one in paired.samples] == [
        Path(one.values["video"]).name for one in paired.samples
    ]
    (folder / "ref" / "more.mp4").touch()
    with pytest.raises(ManifestError, match="1 reference without video: more"):
        corpus(folder, "'common.psnr', 'vbench.human_action']\nreference = 'ref'\nallow = [")
    united = corpus(folder, "'common.fvd', 'vbench.human_action']\nreference = 'ref'\npair = 'set'\nallow = [")
    assert len(united.references) == 6
    assert all("reference" not in sample.values for sample in united.samples)
    with pytest.raises(ManifestError, match="samples and dataset = 'vbench': the dataset says that itself"):
        corpus(folder, "'vbench.human_action']\nsamples = 'rows.jsonl'\nallow = [")


def test_the_folder_must_be_one(folder) -> None:
    (folder / "clips").rmdir()
    with pytest.raises(ManifestError, match="needs video to be the one folder"):
        corpus(folder, "'vbench.human_action'")


def test_rows_of_a_sample_list_may_name_their_metrics(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").touch()
    rows = [{"id": "a", "metrics": ["common.psnr"]}, {"id": "b"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = tmp_path / "m.vidmetrics.toml"
    path.write_text("schema = 1\n[case.v]\nvideo = '*.mp4'\nsamples = 'rows.jsonl'\n")
    found = resolve_samples(load_manifest(path).cases[0])
    assert [sample.id for sample in found.of("common.ssim").samples] == ["b"]
    assert [sample.id for sample in found.of("common.psnr").samples] == ["a", "b"]
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "metrics": "common.pnsr"}')
    with pytest.raises(ManifestError, match=r"rows.jsonl:1: metrics: unknown metric 'common.pnsr'"):
        resolve_samples(load_manifest(path).cases[0])


def test_prompts_that_differ_in_signs_only_keep_all_their_clips(folder) -> None:
    prompts = ["a cat, a dog", "a cat a dog", "A cat a dog"]
    entries = [{"prompt_en": prompt, "dimension": ["overall_consistency"]} for prompt in prompts]
    (folder / "info.json").write_text(json.dumps(entries))
    for prompt in prompts:  # upstream's own names
        fill(folder, prompt, 5)
    found = corpus(folder, "'vbench.overall_consistency'").samples
    assert len({sample.id.casefold() for sample in found}) == len(found) == 15
    assert {sample.values["text_prompt"] for sample in found} == set(prompts)
    assert len({sample.path for sample in found}) == 15
