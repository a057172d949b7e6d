"""A score from a process of its own: the same bits, and faults that are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.samples import Corpus, Sample
from pytest_vidmetrics.engine.corpus import score_corpus
from pytest_vidmetrics.engine.other_process import score_in_another
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.gates.calibrate import scoring_noise
from pytest_vidmetrics.metrics import registry
from tests.support.clips import scene, write_clip


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tuple(Sample(id, {"video": str(write_clip(tmp_path / f"{id}.mp4", scene(3)))}) for id in ("a", "b")))


def test_another_process_gives_the_same_bits_and_this_one_computes_nothing(corpus: Corpus) -> None:
    metric, worker = registry.get_metric("vbench.temporal_flickering"), EvalWorker(MemoryStore())
    found = score_in_another(metric, corpus, worker)
    assert worker.counts.computed == 0
    own = score_corpus(metric, corpus, worker)
    assert (found.score, found.samples, found.problems) == (own.score, own.samples, ())


def test_a_clip_that_fails_there_is_named_and_there_is_no_noise(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = registry.get_metric("vbench.temporal_flickering")
    monkeypatch.setattr(type(metric), "noise_between_processes", True)
    Path(corpus.samples[1].path).write_bytes(b"not a clip")
    with pytest.raises(VidmetricsError, match=r"^b: .*b\.mp4"):
        scoring_noise(metric, corpus, EvalWorker(MemoryStore()), 2)
    with pytest.raises(VidmetricsError, match="another process cannot score these samples"):
        score_in_another(metric, Corpus((Sample("a", {"video": object()}),)), EvalWorker(MemoryStore()))
