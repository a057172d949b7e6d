"""Damaged baselines, run records and store entries: whatever they hold, one error that names the file, or data."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from pytest_vidmetrics.core.clips import ClipFacts
from pytest_vidmetrics.core.errors import VidmetricsError
from pytest_vidmetrics.core.hashing import canonical_json
from pytest_vidmetrics.core.policy import MetricConfig, Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.types import MetricResult
from pytest_vidmetrics.core.verdict import PASSING, Status
from pytest_vidmetrics.engine.store import FileStore
from pytest_vidmetrics.gates.accept import acceptable, accepted
from pytest_vidmetrics.gates.baseline import Baseline, Noise, seal
from pytest_vidmetrics.gates.compare import compare, scores_of
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.lifecycle import Gate
from pytest_vidmetrics.gates.prune import Used, surplus_baselines
from pytest_vidmetrics.gates.record import RunRecord, portable, read_record, write_record
from pytest_vidmetrics.gates.seat import Seat
from pytest_vidmetrics.report.summary import summary_of
from pytest_vidmetrics.report.view import view
from tests.fuzz.test_media import changed
from tests.fuzz.test_rows import VALUES
from tests.support.baselines import OWNER
from tests.support.run_records import gate, record

CONFIG = MetricConfig("my.metric", "my.metric", {}, Policy(abs=0.1))
FACTS = ClipFacts(24, 64, 48, 24.0, 1.0)
SCORES = CorpusScore(
    metric={"name": "my.metric", "version": "1", "params": {}, "weights": {}},
    higher_is_better=True,
    score=1.5,
    samples={"a": 1.0, "ü": 2.0},
    paths={"a": "clips/a.mp4", "ü": "clips/ü.mp4"},
    sample_ids="ids",
    reference="refs",
    inputs={"a": "1", "ü": "2"},
    clips={"a": FACTS, "ü": FACTS},
    is_mean=True,
)
BASELINE = Baseline.of(SCORES, OWNER, {"python": "3.11"}, Noise(0.5, 3, "scoring", (1.0, 2.0)), Policy(abs=0.1))
UNSEALED = ("digest", "environment")


def odd(tree: Any, draw: random.Random) -> Any:
    """Return a tree in which one to three places hold something else, are gone, or have got a key too many."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 2, 3))):
        parent, key = draw.choice(list(_places(tree)))
        how = draw.randrange(5)
        if how == 0:
            del parent[key]
        elif how == 1 and isinstance(parent, dict):
            parent[draw.choice(("", "x", "schema", "\ud800", "a/../b"))] = draw.choice(VALUES)
        else:
            parent[key] = draw.choice(VALUES)
        if not list(_places(tree)):
            break
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def _bytes(tree: Any, draw: random.Random) -> bytes:
    """Return the tree as a file, now and then with bytes that were hit."""
    try:
        data = json.dumps(tree, ensure_ascii=draw.random() < 0.5, indent=draw.choice((None, 1))).encode()
    except UnicodeEncodeError:
        data = json.dumps(tree).encode()
    return changed(data, draw) if draw.random() < 0.3 else data


def check_baselines(root: Path, rounds: int) -> None:
    """Any damage is an ERROR that names the file or a verdict; what is not sealed is never compared."""
    (root / "bench.vidmetrics.toml").touch()
    folder = BaselineFolder(root / "baselines", root)
    seat = Seat(folder, replace(OWNER, gate="my.metric"))
    whole = replace(BASELINE, recorded_by=seat.owner)
    path = folder.write(seat.keys()[-1], whole)
    tree = json.loads(path.read_bytes())
    assert Gate(CONFIG, seat, {}).settle(SCORES, "judge").verdict.status == "PASS"
    said = list[str]()
    for number in range(rounds):
        draw = random.Random(f"baseline {number}")
        now = odd(tree, draw)
        sealed = isinstance(now, dict) and draw.random() < 0.6
        if sealed:
            try:
                now["digest"] = seal(now)
            except (ValueError, RecursionError):
                sealed = False
        path.write_bytes(_bytes(now, draw))
        settled = Gate(CONFIG, seat, {}).settle(SCORES, "judge")
        verdict = settled.verdict
        assert verdict.status in get_args(Status), number
        surplus_baselines(folder, Used({seat.keys()[-1]}, {OWNER.file}))
        if verdict.status == "ERROR":
            said.append(verdict.reason)
        elif not sealed and verdict.status in PASSING:
            left = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in UNSEALED}
            assert left == {key: value for key, value in tree.items() if key not in UNSEALED}, number
        Gate(CONFIG, seat, {}).settle(SCORES, "update")
    assert len(said) > rounds / 4
    known = (str(path), "the baseline contradicts itself", "cannot be compared with those of the baseline", "finite")
    assert [one for one in said if not any(words in one for words in known)] == []


