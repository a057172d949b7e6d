"""One HTML page from what the report says: templates with automatic escaping, everything it needs inside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pytest_vidmetrics import __version__
from pytest_vidmetrics.report.curves import Curve
from pytest_vidmetrics.report.history import Drawn
from pytest_vidmetrics.report.numbers import number, percent, plot_of, signed
from pytest_vidmetrics.report.shelf import Media
from pytest_vidmetrics.report.tables import Table
from pytest_vidmetrics.report.view import NOT_JUDGED, GateView, RunView

SCRIPTS = ("data.js", "side.js", "player.js", "curves.js", "clips.js", "approve.js", "main.js")
STYLES = ("report.css",)
_WORDS = re.compile(r"[^._/:@\-]+[._/:@\-]*|[._/:@\-]+")
_LONGEST = 24
_UNJUDGED = (
    ("ERROR", "Errors: no verdict could be reached"),
    ("UNAVAILABLE", "Unavailable: weights or a library are missing here"),
    ("SKIPPED", "Skipped"),
)


def page(
    run: RunView,
    media: Media,
    curves: Mapping[int, Sequence[Curve]],
    parts: Mapping[str, tuple[str, str]],
    *,
    record: str,
    source: str,
    histories: Mapping[str, Drawn],
    tables: Sequence[Table],
    baseline: str,
    in_folder: bool = False,
) -> str:
    """Return the whole page.

    ``parts`` are media inside of it, by id; ``record`` is the name of the record's file, for the commands that it
    prints; ``source`` is the record itself, see :func:`~pytest_vidmetrics.gates.record.packed`;
    ``histories`` are curves of gates by baseline file, ``tables`` what stands below the verdicts, ``baseline`` says
    where the baseline's clips are. With ``in_folder`` media are files beside it.
    """
    script, style = _static(SCRIPTS), _static(STYLES)
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            run=run,
            rows=[gate for gate in run.gates if gate.verdict.status not in NOT_JUDGED],
            unjudged=[(text, found) for status, text in _UNJUDGED if (found := _groups(run.gates, status))],
            media=media,
            parts=parts,
            record=record,
            source=source,
            histories=histories,
            tables=tables,
            baseline=baseline,
            data=_json(_data(run, media, curves, record)),
            script=Markup(script),
            style=Markup(style),
            policy=_policy(script, style, in_folder=in_folder),
            version=__version__,
            plot_of=plot_of,
        )
    )


def _data(run: RunView, media: Media, curves: Mapping[int, Sequence[Curve]], record: str) -> dict[str, Any]:
    """Return what the scripts read, as short as it goes: there may be ten thousand clips."""
    cases = list(dict.fromkeys(clip.case for clip in run.clips))
    shown = {
        i: entries for i, entries in enumerate(media.entries) if any(one["kind"] != "none" for one in entries.values())
    }
    notes = {
        i: {side: entry["note"] for side, entry in entries.items()}
        for i, entries in enumerate(media.entries)
        if i not in shown and any(not entry["note"].startswith("not in this report") for entry in entries.values())
    }
    # A clip that is only out of budget needs no note of its own: most clips are.
    return {
        "record": record,
        "checkpoint": run.environment.get("checkpoint", ""),
        "sides": run.sides,
        "cases": [run.name_of(case) for case in cases],
        "gates": [
            {
                "id": gate.id,
                "label": gate.label,
                "unit": gate.unit,
                "status": gate.verdict.status,
                "sign": 1 if gate.higher_is_better else -1,
                "red": gate.is_red,
                "set": gate.is_set,
                "side": gate.side,
            }
            for gate in run.gates
        ],
        "clips": [
            # Lists instead of tables: their keys would be most of the page.
            [
                clip.id,
                cases.index(clip.case),
                clip.prompt,
                [[score.gate, _short(score.was), _short(score.now)] for score in clip.scores],
                [clip.files.get(side) for side in run.sides],
                list(clip.problems),
            ]
            for clip in run.clips
        ],
        "media": shown,
        "notes": notes,
        "curves": {i: [asdict(one) for one in found] for i, found in curves.items()},
    }


def _short(value: float | None) -> float | None:
    # Six digits: more than the page shows, fewer than a float has.
    return None if value is None else float(f"{value:.6g}")


def _groups(gates: Sequence[GateView], status: str) -> list[tuple[str, list[GateView]]]:
    """Return the gates of a status by reason: a file that all need is named once."""
    found: dict[str, list[GateView]] = {}
    for gate in gates:
        if gate.verdict.status == status:
            found.setdefault(gate.verdict.reason, []).append(gate)
    return list(found.items())


def _json(value: Any) -> Markup:
    """Return JSON that can stand inside of a script element, whatever its texts are."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # The signs that could end the script element, or the line of an old JavaScript.
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _policy(script: str, style: str, *, in_folder: bool) -> str:
    """Return the content security policy: this script, this style, no other source, no request."""
    # A page in a folder is opened as a file, whose media are of another origin.
    beside = " 'self' file:" if in_folder else ""
    return "; ".join(
        (
            "default-src 'none'",
            # By digest: only these very texts run, and nothing that a prompt smuggles in.
            f"script-src 'sha256-{_sha256(script)}'",
            f"style-src 'sha256-{_sha256(style)}'",
            f"img-src data: blob:{beside}",
            f"media-src data: blob:{beside}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


@cache
def _static(names: tuple[str, ...]) -> str:
    # Through importlib: the package may lie in a zip.
    folder = resources.files(__package__).joinpath("static")
    return "\n" + "\n".join(folder.joinpath(name).read_text("utf-8") for name in names)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader(str(__package__), "templates"),
        autoescape=True,
        # A misspelled name is an error and not an empty cell.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, signed=signed, pretty=_pretty, breakable=_breakable)
    made.globals.update(percent=percent)
    return made


def _breakable(text: str) -> Markup:
    """Return a name that may be broken behind its signs, and within a long word of ASCII letters.

    Other scripts break by themselves, and letters that are drawn together stay together.
    """
    parts = []
    for word in _WORDS.findall(text):
        step = _LONGEST if word.isascii() else len(word)
        parts += [word[start : start + step] for start in range(0, len(word), step)]
    return Markup("<wbr>").join(parts)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
