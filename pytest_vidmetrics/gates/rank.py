"""Rankings of methods: from their scores to a table, a JSON file, and the result files of the usage guide."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.scores import CorpusScore

if TYPE_CHECKING:
    import numpy as np

    from pytest_vidmetrics.stats.ranking import Ranking

SCHEMA = 1

Statistic = Callable[["np.ndarray", "np.ndarray"], float]


@dataclass(frozen=True)
class Features:
    """What a set metric is ranked by: each method's rows and the references', ``(k, D)`` by sample id.

    ``by_covariance``: the statistic fits a covariance, so that it needs more rows than features.
    """

    methods: Mapping[str, Mapping[str, np.ndarray]]
    reference: Mapping[str, np.ndarray]
    statistic: Statistic
    by_covariance: bool = True


@dataclass(frozen=True)
class RankedGate:
    """One gate's ranking of the methods of a case."""

    gate: str
    metric: str
    higher_is_better: bool
    ranking: Ranking


def rank(
    gate: str, scores: Mapping[str, CorpusScore], features: Features | None = None, alpha: float = 0.05
) -> RankedGate:
    """Rank the methods of a case by one gate, on the same samples.

    Samples of one cluster (the seeds of a prompt) count as one. A set metric needs its ``features``: all methods are
    resampled together, against the same references. Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` when
    a method has no score or other samples, and for a set metric with no more independent samples than dimensions,
    whose distance says more about their number than about the methods.
    """
    from pytest_vidmetrics.stats.ranking import rank_means, rank_sets

    for method, score in scores.items():
        if score.problems:
            first = score.problems[0]
            raise VidmetricsError(f"{method}: {len(score.problems)} problems; first: {first.sample}: {first.reason}")
        if score.score is None:
            raise VidmetricsError(f"{method}: no sample was scored")
    one = next(iter(scores.values()))
    differing = [name for name, score in scores.items() if score.metric != one.metric]
    if differing:
        raise VidmetricsError(f"{differing[0]} was scored with another metric, version, weights or decoder")
    clusters = dict(one.clusters) or None
    try:
        if not one.is_set:
            by_method = {name: dict(score.samples) for name, score in scores.items()}
            ranking = rank_means(by_method, clusters, higher_is_better=one.higher_is_better, alpha=alpha)
        elif features is None:
            raise VidmetricsError(f"{gate} has one score for a whole set and no features to resample: it is not ranked")
        else:
            _check_dimension(gate, features)
            ranking = rank_sets(
                features.methods,
                features.reference,
                features.statistic,
                clusters,
                higher_is_better=one.higher_is_better,
                alpha=alpha,
            )
    except ValueError as error:
        raise VidmetricsError(f"{gate}: {error}") from error
    return RankedGate(gate, str(one.metric.get("name", gate)), one.higher_is_better, ranking)


def _check_dimension(gate: str, features: Features) -> None:
    """Refuse sets that are too small for a covariance: their distance grows with their size alone."""
    rows = next(iter(features.methods.values()))
    dimension = next(iter(rows.values())).shape[-1]
    count = sum(len(block) for block in rows.values())
    if features.by_covariance and count <= dimension:
        raise VidmetricsError(
            f"{gate}: {count} rows of {dimension} features cannot be ranked by a Fréchet distance; "
            "take more clips, or rank by a kernel distance (common.kvd)"
        )


def table(ranked: RankedGate) -> list[tuple[str, ...]]:
    """Return the rows of a text table, the heading first; the best method comes first."""
    ranking = ranked.ranking
    rows: list[tuple[str, ...]] = [("rank", "method", ranked.gate, "95 % interval", "behind the first", "ranks")]
    best = ranking.places[0].method
    for place in ranking.places:
        found = next((d for d in ranking.differences if {d.first, d.second} == {best, place.method}), None)
        behind = ""
        if found is not None:
            low, high = (found.low, found.high) if found.first == best else (-found.high, -found.low)
            worse = found.better if found.first == best else -found.better
            behind = f"{worse:.4g} [{low:.4g}, {high:.4g}]" + ("" if found.apart else ", not told apart")
        span = f"{place.best}" if place.best == place.worst else f"{place.best} to {place.worst}"
        score, reach = f"{place.score:.5g}", f"{place.low:.5g} to {place.high:.5g}"
        rows.append((str(place.rank), place.method, score, reach, behind, span))
    return rows


def markdown(gates: Sequence[RankedGate], skipped: Mapping[str, str]) -> str:
    """Return the rankings as Markdown, with what could not be ranked and why."""
    parts = []
    for ranked in gates:
        direction = "higher" if ranked.higher_is_better else "lower"
        head, *rows = table(ranked)
        lines = [f"### {_cell(ranked.gate)} ({direction} is better, {ranked.ranking.n} independent samples)", ""]
        lines += [f"| {' | '.join(map(_cell, head))} |", f"|{' --- |' * len(head)}"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
        parts.append("\n".join(lines))
    parts += [f"### {_cell(gate)}\n\nnot ranked: {_cell(reason)}" for gate, reason in skipped.items()]
    note = "Methods that are not told apart from the best share its rank (Holm over all pairs of a gate).\n"
    return "\n\n".join([*parts, note])


def _cell(text: str) -> str:
    """Return text that cannot leave its cell or become markup."""
    plain = " ".join(text.split()).replace("\\", "\\\\")
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def to_json(gates: Sequence[RankedGate], skipped: Mapping[str, str], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``ranking.json``."""
    found = {
        one.gate: {
            "metric": one.metric,
            "higher_is_better": one.higher_is_better,
            "n": one.ranking.n,
            "alpha": one.ranking.alpha,
            "methods": [asdict(place) for place in one.ranking.places],
            "differences": [asdict(pair) for pair in one.ranking.differences],
        }
        for one in gates
    }
    return {"schema": SCHEMA, **facts, "gates": found, "not_ranked": dict(skipped)}


def write_guide_files(
    folder: Path,
    scores: Mapping[str, float],
    shapes: Mapping[str, tuple[Sequence[int], Sequence[int]]],
    directories: Mapping[str, str],
    reference: str,
    timestamp: str,
) -> list[Path]:
    """Write the result and summary files of the usage guide, so that what reads them keeps working.

    ``shapes`` are those of the reference and of the generated features, by method. The names are
    ``fvd_<method>_<time>.json`` and ``benchmark_summary_<time>.json``. Raises ``OSError``.
    """
    written, methods = [], {}
    for method, score in scores.items():
        real, generated = shapes[method]
        path = folder / f"fvd_{method}_{timestamp}.json"
        body = {
            "fvd": score,
            "num_real_videos": int(real[0]),
            "num_generated_videos": int(generated[0]),
            "real_features_shape": list(map(int, real)),
            "generated_features_shape": list(map(int, generated)),
            "real_videos_dir": reference,
            "generated_videos_dir": directories[method],
        }
        write_atomic(path, _text(body))
        methods[method] = {"fvd": score, "num_videos": int(generated[0]), "output_file": str(path)}
        written.append(path)
    summary = folder / f"benchmark_summary_{timestamp}.json"
    write_atomic(summary, _text({"timestamp": timestamp, "reference_dir": reference, "methods": methods}))
    return [*written, summary]


def _text(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()
