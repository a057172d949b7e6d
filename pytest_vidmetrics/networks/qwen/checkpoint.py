"""A folder with a Qwen2.5-VL, or a Qwen2.5-Omni of which the thinker is used, as a network that answers prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from pytest_vidmetrics.core.errors import IncompatibleSampleError, UnavailableError
from pytest_vidmetrics.core.weights import Weights, resolve
from pytest_vidmetrics.networks import shared
from pytest_vidmetrics.networks import state_dicts as hf
from pytest_vidmetrics.networks.loading import of_the_device
from pytest_vidmetrics.networks.qwen import chat
from pytest_vidmetrics.networks.qwen.decode import Answer, Decoding, decode
from pytest_vidmetrics.networks.qwen.pixels import MERGE, PAIR, PATCH, Seen
from pytest_vidmetrics.networks.qwen.positions import positions
from pytest_vidmetrics.networks.training_colours import CLIP_MEAN, CLIP_STD

Dtype = Literal["bfloat16", "float32"]
Attention = Literal["sdpa", "eager"]

_CLASSES = {
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen2_5_omni_thinker": "Qwen2_5OmniThinkerForConditionalGeneration",
}
_PIXEL_FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
_PIXELS: dict[str, Any] = {
    "image_mean": list(CLIP_MEAN),
    "image_std": list(CLIP_STD),
    "patch_size": PATCH,
    "temporal_patch_size": PAIR,
    "merge_size": MERGE,
}
_ENDS = ("<|im_end|>", "<|endoftext|>")
"""What ends an answer whether the checkpoint's settings name it or not: AVoCaDO's name none."""
# Settings of generation that would change the answer and that decode() does not have, with their neutral values.
_UNKNOWN_SETTINGS: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "min_p": (0.0,),
    "typical_p": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "no_repeat_ngram_size": (0,),
    "bad_words_ids": ([],),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "sequence_bias": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1.0,),
}


@dataclass(frozen=True)
class Settings:
    """What the checkpoint's own file says about generation: the defaults of transformers where it says nothing."""

    penalty: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    ends: tuple[int, ...] = ()


class Qwen:
    """A network that answers prompts of words, clips and pictures, on one device.

    ``per_second`` are the positions of a second of a clip; ``signs`` the texts that stand for clips and pictures;
    ``special`` every text that the tokeniser does not read as words. Shared: nothing of a prompt stays in it.
    """

    def __init__(self, folder: Path, device: torch.device | str, dtype: Dtype, attention: Attention) -> None:
        from transformers import Qwen2Tokenizer

        config = read_json(folder / "config.json")
        self.kind = str(config.get("model_type"))
        if self.kind not in _CLASSES:
            raise ValueError(f"its model_type is {self.kind!r}, not one of {', '.join(_CLASSES)}")
        check_pixels(folder)
        self.settings = read_settings(folder)
        thinker = config.get("thinker_config", config)
        self.per_second = int(
            # The two families name it differently.
            _either(thinker, "position_id_per_seconds", thinker["vision_config"], "tokens_per_second")
        )
        video = _either(thinker, "video_token_id", thinker, "video_token_index")
        image = _either(thinker, "image_token_id", thinker, "image_token_index")
        self._placeholders = (int(video), int(image))
        self.signs = chat.VL if self.kind == "qwen2_5_vl" else chat.OMNI
        self._tokenizer: Any = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self._template = read_template(folder, self._tokenizer)
        self._added = {str(token): id for id, token in self._tokenizer.added_tokens_decoder.items()}
        self.special = tuple(sorted(self._added))
        self._check_vocabulary()
        self._device = torch.device(device)
        self._model = _load_model(self.kind, folder, dtype, attention).to(self._device)

    def _check_vocabulary(self) -> None:
        for text, id in zip((self.signs.video, self.signs.image), self._placeholders, strict=True):
            # A tokeniser of another family would read placeholders as words.
            if self._added.get(text) != id:
                raise ValueError(f"its tokeniser has {text} as {self._added.get(text)}, its settings as {id}")

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return frozenset(self.settings.ends) | {self._added[text] for text in _ENDS if text in self._added}

    def chat_text(self, parts: Sequence[chat.Part], system: str | None = None) -> str:
        """Return the chat text of one user message by the checkpoint's own template, or the usual one without it."""
        if self._template is None:
            return chat.chat_text(parts, system, self.signs)
        text: str = self._tokenizer.apply_chat_template(
            chat.message(parts, system), chat_template=self._template, tokenize=False, add_generation_prompt=True
        )
        return text

    def prompt(self, parts: Sequence[chat.Part], system: str | None = None) -> chat.Prompt:
        """Return one user message as the network reads it.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for words that hold control tokens.
        """
        # Before the template: afterwards its own signs could not be told from those of the prompt.
        chat.refuse_special([part for part in parts if isinstance(part, str)], self.special)
        seen = tuple(part for part in parts if isinstance(part, Seen))
        ids = self.encode(self.chat_text(parts, system))
        return chat.Prompt(chat.expanded(ids, seen, self._placeholders), seen)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def pieces(self, ids: Sequence[int]) -> list[bytes]:
        """Return the bytes that each token stands for; joined, they are the text."""
        return [chat.piece(token, self._added) for token in self._tokenizer.convert_ids_to_tokens(list(ids))]

    def word(self, text: str) -> int:
        """Return the id of a text that is one token. Raises ``ValueError`` for one that is not."""
        ids = self.encode(text)
        if len(ids) != 1:
            raise ValueError(f"its tokeniser cuts {text!r} into {len(ids)} tokens")
        return ids[0]

    def answer(self, prompt: chat.Prompt, how: Decoding, watched: Sequence[int] = ()) -> Answer:
        """Return the answer to a prompt; see :func:`.decode.decode`.

        Raises :class:`~pytest_vidmetrics.core.errors.IncompatibleSampleError` for logits that are not numbers.
        """
        reading = _Reading(self._model, self._device, prompt, self._placeholders, self.per_second)
        with torch.inference_mode():
            try:
                return decode(prompt.ids, reading, self.ends, how, watched)
            except FloatingPointError as error:
                raise IncompatibleSampleError(f"{error}: they overflowed on this clip") from error


