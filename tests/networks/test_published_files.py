"""Every network from a file as it is published: fetched from a server, checked against its pin, to the recorded score.

The files are stand-ins in the published container, with the published names and what lies beside the weights. Each is
served where its record says that it lies, with the stand-in's own sha256 and size in place of the published ones.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.machinery import ModuleSpec
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.core import weights
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.places import Source
from pytest_vidmetrics.core.weights import Weights, resolve, verify
from pytest_vidmetrics.metrics.audio.waveform import peak_normalise
from pytest_vidmetrics.metrics.registry import get_metric
from pytest_vidmetrics.metrics.vbench.frames import normalise
from pytest_vidmetrics.networks import asr, loading, shared
from pytest_vidmetrics.networks.audiobox import Audiobox
from pytest_vidmetrics.networks.clap import mel as clap_mel
from pytest_vidmetrics.networks.grit.network import Grit
from pytest_vidmetrics.networks.published import qwen, sound, speech, video
from pytest_vidmetrics.networks.qwen import asking, checkpoint
from pytest_vidmetrics.networks.tag2text.network import Tag2Text
from pytest_vidmetrics.networks.training_colours import IMAGENET_MEAN, IMAGENET_STD
from pytest_vidmetrics.networks.wordpiece import BERT_VOCABULARY, Vocabulary
from tests.support import grit_weights, published_files, tag2text_weights
from tests.support.oracle_fill import clip_uint8, fill_array, tone
from tests.support.pixel_clips import pair
from tests.support.qwen import FIRST_SPECIAL, OMNI_SPECIAL, VL_SPECIAL, frames_of
from tests.support.weights_server import WeightsServer, serving
from tests.support.wordpiece import made_up_pieces, write_vocabulary

DATA = Path(__file__).parents[1] / "data"
Write = Callable[[Path], None]


def recorded(family: str, name: str) -> Any:
    return json.loads((DATA / family / f"{name}.json").read_text())["expected"]


def arrays(family: str, name: str) -> Any:
    return np.load(DATA / family / f"{name}.npz")


def clip(*size: int) -> torch.Tensor:
    return torch.from_numpy(clip_uint8(*size)).permute(0, 3, 1, 2)


def ready(name: str, **options: Any) -> Any:
    metric = get_metric(name, **options)
    metric.setup()
    return metric


# What each network says


def i3d(name: str = "16x224x224_seed0", **protocol: Any) -> None:
    frames, height, width, seed = (int(part.removeprefix("seed")) for part in name.replace("_", "x").split("x"))
    row = ready("common.fvd", cache_mode="off", **protocol)._loaded().extract(clip(frames, height, width, seed))
    expected = arrays("fvd", "i3d")
    if protocol.get("protocol") != "videogpt":
        np.testing.assert_allclose(row[:1024], expected[f"{name}_features1024"], atol=2e-6, rtol=0)
    logits = f"{name}_videogpt_logits400" if protocol.get("protocol") == "videogpt" else f"{name}_logits400"
    np.testing.assert_allclose(row[1024:], expected[logits], atol=2e-6, rtol=0)


def videomae() -> None:
    row = ready("common.fvd", cache_mode="off", extractor="videomae")._loaded().extract(clip(16, 224, 224, 0))
    expected = arrays("fvd", "videomae_base_shallow")["16x224x224_seed0_feature768"]
    np.testing.assert_allclose(row, expected, atol=2e-5, rtol=0)


def scores(metric: str, oracle: str, tolerance: float) -> None:
    case = recorded("vbench", oracle)["videos"][0]
    sample = {"video": clip(*case["input"]["clip_uint8"]), "text_prompt": case["input"].get("prompt", "")}
    result = ready(metric).compute({**sample, "fps": case["input"].get("fps", 8.0)})
    expected = case["video_result"] if "video_result" in case else case["score"]
    assert result.score == pytest.approx(expected, abs=tolerance)


def appearance_style() -> None:
    expected = recorded("vbench", "appearance_style_shallow")
    metric = ready("vbench.appearance_style")
    case = expected["videos"][0]
    ids = next(text["token_ids"] for text in expected["texts"] if text["text"] == case["style"])
    direction = torch.nn.functional.normalize(metric._text([ids + [0] * (77 - len(ids))]), dim=-1)[0]
    metric._styles = {case["style"]: direction}
    sample = {"video": clip(*case["input"]["clip_uint8"]), "auxiliary_info": {"appearance_style": case["style"]}}
    assert metric.compute(sample).score == pytest.approx(case["video_result"], abs=2e-6)


def umt() -> None:
    from pytest_vidmetrics.metrics.vbench import human_action

    case = recorded("vbench", "human_action_shallow")["videos"][0]
    metric = ready("vbench.human_action")
    pixels = human_action.prepare(clip(*case["input"]["clip_uint8"])[case["frame_index"]])[None]
    logits = metric._network(pixels)[0]
    # The recorded values are of single precision, the published file is of half.
    expected = arrays("vbench", "human_action_shallow")[f"{case['case']}_logits"]
    np.testing.assert_allclose(logits.detach(), expected, atol=5e-3, rtol=0)


def amt() -> None:
    case = recorded("vbench", "motion_smoothness")["videos"][0]
    result = ready("vbench.motion_smoothness").compute({"video": clip(*case["input"]["clip_uint8"])})
    assert result.score == pytest.approx(case["score"], abs=2e-5)


def musiq() -> None:
    case = recorded("vbench", "imaging_quality")["cases"][0]
    result = ready("vbench.imaging_quality", preprocess=case["mode"].lower()).compute(
        {"video": clip(*case["input"]["clip_uint8"])}
    )
    assert result.score == pytest.approx(case["aggregate_0_1"], abs=2e-7)


def raft() -> None:
    case = recorded("vbench", "dynamic_degree_small_flow")["videos"][0]
    result = ready("vbench.dynamic_degree").compute(
        {"video": clip(*case["input"]["clip_uint8"]), "fps": case["input"]["fps"]}
    )
    seen = result.details["pair_scores"]
    assert result.score == float(case["dynamic"])
    assert seen == pytest.approx(case["pair_scores"][: len(seen)], rel=1e-5)


def tag2text() -> None:
    names, words = tuple(tag2text_weights.tag_names()), Vocabulary(tuple(made_up_pieces(grit_weights.WORDS)))
    expected = Tag2Text(tag2text_weights.narrow_state(), names, words).eval()
    pixels = normalise(clip(1, 384, 384, 3).float(), IMAGENET_MEAN, IMAGENET_STD)
    assert ready("vbench.scene")._network(pixels) == expected(pixels)


def grit() -> None:
    words = Vocabulary(tuple(made_up_pieces(grit_weights.WORDS)))
    expected = Grit(published_files.whole(grit_weights.shallow_state()), words)
    frames = torch.from_numpy(grit_weights.changing_clip()[:1]).permute(0, 3, 1, 2)
    found = ready("vbench.color")._network(frames)
    assert found == expected(frames)
    assert found[0].labels


def grit_boxes() -> None:
    """The cascade of boxes, on the recorded maps: float32 there, half precision in the file."""
    expected, network = arrays("grit", "roi_stage"), ready("vbench.color")._network
    maps = []
    for level in (3, 4, 5):
        shape = (1, 256, -(-640 // 2**level), -(-768 // 2**level))
        noise = fill_array(f"stage/p{level}", shape) * np.float64(np.sqrt(np.prod(shape[1:])))
        maps.append(torch.from_numpy(noise.astype(np.float32)))
    boxes = torch.from_numpy(expected["boxes_in"])
    with torch.inference_mode():
        stages = network.roi_heads.stages(maps, boxes, torch.zeros(len(boxes)), (640, 768))
        for number, (logits, changes, _) in enumerate(stages):
            np.testing.assert_allclose(logits, expected[f"s{number}_logits"], atol=2e-3, rtol=0)
            np.testing.assert_allclose(changes, expected[f"s{number}_deltas"], atol=2e-3, rtol=0)


def lpips(net: str) -> None:
    data = json.loads((DATA / "common" / f"lpips_{net}.json").read_text())
    result = ready("common.lpips", net=net).compute(pair(data, "two_clips"))
    assert result.score == pytest.approx(data["expected"]["filled_heads"]["two_clips"]["score"], abs=1e-6)


def passt() -> None:
    case = recorded("audio", "kl_divergence_shallow")["pairs"]["short|ref"]
    sounds = {"audio": (tone(1.2, 32000, 212), 32000), "reference_audio": (tone(15.5, 32000, 211), 32000)}
    assert ready("audio.kl_divergence").compute(sounds).score == pytest.approx(case["kl_softmax"], abs=2e-5)


def synchformer() -> None:
    expected = recorded("audio", "desync_shallow")["comparison_head"]
    stream = np.random.Generator(np.random.PCG64(3000))
    shapes = (1, 14, 8, 768), (1, 14, 6, 768)
    drawn = [torch.from_numpy(stream.standard_normal(shape).astype(np.float32)) for shape in shapes]
    logits = ready("audio.desync")._network.compare(*drawn)[0]
    np.testing.assert_allclose(logits.detach(), expected["logits"], atol=1e-4, rtol=0)


def imagebind() -> None:
    sample = {"video": clip(48, 90, 64, 601), "fps": 24.0, "audio": (tone(1.5, 16000, 611), 16000)}
    expected = recorded("audio", "imagebind_score-shallow")["v2+a2"]["score"]
    assert ready("audio.imagebind_score").compute(sample).score == pytest.approx(expected, abs=1e-5)


def clap(compat: str) -> None:
    audio, _ = ready("audio.clap_score", compat=compat)._towers
    found = audio(clap_mel.fused_features(peak_normalise(tone(5.0, 48000, 400)))).numpy()
    np.testing.assert_allclose(found, arrays("audio", "clap_score_shallow")["audio_short"], atol=2e-6)


def audiobox() -> None:
    metric = ready("audio.audiobox_aesthetics")
    assert isinstance(metric._network, Audiobox)
    result = metric.compute({"audio": (tone(0.5, 16000, 504), 16000)})
    expected = recorded("audio", "audiobox_aesthetics-shallow")["e"]["axes"]
    assert {axis: result.details[axis] for axis in expected} == pytest.approx(expected, abs=1e-4)


def wer(backend: speech.Backend, said: Callable[[Any], str], **options: Any) -> None:
    """What is heard is what the library itself hears on the folder, and is without an error against it."""
    heard = tone(2.0, asr.SAMPLE_RATE, 1)
    metric = ready("audio.wer", backend=backend, max_new_tokens=6, **options)
    text = said(metric.recogniser)
    result = metric.compute({"audio": (heard, asr.SAMPLE_RATE), "reference_text": text, "language": "en"})
    assert result.details["transcription"] == text
    assert (result.score, bool(text)) == (0.0, True)


def whisper_itself(recogniser: Any) -> str:
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    folder = recogniser._model.config._name_or_path
    processor = WhisperProcessor.from_pretrained(folder)
    network = WhisperForConditionalGeneration.from_pretrained(folder)
    inputs = processor(tone(2.0, asr.SAMPLE_RATE, 1), sampling_rate=asr.SAMPLE_RATE, return_tensors="pt")
    ids = network.generate(inputs.input_features, language="en", task="transcribe", max_new_tokens=6)
    return str(processor.batch_decode(ids, skip_special_tokens=True)[0]).strip()


def glm_itself(recogniser: Any) -> str:
    from transformers import AutoProcessor, GlmAsrForConditionalGeneration

    folder = recogniser._model.config._name_or_path
    processor = AutoProcessor.from_pretrained(folder)
    network = GlmAsrForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    inputs = processor.apply_transcription_request(tone(2.0, asr.SAMPLE_RATE, 1))
    ids = network.generate(**inputs, max_new_tokens=6, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    return str(processor.batch_decode(ids, skip_special_tokens=True)[0]).strip()


def sensevoice(monkeypatch: pytest.MonkeyPatch) -> None:
    """funasr itself is not there: a stand-in says what it finds in the two folders."""
    library, utils = ModuleType("funasr"), ModuleType("funasr.utils")
    post = ModuleType("funasr.utils.postprocess_utils")

    class AutoModel:
        def __init__(self, model: str, vad_model: str, **others: Any) -> None:
            read = [torch.load(Path(folder) / "model.pt")["state_dict"]["said"] for folder in (model, vad_model)]
            self.text = " ".join(bytes(one.tolist()).decode() for one in read)
            assert (Path(model) / "config.yaml").exists()
            assert others["trust_remote_code"] is False

        def generate(self, **asked: Any) -> list[dict[str, str]]:
            return [{"text": self.text}]

    vars(library)["AutoModel"] = AutoModel
    vars(post)["rich_transcription_postprocess"] = str
    for module in (library, utils, post):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    wer("sensevoice", lambda _: "hi hi", trust_model_folder=True)


def answer(name: str, special: tuple[str, ...], ids: list[int], **options: Any) -> None:
    """The recorded answer, token by token, of the recorded clip."""
    case = json.loads((DATA / "vlm" / f"{name}_tiny.json").read_text())["expected"][0]
    metric = ready(f"vbench.{name}" if name == "scene_vlm" else name, dtype="float32", max_tokens=24, **options)
    sample = {"video": frames_of(case), "fps": case.get("fps", 8.0), "text_prompt": case.get("t2v_prompt")}
    with shared.sample_scope():
        said = metric._caption(sample)[0] if name == "scene_vlm" else metric.answers(sample)[0][0].said
    pieces = [bytes([i]) if i < FIRST_SPECIAL else special[i - FIRST_SPECIAL].encode() for i in ids]
    assert list(said.pieces) == pieces


def recorded_answer(name: str, key: str) -> list[int]:
    ids: list[int] = json.loads((DATA / "vlm" / f"{name}_tiny.json").read_text())["expected"][0][key]["ids"]
    return ids


def flow_of_dpflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """ptlflow itself is not there: a stand-in has one tensor, which every flow is."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(2))

        def forward_flow(self, inputs: Any) -> dict[str, torch.Tensor]:
            pairs, _, _, *size = inputs["images"].shape
            return {"flows": self.shift[None, None, :, None, None].expand(pairs, 1, 2, *size)}

    library = ModuleType("ptlflow")
    library.__spec__ = ModuleSpec("ptlflow", None)
    vars(library)["get_model"] = lambda name: Network()
    monkeypatch.setitem(sys.modules, "ptlflow", library)
    found = ready("optical_flow.gt_optical_flow", model_name="dpflow").flow(clip(3, 48, 48, 1))
    assert found.field(1)[5, 5].tolist() == [3.0, -1.0]


