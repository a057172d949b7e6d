"""What the clips of a corpus are beside their pixels, side by side with their references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import counted, some
from pytest_vidmetrics.engine.work import Outcome
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.metrics.sets.base import SetMetric


def with_clips(
    seen: CorpusScore,
    metric: BaseMetric,
    corpus: Corpus,
    found: Mapping[str, Outcome],
    references: Mapping[str, Outcome],
) -> CorpusScore:
    """Return a score with the facts of its clips and of their references, and what should be said of them."""
    clips = {id: outcome.clips["video"] for id, outcome in sorted(found.items()) if "video" in outcome.clips}
    pairs = {id: outcome.clips["reference"] for id, outcome in sorted(found.items()) if "reference" in outcome.clips}
    if isinstance(metric, SetMetric):
        pairs = _partners(metric, corpus, references)
    seen = replace(seen, clips=clips, reference_clips=pairs, compares=metric.compares if pairs else ())
    return replace(seen, remarks=(*seen.remarks, *remarks(clips, pairs)))


def _partners(metric: SetMetric, corpus: Corpus, found: Mapping[str, Outcome]) -> dict[str, ClipFacts]:
    """Return the facts of the references that belong to a sample, by its id: a file may belong to several."""
    facts = {id: outcome.clips["video"] for id, outcome in found.items() if "video" in outcome.clips}
    by_file = {one.path: facts[one.id] for one in corpus.references if one.id in facts and not one.paired}
    paired = {one.id: facts[one.id] for one in corpus.references if one.id in facts and one.paired}
    owners = ((one.id, paired.get(one.id) or by_file.get(_named(one, metric))) for one in corpus.samples)
    return {id: partner for id, partner in owners if partner is not None}


def _named(sample: Sample, metric: SetMetric) -> str:
    value = sample.values.get(metric.reference_key())
    return value if isinstance(value, str) else ""


def remarks(clips: Mapping[str, ClipFacts], references: Mapping[str, ClipFacts]) -> tuple[str, ...]:
    """Return which clips never change though their references do, and which are their references, one line each."""
    pairs = [(id, one, references[id]) for id, one in clips.items() if id in references]
    still = [(id, one.constant) for id, one, other in pairs if one.constant and not other.constant]
    copied = [id for id, one, _ in pairs if one.copied]
    return (*constant_text(still, "and its reference is not", "and their references are not"), *_copied_text(copied))


def constant_text(still: Sequence[tuple[str, str]], one: str, several: str) -> Iterable[str]:
    """Name clips that never change, ``(id, how)``, in a line for each way."""
    for how in sorted({how for _, how in still}):
        ids = [id for id, which in still if which == how]
        verb, rest = ("is", one) if len(ids) == 1 else ("are", several)
        yield f"{counted(len(ids), 'clip')} {verb} {how} {rest}: {some(ids)}"


def _copied_text(ids: Sequence[str]) -> Iterable[str]:
    if ids:
        verb = "shows the same frames as its reference" if len(ids) == 1 else "show the same frames as their references"
        yield f"{counted(len(ids), 'clip')} {verb}, as a copied file does: {some(ids)}"
