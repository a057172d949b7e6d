"""Stand-ins for the published folders of speech recognisers: one layer each, a byte per token, filled weights."""

from __future__ import annotations

from pathlib import Path

from tests.support.oracle_fill import fill_module

MARKERS = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>", "<|transcribe|>"]
MARKERS += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


def quietly(save):
    """Call ``save`` without the progress bar of the library."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        save()
    finally:
        logging.enable_progress_bar()


def write_whisper(folder: Path, *, multilingual: bool = True) -> Path:
    """Write a Whisper with the files of a published one; its transcripts depend on the sound and the language."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    letters = [chr(code) for code in range(33, 127)] + ["Ġ"]
    tokenizer = WhisperTokenizer(vocab={letter: i for i, letter in enumerate(letters)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": MARKERS})
    ids = dict(zip(MARKERS, tokenizer.convert_tokens_to_ids(MARKERS), strict=True))
    end = ids["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_target_positions=64,
        decoder_start_token_id=ids["<|startoftranscript|>"],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = fill_module(WhisperForConditionalGeneration(config))
    settings = model.generation_config
    settings.is_multilingual = multilingual
    if multilingual:
        settings.lang_to_id = {name: ids[name] for name in ("<|en|>", "<|zh|>")}
        settings.task_to_id = {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}
    settings.no_timestamps_token_id = ids["<|notimestamps|>"]
    settings._from_model_config = False  # otherwise these are dropped when the folder is read
    quietly(lambda: model.save_pretrained(folder))
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def write_glm(folder: Path) -> Path:
    """Write a GLM-ASR with its processor and chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        GlmAsrConfig,
        GlmAsrForConditionalGeneration,
        GlmAsrProcessor,
        PreTrainedTokenizerFast,
        WhisperFeatureExtractor,
    )

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters,
        pad_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|pad|>"],
    )
    template = (
        "{% for m in messages %}<|{{ m['role'] }}|>{% for c in m['content'] %}"
        "{% if c['type'] == 'audio' %}<|pad|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}<|assistant|>"
    )
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    end = tokenizer.eos_token_id
    config = GlmAsrConfig(
        audio_config={**size, "num_key_value_heads": 2, "num_mel_bins": 128},
        text_config={
            **size,
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 1,
            "head_dim": 16,
            "bos_token_id": None,
            "eos_token_id": [end],
            "pad_token_id": end,
        },
        audio_token_id=tokenizer.convert_tokens_to_ids("<|pad|>"),
    )
    model = fill_module(GlmAsrForConditionalGeneration(config))
    quietly(lambda: model.save_pretrained(folder))
    GlmAsrProcessor(WhisperFeatureExtractor(feature_size=128), tokenizer, chat_template=template).save_pretrained(
        folder
    )
    return folder