@dataclasses.dataclass(frozen=True)
class Case:
    """Files as they are published, and what is compared once they are loaded."""

    files: Mapping[Weights, Write]
    check: Callable[[], None] | Callable[[pytest.MonkeyPatch], None]


def words(path: Path) -> None:
    write_vocabulary(path, grit_weights.WORDS)


def tags(path: Path) -> None:
    path.write_text("\n".join(tag2text_weights.tag_names()), "utf-8")


def tokenizer(path: Path) -> None:
    from tests.support.clap import write_tokenizer

    write_tokenizer(path.parent).replace(path)


p = published_files
CLIP = {video.CLIP_B32: p.clip_b32, video.CLIP_MERGES: p.merges}
VICLIP = {video.VICLIP: p.viclip, video.CLIP_MERGES: p.merges}
AUDIOBOX = {sound.AUDIOBOX: p.audiobox, sound.AUDIOBOX_CONFIG: p.audiobox_config}
GRIT = {video.GRIT_B: p.grit, BERT_VOCABULARY: words}
WHISPER = {one: p.whisper(str(one.filename)) for one in speech.WHISPER}
SENSEVOICE = {speech.SENSEVOICE: p.funasr_folder, speech.FSMN_VAD: p.funasr_folder}
TAG2TEXT = {video.TAG2TEXT: p.tag2text, BERT_VOCABULARY: words, video.TAG2TEXT_TAGS: tags}
CASES = {
    "i3d, scripted": Case({video.I3D_TORCHSCRIPT: p.i3d_archive}, i3d),
    "i3d, legacy": Case({video.I3D_RGB_IMAGENET: p.i3d_flat}, lambda: i3d("10x224x224_seed2", protocol="usage-guide")),
    "i3d, videogpt": Case(
        {video.I3D_PRETRAINED_400: p.i3d_pretrained_400}, lambda: i3d("10x224x224_seed2", protocol="videogpt")
    ),
    "videomae": Case({video.VIDEOMAE_BASE: p.videomae}, videomae),
    "clip b32": Case({video.CLIP_B32: p.clip_b32, video.CLIP_MERGES: p.merges}, appearance_style),
    "clip l14": Case(
        {video.CLIP_L14: p.clip_l14, video.LAION_HEAD: p.laion_head},
        lambda: scores("vbench.aesthetic_quality", "aesthetic_quality_shallow", 1e-6),
    ),
    "viclip": Case(VICLIP, lambda: scores("vbench.overall_consistency", "overall_consistency_shallow", 3e-6)),
    "dino": Case(
        {video.DINO_B16: p.dino}, lambda: scores("vbench.subject_consistency", "subject_consistency_shallow", 2e-6)
    ),
    "umt": Case({video.UMT_L16_K400: p.umt}, umt),
    "amt": Case({video.AMT_S: p.amt}, amt),
    "musiq": Case({video.MUSIQ_SPAQ: p.musiq}, musiq),
    "raft": Case({video.RAFT_THINGS: p.raft}, raft),
    "tag2text": Case(TAG2TEXT, tag2text),
    "grit": Case(GRIT, grit),
    "grit, recorded boxes": Case({**GRIT, video.GRIT_B: p.grit_with_recorded_boxes}, grit_boxes),
    "dpflow": Case({video.DPFLOW["things"]: p.dpflow}, flow_of_dpflow),
    **{
        f"lpips {net}": Case(
            {video.LPIPS_TRUNKS[net]: p.lpips_trunk(net), video.LPIPS_HEADS[net]: p.lpips_heads(net)},
            lambda net=net: lpips(net),
        )
        for net in ("alex", "vgg", "squeeze")
    },
    "passt": Case({sound.PASST_S: p.passt}, passt),
    "synchformer": Case({sound.SYNCHFORMER: p.synchformer}, synchformer),
    "imagebind": Case({sound.IMAGEBIND: p.imagebind}, imagebind),
    "clap, fused": Case({sound.CLAP_FUSED: p.clap_fused, sound.CLAP_TOKENIZER: tokenizer}, lambda: clap("fastvideo")),
    "clap, music and speech": Case(
        {sound.CLAP_MUSIC_SPEECH: p.clap_music_speech, sound.CLAP_TOKENIZER: tokenizer}, lambda: clap("av-benchmark")
    ),
    "audiobox": Case(AUDIOBOX, audiobox),
    "whisper": Case(WHISPER, lambda: wer("whisper", whisper_itself)),
    "glm asr": Case({speech.GLM_ASR: p.glm_asr}, lambda: wer("glm_asr", glm_itself)),
    "sensevoice": Case(SENSEVOICE, sensevoice),
    "videoscore2": Case(
        {qwen.VIDEOSCORE2: p.videoscore2},
        lambda: answer("videoscore2", VL_SPECIAL, recorded_answer("videoscore2", "greedy_pen_1.05")),
    ),
    "avocado": Case(
        {qwen.AVOCADO: p.avocado},
        lambda: answer(
            "scene_vlm", OMNI_SPECIAL, recorded("vlm", "scene_vlm_tiny")[0]["greedy_ids"], compat="fastvideo"
        ),
    ),
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsServer]:
    shared.clear()
    with serving(tmp_path / "cache", monkeypatch) as served:
        yield served
    shared.clear()


