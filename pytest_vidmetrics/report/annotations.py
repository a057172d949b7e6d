"""Annotations of a GitHub workflow: red gates beside the lines of their manifests."""

from __future__ import annotations

from collections.abc import Callable

from pytest_vidmetrics.report.numbers import number, percent
from pytest_vidmetrics.report.view import GateView, RunView

MOST = 10
"""GitHub shows ten errors of a step."""


def annotations_of(run: RunView, place_of: Callable[[GateView], tuple[str, int]]) -> list[str]:
    """Return one workflow command per red gate, the most urgent first; ``place_of`` is its file and line."""
    red = [gate for gate in run.gates if gate.is_red]
    lines = [_command(gate, *place_of(gate)) for gate in red[:MOST]]
    if len(red) > MOST:
        lines.append(f"::notice::{len(red) - MOST} more gates are red; the summary names them")
    return lines


def _command(gate: GateView, file: str, line: int) -> str:
    verdict = gate.verdict
    title = f"{verdict.status}: {gate.label}"
    text = verdict.reason
    if verdict.baseline is not None and verdict.now is not None:
        change = f"{number(verdict.baseline)} -> {number(verdict.now)} {gate.unit}".rstrip()
        share = percent(gate.change, verdict.baseline)
        text += f"\n{change}{f' ({share})' if share else ''}, n {verdict.n}"
    return f"::error file={_value(file)},line={line},title={_value(title)}::{_message(text)}"


def _message(text: str) -> str:
    # The percent sign first: the other escapes hold one.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    # Colon and comma end a value, but not a message.
    return _message(text).replace(":", "%3A").replace(",", "%2C")
