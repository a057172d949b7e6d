"""Outcomes that are looked up many at a time: what each sample's own look finds, without reading a clip."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.engine import digest_index, kept
from pytest_vidmetrics.engine.digest_index import DigestIndex
from pytest_vidmetrics.engine.names import Names
from pytest_vidmetrics.engine.object_store import ObjectStore
from pytest_vidmetrics.engine.planning import plan_unit
from pytest_vidmetrics.engine.store import MemoryStore, Store
from pytest_vidmetrics.engine.work import Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.base import BaseMetric

N = 40


def segments() -> Store:
    return ObjectStore("memory://", single=0, segment_entries=7)


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Clips that no decoder could read, old enough for an index; some samples have what is not plain."""
    now = time.time_ns
    monkeypatch.setattr(digest_index.time, "time_ns", lambda: now() + 10_000_000_000)
    monkeypatch.setattr(kept, "FEW", 2)
    found: list[dict[str, Any]] = []
    for number in range(N):
        clip = tmp_path / f"clip {number}.mp4"
        clip.write_bytes(b"%d" % number)
        found.append({"video": str(clip), "text_prompt": f'a {number % 3} \u00e9 "b"'})
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0.png").write_bytes(b"0")
    found[3]["video"] = str(tmp_path / "frames")
    found[4] |= {"fps": 8.0}
    found[5] |= {"fps": 24}
    found[6]["video"] = Path(found[6]["video"])
    found[7]["text_prompt"] = ["a", {"b": None}]
    return found


def filled(store: Store, metric: BaseMetric, samples: list[dict[str, Any]]) -> None:
    """Keep results for all samples but two, under the keys that a scorer gives them."""
    index = DigestIndex(store, trusted=False)
    for number, values in enumerate(samples):
        (key,) = plan_unit(Unit(values, [metric]), MemoryStore(), lambda _: {}, index.digest).keys
        if key is not None and number not in (8, 9):
            facts = {"video": ClipFacts(number, 64, 48, 8.0)}
            store.put_result(key, MetricResult(metric.name, number / 7, {"per_frame": [number]}), facts)
    store.flush()
    index.flush()


@pytest.mark.parametrize("make", [MemoryStore, segments])
@pytest.mark.parametrize("name", ["vbench.temporal_flickering", "vbench.overall_consistency", "audio.clap_score"])
def test_many_at_a_time_are_what_each_is_alone(
    make: Callable[[], Store], name: str, samples: list[dict[str, Any]]
) -> None:
    store, metric = make(), registry.get_metric(name)
    filled(store, metric, samples)
    Path(samples[10]["video"]).write_bytes(b"another content")
    Path(samples[11]["video"]).unlink()
    del samples[12]["video"]
    alone, many = (
        EvalWorker(store, compute=False, digest=DigestIndex(store, trusted=True, verify=0.2)) for _ in range(2)
    )
    for worker in (alone, many):
        worker._weights_once = lambda _: {}  # type: ignore[method-assign]
    expected = [alone.fill(values, [metric]) for values in samples]
    found = list(many.stream(Unit(values, [metric]) for values in samples))
    assert found == expected
    assert many.counts == alone.counts
    lost = {i for i, (one,) in enumerate(found) if one.result is None or one.result.score is None}
    assert lost == {8, 9, 10, 11, 12} | ({3} if name.startswith("audio.") else set())  # a folder has no sound
    assert isinstance(many.digest, DigestIndex)
    assert isinstance(alone.digest, DigestIndex)
    assert 0 < many.digest.verified == alone.digest.verified


@pytest.mark.parametrize("make", [MemoryStore, segments])
def test_plain_rows_are_found_without_a_look_at_each(
    make: Callable[[], Store], samples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, metric = make(), registry.get_metric("vbench.temporal_flickering")
    filled(store, metric, samples)
    worker = EvalWorker(store, compute=False, digest=DigestIndex(store, trusted=True))
    monkeypatch.setattr(digest_index, "digest_file", lambda path: pytest.fail(f"{path} was read"))
    monkeypatch.setattr(worker, "prepare", lambda job: pytest.fail(f"{job} was looked at alone"))
    units = [Unit(values, [metric]) for values in samples[10:]]
    assert [one[0].result and one[0].result.score for one in worker.stream(units)] == [n / 7 for n in range(10, N)]


@given(
    st.lists(st.tuples(st.sampled_from(b"ab\0\xff"), st.sampled_from(b"ab\0\xff"), st.sampled_from(b"ab"))),
    st.lists(st.tuples(st.sampled_from(b"ab\0\xff"), st.sampled_from(b"ab\0\xff"), st.sampled_from(b"ab"))),
)
def test_names_are_found_as_in_a_list(there: list[tuple[int, int, int]], wanted: list[tuple[int, int, int]]) -> None:
    def name(parts: tuple[int, int, int]) -> bytes:
        return bytes([parts[0], *[0] * 7, parts[1], *[0] * 6, parts[2]])

    names, asked = list(map(name, there)), list(map(name, wanted))
    numbers, counts = Names(b"".join(names)).find(asked)
    assert numbers.tolist() == [names.index(one) if one in names else -1 for one in asked]
    assert counts.tolist() == [min(2, names.count(one)) for one in asked]