def published(files: Mapping[Weights, Write], folder: Path, server: WeightsServer) -> dict[str, Weights]:
    """Serve stand-ins at their first source; return their records with the stand-ins' pins, by name."""
    found: dict[str, Weights] = {}
    folder.mkdir()
    for one, write in files.items():
        path = folder / f"{len(found)}{Path(one.filename or one.source).suffix}"
        write(path)
        pin: dict[str, Any] = {}
        if path.is_dir():
            server.add_repository(one.source, one.revision, path)
            pin["parts"] = tuple((name, digest_file(path / name)) for name, _ in one.parts)
        else:
            server.add(Source(one.source, one.filename, one.revision), path)
        if one.sha256:  # of some only the first digits are known
            pin |= {"sha256": digest_file(path)[: len(one.sha256)], "size": path.stat().st_size}
        found[one.name] = dataclasses.replace(one, confirmed=True, override=None, **pin)
    return found


SLOW = {
    "viclip",
    "imagebind",
    "audiobox",
    "clap, fused",
    "clip b32",
    "clip l14",
    "i3d, legacy",
    "raft",
    "lpips vgg",
    "passt",
    "musiq",
    "dino",
    "i3d, videogpt",
    "grit, recorded boxes",
    "grit",
    "umt",
    "videomae",
}
"""Their containers and names are those of others here; what they say is compared elsewhere in every run."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES])
def test_a_published_file_becomes_the_recorded_score(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: WeightsServer
) -> None:
    case = CASES[name]
    pinned = published(case.files, tmp_path / "published", server)
    for module in (weights, loading, asking, checkpoint):
        monkeypatch.setattr(module, "resolve", lambda one, metric=None: resolve(pinned[one.name], metric))
    case.check(*[monkeypatch] * len(signature(case.check).parameters.keys() & {"monkeypatch"}))
    fetched = [path for path in server.asked("GET") if path not in server.lists]
    assert sorted(path for path in fetched if not path.startswith("/api/")) == sorted(server.files)
    # A second process finds them in the cache and asks nobody.
    shared.clear()
    asked = len(server.seen)
    assert [verify(one) for one in pinned.values()] == [""] * len(pinned)
    assert len(server.seen) == asked
