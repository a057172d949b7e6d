"""Rank methods by their clips in folders, or by the scores that run records hold: with intervals, and with ties."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.commands._listed import listed
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.samples import Corpus, Sample, clean_id
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import printable, some
from pytest_vidmetrics.gates import rank_report
from pytest_vidmetrics.gates.case import Case, Location
from pytest_vidmetrics.gates.files import files_of, has_parts
from pytest_vidmetrics.gates.rank import Features, features_of, rank, table
from pytest_vidmetrics.gates.rank_report import RankReport

_RECORDS = (".json", ".html")
HELP = "rank methods by their clips or by run records"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "source",
        nargs="+",
        metavar="[METHOD=]PATH",
        help="of each method: a folder of clips, a pattern like wan/{category}/{id}_wan.mp4, or a run record "
        "(.json, or its page); or one record of a case with methods",
    )
    parser.add_argument("--metrics", default="", metavar="SEL", help="for folders: metrics and groups, by comma")
    parser.add_argument(
        "--reference", type=Path, metavar="DIR", help="for folders: the references of the same names, or their pattern"
    )
    parser.add_argument("--device", default="cpu", help="for folders: cpu, cuda or cuda:N")
    parser.add_argument("--min-n", type=int, metavar="N", help="so many clips are enough for a Fréchet distance")
    parser.add_argument(
        "--common", choices=("refuse", "intersect"), default="refuse", help="what to do with other samples"
    )
    parser.add_argument("--alpha", type=float, default=0.05, help="level of all comparisons together (default: 0.05)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write ranking.json and ranking.md there")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print a table for each metric; return 1 when there is one that methods cannot be ranked by."""
    if not 0 < args.alpha <= 0.5:
        raise VidmetricsError(f"--alpha is above 0 and up to 0.5, not {args.alpha:g}")
    sources = dict(_named(text) for text in args.source)
    if len(sources) < len(args.source):
        raise VidmetricsError("two methods have one name: give METHOD=PATH")
    records = [path.suffix.lower() in _RECORDS for path in sources.values()]
    if any(records) and not all(records):
        raise VidmetricsError("give either folders of clips or run records, not both")
    reports = list(_of_records(sources, args) if all(records) else _of_folders(sources, args))
    if not reports:
        raise VidmetricsError("nothing to rank: the records have no gate in common")
    if args.output is not None:
        now = datetime.datetime.now().strftime("%Y%m%d_%H%M%S")
        rank_report.write(args.output, reports, {}, now)
    if args.json:
        sys.stdout.write(to_json(rank_report.to_json(reports, {})))
    else:
        sys.stdout.write("".join(f"{printable(line)}\n" for line in rank_report.text(reports)))
    return 1 if any(report.reason for report in reports) else 0


def _named(text: str) -> tuple[str, Path]:
    name, sign, path = text.partition("=")
    # A path may hold "=", but a name holds no "/".
    return (name, Path(path)) if sign and name and "/" not in name else (Path(text).stem, Path(text))


def _of_records(sources: Mapping[str, Path], args: argparse.Namespace) -> Iterator[RankReport]:
    """Yield the rankings of records: of one, its methods; of several, one method each."""
    from pytest_vidmetrics.gates.record import read_record

    groups: dict[tuple[str, str], dict[str, CorpusScore | str]] = {}
    for name, path in sources.items():
        for gate in read_record(path).gates:
            parts = gate.gate.split("::")
            found = gate.scores if gate.scores is not None else f"{gate.verdict.status}: {gate.verdict.reason}"
            # "file::case::method::gate" where a case has methods.
            if len(sources) == 1 and gate.kind == "gate" and len(parts) == 4:
                groups.setdefault(("::".join(parts[:2]), parts[3]), {})[parts[2]] = found
            elif len(sources) > 1:
                groups.setdefault(("::".join(parts[:-1]), parts[-1]), {})[name] = found
    for (case, name), known in groups.items():
        # A method without a score has no place: the gate is not ranked.
        absent = [f"{method}: {why}" for method, why in known.items() if isinstance(why, str)]
        if len(sources) > 1 and len(known) < len(sources):
            absent.insert(0, f"{', '.join(sorted(sources.keys() - known.keys()))} has no such gate")
        scores = {method: one for method, one in known.items() if isinstance(one, CorpusScore)}
        yield RankReport(case, name, reason=absent[0]) if absent else _ranked(case, name, scores, None, args)


