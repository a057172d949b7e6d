"""A case to its samples: files named by id, pairs, and rows joined by id. Opens no clip."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.order import in_order
from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id, folded, whole_name
from pytest_vidmetrics.core.wording import some
from pytest_vidmetrics.gates.case import Case, Location
from pytest_vidmetrics.gates.files import Files, Found, PathReader, files_of, has_parts
from pytest_vidmetrics.gates.manifest import sample_keys
from pytest_vidmetrics.gates.method import IMAGE_DIGEST
from pytest_vidmetrics.gates.rows import Row, media_of_reference, read_rows, same_id
from pytest_vidmetrics.gates.values import fault
from pytest_vidmetrics.media.formats import clip_name

_PRIMARY = ("video", "audio")


@dataclass(frozen=True)
class _Clip:
    """One file of a key under its whole name."""

    path: Path
    parts: Mapping[str, str]


def resolve_samples(case: Case, checkpoint: str | None = None) -> Corpus:
    """List the samples of a case without opening a clip, in the natural order of their names.

    Names are compared whole: ``pair = "stem"`` takes file names without their suffixes, a pattern the parts that it
    names. Raises :class:`~pytest_vidmetrics.core.errors.ManifestError` with ``file:line`` for a pattern that matches
    nothing, a missing file, an orphan in pairing, a repeated id, and a row without a clip.
    """
    if case.dataset is not None:
        return _of_dataset(case, checkpoint)
    chosen = checkpoint if checkpoint is not None else case.checkpoint
    if case.scoring == "engine" and case.samples is not None and not case.media and not case.methods:
        from pytest_vidmetrics.gates.rows_in_columns import in_columns

        return in_columns(case, chosen)
    files = {key: files_of(case, key, patterns, chosen) for key, patterns in case.media.items()}
    named = {key: _by_name(case, key, found) for key, found in files.items()}
    # The first kind of media names the samples; other files are attached to them.
    primary = next((key for key in _PRIMARY if key in named), None)
    others = {part for clips in named.values() for clip in clips.values() for part in clip.parts}
    rows, remarks = _rows(case, chosen, named.get(primary or "", {}), others)
    remarks += tuple(remark for found in files.values() for remark in found.remarks)
    clips = named.pop(primary) if primary is not None else {}
    joined = _joined(case, primary, clips, rows)
    values = {name: {**case.broadcast, **joined[name]} for name in in_order(joined)}
    references: tuple[Sample, ...] | None = None
    for key, paths in named.items():
        if case.pair == "set" and key not in _PRIMARY:
            references = _united(references or (), key, _with_ids(case, key, paths))
        else:
            _attach(case, key, paths, primary, clips, values)
    samples = tuple(_sample(id, values[name]) for name, id in _ids(case, primary or "samples", values).items())
    return Corpus(samples, references if references is not None else _paired(samples), remarks)


def _of_dataset(case: Case, checkpoint: str | None) -> Corpus:
    """Return the clips of a dataset with what the case names beside them: paired by the clips' names, or as a set."""
    from pytest_vidmetrics.gates.corpora import dataset_corpus

    corpus = dataset_corpus(case, checkpoint)
    others = {key: patterns for key, patterns in case.media.items() if key != "video"}
    wrong = next(iter(others), None) if case.dataset == "physics_iq" else None
    if case.samples is not None or wrong is not None:
        key = "samples" if case.samples is not None else str(wrong)
        raise case.at(key).error(f"{key} and dataset = {case.dataset!r}: the dataset says that itself; leave {key} out")
    if not others:
        return corpus
    chosen = checkpoint if checkpoint is not None else case.checkpoint
    # Pairs go by the name of the clip's file: a dataset may name its samples otherwise.
    owner = {whole_name(clip_name(Path(str(sample.values["video"])))): sample for sample in corpus.samples}
    values = {name: dict(sample.values) for name, sample in owner.items()}
    references: tuple[Sample, ...] | None = None
    for key, patterns in others.items():
        paths = _by_name(case, key, files_of(case, key, patterns, chosen))
        if case.pair == "set" and key not in _PRIMARY:
            references = _united(references or (), key, _with_ids(case, key, paths))
        else:
            _attach(case, key, paths, "video", {}, values)
    samples = tuple(replace(sample, values=values[name]) for name, sample in owner.items())
    return replace(corpus, samples=samples, references=references if references is not None else _paired(samples))


def _sample(id: str, values: Mapping[str, Any]) -> Sample:
    kept = {key: value for key, value in values.items() if key != "metrics"}
    only = values.get("metrics")
    return Sample(id, kept, only=None if only is None else frozenset(only))


