from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.core.download import Download, DownloadError
from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.datasets.physics_iq import PhysicsIQPromptDataset

HEADER = "scenario,description,category,generated_video_name\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = [HEADER]
    for take, offset in ((1, 0), (2, 3)):
        for i, view in enumerate(("left", "center", "right"), start=1 + offset):
            name = f"{i:04d}_perspective-{view}"
            lines.append(f'{name}_take-{take}_ball_fall.mp4,"A ball, falling.",Solid Mechanics,{name}_ball_fall.mp4\n')
    (tmp_path / "descriptions.csv").write_text("".join(lines), "utf-8")
    monkeypatch.setenv("VIDMETRICS_PHYSICS_IQ_BUCKET_URL", "http://127.0.0.1:9/bucket/")
    for name in ("HF_HUB_OFFLINE", "VIDMETRICS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    calls: list[tuple[str, float]] = []

    def to(self: Download, target: Path) -> Path:
        calls.append((self.url, self.timeout))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x")
        return target

    monkeypatch.setattr(Download, "to", to)
    return calls


def test_listing_prompts_fetches_nothing(root: Path, fetched: list[tuple[str, float]]) -> None:
    data = PhysicsIQPromptDataset(root)
    assert [row["prompt"] for row in data] == ["A ball, falling."] * 3
    assert data[0]["text_prompt"] == "A ball, falling."
    assert all("reference" in row and row.get("scenario") for row in data)
    assert [scenario.view for scenario in data.scenarios] == [
        "perspective-left",
        "perspective-center",
        "perspective-right",
    ]
    assert fetched == []


def test_a_rows_files_are_fetched_when_they_are_read(root: Path, fetched: list[tuple[str, float]]) -> None:
    row = PhysicsIQPromptDataset(root, fps=24, generated_dir="gen")[1]
    first = "split-videos/testing/24FPS/0002_testing-videos_24FPS_perspective-center_take-1_ball_fall.mp4"
    assert row["reference"] == str(root / first)
    assert [url for url, _ in fetched] == [f"http://127.0.0.1:9/bucket/{first}"]
    values = {**row}
    assert values["video"] == str(Path("gen") / "0002_perspective-center_ball_fall.mp4")
    # The take-2 twin has a number of its own, and the masks are those of the same rate.
    assert "0005_testing-videos_24FPS_perspective-center_take-2" in values["reference_take2"]
    assert "real/24FPS/0005_video-masks_24FPS" in values["reference_take2_mask"]
    assert "0002_switch-frames_anyFPS" in values["image_path"]
    assert {timeout for _, timeout in fetched} == {60.0}
    before = len(fetched)
    assert {**row} == values
    assert len(fetched) == before


def test_without_download(root: Path, fetched: list[tuple[str, float]]) -> None:
    row = PhysicsIQPromptDataset(root, auto_download=False, limit=1)[0]
    with pytest.raises(FileNotFoundError, match="switched off"):
        row["reference"]
    assert fetched == []
    with pytest.raises(UnavailableError, match="auto_download is off"):
        PhysicsIQPromptDataset(root / "empty", auto_download=False)


def test_a_failed_fetch_is_a_missing_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Download, target: Path) -> Path:
        raise DownloadError("md5 is x")

    monkeypatch.setattr(Download, "to", fail)
    with pytest.raises(FileNotFoundError, match="cannot be fetched: md5 is x"):
        PhysicsIQPromptDataset(root)[0]["reference_mask"]


def test_other_rates_and_other_files_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="recorded at 8, 16, 24, 30"):
        PhysicsIQPromptDataset(root, fps=25)
    (root / "descriptions.csv").write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(ValueError, match="expected the columns"):
        PhysicsIQPromptDataset(root)
    (root / "descriptions.csv").write_text(f"{HEADER}0001_left_take-1_x.mp4,d,c,g.mp4\n", "utf-8")
    with pytest.raises(ValueError, match="has no second take"):
        PhysicsIQPromptDataset(root)


def test_the_nested_folder_of_the_release(root: Path) -> None:
    outer = root / "outer"
    (outer / "physics-IQ-benchmark").mkdir(parents=True)
    (root / "descriptions.csv").rename(outer / "physics-IQ-benchmark" / "descriptions.csv")
    assert len(PhysicsIQPromptDataset(outer, auto_download=False)) == 3
