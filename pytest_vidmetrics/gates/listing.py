"""A case to its samples: placeholders, globs, pairing by stem, and rows joined by id."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id
from pytest_vidmetrics.core.types import PATH_KEYS
from pytest_vidmetrics.gates.case import Case, Location
from pytest_vidmetrics.gates.files import IMAGE_SUFFIXES, MEDIA_SUFFIXES, files_of, fill_in
from pytest_vidmetrics.metrics import registry


def resolve_samples(case: Case, checkpoint: str | None = None) -> Corpus:
    """List the samples of a case without opening a clip.

    Raises :class:`~pytest_vidmetrics.core.errors.ManifestError` with ``file:line`` for a pattern that matches
    nothing, a missing file, an orphan in pairing, a repeated id, and a row without a clip.
    """
    if case.dataset is not None:
        from pytest_vidmetrics.gates.corpora import dataset_corpus

        return dataset_corpus(case, checkpoint)
    chosen = checkpoint if checkpoint is not None else case.checkpoint
    files = {key: files_of(case, key, patterns, chosen) for key, patterns in case.media.items()}
    rows = _rows(case, chosen) if case.samples else {}
    primary = next((key for key in ("video", "audio") if key in files), None)
    if primary is None:
        return Corpus(tuple(_sample(id, {**case.broadcast, **row}) for id, row in sorted(rows.items())))
    clips = _by_stem(case, primary, files.pop(primary))
    _check_rows(case, rows, clips)
    values: dict[str, dict[str, Any]] = {
        id: {**case.broadcast, **rows.get(id, {}), primary: str(path)} for id, path in sorted(clips.items())
    }
    references: dict[str, Sample] = {}
    for key, paths in files.items():
        named = _by_stem(case, key, paths)
        if case.pair == "stem" or key in ("video", "audio"):
            _check_orphans(case, key, named, primary, clips)
            for id, path in named.items():
                values[id][key] = str(path)
        else:
            for id, path in sorted(named.items()):
                media = "audio" if key == "reference_audio" else "video"
                known = references.get(id, Sample(id, {}, "reference"))
                references[id] = Sample(id, {**known.values, media: str(path)}, "reference")
    samples = tuple(_sample(id, kept) for id, kept in values.items())
    return Corpus(samples, tuple(references.values()) if case.pair == "set" else _paired(samples))


def _sample(id: str, values: dict[str, Any]) -> Sample:
    only = values.pop("metrics", None)
    return Sample(id, values, only=None if only is None else frozenset(only))


def _paired(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Return the paired references as samples of their own, for set metrics."""
    found = []
    for sample in samples:
        media = {
            into: sample.values[key]
            for key, into in (("reference", "video"), ("reference_audio", "audio"))
            if key in sample.values
        }
        if media:
            found.append(Sample(sample.id, media, "reference"))
    return tuple(found)


def check_corpus(supplied: object, where: Location) -> Corpus:
    """Return what a hook supplied as the samples of a case, if it is what it should be; raises ``ManifestError``."""
    if not isinstance(supplied, Corpus):
        raise where.error(f"the hook pytest_vidmetrics_load_samples must return a Corpus, got {supplied!r:.80}")
    corpus = Corpus(tuple(supplied.samples), tuple(supplied.references))
    for name, samples in (("samples", corpus.samples), ("references", corpus.references)):
        seen: dict[str, str] = {}
        for sample in samples:
            if not isinstance(sample, Sample) or not isinstance(sample.id, str):
                raise where.error(f"the hook pytest_vidmetrics_load_samples: {name} holds {sample!r:.80}, not a Sample")
            if sample.id.casefold() in seen:
                raise where.error(f"the hook pytest_vidmetrics_load_samples: {name} has the id {sample.id!r} twice")
            if sample.only is not None and not sample.only:
                raise where.error(f"the hook pytest_vidmetrics_load_samples: {sample.id!r} is for no metric")
            seen[sample.id.casefold()] = sample.id
    return Corpus(*(tuple(map(_plain, samples)) for samples in (corpus.samples, corpus.references)))


def _plain(sample: Sample) -> Sample:
    """Return a sample whose paths are text, as they are hashed and recorded."""
    values = {
        key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in sample.values.items()
    }
    return replace(sample, values=values)