def _by_name(case: Case, key: str, files: Files) -> dict[str, _Clip]:
    """Return the clips of a key by their whole names; the same file may be listed twice, a name may not."""
    clips: dict[str, _Clip] = {}
    spelled: dict[str, str] = {}
    for found in _read_parts(case, key, files.found):
        path = found.path
        name = whole_name("/".join(found.parts.values()) if found.parts else clip_name(path))
        if problem := fault("the file name", name):
            raise case.at(key).error(f"{str(path)!r}: {problem}; rename it")
        other = clips.get(spelled.get(folded(name), name))
        if other is not None and os.path.normpath(other.path) == os.path.normpath(path):
            # Two patterns may name one file.
            continue
        if other is not None:
            kind = "the same id" if name in clips else "ids that differ in case only"
            raise case.at(key).error(f"{other.path} and {path} have {kind} ({name!r}); rename one of them")
        clips[name], spelled[folded(name)] = _Clip(path, found.parts), name
    return clips


def _read_parts(case: Case, key: str, found: Iterable[Found]) -> Iterable[Found]:
    """Read the parts that ``pair`` names from the paths of files whose own pattern names none.

    References are named like the clips, or by the folders of the pattern and the id alone.
    """
    listed = list(found)
    if not has_parts(case.pair) or all(one.parts for one in listed):
        return listed
    where = case.at("pair")
    readers = [PathReader.of(case.pair, where)]
    if key not in _PRIMARY:
        folders = case.pair.split("/")
        last = next(i for i, part in enumerate(folders) if has_parts(part))
        readers.append(PathReader.of("/".join([*folders[:last], "{id}"]), where))
    # One reader for all files: two ways of naming side by side would be a guess.
    for reader in readers:
        # Parts that a file's own pattern names outrank those of pair.
        parts = [one.parts or reader.read(one.path) for one in listed]
        if all(parts):
            return [Found(one.path, part) for one, part in zip(listed, parts, strict=True) if part]
    misfits = [str(one.path) for one in listed if not one.parts and readers[0].read(one.path) is None]
    raise where.error(f"{len(misfits)} {key} do not fit pair = {case.pair!r}: {some(misfits, 3)}")


def _with_ids(case: Case, key: str, clips: Mapping[str, _Clip]) -> dict[str, Path]:
    return {id: clips[name].path for name, id in _ids(case, key, clips).items()}


def _ids(case: Case, key: str, names: Iterable[str]) -> dict[str, str]:
    """Return ``{name: id}`` in natural order. Raises ``ManifestError`` for two names that one id would stand for."""
    ids: dict[str, str] = {}
    owner: dict[str, str] = {}
    for name in in_order(names):
        id = clean_id(name)
        if (other := owner.setdefault(folded(id), name)) != name:
            raise same_id(case, key, (other, name), id)
        ids[name] = id
    return ids


def _rows(
    case: Case, checkpoint: str | None, clips: Mapping[str, _Clip], read: Iterable[str]
) -> tuple[dict[str, Row], tuple[str, ...]]:
    """Return the rows of the sample list by name; the name of one with parts, such as a category, holds these too.

    ``read`` are the parts that the names of other clips have.
    """
    if case.samples is None:
        return {}, ()
    parts = list(next(iter(clips.values())).parts) if clips else []
    read = {*read, *((IMAGE_DIGEST,) if case.methods else ())}
    rows, remarks = read_rows(case, checkpoint, {*sample_keys(), *parts, *read})
    found: dict[str, Row] = {}
    spelled: dict[str, Row] = {}
    for row in rows:
        name = row.name
        # A list says "id" and "category" in columns, a clip has both in its path: the row's name is put together alike.
        if len(parts) > 1 and name not in clips and all(key == "id" or key in row.values for key in parts):
            name = whole_name("/".join(name if key == "id" else str(row.values[key]) for key in parts))
        if (other := spelled.setdefault(folded(name), row)) is not row:
            raise row.where.error(f"the id {name!r} is given twice (first on line {other.where.line})")
        found[name] = row
    return found, remarks


def _joined(
    case: Case, primary: str | None, clips: Mapping[str, _Clip], rows: Mapping[str, Row]
) -> dict[str, dict[str, Any]]:
    """Return the values of each sample by name: parts of its path, its row, and its clip."""
    if primary is None:
        return {name: dict(row.values) for name, row in rows.items()}
    if case.samples is not None:
        _check_rows(case, rows, clips)
    values: dict[str, dict[str, Any]] = {}
    for name, clip in clips.items():
        row = rows.get(name)
        # One of the two would be dropped without a word.
        if row is not None and primary in row.values:
            raise row.where.error(f"the row and the case both name its {primary}; leave one of them out")
        parts = {key: text for key, text in clip.parts.items() if key != "id"}
        values[name] = {**parts, **(row.values if row is not None else {}), primary: str(clip.path)}
    return values


