"""The part of the samples that a job of a cluster or of a CI service scores."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pytest_vidmetrics.plugin.settings import Settings, check_writes, cut, whole_number

# Where a job of a cluster or of a CI service finds its place: (index, first index, total).
_SHARD_VARIABLES = (("SLURM_PROCID", 0, "SLURM_NTASKS"), ("CI_NODE_INDEX", 1, "CI_NODE_TOTAL"))
# SLURM numbers the steps of its own from here: the batch script, an interactive shell.
_FIRST_RESERVED_STEP = 0xFFFFFFF0


def sharded(settings: Settings) -> Settings:
    """Return the settings with the shard that the variables of a cluster or CI service name, when none was given.

    Only for a run that uses the plugin. Raises ``pytest.UsageError`` for variables that name no shard, such as a
    first index of 0 where the service counts from 1: a shard that holds nothing would be green.
    """
    if settings.judge or settings.shard is not None:
        return settings
    for index, first, total in _SHARD_VARIABLES:
        here, all_ = os.environ.get(index, ""), os.environ.get(total, "")
        # A single task is not a part.
        if not here or not all_ or all_ == "1" or (index == "SLURM_PROCID" and not _in_srun(all_)):
            continue
        number, count = whole_number(here), whole_number(all_)
        source = f"{index}={cut(here)}, {total}={cut(all_)}"
        if number is None or count is None or not 1 <= number - first + 1 <= count:
            raise pytest.UsageError(
                f"{source} name no shard; give --vidmetrics-shard=K/N, or 1/1 to judge everything here"
            )
        found = replace(settings, shard=(number - first + 1, count), shard_from=source)
        check_writes(found)
        return found
    return settings


def _in_srun(total: str) -> bool:
    """Whether this process is one of ``total`` tasks that ``srun`` started.

    A batch script has SLURM_PROCID and SLURM_NTASKS too, but runs once: its place says nothing about work. It has no
    step of its own; one submitted from within ``srun`` inherits that step, and its number of tasks gives it away.
    """
    step = os.environ.get("SLURM_STEP_ID", "")
    # SLURM's own steps have numbers of ten digits.
    ours = whole_number(step) is not None or (step.isascii() and step.isdigit() and len(step) == 10)
    return ours and int(step) < _FIRST_RESERVED_STEP and os.environ.get("SLURM_STEP_NUM_TASKS", total) == total
