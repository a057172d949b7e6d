"""Baselines of very many clips: the file stays small, and the store has to hold what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.engine.store import MemoryStore
from pytest_vidmetrics.gates import tables
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.baseline_text import baseline_text, decode_baseline
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.lifecycle import Gate
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.gates.seat import Seat

RECORDER = Recorder("manifest", "../a.vidmetrics.toml", "c", "m")


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGE", 10)


def observed(n: int, shift: float = 0.0) -> CorpusScore:
    samples = {f"s{number:03d}": number / 7 + shift * (number % 3) for number in range(n)}
    return CorpusScore(
        metric={"name": "m", "version": "1"},
        higher_is_better=True,
        score=sum(samples.values()) / n,
        samples=samples,
        paths={},
        sample_ids="ids",
        reference=None,
        is_mean=True,
        inputs={id: f"{number % 4}" for number, id in enumerate(samples)},
        clips={id: ClipFacts(16 + number % 2, 64, 48, 8.0, 2.0) for number, id in enumerate(samples)},
    )


def test_a_large_baseline_is_a_small_file_and_comes_back_whole() -> None:
    whole, store = Baseline.of(observed(300), RECORDER), MemoryStore()
    light = tables.without_table(whole, store)
    text = baseline_text(light)
    assert len(text) < 1500
    read = decode_baseline(text.encode(), "x")
    assert (read.n, dict(read.samples)) == (300, {})
    assert read.table is not None
    assert read.table.quantiles["0.5"] == pytest.approx(150 / 7, abs=0.1)
    back = tables.with_table(read, store, "x")
    assert back.same_as(whole)
    assert (back.samples, back.scores.inputs, back.scores.clips) == (
        whole.samples,
        whole.scores.inputs,
        whole.scores.clips,
    )


def test_a_small_baseline_is_written_as_it_was() -> None:
    whole = Baseline.of(observed(10), RECORDER)
    assert tables.without_table(whole, MemoryStore()) is whole
    assert '"table"' not in baseline_text(whole)


def seat(folder: Path) -> Seat:
    return Seat(BaselineFolder(folder / "baselines", folder), Recorder("manifest", "../a.vidmetrics.toml", "c", "m"))


def test_gates_record_and_judge_through_the_store_and_say_what_is_missing(tmp_path: Path) -> None:
    store = MemoryStore()
    gate = Gate(MetricConfig("m", "m"), seat(tmp_path), {}, store)
    settled = gate.settle(observed(300), "update")
    assert settled.record is not None
    assert settled.record.table is not None
    seat(tmp_path).folder.write(settled.key, settled.record)
    small = Gate(MetricConfig("m", "m"), seat(tmp_path), {}, None)
    verdicts = [
        gate.settle(observed(300), "judge").verdict,
        gate.settle(observed(300, shift=-1.0), "judge").verdict,
        small.settle(observed(300), "judge").verdict,
        replace(gate, store=MemoryStore()).settle(observed(300), "judge").verdict,
    ]
    assert [one.status for one in verdicts] == ["PASS", "REGRESSED", "ERROR", "ERROR"]
    assert verdicts[1].interval is not None  # of the differences by clip
    assert [change.harm for change in verdicts[1].worst] == pytest.approx([2.0] * 20)
    assert "300 clips in the store" in verdicts[2].reason
    assert "no store is named" in verdicts[2].reason
    assert "--vidmetrics-store=URL" in verdicts[3].reason
    assert gate.settle(observed(300), "update").verdict.status == "UNCHANGED"
    assert small.settle(observed(300), "update").verdict.status == "RECORDED"


def test_a_table_that_was_changed_is_not_the_one_of_the_file() -> None:
    store = MemoryStore()
    light = tables.without_table(Baseline.of(observed(300), RECORDER), store)
    assert light.table is not None
    body = store.get_json("baselines", light.table.sha256)
    body["scores"][0] = 100.0
    store.put_json("baselines", light.table.sha256, body)
    with pytest.raises(Exception, match="the store does not hold them"):
        tables.with_table(light, store, "x")
