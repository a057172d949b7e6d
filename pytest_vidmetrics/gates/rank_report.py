"""What is left of a ranking when the run is over: tables, ``ranking.json``, and the result files of the usage guide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.files import write_atomic
from pytest_vidmetrics.core.wire import Wire
from pytest_vidmetrics.core.wording import table

SCHEMA = 1
_NOTE = "Methods that are not told apart from the best share its rank (Holm over all pairs of a gate)."


@dataclass(frozen=True)
class RankReport(Wire):
    """One gate's ranking of the methods of a case, or the ``reason`` why there is none.

    ``rows`` are the text table, its heading first; ``result`` is what ``ranking.json`` says of the gate. ``guide`` is
    ``{method: {"fvd", "real", "generated", "directory"}}`` for a video distance: the score, the shapes of the features
    and where the clips lie; ``reference`` is where its references lie.
    """

    case: str
    gate: str
    rows: tuple[tuple[str, ...], ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    guide: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reference: str = ""


def _title(report: RankReport) -> str:
    direction = "higher" if report.result["higher_is_better"] else "lower"
    return f"{report.gate} ({direction} is better, {report.result['n']} independent samples)"


def text(reports: Sequence[RankReport]) -> list[str]:
    """Return the rankings as lines for a terminal."""
    lines = []
    for report in reports:
        if report.reason:
            lines.append(f"{report.case}: {report.gate}: not ranked: {report.reason}")
            continue
        lines += [f"{report.case}: ranking by {_title(report)}", *table(report.rows, indent="  ")]
        lines += [f"  note: {remark}" for remark in report.result["remarks"]]
    return [*lines, _NOTE] if any(not report.reason for report in reports) else lines


def markdown(reports: Sequence[RankReport]) -> str:
    """Return the rankings as Markdown, with what could not be ranked and why."""
    parts, case = [], ""
    for report in reports:
        if report.case != case:
            case = report.case
            parts.append(f"## {_cell(case)}")
        if report.reason:
            parts.append(f"### {_cell(report.gate)}\n\nnot ranked: {_cell(report.reason)}")
            continue
        head, *rows = report.rows
        lines = [f"### {_cell(_title(report))}", ""]
        lines += [f"| {' | '.join(map(_cell, head))} |", f"|{' --- |' * len(head)}"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
        lines += [f"\n{_cell(remark)}" for remark in report.result["remarks"]]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, f"{_NOTE}\n"])


def _cell(words: str) -> str:
    """Return text that cannot leave its cell or become markup."""
    # The backslash first, or the signs below would be escaped twice.
    plain = " ".join(words.split()).replace("\\", "\\\\")
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def to_json(reports: Sequence[RankReport], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``ranking.json``: ``{"schema", ..., "cases": {case: {"gates": {...}, "not_ranked": {gate: reason}}}}``."""
    cases: dict[str, Any] = {}
    for report in reports:
        own = cases.setdefault(report.case, {"gates": {}, "not_ranked": {}})
        if report.reason:
            own["not_ranked"][report.gate] = report.reason
        else:
            own["gates"][report.gate] = dict(report.result)
    return {"schema": SCHEMA, **facts, "cases": cases}


def write(folder: Path, reports: Sequence[RankReport], facts: Mapping[str, Any], timestamp: str) -> list[Path]:
    """Write ``ranking.json`` and ``ranking.md``, and for video distances the files of the usage guide.

    Several distances, or cases, have a folder each for the latter. Raises ``OSError``.
    """
    written = [folder / "ranking.json", folder / "ranking.md"]
    write_atomic(written[0], _text(to_json(reports, facts)))
    write_atomic(written[1], markdown(reports).encode())
    guides = [report for report in reports if report.guide]
    for report in guides:
        # One distance has the folder to itself, as the guide's readers expect.
        place = folder if len(guides) == 1 else folder / report.case.rpartition("::")[2] / report.gate
        written += write_guide_files(
            place,
            {name: one["fvd"] for name, one in report.guide.items()},
            {name: (one["real"], one["generated"]) for name, one in report.guide.items()},
            {name: one["directory"] for name, one in report.guide.items()},
            report.reference,
            timestamp,
        )
    return written


def write_guide_files(
    folder: Path,
    scores: Mapping[str, float],
    shapes: Mapping[str, tuple[Sequence[int], Sequence[int]]],
    directories: Mapping[str, str],
    reference: str,
    timestamp: str,
) -> list[Path]:
    """Write the result and summary files of the usage guide, so that what reads them keeps working.

    ``shapes`` are those of the reference and of the generated features, by method. The names are
    ``fvd_<method>_<time>.json`` and ``benchmark_summary_<time>.json``. Raises ``OSError``.
    """
    written, methods = [], {}
    for method, score in scores.items():
        real, generated = shapes[method]
        path = folder / f"fvd_{method}_{timestamp}.json"
        body = {
            "fvd": score,
            "num_real_videos": int(real[0]),
            "num_generated_videos": int(generated[0]),
            "real_features_shape": list(map(int, real)),
            "generated_features_shape": list(map(int, generated)),
            "real_videos_dir": reference,
            "generated_videos_dir": directories[method],
        }
        write_atomic(path, _text(body))
        methods[method] = {"fvd": score, "num_videos": int(generated[0]), "output_file": str(path)}
        written.append(path)
    summary = folder / f"benchmark_summary_{timestamp}.json"
    write_atomic(summary, _text({"timestamp": timestamp, "reference_dir": reference, "methods": methods}))
    return [*written, summary]


def _text(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()