class _Reading:
    """One prompt being read and continued: the keys and values of the tokens so far, and where the next one stands."""

    def __init__(
        self,
        model: Any,
        device: torch.device,
        prompt: chat.Prompt,
        placeholders: tuple[int, int],
        per_second: int,
    ) -> None:
        self._model, self._device = model, device
        self._past: Any = None
        found = positions(prompt.ids, prompt.seen, placeholders, per_second)
        self._where, self._next = found.prompt, found.next
        self._inputs = {
            **_shown("pixel_values_videos", "video_grid_thw", [one for one in prompt.seen if one.seconds is not None]),
            **_shown("pixel_values", "image_grid_thw", [one for one in prompt.seen if one.seconds is None]),
        }

    def __call__(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the ``(V,)`` logits after the given tokens, which follow those of the last call."""
        if self._past is not None:
            # Pictures are read with the prompt only; each further token stands at one position on all three axes.
            self._inputs, self._where = {}, torch.full((3, 1, len(ids)), self._next)
            self._next += len(ids)
        out = self._model(
            input_ids=torch.tensor([list(ids)], device=self._device),
            position_ids=self._where.to(self._device),
            past_key_values=self._past,
            use_cache=True,
            **{name: value.to(self._device) for name, value in self._inputs.items()},
        )
        self._past = out.past_key_values
        logits: torch.Tensor = out.logits[0, -1]
        return logits


def _shown(pixels: str, grid: str, seen: Sequence[Seen]) -> dict[str, torch.Tensor]:
    if not seen:
        return {}
    # Rows of all clips in one matrix; grids say where each ends.
    return {pixels: torch.cat([one.rows for one in seen]), grid: torch.tensor([one.grid for one in seen])}


def load(
    weights: Weights, device: torch.device | str, dtype: Dtype, attention: Attention, metric: str | None = None
) -> Qwen:
    """Return the shared network of a checkpoint; ``metric`` is who asks, for the error message.

    Raises :class:`~pytest_vidmetrics.core.errors.UnavailableError` for files that are missing or of something else.
    """
    folder = resolve(weights, metric)

    def build() -> Qwen:
        try:
            return Qwen(folder, device, dtype, attention)
        except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
            if of_the_device(error):
                raise
            raise UnavailableError(f"{folder} is not a Qwen2.5-VL or Qwen2.5-Omni that can be read: {error}") from error

    return shared.load("qwen", device, build, str(folder), dtype, attention)


def _load_model(kind: str, folder: Path, dtype: Dtype, attention: Attention) -> Any:
    import transformers

    cls = getattr(transformers, _CLASSES[kind])
    model: Any = hf.from_folder(cls, folder, dtype=getattr(torch, dtype), attn_implementation=attention)
    # Logits of the last token only: those of a whole prompt would take gigabytes.
    model.lm_head.register_forward_pre_hook(lambda _, inputs: (inputs[0][:, -1:],))
    return model


def read_settings(folder: Path) -> Settings:
    """Return the settings of generation. Raises ``ValueError`` for one that :func:`.decode.decode` does not have."""
    path = folder / "generation_config.json"
    found = read_json(path) if path.exists() else {}
    for name, neutral in _UNKNOWN_SETTINGS.items():
        if (value := found.get(name)) is not None and value not in neutral:
            # A setting that is not supported would silently change every answer.
            raise ValueError(f"{path.name} asks for {name} = {value!r}, which is not supported")
    ends = found.get("eos_token_id")
    return Settings(
        penalty=_number(found, "repetition_penalty", 1.0),
        top_k=int(_number(found, "top_k", 50)),
        top_p=_number(found, "top_p", 1.0),
        ends=tuple(ends) if isinstance(ends, list) else () if ends is None else (int(ends),),
    )


def _number(tree: Mapping[str, Any], key: str, default: float) -> float:
    value = tree.get(key)
    return default if value is None else float(value)


def check_pixels(folder: Path) -> None:
    """Raise ``ValueError`` when the checkpoint's own files want other pixels than :mod:`.pixels` makes."""
    for name in _PIXEL_FILES:
        path = folder / name
        tree = read_json(path) if path.exists() else {}
        # Newer files nest the parts of a processor, older ones do not.
        for part in (tree, tree.get("video_processor") or {}, tree.get("image_processor") or {}):
            for key, wanted in _PIXELS.items():
                if (value := part.get(key)) is not None and value != wanted:
                    raise ValueError(f"{name} asks for {key} = {value!r}, not {wanted!r}")


def read_template(folder: Path, tokenizer: Any) -> str | None:
    """Return the checkpoint's chat template, from wherever releases of transformers put it; ``None`` without one."""
    plain, wrapped = folder / "chat_template.jinja", folder / "chat_template.json"
    if plain.exists():
        return plain.read_text(encoding="utf-8")
    if wrapped.exists():
        return str(read_json(wrapped)["chat_template"])
    found = tokenizer.chat_template
    return found if isinstance(found, str) else None


def read_json(path: Path) -> dict[str, Any]:
    """Return one JSON object. Raises ``ValueError`` that names the file."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{path.name} holds no object")
    return tree


def _either(first: Mapping[str, Any], key: str, second: Mapping[str, Any], other: str) -> Any:
    return first[key] if first.get(key) is not None else second[other]
