"""The clips that a baseline was recorded from: found beside those of a run, and known by the scores that the store has.

A baseline says what each clip scored, and not where it lies. A file that may be the one is looked at only if the store
holds its scores: it is the baseline's clip when they are the recorded ones. Nothing is scored.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_vidmetrics.gates.digits import close, digits
from pytest_vidmetrics.gates.record import GateRecord, RunRecord
from pytest_vidmetrics.report.clips import case_of
from pytest_vidmetrics.report.kept import Kept

_UP = 3
"""How many folders above a clip may be the one that another checkpoint has another of."""
_MOST = 64
"""Files that are looked at for one clip."""
_MOST_ROWS = 20_000
"""Generated clips that are looked through."""


class BaselineClips:
    """Finds the baseline's clips of one run. ``root`` is where the paths of the record start."""

    def __init__(self, kept: Kept, record: RunRecord, root: Path) -> None:
        self._kept, self._record, self._root = kept, record, root
        self._gates: dict[str, list[GateRecord]] = {}
        for gate in record.gates:
            if gate.scores is not None and not gate.scores.is_set and gate.recorded:
                self._gates.setdefault(case_of(gate.gate), []).append(gate)
        self._generated: dict[Path, dict[tuple[Any, ...], list[Path]]] = {}

    def changed(self, case: str, id: str) -> bool:
        """Whether a clip scores other values than the recorded ones: else it is the baseline's as far as is known."""
        return any(
            id in gate.recorded and id in gate.scores.samples and not _same(gate, id, gate.scores.samples[id])
            for gate in self._gates.get(case, ())
            if gate.scores is not None
        )

    def of(self, case: str, id: str) -> str | None:
        """Return the file of a changed clip as its baseline knew it; ``None`` where no file is known to be that."""
        path = self._record.cases.get(case, {}).get(id, {}).get("video")
        if not path or not self.changed(case, id):
            return None
        gates = [gate for gate in self._gates.get(case, ()) if id in gate.recorded]
        # The number of files is bounded: a folder beside may hold every checkpoint there ever was.
        for place, other in enumerate(self._others(self._root / path)):
            if place == _MOST:
                break
            scores = [(gate, self._kept.score(gate, id, {"video": str(other)})) for gate in gates]
            known = [(gate, score) for gate, score in scores if score is not None]
            # Several gates that the store knows must all agree: one equal score may be chance.
            if known and all(_same(gate, id, score) for gate, score in known):
                return str(other.relative_to(self._root) if other.is_relative_to(self._root) else other)
        return None

    def _others(self, path: Path) -> Iterator[Path]:
        """Yield files that may be another version of a clip: same name in a folder beside, or made for the same row.

        The folder that has the name of the checkpoint comes first, then the nearest one.
        """
        if (row := _row(path)) is not None:
            yield from (one for one in self._made_below(path.parent.parent).get(row, ()) if one != path)
            return
        checkpoint = self._record.environment.get("checkpoint")
        # `sorted` keeps the order of equal ones: the nearest folder first, but for the checkpoint's.
        for folder in sorted(path.parents[:_UP], key=lambda one: one.name != checkpoint):
            with contextlib.suppress(OSError):
                for beside in sorted(folder.parent.iterdir()):
                    other = beside / path.relative_to(folder)
                    if beside != folder and other.exists():
                        yield other

    def _made_below(self, root: Path) -> Mapping[tuple[Any, ...], list[Path]]:
        """Return the generated clips of a store by what they were made for."""
        if root not in self._generated:
            found = self._generated[root] = {}
            # The layout of generated clips: two letters of the key, then the key.
            for place, path in enumerate(sorted(root.glob("??/*.json"))):
                if place == _MOST_ROWS:
                    break
                clip = next((one for one in path.parent.glob(f"{path.stem}.*") if one != path), None)
                if clip is not None and (row := _row(clip)) is not None:
                    found.setdefault(row, []).append(clip)
        return self._generated[root]


def _same(gate: GateRecord, id: str, score: float) -> bool:
    assert gate.scores is not None, "gates without scores are left out"
    # Both are rounded as baselines are, and equal up to a last digit.
    floor = gate.scores.noise_floor
    return close({id: gate.recorded[id]}, {id: digits(score, floor)}, floor)


def _row(clip: Path) -> tuple[Any, ...] | None:
    """Return what a generated clip was made for: method, row and seed; ``None`` for a clip that was not."""
    try:
        row = json.loads(clip.with_suffix(".json").read_bytes())
        return row["method"], row["sample"], row["seed"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
