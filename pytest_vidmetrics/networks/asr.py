"""Speech to text: Whisper, GLM-ASR and SenseVoice behind one call, and sound cut where it is quiet."""

from __future__ import annotations

import contextlib
import copy
import importlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pytest_vidmetrics.core.errors import UnavailableError
from pytest_vidmetrics.networks import state_dicts as hf

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 16000
LONGEST_S = 30.0
"""Seconds that Whisper and GLM-ASR hear at a time."""
FIRST_S: dict[str, float] = {"whisper": LONGEST_S, "glm_asr": 21 * LONGEST_S}
"""Seconds of a longer sound that a backend hears when it is given all at once."""
_SEARCH_S, _FRAME_S = 5.0, 0.02
_LOCAL = {"local_files_only": True, "trust_remote_code": False}
"""How a folder is read: nothing is fetched, and no code in it is run."""

# Codes that Whisper spells otherwise.
_WHISPER_CODES = {"jv": "jw", "nb": "no"}


@dataclass(frozen=True)
class Heard:
    """A transcript; ``truncated`` when it ended at the limit of tokens instead of at the end of the speech."""

    text: str
    truncated: bool = False


class Recogniser(Protocol):
    """Turns ``(N,)`` float32 samples at 16 kHz into text; ``language`` is a code, or ``None`` to find out."""

    def __call__(self, samples: Samples, language: str | None = None) -> Heard: ...  # noqa: D102


