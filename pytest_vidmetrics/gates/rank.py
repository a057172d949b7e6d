"""Rankings of methods: from their scores on the same samples to who is better, and who is not told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.samples import Corpus
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.engine.corpus import Scoring, rows_of
from pytest_vidmetrics.metrics.sets.base import SetMetric
from pytest_vidmetrics.metrics.sets.features import FeatureSet

if TYPE_CHECKING:
    import numpy as np

    from pytest_vidmetrics.stats.ranking import Ranking

Statistic = Callable[["np.ndarray", "np.ndarray"], float]


@dataclass(frozen=True)
class Features:
    """What a set metric is ranked by: each method's rows and the references', ``(k, D)`` by sample id.

    ``dimension`` of the ``D`` features are compared. ``by_covariance``: the statistic fits a covariance, so that it
    needs more rows than features.
    """

    methods: Mapping[str, Mapping[str, np.ndarray]]
    reference: Mapping[str, np.ndarray]
    statistic: Statistic
    dimension: int
    by_covariance: bool = True


def features_of(
    metric: SetMetric, corpora: Mapping[str, Corpus], places: Mapping[str, Mapping[str, str]], worker: Scoring
) -> Features:
    """Return what a set metric is ranked by, computing what the store does not hold; the references are the first's.

    ``places`` are the ids that samples of all methods have in common, by method and by the ids of the corpus. Raises
    :class:`~pytest_vidmetrics.core.errors.VidmetricsError` for a clip without features.
    """
    methods = {}
    for name, corpus in corpora.items():
        found = rows_of(metric, corpus.of(metric.name).samples, worker)
        methods[name] = {places[name][id]: rows for id, rows in found.items()}
    reference = rows_of(metric, next(iter(corpora.values())).references, worker)
    if not reference:
        raise VidmetricsError(f"{metric.name} needs references to rank methods by their distance to them")

    def statistic(one: np.ndarray, two: np.ndarray) -> float:
        # Numbers of fixed width: their order as text is the order of the rows.
        sides = (FeatureSet(rows, tuple(f"{i:08}" for i in range(len(rows)))) for rows in (one, two))
        score = metric.bare(*sides)
        if score is None:
            raise VidmetricsError(f"{metric.name} gives no score for a half of the samples: it is not ranked")
        return score

    # The number of features is the same for all methods.
    dimension = metric.dimension(FeatureSet.join(next(iter(methods.values()))))
    return Features(methods, reference, statistic, dimension, metric.uses_covariance)


@dataclass(frozen=True)
class RankedGate:
    """One gate's ranking of the methods of a case."""

    gate: str
    metric: str
    higher_is_better: bool
    ranking: Ranking
    remarks: tuple[str, ...] = ()

    def result(self) -> dict[str, Any]:
        """Return what ``ranking.json`` says of it."""
        return {
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "n": self.ranking.n,
            "alpha": self.ranking.alpha,
            "methods": [asdict(place) for place in self.ranking.places],
            "differences": [asdict(pair) for pair in self.ranking.differences],
            "remarks": list(self.remarks),
        }


