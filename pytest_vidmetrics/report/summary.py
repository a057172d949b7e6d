"""The Markdown summary of a run, for a CI step or a comment: worst first, never longer than a comment may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_vidmetrics.report.clips import ClipView
from pytest_vidmetrics.report.numbers import number, percent, signed
from pytest_vidmetrics.report.view import NOT_JUDGED, GateView, RunView

LIMIT = 60 * 1024
"""Bytes. A comment may have 65,536 characters."""
_CLIPS = 10
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-!|~$])")
# "@" would mention somebody, and tell them.
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def summary_of(run: RunView, limit: int = LIMIT) -> str:
    """Return the summary, at most ``limit`` bytes long; what had no room is counted."""
    rows = [_row(gate) for gate in run.gates if gate.verdict.status not in NOT_JUDGED]
    head = [_title(run), "", *_facts(run)]
    table = ["| verdict | gate | baseline | now | change | harm | margin | n |", "| --- | --- " + "| ---: " * 6 + "|"]
    parts = [_Part([*head, "", *table] if rows else head, rows, "gates are not listed here")]
    parts.append(_Part(["", "**Not judged**", ""], _unjudged(run.gates), "reasons are not listed here"))
    parts.append(_Part(["", "**Clips, worst first**", ""], _clips(run), "clips are not listed here"))
    return _fitted(parts, limit)


class _Part:
    """Lines that stand together: a heading, and items that may be cut from the end."""

    def __init__(self, heading: Sequence[str], items: Sequence[str], rest: str) -> None:
        self.heading, self.items, self.rest = list(heading), list(items), rest


def _fitted(parts: Sequence[_Part], limit: int) -> str:
    lines: list[str] = []
    room = limit - 200  # for the lines that say what was cut
    for number_of, part in enumerate(parts):
        if not part.items and number_of:
            continue
        taken = [*part.heading]
        size = _size(taken)
        kept = 0
        for item in part.items:
            if size + _size([item]) > room:
                break
            taken.append(item)
            size += _size([item])
            kept += 1
        if kept < len(part.items):
            taken += ["", f"{len(part.items) - kept} more {part.rest}."]
        lines += taken
        # Without the line on what was cut: room was kept for it.
        room -= size
    return "\n".join(lines) + "\n"


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _title(run: RunView) -> str:
    red = sum(gate.is_red for gate in run.gates)
    skipped = sum(gate.verdict.status == "SKIPPED" for gate in run.gates)
    said = f"all {len(run.gates)} gates passed"
    if red:
        said = f"{red} of {len(run.gates)} gates are red"
    elif skipped == len(run.gates):
        said = "no gate was judged"
    elif skipped:
        said = f"no gate is red, {skipped} of {len(run.gates)} were not judged"
    return f"### Video metrics: {said}"


def _facts(run: RunView) -> list[str]:
    facts = [f"{key} {_code(run.environment[key])}" for key in ("checkpoint", "commit") if run.environment.get(key)]
    counts = ", ".join(f"{count} {status}" for status, count in run.counts.items())
    return [line for line in (", ".join([*facts, counts]).strip(", "),) if line]


def _row(gate: GateView) -> str:
    verdict = gate.verdict
    unit = f" {_text(gate.unit)}" if gate.unit else ""
    change = f"{signed(gate.change)} {percent(gate.change, verdict.baseline)}".strip()
    cells = [
        f"**{verdict.status}**" if gate.is_red else verdict.status,
        _text(gate.label),
        number(verdict.baseline),
        number(verdict.now) + unit,
        change,
        signed(verdict.harm),
        number(verdict.margin),
        str(verdict.n),
    ]
    return f"| {' | '.join(cells)} |"


def _unjudged(gates: Sequence[GateView]) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for gate in gates:
        if gate.verdict.status in NOT_JUDGED:
            reasons.setdefault((gate.verdict.status, gate.verdict.reason), []).append(gate.label)
    return [
        f"- **{status}** {_text(_short(reason, 400))} ({_text(', '.join(labels[:3]))}"
        f"{f' and {len(labels) - 3} more' if len(labels) > 3 else ''})"
        for (status, reason), labels in reasons.items()
    ]


def _clips(run: RunView) -> list[str]:
    known = [clip for clip in run.clips if clip.problems or clip.worst is not None]
    worse = [clip for clip in known if clip.severity > 0][:_CLIPS]
    return [_clip(clip, run) for clip in worse]


def _clip(clip: ClipView, run: RunView) -> str:
    name = f"- {_code(clip.id)}"
    if clip.problems:
        return f"{name}: {_text(_short(clip.problems[0], 300))}"
    worst = clip.worst
    prompt = f" – {_text(_short(clip.prompt, 120))}" if clip.prompt else ""
    if worst is None:
        return f"{name}{prompt}"
    gate = run.gates[worst.gate]
    return f"{name}: {_text(gate.label)} {number(worst.was)} → {number(worst.now)} {_text(gate.unit)}{prompt}"


def _short(text: str, most: int) -> str:
    # Line ends would end a row of the table.
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def _text(text: str) -> str:
    """Return foreign text as Markdown shows it: no markup, no HTML, no mention of anybody."""
    flat = " ".join(text.split())
    return "".join(_HTML.get(sign, sign) for sign in _SPECIAL.sub(r"\\\1", flat))


def _code(text: str) -> str:
    # Inside of a code span nothing is escaped: its own sign and that of tables are replaced.
    flat = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return f"`{flat}`"
