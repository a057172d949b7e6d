"""A method of a case as a case of its own: every row and seed is a sample, and its clip is where the method puts it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import MediaError
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id, whole_name
from pytest_vidmetrics.core.scores import CorpusScore, Problem
from pytest_vidmetrics.core.wording import some
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.gates.files import Found, files_of
from pytest_vidmetrics.gates.generation import Generated, Generations
from pytest_vidmetrics.gates.method import Method, Request, requests_of
from pytest_vidmetrics.media.formats import clip_name

CLIP_FACTS = ("frames", "width", "height", "fps")
_RATELESS = ".npz"
"""Clips that do not say their rate."""
ROW = "row"
"""The sample key that says which row of the case a clip was made for: the seeds of a row are one cluster."""


def method_case(case: Case, method: Method) -> Case:
    """Return the case of one method: ``CASE/METHOD``, whose baselines lie in a folder below those of the case."""
    # Seeds of one prompt are not independent.
    cluster = case.cluster or (ROW if len(method.seeds) > 1 else None)
    return replace(case, name=f"{case.name}/{method.name}", methods={}, cluster=cluster)


@dataclass(frozen=True)
class MethodClips:
    """The clips of one method: what is scored, by which gates, and what they are generated from.

    ``requests`` belong to the samples of ``corpus``, in the same order; there are none for clips that are ready.
    """

    case: Case
    method: Method
    corpus: Corpus
    requests: tuple[Request, ...]
    generations: Generations
    gates: tuple[MetricConfig, ...] = ()

    @classmethod
    def of(
        cls,
        case: Case,
        method: Method,
        rows: Corpus,
        generations: Generations,
        checkpoint: str | None,
        gates: tuple[MetricConfig, ...] = (),
    ) -> MethodClips:
        """Return the clips of one method for the rows of its case.

        Raises :class:`~pytest_vidmetrics.core.errors.ManifestError` for two rows that ask for the same clip, for an
        image or input that cannot be read, and for ready clips that belong to no row.
        """
        if method.is_ready:
            samples = tuple(_ready(case, method, rows.samples, checkpoint))
            return cls(method_case(case, method), method, replace(rows, samples=samples), (), generations, gates)
        requests = requests_of(method, [(sample.id, sample.values) for sample in rows.samples])
        _check_injective(method, requests)
        known = {sample.id: sample for sample in rows.samples}
        samples = tuple(_sample(method, known[one.sample], one.seed, str(generations.path(one))) for one in requests)
        return cls(method_case(case, method), method, replace(rows, samples=samples), requests, generations, gates)

    @cached_property
    def shards(self) -> tuple[tuple[Request, ...], ...]:
        """The requests of each run of the command."""
        size = self.method.shard
        return tuple(self.requests[start : start + size] for start in range(0, len(self.requests), size))

    def shard_of(self, position: int) -> int:
        """Return the number of the shard that makes the clip of a sample, by its position in the corpus."""
        return position // self.method.shard

    @property
    def places(self) -> dict[str, str]:
        """The ids that the samples of all methods have in common: the row, and which of its seeds it is."""
        # By turn, not by seed: methods may have other seeds and as many.
        turns = {seed: turn for turn, seed in enumerate(self.method.seeds)}
        return {one.id: f"{one.values[ROW]}#{turns[one.values['seed']]}" for one in self.corpus.samples}

    def facts(self) -> dict[str, object]:
        """Return length, size and rate of the clips: what the params say, else what all clips have in common."""
        known = {key: self.method.params[key] for key in CLIP_FACTS if key in self.method.params}
        made = (self.generations.provenance(one) for one in self.requests)
        # Ready clips have no provenance, so that their files are asked.
        rows = [row for row in made if row is not None] if self.requests else _probed(self.corpus.samples)
        for key in CLIP_FACTS:
            values = sorted({str(row[key]) for row in rows if row.get(key) is not None})
            if values and key not in known:
                known[key] = ", ".join(values)
        return known

    def ensure(self, shard: int) -> list[Generated]:
        """Make the clips of a shard that are not there; see :meth:`.generation.Generations.ensure`."""
        if self.method.in_process:
            # The test function makes them: what it did not make is missing.
            return self.generations.look(self.method, self.shards[shard])
        return self.generations.ensure(self.method, self.shards[shard])

    def lost(self, samples: Iterable[Sample] | None = None) -> dict[str, str]:
        """Return why samples have no clip, by id; of all samples unless some are given."""
        asked = None if samples is None else {sample.id for sample in samples}
        pairs = [
            (sample, request)
            # Ready clips have no requests, and an empty zip.
            for sample, request in zip(self.corpus.samples, self.requests, strict=bool(self.requests))
            if asked is None or sample.id in asked
        ]
        looked = self.generations.look(self.method, [request for _, request in pairs])
        return {sample.id: found.problem for (sample, _), found in zip(pairs, looked, strict=True) if found.problem}

    def explained(self, score: CorpusScore) -> CorpusScore:
        """Return a score in which samples without a clip say why: what its generator did, or how to run it."""
        lost = {id: text.partition("\n")[0] for id, text in self.lost().items() if id in score.paths}
        if not lost:
            return score
        others = tuple(problem for problem in score.problems if problem.sample not in lost)
        return replace(score, problems=(*(Problem(id, "failed", text) for id, text in lost.items()), *others))


def _sample(method: Method, row: Sample, seed: int, path: str) -> Sample:
    """Return the sample of one clip. Its rate is its own: that of a row is the rate of what the row was made from."""
    values = {**row.values, "video": path, "seed": seed, ROW: row.id}
    # The rate of a generated clip is what its file says.
    rate = values.pop("fps", None)
    if path.endswith(_RATELESS) and "fps" in method.params:
        values["fps"] = method.params["fps"]
    # The row's rate was that of the reference, which cannot say it itself.
    if rate is not None and str(values.get("reference", "")).endswith(_RATELESS):
        values.setdefault("reference_fps", rate)
    return Sample(f"{row.id}.s{seed}", values, only=row.only)


def _probed(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Return what the containers of clips say. One that cannot be read is the gates' to report."""
    from pytest_vidmetrics.media.video import probe

    found = []
    for sample in samples:
        with contextlib.suppress(MediaError, OSError):
            info = probe(sample.values["video"])
            found.append({key: getattr(info, key) for key in CLIP_FACTS})
    return found


