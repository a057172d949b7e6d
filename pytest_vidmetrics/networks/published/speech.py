"""Files of the speech recognisers, which belong together in a folder each."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pytest_vidmetrics.core.weights import Weights

Backend = Literal["whisper", "glm_asr", "sensevoice"]

_WHISPER_FILES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors",
)


def _whisper(repository: str) -> tuple[Weights, ...]:
    """Return the six files of a Whisper repository."""
    name = repository.rstrip("/").rsplit("/", 1)[-1]
    return tuple(Weights(f"{name}/{file}", repository, file) for file in _WHISPER_FILES)


*_settings, _model = (
    replace(
        one,
        revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
        licence="Apache-2.0",
        override="VIDMETRICS_WHISPER",
    )
    for one in _whisper("openai/whisper-base")
)
_WHISPER_SHA256 = "07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b"
WHISPER = (*_settings, replace(_model, sha256=_WHISPER_SHA256, size=290_403_936))
GLM_ASR = Weights(
    "GLM-ASR-Nano-2512",
    "zai-org/GLM-ASR-Nano-2512",
    revision="61ba4e0b3309b6656edea3e93e419f7bd5c61957",
    size=4_500_000_000,
    licence="MIT",
    override="VIDMETRICS_GLM_ASR",
)
SENSEVOICE = Weights(
    "SenseVoiceSmall",
    "FunAudioLLM/SenseVoiceSmall",
    revision="3847d57b6bdf2dd8875cb1508d2af43d80a16bf7",
    size=936_291_369,
    licence="FunASR Model Licence",
    override="VIDMETRICS_SENSEVOICE",
    parts=(("model.pt", "833ca2dcfdf8ec91bd4f31cfac36d6124e0c459074d5e909aec9cabe6204a3ea"),),
)
FSMN_VAD = Weights(
    "fsmn-vad",
    "funasr/fsmn-vad",
    revision="df20e6b30c653645fa4ff125cacfcabd1020a669",
    licence="FunASR Model Licence",
    override="VIDMETRICS_FSMN_VAD",
    parts=(("model.pt", "b3be75be477f0780277f3bae0fe489f48718f585f3a6e45d7dd1fbb1a4255fc5"),),
)
PUBLISHED: dict[Backend, tuple[Weights, ...]] = {
    "whisper": WHISPER,
    "glm_asr": (GLM_ASR,),
    "sensevoice": (SENSEVOICE, FSMN_VAD),
}


def files_of(backend: Backend, model: str | None = None) -> tuple[Weights, ...]:
    """Return the files of a backend; ``model`` is another repository, or a folder, of the same kind.

    Without ``model``, the folder in ``$VIDMETRICS_WHISPER``, ``$VIDMETRICS_GLM_ASR`` or ``$VIDMETRICS_SENSEVOICE``
    stands for the published repository.
    """
    if not model:
        return PUBLISHED[backend]
    if backend == "whisper":
        return _whisper(model)
    one = Weights(model.rstrip("/").rsplit("/", 1)[-1], model)
    return (one, FSMN_VAD) if backend == "sensevoice" else (one,)
