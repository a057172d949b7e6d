"""Score clips and print the results as JSON, without a baseline and without a verdict."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.core.order import in_order
from pytest_vidmetrics.core.precision import PRECISIONS
from pytest_vidmetrics.core.types import EvalResults, MetricResult, Video
from pytest_vidmetrics.metrics import registry

HELP = "score clips, print JSON"
_MEDIA = ("video", "reference", "audio", "reference_audio")
_PAIRS = (("video", "reference"), ("audio", "reference_audio"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "video", nargs="*", metavar="VIDEO", help="generated clips: files, folders or globs; or one .jsonl or .parquet"
    )
    parser.add_argument("--metrics", default="all", metavar="SEL", help="metrics and groups, by comma")
    parser.add_argument("--reference", nargs="+", metavar="PATH", help="reference clips, see --pair")
    parser.add_argument("--audio", nargs="+", metavar="PATH", help="generated audio")
    parser.add_argument("--reference-audio", nargs="+", metavar="PATH", help="reference audio")
    parser.add_argument("--extract-audio", action="store_true", help="take the audio out of the clips")
    parser.add_argument(
        "--pair",
        choices=("stem", "position", "set"),
        default="stem",
        help="stem: clips and references of one name (default); position: in order, as many of each; set: no pairs",
    )
    parser.add_argument("--text-prompt", help="the prompt of every clip")
    parser.add_argument(
        "--text-prompts", metavar="FILE", help=".json or .jsonl with one prompt per clip, in natural order"
    )
    parser.add_argument("--fps", type=float, help="frames per second (default: what the file says)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=PRECISIONS, help="tf32 (default on GPUs), fp32 (elsewhere) or bf16")
    parser.add_argument("--num-gpus", type=int, default=1)
    parser.add_argument("--loader-threads", type=int, default=2, help="decoding threads")
    parser.add_argument(
        "--param", action="append", default=[], metavar="METRIC:KEY=VALUE", help="a metric's argument; repeatable"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write here instead of to the terminal")
    parser.add_argument("--store", metavar="URL", help="keep and look for results there: a folder, s3://, gs://, az://")
    parser.add_argument("--engine", default="local", metavar="NAME", help="for rows: local, ray, or an installed one")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="for rows: at most so many workers")
    parser.add_argument("--gpus-per-worker", type=float, default=0.0, metavar="G")


def run(args: argparse.Namespace) -> int:
    """Score and print. Returns 1 when something failed, was left out, or when a metric named itself has no score."""
    if len(args.video) == 1 and Path(args.video[0]).suffix.lower() in (".jsonl", ".parquet"):
        return _score_rows(args, Path(args.video[0]))
    if args.engine != "local":
        raise ValueError(f"--engine={args.engine} scores the rows of one .jsonl or .parquet file")
    from tqdm import tqdm

    from pytest_vidmetrics.datasets.folders import samples_from
    from pytest_vidmetrics.engine.evaluator import Evaluator

    given = {key: _expand(getattr(args, key), _kind(key)) for key in _MEDIA if getattr(args, key)}
    paths: dict[str, Any] = {key: found for key, (found, _) in given.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what has no partner is said below, and counts
        samples = samples_from(
            **paths,
            text_prompt=args.text_prompt,
            text_prompts=Path(args.text_prompts) if args.text_prompts else None,
            fps=args.fps,
            extract_audio=args.extract_audio,
            pair=args.pair,
        )
    selection = [name for name in args.metrics.split(",") if name]
    evaluator = Evaluator(
        selection,
        args.device,
        args.num_gpus,
        loader_threads=args.loader_threads,
        metric_kwargs=_params(args.param),
        skip_missing_deps=True,
        store=args.store,
        precision=args.precision,
    )
    with evaluator:
        # What is counted is the clips taken up, a few ahead of those that are scored.
        results = evaluator.evaluate(tqdm(samples, unit="clip", leave=False, disable=None))
        provenance, used = evaluator.provenance(), evaluator.metric_names
    text = to_json(_document(samples, results, {**provenance, "pair": args.pair}))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    problems = [f"{key}: {line}" for key, (_, left_out) in given.items() for line in left_out]
    problems += _unpaired(samples, args.pair, used)
    problems += _problems(results, [name for name in selection if name in evaluator.explicit_metrics])
    if left_out := evaluator.unavailable:
        problems += [f"{name}: {reason}" for name, reason in left_out.items() if name in evaluator.explicit_metrics]
        problems.append(f"{len(left_out)} metrics are left out: {', '.join(left_out)}")
    said = _paired_by_position(samples) if args.pair == "position" else []
    sys.stderr.write("".join(f"{line}\n" for line in [*said, *problems]))
    return 1 if problems else 0


def _score_rows(args: argparse.Namespace, path: Path) -> int:
    """Score the rows of a file through a store and print a line for each; set metrics are judged from the store."""
    from pytest_vidmetrics.core.cache import get_cache_dir
    from pytest_vidmetrics.engine.engines import Resources, get_engine
    from pytest_vidmetrics.engine.rows import RowTask, is_bad

    engine = get_engine(args.engine)
    task = RowTask(
        metrics=tuple(name for name in args.metrics.split(",") if name),
        store=args.store or str(get_cache_dir() / "store"),
        root=str(path.resolve().parent),
        params=_params(args.param),
        device=args.device,
        precision=args.precision,
    )
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    count = bad = 0
    with _output(args.output) as stream:
        for line in engine(path, task, Resources(args.workers, args.gpus_per_worker)):
            count += 1
            bad += is_bad(line)
            stream.write(json.dumps(line, sort_keys=True) + "\n")
    sys.stderr.write(f"{count} rows, {bad} with a metric that failed; results are in {task.store}\n")
    return 1 if bad else 0


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Open the file that lines go to: beside its name until it is whole."""
    if path is None:
        yield sys.stdout
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as stream:
        yield stream
    part.replace(path)