def _ranked(
    case: str, gate: str, scores: Mapping[str, CorpusScore], features: Features | None, args: argparse.Namespace
) -> RankReport:
    try:
        found = rank(gate, scores, features, alpha=args.alpha, min_n=args.min_n, common=args.common)
    except VidmetricsError as error:
        return RankReport(case, gate, reason=str(error))
    return RankReport(case, gate, tuple(table(found)), found.result())


def _of_folders(sources: Mapping[str, Path], args: argparse.Namespace) -> Iterator[RankReport]:
    """Yield the rankings of folders, whose clips are scored unless the store of the user's cache has their scores."""
    from pytest_vidmetrics.core.cache import get_cache_dir
    from pytest_vidmetrics.engine.corpus import score_corpus
    from pytest_vidmetrics.engine.store import FileStore
    from pytest_vidmetrics.engine.worker import EvalWorker
    from pytest_vidmetrics.metrics import registry
    from pytest_vidmetrics.metrics.sets.base import SetMetric

    names = [name for name in args.metrics.split(",") if name]
    if not names:
        raise VidmetricsError("say by which metrics: --metrics common.psnr,common.kvd")
    names = registry.expand(names)
    references = {} if args.reference is None else _clips(args.reference)
    corpora = {name: _corpus(path, references) for name, path in sources.items()}
    if references and any("reference" in registry.metric_class(name)().required_keys() for name in names):
        _check_pairs(sources, corpora)
    worker = EvalWorker(FileStore(get_cache_dir() / "store"), args.device)
    case = " against ".join(sources)
    for name in names:
        try:
            metric = registry.get_metric(name)
            scores = {method: score_corpus(metric, corpus, worker) for method, corpus in corpora.items()}
            features = None
            if isinstance(metric, SetMetric):
                own = {method: {one.id: one.id for one in corpus.samples} for method, corpus in corpora.items()}
                features = features_of(metric, corpora, own, worker)
        except VidmetricsError as error:
            yield RankReport(case, name, reason=str(error))
            continue
        yield _ranked(case, name, scores, features, args)


def _check_pairs(sources: Mapping[str, Path], corpora: Mapping[str, Corpus]) -> None:
    for name, corpus in corpora.items():
        if alone := [one.id for one in corpus.samples if "reference" not in one.values]:
            raise VidmetricsError(
                f"{sources[name]}: {len(alone)} clips have no reference of their name: {some(alone)}. A pattern says "
                f"which part of a file is its name: '{name}={sources[name]}/{{category}}/{{id}}_{name}.mp4'"
            )


def _clips(place: Path) -> dict[str, Path]:
    """Return the clips of a folder or a pattern by id: the name below the folder, or the parts of the pattern."""
    if has_parts(str(place)):
        case = Case("rank", Location(Path("rank"), 1), {})
        files = files_of(case, "video", [str(place)], None).found
        named = [("/".join(one.parts.values()), one.path) for one in files]
    else:
        named = [(f"{one.category}/{one.id}" if one.category else one.id, one.video) for one in listed(place, ())]
    found: dict[str, Path] = {}
    for name, path in named:
        id = clean_id(name)
        if (other := found.setdefault(id, path)) != path:
            raise VidmetricsError(f"{other} and {path} have the same id ({id!r}); rename one of them")
    return found


def _corpus(place: Path, references: Mapping[str, Path]) -> Corpus:
    """Return the clips of a method with the references of their names, and all references as a set."""
    samples = []
    for id, path in _clips(place).items():
        paired = {"reference": str(references[id])} if id in references else {}
        samples.append(Sample(id, {"video": str(path), **paired}))
    # All of them, also those without a partner: a set metric compares with the whole set.
    known = tuple(Sample(id, {"video": str(path)}, "reference") for id, path in references.items())
    return Corpus(tuple(samples), known)
