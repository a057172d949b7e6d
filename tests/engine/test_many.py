"""Gates of very many clips: the numbers that all features at once give, without holding them."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_vidmetrics.core.hashing import digest_file
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import corpus as module
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.work import Outcome, Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric
from pytest_vidmetrics.stats import kernel_blocks
from tests.support.clips import scene, write_clip


class Stored:
    """A worker whose store holds the features of every clip but some; counts how many are in memory at once."""

    digest = staticmethod(digest_file)

    def __init__(self, without: str = "", threads: int = 1, width: int = 37, not_finite: str = "") -> None:
        self.without, self.threads, self.width, self.not_finite = without, threads, width, not_finite
        self.most = 0
        self._held = 0

    def _let_go(self) -> None:
        self._held -= 1

    def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
        for unit in units:
            path = unit.values["video"]
            number = int(path.rpartition("/")[2])
            shape = (1, self.width)
            rows = np.random.default_rng(number).normal(size=shape) * np.linspace(0.1, 3.0, self.width) + 50.0
            if path == self.not_finite:
                rows[0, 3] = np.nan
            lost = Outcome(MetricResult.failed("", "not in the store"))
            if "cand" in path:
                rows += 0.3
            weakref.finalize(rows, self._let_go).atexit = False
            self._held += 1
            self.most = max(self.most, self._held)
            yield [lost if path == self.without else Outcome(rows=rows)]

    def weights(self, metric: BaseMetric) -> dict[str, str]:
        return {}


def corpus(n: int, m: int) -> Corpus:
    return Corpus(
        tuple(Sample(f"s{i:03d}", {"video": f"cand/{i}"}) for i in range(n)),
        tuple(Sample(f"r{i:03d}", {"video": f"ref/{1000 + i}"}, "reference") for i in range(m)),
    )


def alike(streamed: CorpusScore, whole: CorpusScore, rel: float) -> None:
    """Compare all that the two say, but for details that only one has."""
    assert (whole.problems, streamed.problems) == ((), ())
    assert streamed.score == pytest.approx(whole.score, rel=rel)
    assert streamed.samples.keys() == whole.samples.keys()
    largest = max(map(abs, whole.samples.values()))
    assert [streamed.samples[id] for id in whole.samples] == pytest.approx(
        list(whole.samples.values()), abs=rel * largest
    )
    unlike = {"details", "score", "samples"}
    assert {name: value for name, value in vars(streamed).items() if name not in unlike} == {
        name: value for name, value in vars(whole).items() if name not in unlike
    }
    assert not streamed.details.keys() - whole.details.keys() - {"reduction"}
    for name in whole.details.keys() & streamed.details.keys() - {"p_value"}:
        value = whole.details[name]
        assert streamed.details[name] == (pytest.approx(value, rel=rel) if isinstance(value, float) else value)


def test_a_distance_from_moments_is_that_of_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    metric, clips = registry.get_metric("common.fvd", extractor="motion_energy"), corpus(1200, 700)
    holds_all, holds_few = Stored(), Stored()
    whole = score_corpus(metric, clips, holds_all)
    monkeypatch.setattr(module, "LARGE", 100)
    streamed = score_corpus(metric, clips, holds_few)
    assert (holds_all.most, holds_few.most < 600) == (1900, True)
    assert (whole.details.get("reduction"), streamed.details["reduction"]) == (None, "moments")
    assert {"mean_term", "covariance_term", "se", "n_generated", "dimension"} <= streamed.details.keys()
    alike(streamed, whole, rel=1e-6)


def test_a_kernel_distance_by_blocks_is_that_of_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    metric, clips = registry.get_metric("common.kvd", extractor="motion_energy"), corpus(1200, 700)
    whole = score_corpus(metric, clips, Stored())
    monkeypatch.setattr(module, "LARGE", 100)
    workers = [Stored(threads=threads) for threads in (1, 2)]
    streamed, again = (score_corpus(metric, clips, worker) for worker in workers)
    assert max(worker.most for worker in workers) < 10
    assert (whole.details.get("reduction"), streamed.details["reduction"]) == (None, "blocks")
    assert {"se", "p_value", "n_generated", "dimension"} <= streamed.details.keys()
    alike(streamed, whole, rel=1e-9)
    assert again == streamed


def test_the_distance_of_sounds_from_moments_is_that_of_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    metric, clips = registry.get_metric("audio.frechet_distance"), corpus(130, 120)
    whole = score_corpus(metric, clips, Stored(width=768))
    monkeypatch.setattr(module, "LARGE", 100)
    streamed = score_corpus(metric, clips, Stored(width=768))
    assert streamed.details["reduction"] == "moments"
    assert whole.details.keys() - streamed.details.keys() == {"null_floor", "null_floor_n", "kad"}
    alike(streamed, whole, rel=1e-6)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device without space is needed")
@pytest.mark.parametrize("clips", [corpus(120, 110), corpus(1200, 3)], ids=["at the end", "meanwhile"])
def test_a_full_disk_is_one_clear_error(clips: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(Path("/dev/full").open, "wb"))
    found = score_corpus(registry.get_metric("common.kvd", extractor="motion_energy"), clips, Stored())
    assert found.score is None
    assert "No space left on device; TMPDIR names another folder" in found.problems[0].reason


@pytest.mark.parametrize("name", ["common.fvd", "common.kvd"])
def test_files_through_a_worker_are_scored_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def samples(kind: str, seeds: range) -> tuple[Sample, ...]:
        paths = [write_clip(tmp_path / kind / f"{seed}.mp4", scene(seed, height=32, width=32)) for seed in seeds]
        return tuple(Sample(path.stem, {"video": str(path)}, kind) for path in paths)

    metric, worker = registry.get_metric(name, extractor="motion_energy"), EvalWorker(MemoryStore(), "cpu")
    clips = Corpus(samples("generated", range(4)), samples("reference", range(10, 16)))
    whole = score_corpus(metric, clips, worker)
    monkeypatch.setattr(module, "LARGE", 5)  # there are more references
    streamed = score_corpus(metric, clips, worker)
    assert (whole.details.get("reduction"), bool(streamed.details["reduction"])) == (None, True)
    assert streamed.clips == whole.clips
    assert streamed.clips
    alike(streamed, whole, rel=1e-6)


@pytest.mark.parametrize("kernel", ["gaussian", "polynomial"])
def test_the_kernel_distance_of_sounds_by_blocks_is_that_of_all_features(
    kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, clips = registry.get_metric("audio.kad", kernel=kernel), corpus(130, 120)
    whole = score_corpus(metric, clips, Stored(width=768))
    monkeypatch.setattr(module, "LARGE", 100)
    monkeypatch.setattr(kernel_blocks, "BLOCK", 50)
    streamed = score_corpus(metric, clips, Stored(width=768))
    assert streamed.details["reduction"] == "blocks"
    assert whole.details.keys() - streamed.details.keys() == set()
    alike(streamed, whole, rel=1e-9)


@pytest.mark.parametrize("name", ["common.fvd", "common.kvd"])
def test_a_file_of_reference_features_is_written_and_read_part_by_part(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def metric(file: str, mode: str = "read_write") -> BaseMetric:
        path = str(tmp_path / file)
        return registry.get_metric(name, extractor="motion_energy", cache_path=path, cache_mode=mode)

    def contents(file: str) -> list[Any]:
        with np.load(tmp_path / file, allow_pickle=False) as found:
            return [found["rows"].tolist(), found["owners"].tolist(), str(found["key"])]

    clips, alone = corpus(130, 120), corpus(130, 0)
    whole = score_corpus(metric("whole.npz"), clips, Stored())
    cached = score_corpus(metric("whole.npz"), alone, Stored())
    monkeypatch.setattr(module, "LARGE", 100)
    lost = score_corpus(metric("lost.npz"), clips, Stored("ref/1003"))
    assert (lost.score, (tmp_path / "lost.npz").exists()) == (None, False)
    streamed = score_corpus(metric("streamed.npz"), clips, Stored())
    alike(streamed, whole, rel=1e-6)
    assert contents("streamed.npz") == contents("whole.npz")
    again = score_corpus(metric("whole.npz", "read"), alone, Stored())
    assert (again.details["ref_source"], again.reference) == ("cached", cached.details["ref_set"])
    assert (again.score, "reduction" in again.details) == (streamed.score, True)
    alike(again, cached, rel=1e-6)
    none = score_corpus(metric("none.npz"), alone, Stored())
    assert [one.reason for one in none.problems] == ["no reference clips were accumulated, and none.npz does not exist"]


def test_a_file_that_holds_no_such_features_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    path = tmp_path / "a.npz"

    def reason(extractor: str = "motion_energy", protocol: Any = None) -> str:
        metric = registry.get_metric("common.fvd", extractor=extractor, protocol=protocol, cache_path=str(path))
        found = score_corpus(metric, corpus(120, 0), Stored())
        assert found.score is None
        return found.problems[0].reason

    score_corpus(
        registry.get_metric("common.fvd", extractor="motion_energy", cache_path=str(path)), corpus(120, 110), Stored()
    )
    data = path.read_bytes()
    assert "of another extractor, protocol or checkpoint" in reason(protocol={"frames": 8})
    for damaged in (data[:500], b"", b"no archive", data[:-200]):
        path.write_bytes(damaged)
        assert "holds no reference features" in reason()
    path.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    assert "a.npz is damaged: Bad CRC-32" in reason()
    np.savez(path, rows=np.ones((3, 4), np.float32), key="k", owners=np.array(["a", "b", "c"]))
    assert "not rows of float64" in reason()


@pytest.mark.parametrize("name", ["common.fvd", "common.kvd", "audio.frechet_distance", "audio.kad"])
@pytest.mark.parametrize(("path", "named"), [("cand/7", "s007"), ("ref/1003", "r003")])
def test_features_that_are_not_finite_name_their_clip(
    path: str, named: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    extra = {} if name.startswith("audio") else {"extractor": "motion_energy"}
    found = score_corpus(registry.get_metric(name, **extra), corpus(120, 110), Stored(not_finite=path))
    assert found.score is None
    assert [one.reason for one in found.problems] == [f"features are not finite: {named}"]


@pytest.mark.parametrize("name", ["common.fvd", "common.kvd"])
@pytest.mark.parametrize(("without", "named"), [("cand/7", "s007"), ("ref/1003", "reference r003")])
def test_a_clip_without_features_is_named_and_there_is_no_score(
    without: str, named: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    found = score_corpus(registry.get_metric(name, extractor="motion_energy"), corpus(120, 110), Stored(without))
    assert found.score is None
    assert [(one.sample, one.reason) for one in found.problems] == [(named, "not in the store")]


@pytest.mark.parametrize("name", ["common.kvd", "common.prdc"])
def test_what_needs_all_pairs_compares_a_part_that_is_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    metric = registry.get_metric(name, extractor="motion_energy", cache_path=str(tmp_path / "a.npz"))
    monkeypatch.setattr(type(metric), "most_clips", 60)
    found, again = (score_corpus(metric, corpus(150, 90), Stored()) for _ in range(2))
    assert (found.n, found.details["reduction"]) == (60, "subsample")
    assert found.remarks == (f"{name} compares 60 of 150 clips, chosen by their ids, with 60 of 90 references",)
    assert (found.score, found.samples) == (again.score, again.samples)
    assert not list(tmp_path.iterdir())  # a part of the references is not kept as if it were the set
    # The choice is by id: two clips more change few others.
    more = score_corpus(metric, corpus(152, 90), Stored())
    assert len(found.samples.keys() & more.samples.keys()) >= 58


def test_scores_without_details_make_the_same_corpus_score(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scored(Stored):
        def stream(self, units: Iterable[Unit]) -> Iterator[list[Outcome]]:
            for unit in units:
                number = int(unit.values["video"].rpartition("/")[2])
                result = MetricResult("m", number / 7, {"per_frame": [number]})
                yield [Outcome(result if number % 50 else MetricResult.failed("m", f"no {number}"))]

    metric = registry.get_metric("vbench.temporal_flickering")
    whole = score_corpus(metric, corpus(200, 0), Scored())
    monkeypatch.setattr(module, "LARGE", 100)
    assert score_corpus(metric, corpus(200, 0), Scored()) == whole
    assert len(whole.problems) == 4
    kept = module._collected(metric, corpus(200, 0).samples, Scored())
    assert {id for id, one in kept.items() if one.result and one.result.details} == {
        one.sample for one in whole.problems
    }
    assert registry.get_metric("vbench.temporal_flickering", static_filter=True).looks_at_details()
