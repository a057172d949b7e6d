"""Writing and deleting baselines at the end of a run: on the controller only, one file after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.wording import counted, some
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.folder import BaselineFolder
from pytest_vidmetrics.gates.prune import Used, idle_baselines, surplus_baselines


@dataclass
class BaselineWriter:
    """Collects what is said and what went wrong: a file that cannot be written keeps no other from being written."""

    folder: BaselineFolder
    shown: str
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def write(self, records: Iterable[tuple[str, Baseline]], claimed: Mapping[str, set[str]]) -> int:
        """Write the baselines that one gate or check alone claims; return how many."""
        written = 0
        for key, baseline in records:
            # Two that claim one file: neither is written, and the clash is an error of its own.
            if len(claimed.get(key.casefold(), ())) > 1:
                continue
            try:
                self.folder.write(key, baseline)
                written += 1
            except BaselineError as error:
                self.problems.append(str(error))
        if written:
            self.lines.append(f"{counted(written, 'baseline')} written below {self.shown}")
        elif not self.problems:
            self.lines.append("no baseline was written")
        return written

    def delete_surplus(self, used: Used) -> None:
        """Delete the baselines that nobody uses."""
        for key in surplus_baselines(self.folder, used):
            try:
                self.folder.delete(key)
                self.lines.append(f"deleted {self.shown}/{key}")
            except BaselineError as error:
                self.problems.append(str(error))

    def name_surplus(self, used: Used, *, everything: bool) -> None:
        """Say which baselines nobody uses, as after a case was renamed.

        ``everything``: the run was to collect all manifests, so one that is there and was not collected is named too.
        """
        if surplus := surplus_baselines(self.folder, used):
            belong = "baseline belongs" if len(surplus) == 1 else "baselines belong"
            self.lines.append(
                f"{len(surplus)} {belong} to no gate: {self._named(surplus)}; --prune-baselines deletes them"
            )
        if everything and (idle := idle_baselines(self.folder, used)):
            keys = [key for keys in idle.values() for key in keys]
            were = "baseline was" if len(keys) == 1 else "baselines were"
            self.lines.append(
                f"{len(keys)} {were} not used, because no test came from {some(sorted(idle))}: "
                f"{self._named(sorted(keys))}"
            )

    def name_unmade(self, keys: list[str]) -> None:
        """Say which baselines belong to checks that are no longer made, of tests that passed without them."""
        if keys:
            were = "baseline was" if len(keys) == 1 else "baselines were"
            self.lines.append(f"{len(keys)} {were} not used, its test passed without the check: {self._named(keys)}")

    def _named(self, keys: list[str]) -> str:
        return some([f"{self.shown}/{key}" for key in keys], 3)