def quiet_chunks(samples: Samples, longest_s: float = LONGEST_S) -> list[Samples]:
    """Return ``(N,)`` samples at 16 kHz cut into chunks of at most ``longest_s`` seconds.

    A cut lies in the quietest 20 ms of the last 5 s that it may lie in, so that it seldom falls into a word. The
    chunks are the input, in order and without gap or overlap.
    """
    longest, frame = int(longest_s * SAMPLE_RATE), int(_FRAME_S * SAMPLE_RATE)
    found = []
    while len(samples) > longest:
        # A cut lies in the second half, however short a chunk may be.
        first = longest - int(min(_SEARCH_S, longest_s / 2) * SAMPLE_RATE)
        # (frames of 20 ms, samples)
        frames = samples[first : first + (longest - first) // frame * frame].reshape(-1, frame)
        quietest = int(np.square(frames, dtype=np.float64).sum(axis=1).argmin())
        # In the middle of the quietest frame.
        cut = first + quietest * frame + frame // 2
        found.append(samples[:cut])
        samples = samples[cut:]
    return [*found, samples]


class Whisper:
    """Whisper (Radford et al., arXiv 2212.04356), greedily, on the class of transformers; at most 30 s at a time."""

    def __init__(self, folder: str | Path, device: torch.device | str, max_new_tokens: int) -> None:
        from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

        self._extractor = WhisperFeatureExtractor.from_pretrained(folder, **_LOCAL)
        self._tokenizer = WhisperTokenizer.from_pretrained(folder, **_LOCAL)
        self._model: Any = hf.from_folder(WhisperForConditionalGeneration, folder).to(device)
        self._device = torch.device(device)
        self._limit = max_new_tokens
        # Its generation takes this as the number of new tokens, and complains about the other attribute.
        self._settings = self._model.generation_config = _greedy(self._model.generation_config, None, max_new_tokens)

    def __call__(self, samples: Samples, language: str | None = None) -> Heard:
        """Return what is said; a language that this model does not know is not passed on."""
        inputs = self._extractor(
            samples, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True
        ).to(self._device)
        with torch.inference_mode():
            ids = self._model.generate(
                inputs.input_features, attention_mask=inputs.attention_mask, **self._task(language)
            )[0]
        return Heard(self._tokenizer.decode(ids, skip_special_tokens=True).strip(), _cut(ids, self._limit))

    def _task(self, language: str | None) -> dict[str, str]:
        if not getattr(self._settings, "is_multilingual", False):
            return {}
        code = _WHISPER_CODES.get(language or "", language)
        # The library raises for a code that the network does not know.
        known = f"<|{code}|>" in (getattr(self._settings, "lang_to_id", None) or {})
        return {"task": "transcribe", **({"language": code} if code and known else {})}


class GlmAsr:
    """GLM-ASR, greedily, on the class of transformers, asked with its own transcription request."""

    def __init__(self, folder: str | Path, device: torch.device | str, max_new_tokens: int) -> None:
        from transformers import AutoProcessor, GlmAsrForConditionalGeneration

        self._processor = AutoProcessor.from_pretrained(folder, **_LOCAL)
        self._model: Any = hf.from_folder(GlmAsrForConditionalGeneration, folder).to(device)
        self._device = torch.device(device)
        self._limit = max_new_tokens
        self._model.generation_config = _greedy(self._model.generation_config, max_new_tokens, None)

    def __call__(self, samples: Samples, language: str | None = None) -> Heard:
        """Return what is said. The network takes no language."""
        del language
        inputs = self._processor.apply_transcription_request(samples).to(self._device)
        with torch.inference_mode():
            ids = self._model.generate(**inputs)
        # The ids that were put in come back in front of those that were said.
        said = ids[0, inputs["input_ids"].shape[1] :]
        text = self._processor.tokenizer.decode(said, skip_special_tokens=True)
        return Heard(text.strip(), _cut(said, self._limit))


class SenseVoice:
    """SenseVoice with FSMN voice activity detection, by the optional library funasr; sound of any length.

    No ``model.py`` of a folder is imported. The library still builds the classes that ``config.yaml`` names and
    unpickles ``model.pt``: the metric loads it only when the user said that the folder is trusted.
    """

    def __init__(self, folder: str | Path, vad: str | Path, device: torch.device | str) -> None:
        library, post = _funasr()
        self._clean: Callable[[str], str] = post.rich_transcription_postprocess
        with _untouched():
            self._model: Any = library.AutoModel(
                model=str(folder),
                vad_model=str(vad),
                device=str(device),
                # The library sets the number of threads: to what it is already.
                ncpu=torch.get_num_threads(),
                trust_remote_code=False,
                disable_update=True,
                disable_pbar=True,
            )

    def __call__(self, samples: Samples, language: str | None = None) -> Heard:
        """Return what is said, with the punctuation and numbers that the library writes."""
        with _untouched():
            found = self._model.generate(
                input=samples, fs=SAMPLE_RATE, cache={}, language=language or "auto", use_itn=True, merge_vad=True
            )
        return Heard(" ".join(self._clean(part["text"]) for part in found).strip())


def read_whisper(path: Path, *_: Path, device: torch.device | str, max_new_tokens: int) -> Whisper:
    """Return the recogniser of a folder, of which the files are given."""
    return Whisper(path.parent, device, max_new_tokens)


def check_funasr() -> None:
    """Raise :class:`UnavailableError` when the library of SenseVoice is missing."""
    _funasr()


def _funasr() -> tuple[Any, Any]:
    """Return the optional library and its module that cleans transcripts."""
    try:
        return importlib.import_module("funasr"), importlib.import_module("funasr.utils.postprocess_utils")
    except (ImportError, OSError) as error:
        raise UnavailableError(f"the backend 'sensevoice' needs funasr ({error}): pip install funasr") from error


def _greedy(settings: Any, max_new_tokens: int | None, max_length: int | None) -> Any:
    """Return generation settings that draw nothing, with one of two limits of tokens."""
    settings = copy.deepcopy(settings)
    settings.max_new_tokens, settings.max_length = max_new_tokens, max_length
    settings.do_sample, settings.num_beams = False, 1
    # Without sampling these have no effect, and the library warns that they are set.
    settings.temperature = settings.top_p = settings.top_k = None
    return settings


def _cut(ids: torch.Tensor, limit: int) -> bool:
    return len(ids) >= limit


@contextlib.contextmanager
def _untouched() -> Iterator[None]:
    """Put back the generators' states and the number of threads, which funasr sets for the whole process."""
    threads, python, numpy = torch.get_num_threads(), random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_num_threads(threads)