def rank(
    gate: str,
    scores: Mapping[str, CorpusScore],
    features: Features | None = None,
    *,
    alpha: float = 0.05,
    min_n: int | None = None,
    common: Literal["refuse", "intersect"] = "refuse",
) -> RankedGate:
    """Rank the methods of a case by one gate, on the same samples.

    Samples of one cluster (the seeds of a prompt) count as one. A set metric needs its ``features``: all methods are
    resampled together, against the same references. ``common="intersect"`` ranks on the samples that all methods have,
    and says so. Raises :class:`~pytest_vidmetrics.core.errors.VidmetricsError` when a method has no score or other
    samples, for a score that is not the mean of its samples, and for a distance of covariances with no more rows than
    dimensions, which says more about their number than about the methods: unless ``min_n`` says how many are enough.
    """
    from pytest_vidmetrics.stats.ranking import rank_means, rank_sets

    for method, score in scores.items():
        if score.problems:
            first = score.problems[0]
            raise VidmetricsError(f"{method}: {len(score.problems)} problems; first: {first.sample}: {first.reason}")
        if score.score is None:
            raise VidmetricsError(f"{method}: no sample was scored")
    one = next(iter(scores.values()))
    # A difference between methods would be one between metrics.
    differing = [name for name, score in scores.items() if score.metric != one.metric]
    if differing:
        raise VidmetricsError(f"{differing[0]} was scored with another metric, version, weights or decoder")
    clusters = {id: label for score in scores.values() for id, label in score.clusters.items()} or None
    values = {name: dict(score.samples) for name, score in scores.items()}
    shared = set.intersection(*map(set, values.values()))
    left_out = {id for own in values.values() for id in own} - shared
    remarks: tuple[str, ...] = ()
    if left_out and common == "intersect":
        values = {name: {id: own[id] for id in own if id in shared} for name, own in values.items()}
        remarks = (f"ranked on the {len(shared)} samples that all methods have; {len(left_out)} others are left out",)
    try:
        if one.is_mean:
            ranking = rank_means(values, clusters, higher_is_better=one.higher_is_better, alpha=alpha)
        elif features is None:
            raise VidmetricsError(f"{gate} has one score for a whole set and no features to resample: it is not ranked")
        else:
            rows = {name: {id: features.methods[name][id] for id in own} for name, own in values.items()}
            chosen = replace(features, methods=rows)
            remarks += _check_dimension(gate, chosen, min_n)
            ranking = rank_sets(
                chosen.methods,
                chosen.reference,
                chosen.statistic,
                clusters,
                higher_is_better=one.higher_is_better,
                alpha=alpha,
            )
    except ValueError as error:
        raise VidmetricsError(f"{gate}: {error}") from error
    return RankedGate(gate, str(one.metric.get("name", gate)), one.higher_is_better, ranking, remarks)


def check_clips_alike(facts: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse methods whose clips differ in length, size or rate: what is compared would not be the methods alone.

    ``facts`` are ``{method: {"frames", "width", "height", "fps"}}``, as far as they are known. Raises
    :class:`~pytest_vidmetrics.core.errors.VidmetricsError`.
    """
    names = sorted(facts)
    for key in ("frames", "width", "height", "fps"):
        known = [(name, facts[name][key]) for name in names if key in facts[name]]
        for name, value in known[1:]:
            if value != known[0][1]:
                raise VidmetricsError(
                    f"clips of {known[0][0]} have {key} = {known[0][1]}, those of {name} {value}: "
                    "make them alike, or compare the methods in cases of their own"
                )


def _check_dimension(gate: str, features: Features, min_n: int | None) -> tuple[str, ...]:
    """Refuse sets that are too small for a covariance: their distance grows with their size alone."""
    rows, dimension = next(iter(features.methods.values())), features.dimension
    count = sum(len(block) for block in rows.values())
    # With no more rows than features the covariance is singular.
    if not features.by_covariance or count > dimension:
        return ()
    found = f"{count} rows of {dimension} features"
    if min_n is None or count < min_n:
        raise VidmetricsError(
            f"{gate}: {found} cannot be ranked by a Fréchet distance; take more clips, rank by a kernel distance "
            f"(common.kvd), or say that they are enough: min_n = {count} in the gate of {gate}"
        )
    return (f"{found}: the covariances are singular, and a Fréchet distance is biased alike for all methods",)


def table(ranked: RankedGate) -> list[tuple[str, ...]]:
    """Return the rows of a text table, the heading first; the best method comes first."""
    ranking = ranked.ranking
    rows: list[tuple[str, ...]] = [("rank", "method", ranked.gate, "95 % interval", "behind the first", "ranks")]
    best = ranking.places[0].method
    for place in ranking.places:
        found = next((d for d in ranking.differences if {d.first, d.second} == {best, place.method}), None)
        behind = ""
        if found is not None:
            # Differences are stored for one order of the two methods.
            low, high = (found.low, found.high) if found.first == best else (-found.high, -found.low)
            worse = found.better if found.first == best else -found.better
            behind = f"{worse:.4g} [{low:.4g}, {high:.4g}]" + ("" if found.apart else ", not told apart")
        span = f"{place.best}" if place.best == place.worst else f"{place.best} to {place.worst}"
        score, reach = f"{place.score:.5g}", f"{place.low:.5g} to {place.high:.5g}"
        rows.append((str(place.rank), place.method, score, reach, behind, span))
    return rows
