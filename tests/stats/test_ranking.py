from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_vidmetrics.stats.frechet import frechet
from pytest_vidmetrics.stats.ranking import Ranking, rank_means, rank_sets


def table(rng: np.random.Generator, shifts: dict[str, float], n: int = 40, noise: float = 0.5) -> dict:
    common = rng.normal(size=n)
    return {m: {f"p{i}": float(common[i] + s + noise * rng.normal()) for i in range(n)} for m, s in shifts.items()}


def ranks(ranking: Ranking) -> dict[str, int]:
    return {place.method: place.rank for place in ranking.places}


def test_a_clear_order_is_found_and_ties_share_a_rank() -> None:
    found = rank_means(table(np.random.default_rng(0), {"a": 0.0, "b": 2.0, "c": 0.0}))
    assert ranks(found) == {"b": 1, "a": 2, "c": 2}
    assert found.places[0].method == "b"
    assert (found.places[0].best, found.places[0].worst) == (1, 1)
    assert {(p.first, p.second): p.apart for p in found.differences} == {
        ("a", "b"): True,
        ("a", "c"): False,
        ("b", "c"): True,
    }


def test_direction_turns_the_order() -> None:
    scores = table(np.random.default_rng(0), {"a": 0.0, "b": 2.0})
    assert ranks(rank_means(scores, higher_is_better=False)) == {"a": 1, "b": 2}


def test_two_seeds_of_one_method_are_not_told_apart() -> None:
    apart = sum(
        rank_means(table(np.random.default_rng(seed), {"a": 0.0, "b": 0.0}, n=12)).differences[0].apart
        for seed in range(300)
    )
    assert apart <= 25  # five percent of 300, plus three deviations


def test_seeds_of_one_prompt_are_one_sample() -> None:
    rng = np.random.default_rng(5)
    base = table(rng, {"a": 0.0, "b": 0.1}, n=10)
    repeated = {m: {f"{id}-{seed}": v for id, v in row.items() for seed in range(20)} for m, row in base.items()}
    prompts = {f"p{i}-{seed}": f"p{i}" for i in range(10) for seed in range(20)}
    one, many = rank_means(base), rank_means(repeated, prompts)
    assert many.n == 10
    assert many.differences[0].p == pytest.approx(one.differences[0].p, rel=1e-9)


def clouds(rng: np.random.Generator, shifts: dict[str, float], n: int = 24, d: int = 6) -> tuple[dict, dict]:
    shared = rng.normal(size=(n, 1, d))
    rows = {
        m: {f"p{i}": 0.7 * shared[i] + s + 0.7 * rng.normal(size=(1, d)) for i in range(n)} for m, s in shifts.items()
    }
    return rows, {f"r{i}": rng.normal(size=(1, d)) for i in range(n)}


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return frechet(first, second).distance


def test_sets_are_ranked_by_distance_to_the_same_references() -> None:
    rows, reference = clouds(np.random.default_rng(2), {"near": 0.0, "far": 1.5, "also": 0.0})
    found = rank_sets(rows, reference, distance, draws=100)
    assert ranks(found) == {"near": 1, "also": 1, "far": 3}
    full = distance(
        np.concatenate(list(rows["far"].values())), np.concatenate([reference[k] for k in sorted(reference)])
    )
    assert {p.method: p.score for p in found.places}["far"] == pytest.approx(full, rel=1e-9)


def told_apart(runs: int, draws: int) -> int:
    found = 0
    for seed in range(runs):
        rows, reference = clouds(np.random.default_rng(seed), {"a": 0.0, "b": 0.0})
        found += rank_sets(rows, reference, distance, draws=draws).differences[0].apart
    return found


def test_equal_sets_are_rarely_told_apart() -> None:
    assert told_apart(12, 30) <= 3


@pytest.mark.slow
def test_equal_sets_are_told_apart_in_at_most_five_of_a_hundred_runs() -> None:
    assert told_apart(200, 60) <= 10


def test_a_ranking_is_the_same_every_time() -> None:
    rows, reference = clouds(np.random.default_rng(9), {"a": 0.0, "b": 0.3})
    again = {m: dict(reversed(row.items())) for m, row in rows.items()}
    assert rank_sets(rows, reference, distance, draws=50) == rank_sets(again, reference, distance, draws=50)


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        ({"a": {"x": 1.0, "y": 2.0}}, "at least 2 methods"),
        ({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 1.0, "z": 2.0}}, "other samples: y, z"),
        ({"a": {"x": 1.0}, "b": {"x": 1.0}}, "at least 2 independent"),
        ({"a": {"x": math.nan, "y": 1.0}, "b": {"x": 1.0, "y": 1.0}}, "finite"),
    ],
)
def test_what_cannot_be_ranked_is_one_clear_error(scores, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        rank_means(scores)


def test_copies_are_equal_without_doubt() -> None:
    one = {"x": 1.0, "y": 2.0, "z": 3.0}
    found = rank_means({"a": one, "b": one}).differences[0]
    assert (found.better, found.p, found.apart) == (0.0, 1.0, False)
    worse = rank_means({"a": one, "b": {k: v - 1 for k, v in one.items()}}).differences[0]
    assert (worse.better, worse.p, worse.apart) == (1.0, 0.0, True)
