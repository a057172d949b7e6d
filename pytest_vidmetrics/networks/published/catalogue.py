"""Every published file by network: its container and layout, and the page in third_party/ that says more."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.networks.published import qwen, sound, speech, video
from pytest_vidmetrics.networks.wordpiece import BERT_VOCABULARY


@dataclass(frozen=True)
class File:
    """One file (or repository): ``container`` with the type of its numbers, ``layout`` its top-level keys and names.

    Both are what public sources state; where they only suggest it, the text says so.
    """

    weights: Weights
    container: str
    layout: str


@dataclass(frozen=True)
class Published:
    """A network: ``page`` is its folder in third_party/, ``code`` the licence of the original code."""

    page: str
    title: str
    code: str
    files: tuple[File, ...]


_ZIP = "torch zip, float32"
_LEGACY = "torch legacy (before 1.6), float32"
_TEXT = "text"
_JSON = "JSON"
_SAFE = "safetensors, float32"
_WORDS = File(BERT_VOCABULARY, _TEXT, "30522 lines, one word piece each")
_MERGES = File(video.CLIP_MERGES, _TEXT, "a title line, then the merges; that of ViT-L/14 is another file")
_REPOSITORY = "hub repository: JSON settings, tokenizer, safetensors in bfloat16"


def _dpflow(trained: str) -> File:
    layout = "`state_dict`, beside settings of the trainer; the name ends with the first 8 digits of the sha256"
    return File(video.DPFLOW[trained], _ZIP, layout)


def _lpips(net: str) -> tuple[File, File]:
    trunk = File(
        video.LPIPS_TRUNKS[net], "torch file, float32", "flat: `features.*`, and a classifier that is not read"
    )
    heads = File(video.LPIPS_HEADS[net], "torch file, float32", "flat: `lin{0..}.model.1.weight`")
    return trunk, heads


NETWORKS = (
    Published(
        "i3d",
        "I3D, RGB stream, Kinetics-400",
        "Apache-2.0",
        (
            File(
                video.I3D_TORCHSCRIPT,
                "TorchScript archive, float32",
                "a scripted copy of hassony2/kinetics_i3d_pytorch (class `src.i3dpt_jit.I3D`): `conv3d_1a_7x7.conv3d`, "
                "`mixed_3b.branch_1.0.batch3d`, ...; any prefix",
            ),
            File(video.I3D_RGB_IMAGENET, _LEGACY, "flat, piergiaj's names; the 57 counters of batches are absent"),
            File(video.I3D_PRETRAINED_400, "torch file, float32", "the same names; `bn.weight` is 1, no counters"),
        ),
    ),
    Published(
        "videomae",
        "VideoMAE-base",
        "CC BY-NC 4.0",
        (
            File(
                video.VIDEOMAE_BASE,
                _SAFE,
                "`videomae.*` with `q_bias` and `v_bias`; `decoder.*` is not read",
            ),
        ),
    ),
    Published(
        "clip",
        "CLIP ViT-B/32 and ViT-L/14",
        "MIT",
        (
            File(video.CLIP_B32, _ZIP, "flat: both towers, projections, integer `position_ids`"),
            File(video.CLIP_L14, _SAFE, "flat: both towers, projections"),
            _MERGES,
        ),
    ),
    Published(
        "laion_aesthetic",
        "LAION aesthetic predictor, linear head for CLIP ViT-L/14",
        "MIT",
        (File(video.LAION_HEAD, _ZIP, "flat: `weight` (1, 768), `bias` (1)"),),
    ),
    Published(
        "dino",
        "DINO ViT-B/16",
        "Apache-2.0",
        (File(video.DINO_B16, _ZIP, "flat: ViTModel of transformers, without a prefix"),),
    ),
    Published(
        "viclip",
        "ViCLIP ViT-L/14, InternVid-10M-FLT",
        "Apache-2.0",
        (File(video.VICLIP, _ZIP, "`model`: `vision_encoder.*`, `text_encoder.*`"), _MERGES),
    ),
    Published(
        "umt",
        "UMT ViT-L/16, fine-tuned on Kinetics-400",
        "MIT",
        (File(video.UMT_L16_K400, "torch legacy (before 1.6; by its length), float16", "flat"),),
    ),
    Published(
        "tag2text",
        "Tag2Text, Swin-B",
        "Apache-2.0 (parts BSD-3-Clause, MIT)",
        (
            File(
                video.TAG2TEXT,
                "torch file, 2.7 times as long as our tensors",
                "`model`, beside an optimiser or more; `vision_multi.*` are the tensors of `tag_encoder.*`",
            ),
            _WORDS,
            File(video.TAG2TEXT_TAGS, _TEXT, "3429 lines, one tag each"),
        ),
    ),
    Published(
        "grit",
        "GRiT, ViT-B, dense captions and object detection",
        "MIT",
        (
            File(
                video.GRIT_B,
                "torch zip, float16",
                "flat or `model`; the embedding of words and the output share their storage",
            ),
            _WORDS,
        ),
    ),
    Published(
        "amt",
        "AMT-S",
        "CC BY-NC 4.0",
        (File(video.AMT_S, "torch file, float32", "`state_dict`, beside an object of a class that is not public"),),
    ),
    Published(
        "musiq",
        "MUSIQ, SPAQ weights",
        "Apache-2.0 (original); IQA-PyTorch is PolyForm Noncommercial and is not used",
        (File(video.MUSIQ_SPAQ, _ZIP, "flat, without `params`"),),
    ),
    Published(
        "lpips",
        "LPIPS 0.1",
        "BSD-2-Clause",
        (*_lpips("alex"), *_lpips("vgg"), *_lpips("squeeze")),
    ),
    Published(
        "raft",
        'RAFT, "things" weights',
        "BSD-3-Clause",
        (File(video.RAFT_THINGS, _ZIP, "flat, `module.*`"),),
    ),
    Published(
        "dpflow",
        "DPFlow",
        "Apache-2.0 (ptlflow, a library of the user's, not a part of this package)",
        tuple(map(_dpflow, video.DPFLOW)),
    ),
    Published(
        "synchformer",
        "Synchformer",
        "MIT (its MotionFormer part: upstream terms not checked)",
        (File(sound.SYNCHFORMER, "torch file, float32", "flat"),),
    ),
    Published(
        "imagebind",
        "ImageBind-huge, vision and audio towers",
        "CC BY-NC-SA 4.0",
        (File(sound.IMAGEBIND, _ZIP, "flat, 1311 tensors: `modality_{preprocessors,trunks,heads,...}.*`"),),
    ),
    Published(
        "clap",
        "CLAP, sound and text",
        "CC0-1.0; transformers Apache-2.0",
        (
            File(sound.CLAP_FUSED, _SAFE, "flat: `audio_model.*`, `text_model.*`, projections"),
            File(sound.CLAP_TOKENIZER, _JSON, "RoBERTa's tokenizer"),
            File(
                sound.CLAP_MUSIC_SPEECH,
                _ZIP,
                "`epoch`, `name`, `optimizer` (with numbers of numpy), `state_dict` (`module.*`, laion_clap's names)",
            ),
        ),
    ),
    Published("passt", "PaSST-S", "Apache-2.0", (File(sound.PASST_S, _ZIP, "flat"),)),
    Published(
        "audiobox",
        "Audiobox Aesthetics",
        "CC-BY-4.0; its WavLM MIT",
        (
            File(sound.AUDIOBOX, _SAFE, "flat, 324 tensors"),
            File(sound.AUDIOBOX_CONFIG, _JSON, "sizes, and the mean and spread of each axis"),
        ),
    ),
    Published(
        "speech",
        "Whisper, GLM-ASR, SenseVoice",
        "Whisper MIT, the others not checked; transformers Apache-2.0",
        (
            *(
                File(one, _SAFE if one.filename == "model.safetensors" else _JSON, "as transformers writes it")
                for one in speech.WHISPER
            ),
            File(speech.GLM_ASR, _REPOSITORY, "transformers' own `glmasr`"),
            File(speech.SENSEVOICE, "hub repository: `model.pt`, `config.yaml`", "funasr's; the settings name classes"),
            File(speech.FSMN_VAD, "hub repository: `model.pt`, `config.yaml`", "funasr's; the settings name classes"),
        ),
    ),
    Published(
        "qwen",
        "Qwen: VideoScore2 (Qwen2.5-VL-7B), AVoCaDO (Qwen2.5-Omni-7B), local judges",
        "Apache-2.0",
        (
            File(qwen.VIDEOSCORE2, _REPOSITORY, "Qwen2.5-VL's names, about 16 GB in parts"),
            File(qwen.AVOCADO, _REPOSITORY, "`thinker.*` alone"),
        ),
    ),
)
