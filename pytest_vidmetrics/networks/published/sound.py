"""Files of the networks that listen."""

from __future__ import annotations

from pytest_vidmetrics.core.places import Source
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.networks.published.terms import NON_COMMERCIAL

_hub = "https://github.com"

PASST_S = Weights(
    "passt-s-f128-p16-s10-ap476-swa",
    f"{_hub}/kkoutini/PaSST/releases/download/v0.0.1-audioset/passt-s-f128-p16-s10-ap.476-swa.pt",
    sha256="302903fa8c4aee817b11dc982da0b29aaf8d11a3e722420476d0a12c9db70c2c",
    size=344_665_734,
    licence="Apache-2.0",
    override="VIDMETRICS_PASST",
)
SYNCHFORMER = Weights(
    "synchformer_state_dict.pth",
    f"{_hub}/hkchengrex/MMAudio/releases/download/v0.1/synchformer_state_dict.pth",
    sha256="8aff082f2df5c3bc52759db0c865c7ee772ae6400b860d1b7e90413f2defb67c",
    size=950_058_171,
    licence="MIT (Synchformer; the terms of the release that holds this copy were not checked)",
    override="VIDMETRICS_SYNCHFORMER",
    others=(
        Source("tencent/HunyuanVideo-Foley", "synchformer_state_dict.pth", "3abd4e833b95b8db0fc9c687afc52483a48e9a97"),
    ),
)
IMAGEBIND = Weights(
    "imagebind_huge.pth",
    "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
    sha256="d6f6c22bedcc90708448d5d2fbb7b2db9c73f505dc89bd0b2e09b23af1b62157",
    confirmed=False,
    size=4_803_584_173,
    licence=f"CC BY-NC-SA 4.0 {NON_COMMERCIAL}",
    override="VIDMETRICS_IMAGEBIND",
)
_CLAP_FUSED = "365dea6ef167def6676140ed93bbc43f84dabb28"
CLAP_FUSED = Weights(
    "clap-htsat-fused",
    "laion/clap-htsat-fused",
    "model.safetensors",
    revision=_CLAP_FUSED,
    sha256="3f648de6d030e17494be455d323b8d191233fbae0c7ce0ba745fd21a926a63a6",
    size=614_596_545,
    licence="Apache-2.0",
    override="VIDMETRICS_CLAP_FUSED",
)
CLAP_TOKENIZER = Weights(
    "clap-tokenizer",
    "laion/clap-htsat-fused",
    "tokenizer.json",
    revision=_CLAP_FUSED,
    licence="Apache-2.0",
    override="VIDMETRICS_CLAP_TOKENIZER",
    # The recorded revision is that of the weights.
    others=(Source("laion/clap-htsat-fused", "tokenizer.json"),),
)
CLAP_MUSIC_SPEECH = Weights(
    "clap-music-speech-audioset",
    "lukewys/laion_clap",
    "music_speech_audioset_epoch_15_esc_89.98.pt",
    revision="b3708341862f581175dba5c356a4ebf74a9b6651",
    sha256="51c68f12f9d7ea25fdaaccf741ec7f81e93ee594455410f3bca4f47f88d8e006",
    size=2_352_471_003,
    licence="CC0-1.0",
    override="VIDMETRICS_CLAP_MUSIC_SPEECH",
)
_AUDIOBOX = "9b1dd8e5df9af7216e836a98974fe3b82c56ded6"
AUDIOBOX = Weights(
    "audiobox-aesthetics",
    "facebook/audiobox-aesthetics",
    "model.safetensors",
    revision=_AUDIOBOX,
    sha256="a5a3c2412649cc2384ec525ffd5180ce6c4778f43bed6108e0a1303de04d014e",
    size=415_472_992,
    licence="CC-BY-4.0",
    override="VIDMETRICS_AUDIOBOX",
)
AUDIOBOX_CONFIG = Weights(
    "audiobox-aesthetics-config",
    "facebook/audiobox-aesthetics",
    "config.json",
    revision=_AUDIOBOX,
    licence="CC-BY-4.0",
    others=(Source("facebook/audiobox-aesthetics", "config.json"),),
)
