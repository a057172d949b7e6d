"""Score clips and print the results as JSON, without a baseline and without a verdict."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vidmetrics.commands._json import to_json
from pytest_vidmetrics.core.types import EvalResults, MetricResult, Video

HELP = "score clips, print JSON"
_MEDIA = ("video", "reference", "audio", "reference_audio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("video", nargs="*", metavar="VIDEO", help="generated clips: files, folders or globs")
    parser.add_argument("--metrics", default="all", metavar="SEL", help="metrics and groups, by comma")
    parser.add_argument("--reference", nargs="+", metavar="PATH", help="reference clips, paired by file stem")
    parser.add_argument("--audio", nargs="+", metavar="PATH", help="generated audio")
    parser.add_argument("--reference-audio", nargs="+", metavar="PATH", help="reference audio")
    parser.add_argument("--extract-audio", action="store_true", help="take the audio out of the clips")
    parser.add_argument("--text-prompt", help="the prompt of every clip")
    parser.add_argument("--text-prompts", metavar="FILE", help=".json or .jsonl with one prompt per clip")
    parser.add_argument("--fps", type=float, help="frames per second (default: what the file says)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--num-gpus", type=int, default=1)
    parser.add_argument("--loader-threads", type=int, default=2, help="decoding threads")
    parser.add_argument(
        "--param", action="append", default=[], metavar="METRIC:KEY=VALUE", help="a metric's argument; repeatable"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write here instead of to the terminal")


def run(args: argparse.Namespace) -> int:
    """Score and print. Returns 1 when something failed, was left out, or when a metric named itself has no score."""
    from tqdm import tqdm

    from pytest_vidmetrics.datasets.folders import AUDIO_SUFFIXES, VIDEO_SUFFIXES, samples_from
    from pytest_vidmetrics.engine.evaluator import Evaluator

    samples = samples_from(
        video=_expand(args.video, VIDEO_SUFFIXES) if args.video else None,
        reference=_expand(args.reference, VIDEO_SUFFIXES) if args.reference else None,
        audio=_expand(args.audio, AUDIO_SUFFIXES) if args.audio else None,
        reference_audio=_expand(args.reference_audio, AUDIO_SUFFIXES) if args.reference_audio else None,
        text_prompt=args.text_prompt,
        text_prompts=Path(args.text_prompts) if args.text_prompts else None,
        fps=args.fps,
        extract_audio=args.extract_audio,
    )
    selection = [name for name in args.metrics.split(",") if name]
    evaluator = Evaluator(
        selection,
        args.device,
        args.num_gpus,
        loader_threads=args.loader_threads,
        metric_kwargs=_params(args.param),
    )
    with evaluator:
        # What is counted is the clips taken up, a few ahead of those that are scored.
        results = evaluator.evaluate(tqdm(samples, unit="clip", leave=False, disable=None))
        provenance = evaluator.provenance()
    text = to_json(_document(samples, results, provenance))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    problems = _problems(results, [name for name in selection if name in evaluator.explicit_metrics])
    if left_out := evaluator.unavailable:
        problems.append(f"{len(left_out)} metrics are left out: {', '.join(left_out)}")
    sys.stderr.write("".join(f"{line}\n" for line in problems))
    return 1 if problems else 0


def _expand(patterns: Iterable[str], suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of paths, folders and globs, each once."""
    found: dict[Path, Path] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            matches = sorted(one for one in path.iterdir() if one.is_file() and one.suffix.lower() in suffixes)
        elif path.exists():
            matches = [path]
        else:
            matches = sorted(one for one in _glob(path) if one.is_file())
        if not matches:
            raise FileNotFoundError(f"{pattern}: no {suffixes[0]} or similar file there")
        for one in matches:
            found.setdefault(one.resolve(), one)
    return list(found.values())


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
