"""One run of a method's command: the clips of some samples."""

from __future__ import annotations

import pytest

from pytest_vidmetrics.core.wording import counted
from pytest_vidmetrics.gates.method_case import MethodClips
from pytest_vidmetrics.plugin.item import DataItem, RefusalError
from pytest_vidmetrics.plugin.session import RUN


class GenerateItem(DataItem):
    """Makes the clips of one shard that are not there. What scores them would do it too: this is the place to wait."""

    clips: MethodClips
    shard: int

    @classmethod
    def make(cls, parent: pytest.Collector, clips: MethodClips, shard: int) -> GenerateItem:
        """Return the item named ``generate[shard]``."""
        item = cls.from_data(parent, f"generate[{shard}]", clips.method.where.line)
        item.clips, item.shard = clips, shard
        return item

    def execute(self) -> None:
        """Run the command; fail when a clip is missing after it. The others are kept."""
        run = self.config.stash[RUN]
        before = run.work
        found = run.make(self.clips, self.shard)
        self.say((), run.work - before, run.device)
        problems = [(one.request, one.problem) for one in found if one.problem]
        if problems:
            # The first line of each; the log stands once, at the end.
            heads = [f"{one.sample} (seed {one.seed}): {text.partition(chr(10))[0]}" for one, text in problems]
            tail = problems[0][1].partition("\n")[2]
            lines = [f"{counted(len(problems), 'clip')} of {len(found)} were not generated", *heads[:12]]
            lines += [f"and {len(heads) - 12} more"] if heads[12:] else []
            raise RefusalError("\n".join([*lines, *([tail] if tail else [])]))
