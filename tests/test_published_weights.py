"""The published files themselves, for a machine with a network: one command fetches, loads, scores and compares.

    HF_HUB_OFFLINE=0 python -m pytest -m weights

docs/weights.md says what it needs and what further clips it compares when they are given.
"""

from __future__ import annotations

import json
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core.places import is_offline
from pytest_vidmetrics.core.weights import Weights, resolve, verify
from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks.published.catalogue import NETWORKS

pytestmark = pytest.mark.weights
ROOT = Path(__file__).parents[1]
_PUBLISHED = ROOT / "tests" / "data" / "published"
REFERENCE = json.loads((_PUBLISHED / "fastvideo_reference_scores.json").read_text())
READMES = json.loads((_PUBLISHED / "weights_only_published.json").read_text())["items"]
FILES = {file.weights.name: file.weights for network in NETWORKS for file in network.files}
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "audio.clap_score": ({}, {"compat": "av-benchmark"}),
    "audio.wer": ({}, {"backend": "glm_asr"}),
    "common.fvd": (
        {},
        {"protocol": "usage-guide"},
        {"protocol": "videogpt"},
        {"extractor": "clip"},
        {"extractor": "videomae"},
    ),
    "common.lpips": ({"net": "alex"}, {"net": "vgg"}, {"net": "squeeze"}),
    "optical_flow.gt_optical_flow": ({}, {"model_name": "dpflow"}),
    "vbench.temporal_flickering": ({}, {"static_filter": True}),
}
"""Of metrics whose files depend on their options; the others load what they load."""
QUICKSTART = (
    "vbench.aesthetic_quality",
    "vbench.background_consistency",
    "vbench.dynamic_degree",
    "vbench.imaging_quality",
    "vbench.motion_smoothness",
    "vbench.overall_consistency",
    "vbench.subject_consistency",
    "vbench.temporal_flickering",
    "vbench.temporal_style",
    "common.lpips",
    "common.fvd",
)


@cache
def _loading() -> tuple[tuple[str, int], ...]:
    """Return every metric with files, once per set of options."""
    found = []
    for name in registry.list_metrics():
        cls = registry.metric_class(name)
        if cls.every_weights() and not hasattr(cls, "parts"):
            found += [(name, number) for number in range(len(OPTIONS.get(name, ({},))))]
    return tuple(found)


@pytest.fixture(scope="module", autouse=True)
def _network() -> None:
    if is_offline():
        pytest.fail("fetching is forbidden here: HF_HUB_OFFLINE=0 VIDMETRICS_OFFLINE=0 python -m pytest -m weights")


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_fetched_and_is_the_recorded_one(name: str) -> None:
    """A warning here is a finding: the single record of a sha256 is of another file."""
    one: Weights = FILES[name]
    path = resolve(one)
    assert verify(one) in ("", None)
    if one.size is not None and path.is_file():
        assert path.stat().st_size == one.size


@pytest.mark.parametrize(("name", "number"), _loading(), ids=lambda value: str(value))
def test_a_network_loads(name: str, number: int) -> None:
    options = OPTIONS.get(name, ({},))[number]
    missing = registry.missing_dependencies(name)
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if options.get("model_name") == "dpflow":
        pytest.importorskip("ptlflow")
    registry.get_metric(name, **options).setup()
    shared.clear()


def quickstart(count: int = 4) -> list[dict[str, Any]]:
    """Return the first clips of the quickstart with their references and prompts."""
    folder = ROOT / "examples" / "quickstart"
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text("utf-8").splitlines() if line]
    return [
        {
            "video": str(folder / "clips" / "candidate" / f"{row['id']}.mp4"),
            "reference": str(folder / "clips" / "reference" / f"{row['id']}.mp4"),
            "text_prompt": row["text_prompt"],
        }
        for row in rows[:count]
    ]


def test_the_quickstart_is_scored() -> None:
    """Every score is there and in its range: which number it is, no publication says."""
    scored_in_range(QUICKSTART)


def scored_in_range(names: tuple[str, ...]) -> None:
    with Evaluator(list(names)) as evaluator:
        found = evaluator.evaluate(quickstart())
    for name in names:
        cls = registry.metric_class(name)
        low, high = cls.value_range or (-math.inf, math.inf)
        results = [found.corpus[name]] if cls.is_set_metric else [row[name] for row in found]
        for result in results:
            assert result.status == "scored", (name, result.reason)
            assert low <= result.score <= high, name


@pytest.fixture(scope="module")
def reference_clip() -> Path:
    folder = os.environ.get("VIDMETRICS_FASTVIDEO_ASSET")
    if not folder:
        pytest.skip("$VIDMETRICS_FASTVIDEO_ASSET is not set: FastVideo's ltx2.mp4, ltx2.wav and ltx2.metadata.json")
    return Path(folder)


