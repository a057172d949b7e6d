"""How often a gate cries wolf, and how often it sees a drop: the paired cluster-t gate against the usual thresholds.

    python -m benchmarks.power [runs]

Two runs of one benchmark are simulated like VBench's: 72 prompts, 5 clips each, scores between 0 and 1 that depend
mostly on the prompt. A new checkpoint answers some prompts better and some worse, and is worse by ``harm`` on average.
The gates judge the same two runs:

- ``cluster-t``: ours, ``decide = "lenient"``, ``alpha = 0.05``, ``cluster = "text_prompt"``, no margin;
- ``paired t``: ours without the ``cluster`` key;
- ``two means``: a threshold on the new mean, set from the spread of the scores of both runs as if all clips were
  independent and the two runs had nothing in common: what a floor pasted into a test file amounts to at best;
- ``floor -0.01``: fails when the mean falls by more than 0.01.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.gates.baseline import Baseline
from pytest_vidmetrics.gates.confidence import harm_interval
from pytest_vidmetrics.gates.recorder import Recorder
from pytest_vidmetrics.stats.intervals import welch_interval

ALPHA = 0.05
GATES = ("cluster-t", "paired t", "two means", "floor -0.01")
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What a simulated benchmark looks like; deviations are in units of the score.

    ``between``: of the prompts' levels; ``within``: of the clips of one prompt; ``change``: of what the checkpoint
    does to a prompt, besides the mean; ``skewed``: levels pile up below 1, as consistency scores do; ``uneven``:
    prompts have 1 to 9 clips; ``same_prompts``: false when each run draws prompts of its own.
    """

    prompts: int = 72
    clips: int = 5
    between: float = 0.06
    within: float = 0.03
    change: float = 0.02
    skewed: bool = False
    binary: bool = False
    uneven: bool = False
    same_prompts: bool = True

    def draw(self, harm: float, generator: np.random.Generator) -> tuple[list[str], Scores, Scores]:
        """Return each clip's prompt, its baseline score and its score now."""
        sizes = generator.integers(1, 10, self.prompts) if self.uneven else np.full(self.prompts, self.clips)
        prompt = np.repeat(np.arange(self.prompts), sizes)
        before, after = self._levels(generator), self._levels(generator)
        if self.same_prompts:
            after = before
        noise = generator.normal(0, self.within, (2, len(prompt)))
        moved = generator.normal(-harm, self.change, self.prompts)
        old, new = before[prompt] + noise[0], (after + moved)[prompt] + noise[1]
        if self.binary:
            old, new = (old > 0.5).astype(float), (new > 0.5).astype(float)
        return [f"prompt {index}" for index in prompt], old, new

    def _levels(self, generator: np.random.Generator) -> Scores:
        if self.skewed:
            return 1.0 - generator.gamma(1.0, self.between, self.prompts)
        return generator.normal(0.5 if self.binary else 0.9, self.between, self.prompts)


def alarms(world: World, harm: float, runs: int, seed: int = 0) -> dict[str, float]:
    """Return the share of simulated runs in which each gate fails."""
    generator = np.random.default_rng(seed)
    counts = dict.fromkeys(GATES, 0)
    for _ in range(runs):
        prompts, old, new = world.draw(harm, generator)
        for gate, alarm in zip(GATES, judge(prompts, old, new), strict=True):
            counts[gate] += alarm
    return {gate: count / runs for gate, count in counts.items()}


def judge(prompts: list[str], old: Scores, new: Scores) -> tuple[bool, bool, bool, bool]:
    """Return which gates fail, in the order of :data:`GATES`."""
    observed = observation(prompts, new)
    baseline = Baseline.of(observation(prompts, old), Recorder("manifest", "power", "world", "gate"))
    clustered = harm_interval(observed, baseline, ALPHA)
    paired = harm_interval(replace(observed, clusters={}), baseline, ALPHA)
    assert clustered is not None
    assert paired is not None
    unpaired = welch_interval(old, new, alpha=ALPHA)
    return clustered.low > 0, paired.low > 0, unpaired.low > 0, bool(old.mean() - new.mean() > 0.01)


def observation(prompts: list[str], scores: Scores) -> CorpusScore:
    """Return scores as a gate observes them, with the prompt of each clip as its cluster."""
    ids = [f"clip {index}" for index in range(len(scores))]
    return CorpusScore(
        metric={"name": "simulated"},
        higher_is_better=True,
        score=float(scores.mean()),
        samples=dict(zip(ids, scores.tolist(), strict=True)),
        paths={},
        sample_ids="",
        reference=None,
        is_mean=True,
        clusters=dict(zip(ids, prompts, strict=True)),
    )


WORLDS = {
    "72 prompts x 5 clips": World(),
    "the checkpoint moves all prompts alike": World(change=0.0),
    "it moves prompts apart": World(change=0.05),
    "levels pile up below 1": World(skewed=True),
    "1 to 9 clips a prompt": World(uneven=True),
    "12 prompts x 5 clips": World(prompts=12),
    "355 prompts x 1 clip": World(prompts=355, clips=1),
    "zeros and ones": World(binary=True),
    "each run with prompts of its own": World(same_prompts=False),
}


def main(runs: int) -> None:
    """Print the table of false alarms and the table of power, as Markdown."""
    print(f"{runs} runs per row; standard error of 5 %: {100 * (0.05 * 0.95 / runs) ** 0.5:.2g} points\n")
    print(f"| nothing got worse | {' | '.join(GATES)} |\n| --- {'| --- ' * len(GATES)}|")
    for name, world in WORLDS.items():
        _row(name, alarms(world, 0.0, runs))
    print(f"\n| worse by | {' | '.join(GATES)} |\n| --- {'| --- ' * len(GATES)}|")
    for harm in (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02):
        _row(f"{harm:g}", alarms(World(), harm, runs))


def _row(name: str, found: dict[str, float]) -> None:
    print(f"| {name} | {' | '.join(f'{100 * found[gate]:.1f} %' for gate in GATES)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 4000)
