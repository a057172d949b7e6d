"""The scenarios of Physics-IQ as the samples of a case."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import ManifestError
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.gates.listing import resolve_samples
from pytest_vidmetrics.gates.manifest import load_manifest

HEADER = "scenario,description,category,generated_video_name\n"
TEXT = "schema = 1\n[case.p]\ndataset = 'physics_iq'\ndataset_root = 'release'\nvideo = 'clips'\n{}"
ASSETS = ("reference", "reference_take2", "reference_mask", "reference_take2_mask", "image_path")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root, clips = tmp_path / "release", tmp_path / "clips"
    clips.mkdir()
    lines = [HEADER]
    for rate in ("30FPS", "24FPS"):
        for take, id in ((1, "0001"), (2, "0002")):
            for kind, below in (("testing-videos", "split-videos/testing"), ("video-masks", "video-masks/real")):
                path = root / below / rate / f"{id}_{kind}_{rate}_left_take-{take}_ball_falls.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    for take, id in ((1, "0001"), (2, "0002")):
        lines.append(f"{id}_left_take-{take}_ball_falls.mp4,A ball falls.,Solid,{id}_left_ball_falls.mp4\n")
    (root / "switch-frames").mkdir()
    (root / "switch-frames" / "0001_switch-frames_anyFPS_left_ball_falls.jpg").touch()
    (root / "descriptions.csv").write_text("".join(lines))
    (clips / "0001_left_ball_falls.mp4").touch()
    return tmp_path


def corpus(folder: Path, more: str = "") -> Corpus:
    path = folder / "m.vidmetrics.toml"
    path.write_text(TEXT.format(more))
    return resolve_samples(load_manifest(path).cases[0])


def test_a_clip_comes_with_its_five_files(folder: Path) -> None:
    (sample,) = corpus(folder).samples
    assert sample.id == "0001_left_ball_falls"
    assert sample.values["video"] == str(folder / "clips" / "0001_left_ball_falls.mp4")
    assert all(Path(sample.values[key]).is_file() for key in ASSETS)
    assert len({sample.values[key] for key in ASSETS}) == 5
    assert "0002_testing-videos_30FPS_left_take-2" in sample.values["reference_take2"]
    facts = {key: sample.values[key] for key in ("scenario", "view", "text_prompt")}
    assert facts == {"scenario": "ball_falls", "view": "left", "text_prompt": "A ball falls."}
    assert [one.values["video"] for one in corpus(folder).references] == [sample.values["reference"]]


def test_the_rate_of_the_case_picks_the_recordings(folder: Path) -> None:
    assert "24FPS" in corpus(folder, "fps = 24").samples[0].values["reference_mask"]
    # No recordings have this rate: metrics blend those of 30 frames per second.
    assert "30FPS" in corpus(folder, "fps = 25").samples[0].values["reference"]


def test_missing_and_surplus_clips_are_named(folder: Path) -> None:
    (folder / "clips" / "0001_left_ball_falls.mp4").rename(folder / "clips" / "other.mp4")
    with pytest.raises(ManifestError) as caught:
        corpus(folder)
    assert "m.vidmetrics.toml:3: 1 clips are missing: 0001_left_ball_falls.mp4" in str(caught.value)
    assert "1 files belong to no scenario: other.mp4" in str(caught.value)


def test_missing_recordings_are_named_with_the_command_that_fetches_them(folder: Path) -> None:
    (folder / "release" / "switch-frames" / "0001_switch-frames_anyFPS_left_ball_falls.jpg").unlink()
    with pytest.raises(ManifestError, match=r"1 files of Physics-IQ are not in .*: switch-frames/0001.*\.fetch\(\)"):
        corpus(folder)


def test_the_release_must_be_there(folder: Path) -> None:
    (folder / "release").rename(folder / "elsewhere")
    with pytest.raises(ManifestError, match=r"m.vidmetrics.toml:4: dataset_root = 'release': .* is not a folder"):
        corpus(folder)


def test_a_damaged_list_is_an_error_of_the_manifest(folder: Path) -> None:
    (folder / "release" / "descriptions.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ManifestError, match=r"the scenarios of physics_iq cannot be read: .*expected the columns"):
        corpus(folder)