def _by_stem(case: Case, key: str, paths: Iterable[Path]) -> dict[str, Path]:
    clips: dict[str, Path] = {}
    folded: dict[str, Path] = {}
    for path in paths:
        id = clean_id(path.stem if path.suffix.lower() in MEDIA_SUFFIXES | IMAGE_SUFFIXES else path.name)
        other = folded.get(id.casefold())
        if other == path:
            continue
        if other is not None:
            kind = "the same id" if id in clips else "ids that differ in case only"
            raise case.at(key).error(f"{other} and {path} have {kind} ({id!r}); rename one of them")
        clips[id] = folded[id.casefold()] = path
    return clips


def _check_orphans(case: Case, key: str, named: Mapping[str, Path], primary: str, clips: Mapping[str, Path]) -> None:
    missing = sorted(clips.keys() - named.keys())
    surplus = sorted(named.keys() - clips.keys())
    if missing or surplus:
        parts = [f"{len(missing)} {primary} without {key}: {some(missing)}"] if missing else []
        parts += [f"{len(surplus)} {key} without {primary}: {some(surplus)}"] if surplus else []
        raise case.at(key).error(f'pairing by stem leaves orphans: {"; ".join(parts)} (pair = "set" needs no pairs)')


def check_clips(case: Case, folder: Path, missing: list[str], surplus: list[str], owner: str) -> None:
    """Raise ``ManifestError`` that counts and names the clips of a published list that are missing or belong to none.

    ``owner`` is what a clip belongs to: ``"prompt"`` or ``"scenario"``.
    """
    parts = [f"{len(missing)} clips are missing: {some(missing)}"] if missing else []
    parts += [f"{len(surplus)} files belong to no {owner}: {some(surplus)}"] if surplus else []
    if parts:
        raise case.at("dataset").error(f"{'; '.join(parts)} (in {folder})")


def some(ids: list[str], limit: int = 5) -> str:
    """Return the first names of a list and how many more there are."""
    return ", ".join(ids[:limit]) + (f" and {len(ids) - limit} more" if len(ids) > limit else "")


def _rows(case: Case, checkpoint: str | None) -> dict[str, dict[str, Any]]:
    """Read ``samples.jsonl``: one JSON object a line, each with its own ``id``."""
    where = case.at("samples")
    path = case.where.path.parent / fill_in(str(case.samples), where, checkpoint)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise where.error(f"samples: cannot read {path}: {error}") from error
    rows: dict[str, dict[str, Any]] = {}
    folded: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        spot = Location(path, number)
        row = _row(line, spot)
        id = clean_id(str(row.pop("id")))
        if id.casefold() in folded:
            raise spot.error(f"the id {id!r} is given twice (first on line {folded[id.casefold()]})")
        folded[id.casefold()] = number
        for key in PATH_KEYS:
            if isinstance(row.get(key), str):
                row[key] = str(path.parent / fill_in(row[key], spot, checkpoint))
        if (only := row.get("metrics")) is not None:
            row["metrics"] = _named_metrics(only, spot)
        rows[id] = row
    if not rows:
        raise where.error(f"samples: {path} holds no row")
    return rows


def _named_metrics(names: Any, spot: Location) -> list[str]:
    """Return the metrics that a row is for, groups expanded."""
    try:
        return registry.expand([names] if isinstance(names, str) else names)
    except (KeyError, TypeError) as error:
        raise spot.error(f"metrics: {error.args[0]}") from error


def _row(line: str, spot: Location) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise spot.error(f"not valid JSON: {error.msg}") from error
    if not isinstance(row, dict) or not isinstance(row.get("id"), (str, int)):
        raise spot.error('expected an object with an "id"')
    return row


def _check_rows(case: Case, rows: Mapping[str, Any], clips: Mapping[str, Path]) -> None:
    if surplus := sorted(rows.keys() - clips.keys()):
        raise case.at("samples").error(f"{len(surplus)} rows have no clip: {some(surplus)}")
    if rows and (bare := sorted(clips.keys() - rows.keys())):
        raise case.at("samples").error(f"{len(bare)} clips have no row: {some(bare)}")
