"""A stand-in for `srun`: the tasks of one step, in processes of this machine."""

from __future__ import annotations

SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
status=0
for task in $(seq 0 $((SLURM_NTASKS - 1))); do
    [[ $task == "$LOST_TASK" ]] && { status=137; continue; }
    SLURM_PROCID=$task SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=$SLURM_NTASKS "$@" &
done
for task in $(jobs -p); do wait "$task" || status=1; done
exit $status
"""
