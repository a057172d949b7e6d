"""Clips on object storage: scored from copies, judged from what the store says of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vidmetrics.engine import urls
from pytest_vidmetrics.engine.digest_index import DigestIndex
from pytest_vidmetrics.engine.object_store import open_store
from pytest_vidmetrics.engine.rows import RowScorer, RowTask
from pytest_vidmetrics.engine.work import Unit
from pytest_vidmetrics.engine.worker import EvalWorker
from pytest_vidmetrics.metrics import registry
from tests.support.clips import scene, write_clip

METRIC = "vbench.temporal_flickering"


@pytest.fixture
def objects(bucket: str) -> Iterator[Any]:
    urls._bucket.cache_clear()  # its server is another one
    yield urls._bucket(bucket.removesuffix("/results"))
    urls._bucket.cache_clear()


def test_rows_of_urls_are_scored_once_and_judged_without_reading_them(
    bucket: str, objects: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    base, names = bucket.removesuffix("/results"), [f"{number}.mp4" for number in range(3)]
    for number, name in enumerate(names):
        objects.put(f"clips/{name}", write_clip(tmp_path / name, scene(number)).read_bytes())
    rows: list[dict[str, Any]] = [{"id": name, "video": f"{base}/clips/{name}"} for name in names]
    rows.insert(1, {"id": "lost", "video": f"{base}/clips/nowhere.mp4"})
    scorer = RowScorer(RowTask((METRIC,), bucket, str(tmp_path), device="cpu"))
    lines = {line["id"]: line["results"][METRIC] for line in scorer.score(rows)}
    local = {line["id"]: line["results"][METRIC] for line in scorer.score([{"id": n, "video": n} for n in names])}
    assert list(lines) == ["0.mp4", "lost", "1.mp4", "2.mp4"]
    assert {name: lines[name] for name in names} == local
    assert lines["lost"]["reason"] == f"cannot read {base}/clips/nowhere.mp4: there is no such object"
    assert list((tmp_path / "temporary").iterdir()) == []
    assert scorer.worker.counts.decoded == 3  # once, though also looked for by path

    monkeypatch.setattr("pytest_vidmetrics.engine.digest_index.fetch", lambda *_: pytest.fail("a clip was read"))
    index = DigestIndex(open_store(bucket), trusted=True)
    judge = EvalWorker(open_store(bucket), compute=False, digest=index.digest)
    metric = registry.get_metric(METRIC)
    found = [judge.fill({"video": f"{base}/clips/{name}"}, [metric])[0].result for name in names]
    assert [one.score for one in found if one] == [local[name]["score"] for name in names]
    (gone,) = judge.fill({"video": f"{base}/clips/nowhere.mp4"}, [metric])
    assert gone.result is not None
    assert f"cannot read {base}/clips/nowhere.mp4: there is no such object" in gone.result.reason


def test_another_content_under_a_url_is_never_taken_for_the_first(bucket: str, objects: Any, tmp_path: Path) -> None:
    url, store = bucket.removesuffix("/results") + "/a.bin", open_store(bucket)
    objects.put("a.bin", b"before")
    index = DigestIndex(store, trusted=False)
    index.fetched(url, tmp_path)
    index.flush()
    before = DigestIndex(open_store(bucket), trusted=True).digest(url)
    objects.put("a.bin", b"after!")
    after = DigestIndex(open_store(bucket), trusted=True).digest(url)
    assert before != after
    assert after == DigestIndex(store, trusted=False).digest(url)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a/b.mp4", "/clips/a/b.mp4"),
        ("/a/b.mp4", "/a/b.mp4"),
        ("file:///a/b%20c.mp4", "/a/b c.mp4"),
        ("s3://bucket/a.mp4", "s3://bucket/a.mp4"),
    ],
)
def test_a_path_of_a_row_is_placed(value: str, expected: str) -> None:
    assert urls.placed(value, Path("/clips")) == expected


def test_a_unit_of_a_url_is_keyed_as_one_of_a_file(bucket: str, objects: Any, tmp_path: Path) -> None:
    from pytest_vidmetrics.engine.planning import plan_unit

    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"no clip, but bytes")
    objects.put("a.mp4", clip.read_bytes())
    metric, store = registry.get_metric(METRIC), open_store(bucket)
    index = DigestIndex(store, trusted=True)
    keys = [
        plan_unit(Unit({"video": where}, [metric]), store, lambda _: {}, index.digest).keys
        for where in (str(clip), bucket.removesuffix("/results") + "/a.mp4")
    ]
    assert keys[0] == keys[1] != [None]


def test_many_objects_of_a_folder_are_listed_and_not_asked_for_alone(
    bucket: str, objects: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, store = bucket.removesuffix("/results"), open_store(bucket)
    index = DigestIndex(store, trusted=False)
    clips = [f"{base}/{folder}/{number} \u00e9.mp4" for folder in ("many", "many/below", "few") for number in range(3)]
    for clip in clips:
        objects.put(clip.removeprefix(f"{base}/"), clip.encode())
        index.fetched(clip, tmp_path)
    index.flush()
    objects.put("many/0 \u00e9.mp4", b"another content")
    alone = DigestIndex(open_store(bucket), trusted=True)
    expected = [alone.digest(clip) for clip in clips]
    monkeypatch.setattr(urls, "_MANY", 3)
    monkeypatch.setattr(
        "pytest_vidmetrics.engine.digest_index.state_of", lambda url: pytest.fail(f"{url} was asked for")
    )
    known = DigestIndex(open_store(bucket), trusted=True).known([*clips, f"{base}/many/nowhere.mp4"])
    assert known == [None, *expected[1:], None]
    few = DigestIndex(open_store(bucket), trusted=True).known(clips[-2:])
    assert few == [None, None]  # not listed: each is asked for alone
    assert DigestIndex(open_store(f"{base}/elsewhere"), trusted=True).known(clips) == [None] * len(clips)
