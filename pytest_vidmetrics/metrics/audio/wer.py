"""Word error rate: whether the speech in the sound says what it should."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_vidmetrics.core.choice import one_of
from pytest_vidmetrics.core.errors import NoAudioStreamError
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.weights import Weights
from pytest_vidmetrics.metrics.audio.languages import by_character, by_character_in_fastvideo, language_code
from pytest_vidmetrics.metrics.audio.transcripts import (
    Errors,
    count,
    has_characters,
    has_characters_in_fastvideo,
    in_english,
    normalise,
    normalise_as_fastvideo,
    units,
)
from pytest_vidmetrics.metrics.audio.waveform import waveform
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.registry import register
from pytest_vidmetrics.networks.declared import Network
from pytest_vidmetrics.networks.published.speech import FSMN_VAD, GLM_ASR, SENSEVOICE, WHISPER, files_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_vidmetrics.networks.asr import Recogniser

    Samples = npt.NDArray[np.float32]

Backend = Literal["whisper", "glm_asr", "sensevoice"]
Compat = Literal["fixed", "fastvideo"]

_BACKENDS = ("whisper", "glm_asr", "sensevoice")
_COUNTS = ("hits", "substitutions", "deletions", "insertions")


def _files(backend: Backend) -> Callable[[WordErrorRate], tuple[Weights, ...]]:
    """Return what a metric loads of one backend."""
    return lambda metric: files_of(backend, metric.model) if metric.backend == backend else ()


@register("audio.wer")
class WordErrorRate(BaseMetric):
    """Errors of a transcript of ``audio`` per word of ``reference_text``; lower is better, can exceed 1.

    ``backend`` transcribes: ``"whisper"``, ``"glm_asr"`` or ``"sensevoice"`` (with the library funasr); ``model`` is
    another repository or a folder of the same kind. ``trust_model_folder`` has to be set for SenseVoice, and for
    nothing else: funasr builds the classes that ``config.yaml`` of the model's folder names and unpickles its files,
    so that whoever wrote the folder can run code. Text in Chinese, Japanese, Korean, Thai, Lao, Khmer or Burmese is
    compared by character: by the sample's ``language`` (a tag or an English name, or ``"cjk"``), else by the script
    of either text.

    ``compat="fixed"``: both texts are normalised by Unicode category (:func:`.transcripts.normalise`), in English
    also as Whisper's own evaluation spells contractions and numbers, and the spelling with fewer errors counts. Sound
    beyond 30 s is cut where it is quiet and heard whole, Whisper is told the sample's language, digital silence is
    an empty transcript, and ``text_prompt`` is the reference only where ``auxiliary_info["prompt_is_transcript"]``
    says so. ``compat="fastvideo"``: a fixed list of signs is deleted, which joins words at a hyphen or dash and
    keeps curly quotes. Whisper hears the first 30 s (GLM-ASR 630 s) and finds the language out, a missing reference
    is the prompt, and languages are looked up as FastVideo does.

    The corpus score is all errors over all reference words, not the mean of the clips' rates.
    Details: ``transcription``, ``reference_text`` (as compared), ``char_level``, the four counts, ``chunks``
    (heard: those of zeros are not), ``dropped_seconds`` (beyond the end of what is heard), ``truncated_chunks``
    (which ran into ``max_new_tokens``), ``silent``.
    Source: FastVideo ``audio.wer``; alignment by jiwer.
    """

    requires: ClassVar[tuple[str, ...]] = ("audio",)
    reads: ClassVar[tuple[str, ...]] = ("reference_text", "text_prompt", "language", "auxiliary_info")
    requires_reference: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "errors per word"
    noise_source: ClassVar[str] = "greedy transcripts of one machine are equal; one machine to another: not measured"
    dependencies: ClassVar[Sequence[str]] = ("jiwer",)
    backbone: ClassVar[str | None] = "asr"
    neutral: ClassVar[frozenset[str]] = frozenset({"trust_model_folder"})

    _whisper: Network[Recogniser] = Network(
        "whisper", ".asr:read_whisper", *WHISPER, choose=_files("whisper"), options=("max_new_tokens",)
    )
    _glm_asr: Network[Recogniser] = Network(
        "glm_asr", ".asr:GlmAsr", GLM_ASR, choose=_files("glm_asr"), options=("max_new_tokens",)
    )
    _sensevoice: Network[Recogniser] = Network(
        "sensevoice",
        ".asr:SenseVoice",
        SENSEVOICE,
        FSMN_VAD,
        choose=_files("sensevoice"),
        library=".asr:check_funasr",
    )

    def __init__(
        self,
        backend: Backend = "whisper",
        model: str | None = None,
        compat: Compat = "fixed",
        max_new_tokens: int = 256,
        trust_model_folder: bool = False,
    ) -> None:
        one_of("backend", backend, _BACKENDS)
        one_of("compat", compat, ("fixed", "fastvideo"))
        if backend == "sensevoice" and not trust_model_folder:
            raise ValueError(
                "backend = 'sensevoice' is run by funasr, which imports and builds what the config.yaml of the model's "
                "folder names, and unpickles its files: set trust_model_folder = true if you trust that folder"
            )
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        self.backend: Backend = backend
        self.model = model
        self.compat: Compat = compat
        self.max_new_tokens = max_new_tokens
        self.trust_model_folder = trust_model_folder

    @property
    def recogniser(self) -> Recogniser:
        """The speech recogniser of the backend."""
        found: Recogniser = getattr(self, f"_{self.backend}")
        return found

    def compute(self, sample: Mapping[str, Any]) -> MetricResult:
        """Score one sample; skipped with the reason without sound or without a text to compare with."""
        spoken = self._reference(sample)
        if spoken is None:
            return self._skip(
                sample,
                "the sample has no reference_text (text_prompt counts as one only where "
                "auxiliary_info['prompt_is_transcript'] is true)",
            )
        try:
            heard = self._transcribe(sample["audio"], sample.get("language"))
        except NoAudioStreamError as error:
            return self._skip(sample, str(error))
        found = [self._compare(*texts, sample.get("language")) for texts in self._spellings(spoken, heard, sample)]
        reference, characters, errors = min(found, key=lambda one: one[2].rate)
        details = {
            **heard,
            "reference_text": reference,
            "asr_backend": self.backend,
            "char_level": characters,
            **{name: getattr(errors, name) for name in _COUNTS},
            "reference_length": errors.reference_length,
        }
        return MetricResult(self.name, float(errors.rate), details)

    def corpus_score(self, results: Mapping[str, MetricResult]) -> float | None:
        """Return all errors over all reference words (or characters, of clips that are compared by them)."""
        scored = [result.details for result in results.values() if result.status == "scored"]
        return Errors.sum(Errors(*(row[name] for name in _COUNTS)) for row in scored).rate if scored else None

    def _reference(self, sample: Mapping[str, Any]) -> str | None:
        """Return the text that should be heard, as the sample gives it."""
        if sample.get("reference_text") is not None:
            return str(sample["reference_text"])
        info = sample.get("auxiliary_info") or {}
        prompted = self.compat == "fastvideo" or (isinstance(info, Mapping) and info.get("prompt_is_transcript"))
        prompt = sample.get("text_prompt")
        return str(prompt) if prompted and prompt is not None else None

    def _spellings(self, spoken: str, heard: Mapping[str, Any], sample: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return both texts normalised, in each way that they may be compared in."""
        texts = spoken, str(heard["transcription"])
        if self.compat == "fastvideo":
            return [(normalise_as_fastvideo(texts[0]), normalise_as_fastvideo(texts[1]))]
        ways = [(normalise(texts[0]), normalise(texts[1]))]
        if language_code(sample.get("language")) == "en":
            ways.append((in_english(texts[0]), in_english(texts[1])))
        return ways

    def _compare(self, reference: str, transcript: str, language: object) -> tuple[str, bool, Errors]:
        """Return the reference, whether characters were compared, and the errors."""
        if self.compat == "fastvideo":
            known, has = by_character_in_fastvideo(language), has_characters_in_fastvideo
        else:
            known, has = by_character(language), has_characters
        characters = known if known is not None else has(reference) or has(transcript)
        errors = count(units(reference, characters=characters), units(transcript, characters=characters))
        return reference, characters, errors

    def _transcribe(self, audio: Any, language: object) -> dict[str, Any]:
        """Return the transcript and what was not heard."""
        from pytest_vidmetrics.networks.asr import SAMPLE_RATE

        samples = waveform(audio, SAMPLE_RATE)
        parts = self._parts(samples)
        self.setup()
        code = language_code(language) if self.compat == "fixed" else None
        # About a chunk of zeros a recogniser makes up words.
        found = [self.recogniser(part, code) for part in parts if self.compat == "fastvideo" or part.any()]
        return {
            "transcription": " ".join(one.text for one in found if one.text),
            "chunks": len(found),
            "dropped_seconds": (len(samples) - sum(map(len, parts))) / SAMPLE_RATE,
            "truncated_chunks": sum(one.truncated for one in found),
            "silent": not samples.any(),
        }

    def _parts(self, samples: Samples) -> list[Samples]:
        """Return the pieces of sound that the recogniser hears one by one."""
        from pytest_vidmetrics.networks.asr import FIRST_S, SAMPLE_RATE, quiet_chunks

        if self.compat == "fastvideo":
            heard = FIRST_S.get(self.backend)
            return [samples if heard is None else samples[: int(heard * SAMPLE_RATE)]]
        # SenseVoice finds the speech in sound of any length by itself.
        return [samples] if self.backend == "sensevoice" else quiet_chunks(samples)