def _check_rows(case: Case, rows: Mapping[str, Any], clips: Mapping[str, Any]) -> None:
    if surplus := in_order(rows.keys() - clips.keys()):
        raise case.at("samples").error(f"{len(surplus)} rows have no clip: {some(surplus)}")
    if bare := in_order(clips.keys() - rows.keys()):
        raise case.at("samples").error(f"{len(bare)} clips have no row: {some(bare)}")


def _attach(
    case: Case,
    key: str,
    paths: Mapping[str, _Clip],
    primary: str | None,
    clips: Mapping[str, _Clip],
    values: Mapping[str, dict[str, Any]],
) -> None:
    """Give each sample its file of a key. One file serves several samples where its path names fewer parts."""
    rows = {name: {**values[name], "id": name} for name in values}
    owners = {name: _shared_name(name, clips[name].parts if name in clips else rows[name], paths) for name in values}
    missing = in_order(name for name, owner in owners.items() if owner not in paths)
    # A file that no sample takes is an error too: it is most often a name with a typing error.
    surplus = in_order(paths.keys() - set(owners.values()))
    if missing or surplus:
        whose = primary or "rows"
        parts = [f"{len(missing)} {whose} without {key}: {some(missing)}"] if missing else []
        parts += [f"{len(surplus)} {key} without {whose}: {some(surplus)}"] if surplus else []
        how = "by stem" if case.pair == "stem" else f"by {case.pair!r}"
        raise case.at(key).error(f'pairing {how} leaves orphans: {"; ".join(parts)} (pair = "set" needs no pairs)')
    for name, owner in owners.items():
        values[name][key] = str(paths[owner].path)


def _shared_name(name: str, parts: Mapping[str, Any], paths: Mapping[str, _Clip]) -> str:
    """Return the name that a sample's file has, by what its path or its row says of the parts of that name."""
    keys = list(next(iter(paths.values())).parts) if paths else []
    if not keys or not all(key in parts for key in keys):
        return name
    return whole_name("/".join(str(parts[key]) for key in keys))


def _united(references: tuple[Sample, ...], key: str, clips: Mapping[str, Path]) -> tuple[Sample, ...]:
    """Return a reference set with the pictures or the sounds of ``clips`` added, by id."""
    known = {sample.id: sample for sample in references}
    for id, path in clips.items():
        media = "audio" if key == "reference_audio" else "video"
        values = known[id].values if id in known else {}
        known[id] = Sample(id, {**values, media: str(path)}, "reference")
    return tuple(known[id] for id in in_order(known))


def _paired(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Return the paired references as samples of their own, for set metrics: each file once."""
    found: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        if media := media_of_reference(sample.values):
            # A reference of several samples is one sample of the set.
            found.setdefault(tuple(media.values()), Sample(sample.id, media, "reference"))
    return tuple(found.values())


def check_corpus(supplied: object, where: Location) -> Corpus:
    """Return what a hook supplied as the samples of a case, if it is what it should be; raises ``ManifestError``."""
    hook = "the hook pytest_vidmetrics_load_samples"
    if not isinstance(supplied, Corpus):
        raise where.error(f"{hook} must return a Corpus, got {supplied!r:.80}")
    corpus = replace(supplied, samples=tuple(supplied.samples), references=tuple(supplied.references))
    for name, samples in (("samples", corpus.samples), ("references", corpus.references)):
        seen: dict[str, str] = {}
        for sample in samples:
            if not isinstance(sample, Sample) or not isinstance(sample.id, str):
                raise where.error(f"{hook}: {name} holds {sample!r:.80}, not a Sample")
            if problem := (fault("the id", sample.id) if sample.id else "the id is empty"):
                raise where.error(f"{hook}: {name} holds {sample.id!r:.80}: {problem}")
            if folded(sample.id) in seen:
                raise where.error(f"{hook}: {name} has the id {sample.id!r} twice")
            if sample.only is not None and not sample.only:
                raise where.error(f"{hook}: {sample.id!r} is for no metric")
            seen[folded(sample.id)] = sample.id
    return Corpus(tuple(map(_plain, corpus.samples)), tuple(map(_plain, corpus.references)), tuple(corpus.remarks))


def _plain(sample: Sample) -> Sample:
    """Return a sample whose paths are text, as they are hashed and recorded."""
    values = {
        key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in sample.values.items()
    }
    return replace(sample, values=values)