def check_records(root: Path, rounds: int) -> None:
    """A record is read whole or refused by its name; what is read can be compared, shown, accepted and written."""
    good = record([gate("my.metric", {"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 2.0}, p=0.5)], {"a": {"video": "a.mp4"}})
    path, outside = root / "run.json", set(root.parent.rglob("*"))
    write_record(path, good, root)
    tree, said, read = json.loads(path.read_bytes()), list[str](), 0
    folder = BaselineFolder(root / "baselines", root)
    for number in range(rounds):
        draw = random.Random(f"record {number}")
        path.write_bytes(_bytes(odd(tree, draw), draw))
        try:
            found = read_record(path)
        except VidmetricsError as error:
            said.append(str(error))
            continue
        read += 1
        _use(found, good, folder, root)
    assert read > rounds / 20
    assert len(said) > rounds / 4
    assert all(str(path) in one for one in said)
    made = set(root.parent.rglob("*")) - outside
    assert all(one.is_relative_to(root) for one in made)
    assert all(one.is_relative_to(folder.path) for one in made if one.name not in ("run.json", "again.json"))


def _use(found: RunRecord, good: RunRecord, folder: BaselineFolder, root: Path) -> None:
    for verdict in compare(scores_of(good), scores_of(found), {}).values():
        assert verdict.status in get_args(Status)
    summary_of(view(portable(found, root)))
    write_record(root / "again.json", found, root)
    for one in found.gates:
        if not acceptable(one):
            with contextlib.suppress(VidmetricsError):
                folder.write(one.file, accepted(folder, one, found.environment))


def check_entries(root: Path, rounds: int) -> None:
    """An entry is what was put, or absent; a sealed one of another version or of nobody is absent too."""
    store, keys = FileStore(root / "store"), {kind: kind[0] * 64 for kind in ("results", "clips", "features")}
    result, facts = MetricResult("my.metric", 1.5, {"frames": [1, 2]}), {"video": FACTS}
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    store.put_result(keys["results"], result, facts)
    store.put_clips(keys["clips"], facts)
    store.put_rows(keys["features"], rows)
    files = {one.parent.parent.name: one for one in (root / "store").rglob("*") if one.is_file()}
    whole = {kind: one.read_bytes() for kind, one in files.items()}
    absent = 0
    for number in range(rounds):
        draw = random.Random(f"entry {number}")
        for kind, path in files.items():
            data = changed(whole[kind], draw)
            sealed = kind != "features" and draw.random() < 0.5
            if sealed:
                sealed = _seal_again(store, kind, keys[kind], odd(json.loads(whole[kind])["body"], draw))
            if not sealed:
                path.write_bytes(data)
        scored, clips, kept = (
            store.get_scored(keys["results"]),
            store.get_clips(keys["clips"]),
            store.get_rows(keys["features"]),
        )
        absent += scored is None
        if scored is not None:
            assert isinstance(scored[0].name, str), number
            assert scored[0].score is None or isinstance(scored[0].score, (int, float)), number
            canonical_json(scored[0].details)
        assert clips is None or all(isinstance(one, ClipFacts) for one in clips.values()), number
        assert kept is None or np.array_equal(kept, rows), number
    assert absent > rounds / 4


def _seal_again(store: FileStore, kind: str, key: str, body: Any) -> bool:
    try:
        store.put_json(kind, key, body)
    except (ValueError, RecursionError):  # nothing that JSON has a form for
        return False
    return True


FAMILIES = (check_baselines, check_records, check_entries)


@pytest.mark.parametrize("check", FAMILIES)
def test_what_is_stored_and_damaged_is_read_or_named(check, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    check(root, 100)


@pytest.mark.slow
@pytest.mark.parametrize("check", FAMILIES)
def test_a_thousand_damages_of_what_is_stored(check, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    check(root, 1000)
