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
    """
    wanted = set(registry.expand(selection, every=True))
    listed = dict.fromkeys([*(case.metrics if case.metrics is not None else selection), *case.configs])
    gates: dict[str, MetricConfig] = {}
    for entry in listed:
        for gate, metric, explicit in _meaning(case, entry):
            if metric in wanted:
                known = gates.get(gate)
                params = case.configs[gate][1] if gate in case.configs else {}
                gates[gate] = MetricConfig(
                    gate=gate,
                    metric=metric,
                    params=params,
                    policy=case.policy(gate),
                    listed=explicit or (known is not None and known.listed),
                )
    return tuple(gates.values())


def _meaning(case: Case, entry: str) -> list[tuple[str, str, bool]]:
    """Return ``(gate, metric, named explicitly)`` for one entry of a list."""
    if entry in case.configs:
        return [(entry, case.configs[entry][0], True)]
    members = registry.expand([entry])
    return [(name, case.configs.get(name, (name, {}))[0], entry == name) for name in members]
