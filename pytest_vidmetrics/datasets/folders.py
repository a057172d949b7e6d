"""Folders, files and lists to the ``samples`` of :meth:`Evaluator.evaluate`."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pytest_vidmetrics.core.errors import NoAudioStreamError
from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.samples import whole_name
from pytest_vidmetrics.core.text import json_lines, parse_json, read_text
from pytest_vidmetrics.core.types import Video
from pytest_vidmetrics.media.formats import clip_name, kind_of, list_clips

PathSpec = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Pair = Literal["stem", "position", "set"]

_COMMON = {
    "video": (".mp4", ".avi", ".mov", ".mkv", ".gif", ".webm"),
    "audio": (".wav", ".mp3", ".flac", ".m4a", ".ogg", ".opus"),
}
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
    pair: Pair = "stem",
) -> list[dict[str, Any]]:
    """Return one dict per generated clip, then one with ``role="reference"`` per reference left over.

    A path argument is a file, a folder (its clips in natural order, see
    :func:`~pytest_vidmetrics.media.formats.list_clips`), or paths in the caller's order. Clips become
    :class:`Video`, audio stays text. ``text_prompt``, ``fps``, ``auxiliary_info`` and ``extras`` hold for every
    generated clip, or are lists with one value each; ``text_prompts`` is such a list or a ``.json`` or ``.jsonl``
    file; prompts with an ``id`` belong to the clip of that name. ``extras`` is merged last.

    ``pair = "stem"``: a reference belongs to the clip of the same file name without suffix; one clip and one
    reference are a pair whatever their names are. A generated clip without a partner has no ``reference``; a warning
    says so when there are references without a clip too. ``"position"``: the n-th reference belongs to the n-th clip,
    and the counts agree. ``"set"``: no pairs, every reference is one of the reference set.

    ``extract_audio`` writes the audio track of each clip that has one to a folder (a temporary one for ``True``)
    and attaches it where no audio was given. Files are named by content, so equal stems do not meet and a clip
    that was generated anew is extracted anew.

    Raises ``ValueError`` for arguments that do not fit together and ``FileNotFoundError`` for a path that leads
    to nothing.
    """
    clips, sounds = _paths(video, "video"), _paths(audio, "audio")
    if text_prompt is not None and text_prompts is not None:
        raise ValueError("Pass either text_prompt (broadcast) or text_prompts (per-sample), not both.")
    samples = _generated(clips, sounds)
    pictures, tracks = _paths(reference, "video"), _paths(reference_audio, "audio")
    left_over: list[dict[str, Any]] = []
    if pictures is not None:
        rest = _pair(samples, clips or sounds or [], "reference", pictures, pair)
        left_over += [{"video": Video(source=str(path)), "role": "reference"} for path in rest]
    if tracks is not None:
        rest = _pair(samples, sounds or clips or [], "reference_audio", tracks, pair)
        left_over += [{"audio": str(path), "role": "reference"} for path in rest]
    prompts = _prompts(text_prompts, clips or sounds or []) if text_prompts is not None else text_prompt
    for key, value in (("text_prompt", prompts), ("fps", fps), ("auxiliary_info", auxiliary_info)):
        if value is not None:
            for sample, one in zip(samples, _spread(value, len(samples)), strict=True):
                sample[key] = one
    if extras is not None:
        for sample, more in zip(samples, _spread(extras, len(samples)), strict=True):
            sample.update(more)
    # After the extras, which are for generated clips.
    samples += left_over
    if extract_audio:
        _attach_audio(samples, extract_audio, extract_workers)
    return samples


def _paths(spec: PathSpec | None, kind: Literal["video", "audio"]) -> list[Path] | None:
    if spec is None:
        return None
    if isinstance(spec, str | os.PathLike):
        return _expand(Path(spec), kind)
    paths = [Path(entry) for entry in spec]
    if not paths:
        raise ValueError("Empty iterable passed where a non-empty path list was expected.")
    return paths


def _expand(path: Path, kind: Literal["video", "audio"]) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is neither a file nor a directory.")
    found = [one for one in list_clips(path, kind).clips if kind == "video" or kind_of(one) == kind]
    if not found:
        raise FileNotFoundError(f"No files with extension in {_COMMON[kind]} under {path}, and no other clips")
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


def _pair(
    samples: list[dict[str, Any]], generated: list[Path], key: str, references: list[Path], pair: Pair
) -> list[Path]:
    """Attach references to the samples under ``key`` and return those left over."""

    def attach(sample: dict[str, Any], path: Path) -> None:
        sample[key] = Video(source=str(path)) if key == "reference" else str(path)

    if pair == "set":
        return references
    # One clip and one reference cannot be paired in another way.
    if pair == "position" or len(generated) == len(references) == 1:
        if len(generated) != len(references):
            raise ValueError(f"pair='position': {len(generated)} clips, but {len(references)} for {key}")
        for sample, path in zip(samples, references, strict=True):
            attach(sample, path)
        return []
    if pair != "stem":
        raise ValueError(f"pair is 'stem', 'position' or 'set', not {pair!r}")
    names = _by_name(generated, "the clips")
    partners = _by_name(references, key)
    if names.keys().isdisjoint(partners):
        warnings.warn(
            f"no {key} has the name of a clip ({generated[0].name}, …, but {references[0].name}, …), none is paired: "
            "pair='set' says that this is meant, pair='position' that the n-th belongs to the n-th",
            stacklevel=3,
        )
        return references
    for name, path in partners.items():
        if name in names:
            attach(samples[generated.index(names[name])], path)
    rest = [path for name, path in partners.items() if name not in names]
    orphans = [path.name for name, path in names.items() if name not in partners]
    if orphans and rest:
        warnings.warn(
            f"paired by file stem: no {key} for {', '.join(orphans)}, "
            f"and no generated clip for {', '.join(path.name for path in rest)}",
            stacklevel=3,
        )
    return rest


def _by_name(paths: list[Path], what: str) -> dict[str, Path]:
    """Return paths by whole name. Raises ``ValueError`` for two of one name."""
    found: dict[str, Path] = {}
    for path in paths:
        if (other := found.setdefault(whole_name(clip_name(path)), path)) is not path:
            raise ValueError(f"two of {what} have one name, so that pairs are not clear: {other} and {path}")
    return found


def _spread(value: Any, count: int) -> list[Any]:
    if isinstance(value, str | int | float | Mapping):
        return [value] * count
    values = list(value)
    if len(values) != count:
        raise ValueError(f"per-sample value has {len(values)} entries; need {count} to match generated")
    return values


def _prompts(spec: str | os.PathLike[str] | Sequence[str], clips: list[Path]) -> Any:
    if isinstance(spec, str):
        # A string that names a file is a file, also one of a kind that cannot be read: never the prompt itself.
        if Path(spec).suffix in _PROMPT_SUFFIXES or (len(spec) < 4096 and Path(spec).is_file()):
            return _read_prompts(Path(spec), clips)
        return spec
    return _read_prompts(Path(spec), clips) if isinstance(spec, os.PathLike) else spec


def _read_prompts(path: Path, clips: list[Path]) -> list[str]:
    """Return one prompt per clip: in the order of the file, or by the name of the clip where every prompt has an id."""
    if path.suffix not in _PROMPT_SUFFIXES:
        raise ValueError(f"{path}: text prompts file must be .jsonl or .json, got {path.suffix!r}")
    if path.suffix == ".jsonl":
        entries = [*json_lines(path)]
    elif isinstance(tree := parse_json(read_text(path), path), list):
        entries = [(1, entry) for entry in tree]
    else:
        raise ValueError(f"{path}: expected a top-level JSON list of prompts.")
    prompts = [_prompt_of(entry, path, line) for line, entry in entries]
    ids = [entry.get("id") if isinstance(entry, dict) else None for _, entry in entries]
    if not ids or any(id is None for id in ids):
        return prompts
    named = {whole_name(str(id)): prompt for id, prompt in zip(ids, prompts, strict=True)}
    names = [whole_name(clip_name(clip)) for clip in clips]
    if len(named) < len(ids) or set(names) != named.keys():
        odd = sorted(set(names) ^ named.keys()) or sorted({str(id) for id in ids if ids.count(id) > 1})
        raise ValueError(
            f"{path}: the ids of the prompts are not the names of the clips, each once: {', '.join(odd[:5])}"
        )
    return [named[name] for name in names]


def _prompt_of(entry: Any, path: Path, line: int) -> str:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: prompt entries must be strings or dicts, got {type(entry).__name__} (line {line})")
    found = entry.get("prompt") or entry.get("text_prompt")
    if not isinstance(found, str):
        raise ValueError(f"{path}: dict entry missing 'prompt'/'text_prompt' string field: {entry} (line {line})")
    return found


def _attach_audio(samples: list[dict[str, Any]], where: bool | str | os.PathLike[str], workers: int) -> None:
    if where is True:
        folder = Path(tempfile.mkdtemp(prefix="vidmetrics-audio-"))
        # At the end of the process: samples name these files for as long as it runs.
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
        # Each file once, however many samples name it.
        tracks = pool.map(lambda source: _extract(source, folder), dict.fromkeys(job[2] for job in jobs))
        found = dict(zip(dict.fromkeys(job[2] for job in jobs), tracks, strict=True))
    for sample, target, source in jobs:
        if (track := found[source]) is not None:
            sample[target] = str(track)


def _extract(source: str, folder: Path) -> Path | None:
    from pytest_vidmetrics.media.audio import extract_audio_track

    try:
        # By content: a clip that was generated anew is another file.
        return extract_audio_track(source, output_dir=folder / digest_file(source)[:16])
    except NoAudioStreamError:
        return None