@pytest.mark.parametrize("name", [name for name, found in REFERENCE["scores"].items() if found["score"] is not None])
def test_scores_are_those_that_fastvideo_published(name: str, reference_clip: Path) -> None:
    from pytest_vidmetrics.media.audio import load_audio
    from pytest_vidmetrics.media.video import read_clip

    told = json.loads((reference_clip / "ltx2.metadata.json").read_text("utf-8"))
    clip, sound = read_clip(reference_clip / "ltx2.mp4"), load_audio(reference_clip / "ltx2.wav")
    sample = {
        "video": clip.frames,
        "fps": clip.fps,
        "audio": (sound.samples[0], sound.rate),
        "text_prompt": told.get("prompt") or told.get("text_prompt"),
        "reference_text": told.get("reference_text"),
        "language": "en",
    }
    compat = {"audio.wer": {"compat": "fastvideo"}, "audio.desync": {"compat": "fastvideo"}}
    with Evaluator([name], metric_kwargs={name: compat.get(name, {})}) as evaluator:
        result = evaluator.evaluate([sample])[0][name]
    tolerance = REFERENCE["abs_tolerance"][name]
    if isinstance(tolerance, str):  # VideoScore2: the whole numbers, one step apart at most
        for key, value in REFERENCE["scores"][name].items():
            if key.endswith("_hard"):
                assert abs(result.details[key] - value) <= 1
    else:
        assert result.score == pytest.approx(REFERENCE["scores"][name]["score"], abs=tolerance)


def pictures_against_sounds(network: Any, folder: Path) -> torch.Tensor:
    """Return the ``(3, 3)`` shares of ImageBind's README: how much each picture is like each sound."""
    from PIL import Image

    from pytest_vidmetrics.media.audio import load_audio
    from pytest_vidmetrics.networks.imagebind.audio import sound_clips
    from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD

    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    looks, heard = [], []
    for name in ("dog", "car", "bird"):
        with Image.open(folder / f"{name}_image.jpg") as picture:
            wide, high = picture.size
            size = 224 * wide // min(wide, high), 224 * high // min(wide, high)
            sized = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC))
        left, top = ((length - 224) // 2 for length in size)
        pixels = torch.from_numpy(sized[top : top + 224, left : left + 224].copy()).permute(2, 0, 1) / 255
        looks.append(((pixels - mean) / std)[:, None].expand(3, 2, 224, 224))
        sound = load_audio(folder / f"{name}_audio.wav", rate=16000, mono=False)
        heard.append(network.audio(torch.from_numpy(sound_clips(sound.samples[0]))).mean(dim=0))
    return torch.softmax(network.vision(torch.stack(looks)) @ torch.stack(heard).T, dim=-1)


def place(variable: str, what: str) -> Path:
    """Return the path that a variable names; without one the test is skipped, and says what is to be had where."""
    if not (text := os.environ.get(variable)):
        pytest.skip(f"${variable} is not set: {what}")
    return Path(text)


def network_of(name: str) -> Any:
    """Return the network of a metric, loaded from its published file."""
    metric: Any = registry.get_metric(name)
    metric.setup()
    return metric._network


def test_imagebind_pairs_pictures_and_sounds_as_its_readme_says() -> None:
    """Published with four digits, of files that other releases of Pillow and torchaudio decoded."""
    folder = place("VIDMETRICS_IMAGEBIND_ASSETS", "ImageBind's .assets with {dog,car,bird}_{image,audio}.*")
    found = pictures_against_sounds(network_of("audio.imagebind_score"), folder)
    np.testing.assert_allclose(found, READMES["imagebind"]["vision_x_audio"], atol=2e-2)


def offsets_of_the_readme(network: Any, path: Path) -> list[float]:
    """Return the 21 logits for picture from 4 s on and sound from 2 s on: an offset of -2 s."""
    from pytest_vidmetrics.media.audio import load_audio
    from pytest_vidmetrics.media.video import read_clip
    from pytest_vidmetrics.metrics.audio import desync_inputs as rules
    from pytest_vidmetrics.networks.synchformer.mel import synchformer_mel

    begin, late = 4.0, READMES["synchformer"]["expected"]["class_s"]
    frames = read_clip(path).frames[round(begin * rules.FPS) :][: rules.NEEDED_FRAMES]
    top, left = ((side - rules.SIDE) // 2 for side in frames.shape[-2:])
    pixels = frames[..., top : top + rules.SIDE, left : left + rules.SIDE].float() / 127.5 - 1
    pieces = [pixels[i * rules.FRAME_STEP :][: rules.FRAMES] for i in range(rules.SEGMENTS)]
    sound = load_audio(path, rate=rules.RATE).samples[0][round((begin + late) * rules.RATE) :]
    mel = torch.from_numpy(synchformer_mel(sound[: rules.NEEDED_SAMPLES], "zero"))
    logits = network.compare(network.video(torch.stack(pieces))[None], network.audio(mel)[None])[0]
    found: list[float] = logits.double().tolist()
    return found


def test_synchformer_finds_the_offset_of_its_readme() -> None:
    """Another decoder moved the probability from 0.83 to 0.71, as its README says: the class is compared."""
    path = place("VIDMETRICS_SYNCHFORMER_CLIP", "the ZYc410CE4Rg_0_10000.mp4 of Synchformer's repository")
    logits = offsets_of_the_readme(network_of("audio.desync"), path)
    expected = READMES["synchformer"]["expected"]
    assert logits.index(max(logits)) == expected["class_index"]
    assert max(logits) == pytest.approx(expected["logit"], abs=1.5)
    assert math.exp(max(logits)) / math.fsum(map(math.exp, logits)) == pytest.approx(expected["p"], abs=0.2)
