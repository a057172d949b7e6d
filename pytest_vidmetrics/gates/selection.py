"""Which gates a case has under ``--vidmetrics=SEL``: the selection and the case's own list, intersected."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_vidmetrics.core.policy import MetricConfig
from pytest_vidmetrics.gates.case import Case
from pytest_vidmetrics.metrics import registry


def gates_of(case: Case, selection: Sequence[str]) -> tuple[MetricConfig, ...]:
    """Return the gates of ``case`` that ``selection`` (names, groups, ``all``) asks for, in the case's order.

    A case without a ``metrics`` list takes the selection itself; ``all`` then means every registered metric.
    A configured gate is selected by its metric's name and by its metric's groups.
    What a manifest lists is meant, be it by a group: only a group of the selection may bring in gates that are skipped.
    """
    # `every`: also the metrics that a group leaves out by itself.
    wanted = set(registry.expand(selection, every=True))
    listed = dict.fromkeys([*(case.metrics if case.metrics is not None else selection), *case.configs])
    gates: dict[str, MetricConfig] = {}
    for entry in listed:
        for gate, metric in _meaning(case, entry):
            if metric in wanted:
                # Named by the manifest or one by one, not brought in by a group of the option.
                meant = case.metrics is not None or entry in case.configs or entry == gate
                known = gates.get(gate)
                params = case.configs[gate][1] if gate in case.configs else {}
                gates[gate] = MetricConfig(
                    gate=gate,
                    metric=metric,
                    params=params,
                    policy=case.policy(gate),
                    # A gate that is named twice is meant if either is.
                    listed=meant or (known is not None and known.listed),
                )
    return tuple(gates.values())


def _meaning(case: Case, entry: str) -> list[tuple[str, str]]:
    """Return ``(gate, metric)`` of what one entry of a list stands for."""
    if entry in case.configs:
        return [(entry, case.configs[entry][0])]
    return [(name, case.configs.get(name, (name, {}))[0]) for name in registry.expand([entry])]