def _kind(key: str) -> Literal["video", "audio"]:
    return "audio" if "audio" in key else "video"


def _expand(patterns: Iterable[str], kind: Literal["video", "audio"]) -> tuple[list[Path], list[str]]:
    """Return the clips of paths, folders and globs, each once, and a line on each file that is left out.

    A link is a clip of its own, and one file that was named twice is one.
    """
    from pytest_vidmetrics.media.formats import kind_of, list_clips

    found: dict[str, Path] = {}
    left_out: list[str] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            listing = list_clips(path, kind)
            matches = list(listing.clips)
            left_out += [f"{one} is left out: {reason}" for one, reason in listing.left_out]
        elif path.exists():
            matches = [path]
        else:
            # Of a glob that says no suffix, what is clearly not a clip is left out.
            every = in_order((one for one in _glob(path) if not one.name.startswith(".")), str)
            matches = [one for one in every if one.is_dir() or kind_of(one) is not None] or every
            left_out += [f"{one} is left out: not a clip" for one in every if one not in matches]
        if not matches:
            raise FileNotFoundError(f"{pattern}: no {'.mp4' if kind == 'video' else '.wav'} or similar file there")
        for one in matches:
            found.setdefault(os.path.normpath(one.absolute()), one)
    return list(found.values()), left_out


def _unpaired(samples: Sequence[Mapping[str, Any]], pair: str, metrics: Iterable[str]) -> list[str]:
    """Return a line on the clips without a reference where others have one, and on references that no metric reads."""
    lines = []
    sets = any(registry.metric_class(name).is_set_metric for name in metrics)
    generated = [sample for sample in samples if sample.get("role") != "reference"]
    for key, clip in (("reference", "video"), ("reference_audio", "audio")):
        over = [sample[clip] for sample in samples if sample.get("role") == "reference" and clip in sample]
        alone = [sample.get(clip, sample.get("video")) for sample in generated if key not in sample]
        given = over or len(alone) < len(generated)
        if pair != "set" and given and alone:
            lines.append(f"{len(alone)} clips have no {key}: {_names(alone)}")
        if over and not sets:
            lines.append(f"{len(over)} files of {key} have no clip, and no set metric reads them: {_names(over)}")
    return lines


def _names(values: Sequence[Any], limit: int = 5) -> str:
    names = [Path(str(_path(value))).name for value in values]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _paired_by_position(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    pairs = [
        (sample[clip], sample[key]) for clip, key in _PAIRS for sample in samples if clip in sample and key in sample
    ]
    return [f"paired by position: {_names([one])} with {_names([other])}" for one, other in pairs]


def _glob(pattern: Path) -> Iterable[Path]:
    base = Path(pattern.anchor)
    parts = pattern.relative_to(base) if pattern.anchor else pattern
    return base.glob(str(parts))


def _params(entries: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``METRIC:KEY=VALUE``; a value that is JSON is taken as such, any other is text."""
    params: dict[str, dict[str, Any]] = {}
    for entry in entries:
        metric, colon, rest = entry.partition(":")
        key, equals, text = rest.partition("=")
        if not (colon and equals and metric and key):
            raise ValueError(f"--param {entry!r}: expected METRIC:KEY=VALUE")
        try:
            # JSON where it is: 7 is a number, and "seven" needs no quotes.
            value = json.loads(text)
        except ValueError:
            value = text
        params.setdefault(metric, {})[key] = value
    return params


def _document(
    samples: Sequence[Mapping[str, Any]], results: EvalResults, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    rows = []
    for sample, found in zip(samples, results, strict=True):
        # References that belong to no clip have no scores of their own.
        if sample.get("role") == "reference" and not found:
            continue
        row: dict[str, Any] = {key: _path(sample[key]) for key in _MEDIA if key in sample}
        rows.append({**row, "scores": {name: _result(one) for name, one in found.items()}})
    corpus = {name: _result(one) for name, one in results.corpus.items()}
    return {"schema": 1, "samples": rows, "corpus": corpus, "provenance": provenance}


def _path(value: Any) -> str | None:
    return value.source if isinstance(value, Video) else str(value)


def _result(one: MetricResult) -> dict[str, Any]:
    return {"name": one.name, "status": one.status, "score": one.score, "details": one.details}


def _problems(results: EvalResults, named: Sequence[str]) -> list[str]:
    entries = [(f"sample {i}", name, one) for i, found in enumerate(results) for name, one in found.items()]
    entries += [("corpus", name, one) for name, one in results.corpus.items()]
    lines = [f"{where}: {name}: {one.status}: {one.reason}" for where, name, one in entries if _is_bad(one)]
    scored = {name for _, name, one in entries if one.status == "scored"}
    lines += [f"{name}: no sample was scored" for name in named if name not in scored]
    return lines if lines or scored else ["nothing was scored"]


def _is_bad(one: MetricResult) -> bool:
    return one.status in ("failed", "unavailable")
