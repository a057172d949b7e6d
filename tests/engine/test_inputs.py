from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.datasets.naming import build_eval_kwargs
from pytest_vidmetrics.engine.inputs import as_video, extract_frames, load_video

TABLE = json.loads((Path(__file__).parents[1] / "data/io/names_and_frames.json").read_text("utf-8"))["expected"]


def test_as_video() -> None:
    frames = torch.zeros(2, 3, 4, 4)
    assert as_video("a.mp4").source == "a.mp4"
    assert as_video(Path("b") / "a.mp4").source == str(Path("b") / "a.mp4")
    assert as_video(frames).frames is frames
    assert as_video(frames).source is None
    video = Video("a.mp4")
    assert as_video(video) is video
    with pytest.raises(TypeError, match="Cannot coerce int to Video"):
        as_video(3)


@pytest.mark.parametrize("case", TABLE["extract_frames"], ids=lambda case: f"{case['frames']}-{case['n']}")
def test_extract_frames(case: dict[str, object]) -> None:
    total = int(str(case["frames"]))
    video = torch.arange(total).reshape(total, 1, 1, 1)
    n = case["n"]
    assert n is None or isinstance(n, int)
    assert extract_frames(video, n).flatten().tolist() == case["indices"]


def test_uint8_is_scaled_and_float_is_not() -> None:
    bytes_ = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    assert load_video(bytes_).flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert bytes_.flatten().tolist() == [0, 51, 255]
    floats = torch.full((2, 3, 2, 2), 0.25, dtype=torch.float64)
    assert torch.equal(load_video(floats), floats.float())


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(1, 4, 3, 8, 8), "without a batch dimension"),
        (torch.zeros(3, 8, 8), r"expected \(T, C, H, W\)"),
        (torch.zeros(4, 8, 8, 3), "it looks like"),
        (torch.zeros(0, 3, 8, 8), "no frames"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "torch.int64"),
        (torch.full((2, 3, 8, 8), 255.0), "values from 255 to 255"),
        (torch.full((2, 3, 8, 8), -1.0), r"expected \[0, 1\]"),
        (torch.full((2, 3, 8, 8), float("nan")), "values from nan"),
    ],
)
def test_what_is_no_clip_is_refused(frames: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_video(frames)


def test_images_and_folders_in_natural_order(tmp_path: Path) -> None:
    for i in (0, 1, 2, 10):
        Image.new("RGB", (6, 4), (i, 0, 0)).save(tmp_path / f"frame{i}.png")
    video = load_video(tmp_path)
    assert video.shape == (4, 3, 4, 6)
    assert (video[:, 0, 0, 0] * 255).round().tolist() == [0, 1, 2, 10]
    assert load_video([Image.new("L", (6, 4), 255)]).mean() == 1
    with pytest.raises(ValueError, match="empty list"):
        load_video([])


def test_build_eval_kwargs_has_no_batch_dimension(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    row = {"prompt": "a cat", "auxiliary_info": {"color": "red"}, "n_samples": 5}
    values = build_eval_kwargs(row, tmp_path)
    assert values.pop("video").shape == (1, 3, 4, 6)
    assert values == {"fps": 24.0, "text_prompt": "a cat", "auxiliary_info": {"color": "red"}}
