"""File names of generated clips: from a prompt to a name, and back from a folder to the clips of a row."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.samples import cut_bytes

MAX_BYTES = 230
"""Of a prompt in a file name, in UTF-8: file systems allow 255, and a number and a suffix follow."""
_FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x08\x0e-\x1f\x7f]')
_SPACES = re.compile(r"\s+")


def sanitize_prompt(prompt: str, max_len: int = 100) -> str:
    """Return a prompt as a file name: at most ``max_len`` characters and 230 bytes, none that a file system forbids.

    The prompt is cut first, so a name can be shorter than ``max_len``. Different prompts may give one name: see
    :meth:`~pytest_vidmetrics.datasets.base.PromptDataset.filename` for names that never collide.
    """
    name = _SPACES.sub(" ", _FORBIDDEN.sub("", prompt[:max_len]).strip().strip("."))
    return (name if len(name.encode(errors="replace")) <= MAX_BYTES else cut_bytes(name, MAX_BYTES).strip()) or "output"


def is_whole(prompt: str, max_len: int) -> bool:
    """Whether :func:`sanitize_prompt` cuts nothing off the end of a prompt."""
    return len(prompt) <= max_len and len(_FORBIDDEN.sub("", prompt).encode(errors="replace")) <= MAX_BYTES


def prompt_of(row: Mapping[str, Any]) -> str:
    """Return the prompt of a dataset row: ``prompt``, else ``text_prompt``. Raises ``KeyError`` without both."""
    value = row.get("prompt", row.get("text_prompt"))
    if value is None:
        raise KeyError("the row has neither 'prompt' nor 'text_prompt'")
    return str(value)


def default_filename(row: Mapping[str, Any], idx: int, ext: str = ".mp4") -> str:
    """Return ``<sanitised prompt>-<idx><ext>``."""
    return f"{sanitize_prompt(prompt_of(row))}-{idx}{ext}"


def glob_videos(directory: str | os.PathLike[str], row: Mapping[str, Any], ext: str = ".mp4") -> list[Path]:
    """Return every ``<sanitised prompt>-*<ext>`` in a folder, in the order of the number after the last dash.

    A file without such a number comes first; of equal numbers the shorter name comes first.
    """
    # A prompt may hold the signs of patterns.
    pattern = f"{glob.escape(sanitize_prompt(prompt_of(row)))}-*{ext}"
    return sorted(Path(directory).glob(pattern), key=lambda path: (trailing_number(path), len(path.name), path.name))


def trailing_number(path: Path) -> int:
    """Return the integer after the last dash of a file's stem, or -1."""
    text = path.stem.rpartition("-")[2]
    return int(text) if text.isdecimal() else -1


def build_eval_kwargs(row: Mapping[str, Any], path: str | os.PathLike[str], *, fps: float = 24.0) -> dict[str, Any]:
    """Return the keyword arguments of :meth:`Evaluator.evaluate` for a dataset row and its clip on disk.

    ``video`` is loaded as ``(T, C, H, W)`` float32 in [0, 1], without a batch dimension. The row's prompt becomes
    ``text_prompt``; its ``auxiliary_info`` is passed on.
    """
    from pytest_vidmetrics.engine.inputs import load_video

    values: dict[str, Any] = {"video": load_video(path), "fps": fps}
    if "prompt" in row or "text_prompt" in row:
        values["text_prompt"] = prompt_of(row)
    if row.get("auxiliary_info") is not None:
        values["auxiliary_info"] = row["auxiliary_info"]
    return values
