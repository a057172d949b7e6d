"""Folders, files and lists to the ``samples`` of :meth:`Evaluator.evaluate`."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import NoAudioStreamError
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.types import Video

PathSpec = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".gif", ".webm")
AUDIO_SUFFIXES = (".wav", ".mp3", ".flac", ".m4a", ".ogg", ".opus")
_PROMPT_SUFFIXES = (".jsonl", ".json")


def samples_from(
    *,
    video: PathSpec | None = None,
    reference: PathSpec | None = None,
    audio: PathSpec | None = None,
    reference_audio: PathSpec | None = None,
    text_prompt: str | None = None,
    text_prompts: str | os.PathLike[str] | Sequence[str] | None = None,
    fps: float | Sequence[float] | None = None,
    auxiliary_info: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    extras: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    extract_audio: bool | str | os.PathLike[str] = False,
    extract_workers: int = 4,
) -> list[dict[str, Any]]:
    """Return one dict per generated clip, then one with ``role="reference"`` per reference left over.

    A path argument is a file, a folder (its media files in the order of their names, without sub-folders), or
    paths in the caller's order. Clips become :class:`Video`, audio stays text. ``text_prompt``, ``fps``,
    ``auxiliary_info`` and ``extras`` hold for every generated clip, or are lists with one value each;
    ``text_prompts`` is such a list or a ``.json`` or ``.jsonl`` file. ``extras`` is merged last.

    References are paired by file stem as soon as one stem occurs on both sides, and by position otherwise. A
    generated clip without a partner has no ``reference``; a warning names the clips when both sides have some.

    ``extract_audio`` writes the audio track of each clip that has one to a folder (a temporary one for ``True``)
    and attaches it where no audio was given. Files are named by content, so equal stems do not meet and a clip
    that was generated anew is extracted anew.

    Raises ``ValueError`` for arguments that do not fit together and ``FileNotFoundError`` for a path that leads
    to nothing.
    """
    clips, sounds = _paths(video, VIDEO_SUFFIXES), _paths(audio, AUDIO_SUFFIXES)
    if text_prompt is not None and text_prompts is not None:
        raise ValueError("Pass either text_prompt (broadcast) or text_prompts (per-sample), not both.")
    samples = _generated(clips, sounds)
    pictures, tracks = _paths(reference, VIDEO_SUFFIXES), _paths(reference_audio, AUDIO_SUFFIXES)
    left_over: list[dict[str, Any]] = []
    if pictures is not None:
        rest = _pair(samples, clips or sounds or [], "reference", pictures)
        left_over += [{"video": Video(source=str(path)), "role": "reference"} for path in rest]
    if tracks is not None:
        rest = _pair(samples, sounds or clips or [], "reference_audio", tracks)
        left_over += [{"audio": str(path), "role": "reference"} for path in rest]
    prompts = _prompts(text_prompts) if text_prompts is not None else text_prompt
    for key, value in (("text_prompt", prompts), ("fps", fps), ("auxiliary_info", auxiliary_info)):
        if value is not None:
            for sample, one in zip(samples, _spread(value, len(samples)), strict=True):
                sample[key] = one
    if extras is not None:
        for sample, more in zip(samples, _spread(extras, len(samples)), strict=True):
            sample.update(more)
    samples += left_over
    if extract_audio:
        _attach_audio(samples, extract_audio, extract_workers)
    return samples


def _paths(spec: PathSpec | None, suffixes: tuple[str, ...]) -> list[Path] | None:
    if spec is None:
        return None
    if isinstance(spec, str | os.PathLike):
        return _expand(Path(spec), suffixes)
    paths = [Path(entry) for entry in spec]
    if not paths:
        raise ValueError("Empty iterable passed where a non-empty path list was expected.")
    return paths


def _expand(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is neither a file nor a directory.")
    found = sorted(entry for entry in path.iterdir() if entry.is_file() and entry.suffix.lower() in suffixes)
    if not found:
        raise FileNotFoundError(f"No files with extension in {suffixes} under {path}")
    return found


def _generated(clips: list[Path] | None, sounds: list[Path] | None) -> list[dict[str, Any]]:
    """Return one dict per generated clip, with its video and its audio."""
    lengths = [len(paths) for paths in (clips, sounds) if paths is not None]
    if not lengths:
        raise ValueError("samples_from: pass at least one of video= or audio=")
    if len(set(lengths)) > 1:
        raise ValueError(f"samples_from: generated inputs have inconsistent lengths {lengths}")
    samples: list[dict[str, Any]] = [{} for _ in range(lengths[0])]
    for i, sample in enumerate(samples):
        if clips is not None:
            sample["video"] = Video(source=str(clips[i]))
        if sounds is not None:
            sample["audio"] = str(sounds[i])
    return samples


def _pair(samples: list[dict[str, Any]], generated: list[Path], key: str, references: list[Path]) -> list[Path]:
    """Attach references to the samples under ``key`` and return those left over."""

    def attach(sample: dict[str, Any], path: Path) -> None:
        sample[key] = Video(source=str(path)) if key == "reference" else str(path)

    where = {path.stem: i for i, path in enumerate(generated)}
    stems = {path.stem for path in references}
    if len(where) < len(generated) or len(stems) < len(references) or stems.isdisjoint(where):
        for sample, path in zip(samples, references, strict=False):
            attach(sample, path)
        return references[len(samples) :]
    for path in references:
        if path.stem in where:
            attach(samples[where[path.stem]], path)
    rest = [path for path in references if path.stem not in where]
    orphans = [path.name for path in generated if path.stem not in stems]
    if orphans and rest:
        warnings.warn(
            f"paired by file stem: no {key} for {', '.join(orphans)}, "
            f"and no generated clip for {', '.join(path.name for path in rest)}",
            stacklevel=3,
        )
    return rest


def _spread(value: Any, count: int) -> list[Any]:
    if isinstance(value, str | int | float | Mapping):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise ValueError(f"per-sample value has {len(values)} entries; need {count} to match generated")
    return values


def _prompts(spec: str | os.PathLike[str] | Sequence[str]) -> Any:
    if isinstance(spec, str):
        # A string that names a file is a file, also one of a kind that cannot be read: never the prompt itself.
        if Path(spec).suffix in _PROMPT_SUFFIXES or (len(spec) < 4096 and Path(spec).is_file()):
            return _read_prompts(Path(spec))
        return spec
    return _read_prompts(Path(spec)) if isinstance(spec, os.PathLike) else spec


def _read_prompts(path: Path) -> list[str]:
    if path.suffix not in _PROMPT_SUFFIXES:
        raise ValueError(f"{path}: text prompts file must be .jsonl or .json, got {path.suffix!r}")
    text = path.read_text("utf-8")
    if path.suffix == ".jsonl":
        entries: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
    else:
        entries = json.loads(text)
        if not isinstance(entries, list):
            raise ValueError(f"{path}: expected a top-level JSON list of prompts.")
    return [_prompt_of(entry, path) for entry in entries]


def _prompt_of(entry: Any, path: Path) -> str:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: prompt entries must be strings or dicts, got {type(entry).__name__}")
    found = entry.get("prompt") or entry.get("text_prompt")
    if not isinstance(found, str):
        raise ValueError(f"{path}: dict entry missing 'prompt'/'text_prompt' string field: {entry}")
    return found


def _attach_audio(samples: list[dict[str, Any]], where: bool | str | os.PathLike[str], workers: int) -> None:
    if where is True:
        folder = Path(tempfile.mkdtemp(prefix="vidmetrics-audio-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    else:
        folder = Path(str(where))
    jobs = [
        (sample, target, sample[key].source)
        for sample in samples
        for key, target in (("video", "audio"), ("reference", "reference_audio"))
        if key in sample and target not in sample and sample[key].source and Path(sample[key].source).is_file()
    ]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        tracks = pool.map(lambda source: _extract(source, folder), dict.fromkeys(job[2] for job in jobs))
        found = dict(zip(dict.fromkeys(job[2] for job in jobs), tracks, strict=True))
    for sample, target, source in jobs:
        if (track := found[source]) is not None:
            sample[target] = str(track)


def _extract(source: str, folder: Path) -> Path | None:
    from pytest_vidmetrics.media.audio import extract_audio_track

    try:
        return extract_audio_track(source, output_dir=folder / digest_file(source)[:16])
    except NoAudioStreamError:
        return None
