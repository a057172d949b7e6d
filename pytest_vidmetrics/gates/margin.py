"""How much worse a score may be: the margin of a gate, where it comes from, and whether it was widened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import number
from pytest_vidmetrics.gates.baseline import Baseline

_UNDECLARED = 1e-3
"""Share of the baseline that is taken as noise where a metric says nothing: far above rounding of float32 sums."""

_FAR = 5.0
"""From so many times the neutral shift on, a margin is named with what it misses."""

_STRICTNESS = {"lenient": 0, "point": 1, "strict": 2, "sequential": 2}
"""The last two pass only what is surely within the margin."""


@dataclass(frozen=True)
class Margin:
    """A margin in the unit of the score, and what it was taken from, as a reader may see it."""

    value: float
    source: str


def margin_of(policy: Policy, observed: CorpusScore, baseline: Baseline) -> Margin:
    """Return the largest of the margins that apply.

    Given ones (``abs``, ``rel``), the measured noise and the metric's noise floor always do. Where none is given and
    no noise was measured, so does what neutral changes need at this number of samples. A share of failures may grow as
    far as the exact binomial bound allows.
    """
    choices: dict[str, float] = {"the metric's noise floor": observed.noise_floor}
    if policy.abs is not None:
        choices[f"abs = {policy.abs:g}"] = policy.abs
    if policy.rel is not None:
        choices[f"rel = {policy.rel:g} of the baseline"] = policy.rel * abs(baseline.score)
    if baseline.noise is not None:
        choices[f"{policy.sigma:g} sigma of measured noise"] = policy.sigma * baseline.noise.sigma
    if observed.counts_failures:
        from pytest_vidmetrics.stats.binary import allowed_share

        allowed = allowed_share(baseline.score, observed.n, alpha=policy.alpha)
        choices[f"the exact binomial bound of a share of {number(baseline.score)}"] = allowed - baseline.score
    # Nothing was given or measured beside the floor, which every metric has.
    if len(choices) == 1:
        choices |= _by_default(observed, baseline)
    # The last of equal ones: what somebody gave or measured is named rather than a floor of the same size.
    source = max(reversed(choices), key=lambda name: choices[name])
    return Margin(choices[source], source)


def _by_default(observed: CorpusScore, baseline: Baseline) -> Mapping[str, float]:
    shift = observed.neutral_shift
    if shift is not None:
        n = independent(observed)
        return {f"neutral changes at n = {n}, {shift.source}": shift.at(n)}
    if not observed.floor_known:
        text = f"{_UNDECLARED:g} of the baseline: the metric declares no noise floor"
        return {text: _UNDECLARED * abs(baseline.score)}
    return {"the metric's noise floor: what neutral changes need was not measured": observed.noise_floor}


def independent(observed: CorpusScore) -> int:
    """Return how many samples are independent: clusters, where the case names them."""
    found = {observed.clusters[id] for id in observed.samples} if observed.clusters else observed.samples
    return max(1, len(found))


def blind(margin: Margin, observed: CorpusScore) -> str:
    """Return what a margin far above the neutral shift misses; empty for one that is not."""
    shift = observed.neutral_shift
    if shift is None:
        return ""
    needed = max(shift.at(independent(observed)), observed.noise_floor)
    if needed <= 0 or margin.value <= _FAR * needed:
        return ""
    return (
        f"the margin {number(margin.value)} ({margin.source}) is {margin.value / needed:.0f} times what neutral "
        f"changes need at n = {independent(observed)}, {number(needed)}: a harm up to it passes; without abs and rel "
        "the smaller one is taken"
    )


def widened(policy: Policy, observed: CorpusScore, baseline: Baseline) -> str:
    """Return how a policy sees less than the one that the baseline was recorded with; empty when it does not."""
    was = baseline.policy
    if was is None:
        return ""
    before, now = margin_of(was, observed, baseline).value, margin_of(policy, observed, baseline).value
    # The same policy gives the same margin up to rounding.
    if now > before * (1 + 1e-9):
        return f"the margin was {number(before)} when the baseline was recorded and is {number(now)} now"
    if _STRICTNESS[policy.decide] < _STRICTNESS[was.decide]:
        return f"decide was {was.decide!r} when the baseline was recorded and is {policy.decide!r} now"
    if was.sees is not None and (policy.sees is None or policy.sees > was.sees):
        now_sees = "is not given" if policy.sees is None else f"is {policy.sees:g}"
        return f"sees was {was.sees:g} when the baseline was recorded and {now_sees} now"
    # A min_n that was taken out counts as lowered.
    if was.min_n is not None and (policy.min_n or 0) < was.min_n:
        return f"min_n was {was.min_n} when the baseline was recorded and is {policy.min_n or 'not given'} now"
    return ""


def modes_text(modes: tuple[float, float], facts: Mapping[str, tuple[str, str]]) -> str:
    """Return what scores in two groups mean for a margin: one smaller than their distance fails now and then."""
    low, high = modes
    # As many digits as it takes to tell the two apart.
    places = next((places for places in (3, 5) if number(low, places) != number(high, places)), 9)
    text = f"two modes, {number(high, places)} and {number(low, places)}; a margin between them cannot hold: "
    if facts:
        differ = "; ".join(f"{name} is {above} above and {below} below" for name, (below, above) in facts.items())
        names = ", ".join(f'"{name}"' for name in facts)
        return f"{text}{differ}; cohort = [{names}] in the case gives each a baseline of its own"
    return text + (
        "find out which fact differs (device, attention back end, library), or give each a cohort of its own"
    )