def _check_injective(method: Method, requests: Sequence[Request]) -> None:
    """Refuse rows that ask for one and the same clip: it would count twice, as if it were independent of itself."""
    owners: dict[str, Request] = {}
    for one in requests:
        if (other := owners.setdefault(one.key, one)).sample != one.sample:
            raise method.where.error(
                f"the rows {other.sample!r} and {one.sample!r} have the same prompt and image, so that the method "
                f"{method.name} makes the same clip for both: leave one out, or use more seeds"
            )


def _ready(case: Case, method: Method, rows: Sequence[Sample], checkpoint: str | None) -> Iterable[Sample]:
    """Yield the samples of clips that are there already; one that is missing stays a sample, without a file."""
    where, seeds = method.where, method.seeds
    # An error in a pattern names the line of the method, not that of the case's video.
    lines = {**case.lines, ("case", case.name, "video"): where.line}
    listed = files_of(replace(case, lines=lines), "video", method.video, checkpoint or case.checkpoint)
    known = {row.id: row for row in rows}
    found: dict[tuple[str, int], Path] = {}
    stray: list[str] = []
    for one in listed.found:
        place = _place(one, known, seeds)
        if place is None:
            stray.append(str(one.path))
        elif (other := found.setdefault(place, one.path)) != one.path:
            raise where.error(f"{other} and {one.path} are both the clip of {place[0]!r} with seed {place[1]}")
    if stray:
        raise where.error(f"the method {method.name}: {len(stray)} clips belong to no row: {some(stray, 3)}")
    for row in rows:
        for seed in seeds:
            # The path is for the message only: the clip is missing.
            absent = case.where.path.parent / f"{method.video[0].replace('{id}', row.id).replace('{seed}', str(seed))}"
            yield _sample(method, row, seed, str(found.get((row.id, seed), absent)))


def _place(one: Found, rows: Mapping[str, Sample], seeds: Sequence[int]) -> tuple[str, int] | None:
    """Return the row and the seed of a clip, by its name and the parts of its path."""
    parts = dict(one.parts)
    # A pattern without {seed} is that of the first one.
    id, seed = clean_id(whole_name(parts.pop("id", clip_name(one.path)))), parts.pop("seed", str(seeds[0]))
    row = rows.get(id)
    if row is None or not seed.isdecimal() or int(seed) not in seeds:
        return None
    # Further parts of the pattern must be what the row says.
    return (id, int(seed)) if all(str(row.values.get(key)) == text for key, text in parts.items()) else None
