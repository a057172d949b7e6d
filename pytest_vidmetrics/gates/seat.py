"""Where the baseline of one gate or check lies, and whether what lies there is its own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.cohort import text_of
from pytest_vidmetrics.gates.folder import BaselineFolder, common_key
from pytest_vidmetrics.gates.recorder import Recorder

COMMON = "common"
"""What the cohort of a baseline is called that every machine is judged by."""


@dataclass(frozen=True)
class Found:
    """What lies in a seat: its key and cohort, and the baseline or what is wrong with it."""

    key: str
    cohort: str
    baseline: Baseline | None = None
    fault: str = ""


@dataclass(frozen=True)
class Seat:
    """The places of one baseline: by the path of the manifest, and by its name.

    Two manifests of one name in a repository have one baseline each: the first that recorded has the place of the
    name, and where a run collects both (``shared``), a new baseline goes to the place of the path.
    """

    folder: BaselineFolder
    owner: Recorder
    cohort: str | None = None
    shared: bool = False
    facts: Mapping[str, str] | None = None
    """What the cohort is keyed by, where it is: then only a baseline with the same facts judges."""

    def find(self) -> Found:
        """Return what judges: the cohort's own baseline where there is one, else the common one.

        Never raises: what cannot be read is a fault of what was found.
        """
        own = self._look(self.cohort) if self.cohort else None
        # A common baseline judges a cohort by facts only where it was recorded on the same kind of machine.
        if self.facts is not None and self.cohort is not None:
            common = own or self._look(None)
            if common is None or (common.baseline is not None and not self._is_of_my_kind(common.baseline)):
                return Found(self.target(self.cohort), self.cohort)
            return common
        return own or self._look(None) or Found(self.target(None), COMMON)

    def _is_of_my_kind(self, baseline: Baseline) -> bool:
        return all(baseline.environment.get(name) == value for name, value in (self.facts or {}).items())

    def other_kinds(self) -> list[str]:
        """Return the facts of the baselines that this gate has for other kinds of machines, as text."""
        mine = {common_key(key) for key in self.keys()}
        found = []
        for key in self.folder.all_keys() if self.facts is not None else ():
            if common_key(key) in mine and key != self.target(self.cohort):
                with contextlib.suppress(BaselineError):
                    if (baseline := self.folder.read(key)) is not None:
                        known = baseline.environment
                        found.append(text_of({name: known[name] for name in self.facts or {} if name in known}))
        return sorted(set(found))

    def target(self, cohort: str | None) -> str:
        """Return the key to write: where the baseline lies already, else the first place that nobody has."""
        if (found := self._look(cohort)) is not None:
            return found.key
        keys = self.keys(cohort) if self.shared else self.keys(cohort)[::-1]
        return next((key for key in keys if not self._is_taken(key)), keys[0])

    def further_up(self) -> Seat | None:
        """Return the seat that a run with a root further up in the repository has, where a baseline lies in it.

        Pytest takes the folder that it is started in for its root, where no ini file says otherwise.
        """
        folder = self.folder
        # The baselines lie elsewhere, or this root is the repository's already.
        if not folder.path.is_relative_to(folder.root) or (folder.root / ".git").exists():
            return None
        below, file = folder.path.relative_to(folder.root), self.owner.path(folder.path)
        for root in folder.root.parents:
            above = BaselineFolder(root / below, root)
            owner = Recorder.of(self.owner.kind, file, above.path, self.owner.node, self.owner.gate)
            seat = replace(self, folder=above, owner=owner)
            if seat.find().baseline is not None:
                return seat
            # Not beyond the repository.
            if (root / ".git").exists():
                break
        return None

    def keys(self, cohort: str | None = None) -> tuple[str, ...]:
        """Return the keys that this gate may have, most specific first."""
        return self._keys(self.owner, cohort)

    def _keys(self, recorder: Recorder, cohort: str | None) -> tuple[str, ...]:
        suffix = f"@{cohort}.json" if cohort else ".json"
        return tuple(place + suffix for place in recorder.places(self.folder.path, self.folder.root))

    def _look(self, cohort: str | None) -> Found | None:
        name = cohort or COMMON
        for key in self.keys(cohort):
            try:
                baseline = self.folder.read(key)
            except BaselineError as error:
                return Found(key, name, fault=str(error))
            if baseline is None or self._is_home_of_another(key, baseline.recorded_by, cohort):
                continue
            if fault := self._copied_from(key, baseline.recorded_by, cohort):
                return Found(key, name, fault=fault)
            return Found(key, name, baseline)
        return None

    def _is_home_of_another(self, key: str, other: Recorder, cohort: str | None) -> bool:
        """Whether a file lies where another manifest, which is still there, keeps its own."""
        manifests = other.kind == self.owner.kind == "manifest" and other.file != self.owner.file
        return manifests and key in self._keys(other, cohort) and other.exists(self.folder.path)

    def _copied_from(self, key: str, other: Recorder, cohort: str | None) -> str:
        """Return why a file is not ours that says so; empty when it is ours or moved here.

        It moved when its recorder is gone, or when nothing is left in the places that its recorder has.
        """
        if other == self.owner or not other.exists(self.folder.path):
            return ""
        # Where the recorder's own baseline still lies in another place, this one is a copy.
        left = any(self._is_taken(home) for home in self._keys(other, cohort) if home != key)
        if other.kind == self.owner.kind == "manifest" and not left:
            return ""
        return (
            f"the baseline {self.folder.file(key)} was recorded by {self._named(other)}: rename one of them, restore "
            "the file, or record it again with --update-baselines"
        )

    def _named(self, other: Recorder) -> str:
        """Return whose a file is, with its path below the root where it lies there."""
        path, root = other.path(self.folder.path), self.folder.root
        return str(replace(other, file=str(path.relative_to(root)))) if path.is_relative_to(root) else str(other)

    def _is_taken(self, key: str) -> bool:
        try:
            return self.folder.holds(key)
        except BaselineError:
            # What cannot be looked at may be somebody's.
            return True
