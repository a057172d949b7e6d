"""Baselines as text: written so that a diff shows first what matters, read so that every damage has a name.

The layout is that of :mod:`.baseline`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, get_args

from pytest_vidmetrics.core.clips import ClipFacts, facts_from
from pytest_vidmetrics.core.errors import BaselineError
from pytest_vidmetrics.core.policy import Policy
from pytest_vidmetrics.core.scores import CorpusScore
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.baseline import SCHEMA, Baseline, Noise, NoiseKind, Table, seal
from pytest_vidmetrics.gates.recorder import Recorder

_FIRST = ("score", "interval", "n")


def baseline_text(baseline: Baseline) -> str:
    """Return the text of a baseline file. Raises ``BaselineError`` for what JSON or UTF-8 has no form for."""
    try:
        tree = baseline.to_json()
        keys = [*_FIRST, *sorted(tree.keys() - set(_FIRST))]
        text = "{\n" + ",\n".join(f" {json.dumps(key)}: {_line(tree[key])}" for key in keys) + "\n}\n"
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BaselineError(f"this baseline has no form in JSON: {error}") from error
    return text


def _line(value: Any) -> str:
    """Return a value in one line, a table in one line for each of its keys."""
    if not isinstance(value, dict) or not value:
        return _dumped(value)
    return "{\n" + ",\n".join(f"  {_dumped(key)}: {_dumped(one)}" for key, one in sorted(value.items())) + "\n }"


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def looks_like_baseline(data: bytes) -> bool:
    """Whether a file may be replaced by a baseline: it is one, a damaged one, or empty. Nothing else is ours."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        # A damaged baseline does not parse: cut off, all zeros after a crash, or with the marks of a merge.
        return not data.strip(b"\x00 \t\r\n") or b'"sample_ids"' in data or data.lstrip().startswith(b'{\n "score":')
    return isinstance(tree, dict) and {"schema", "metric", "samples"} <= tree.keys()


def decode_baseline(data: bytes, where: str) -> Baseline:
    """Return the baseline in the bytes of a file. Raises ``BaselineError`` that says what is wrong with it."""
    try:
        tree = json.loads(data.decode(), parse_constant=_no_number, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise BaselineError(f"{where}:{error.lineno}: the baseline is not valid JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise BaselineError(f"cannot read the baseline {where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{where}: the baseline is not valid JSON: {error}") from error
    # The layout of another schema may have another seal; what is not an object at all is named by the parser.
    if isinstance(tree, dict) and tree.get("schema") == SCHEMA and not _intact(tree):
        raise BaselineError(
            f"the baseline {where} was edited by hand or merged: its digest does not fit its content; "
            "restore the committed file, or record it again with --update-baselines"
        )
    return parse_baseline(tree, where)


def _intact(tree: Mapping[str, Any]) -> bool:
    try:
        return bool(tree.get("digest") == seal(tree))
    except (ValueError, RecursionError):  # numbers and texts that no baseline is written with
        return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return one object. Raises ``ValueError`` for a key that stands there twice, as after a merge."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} is there more than once")
    return tree


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def parse_baseline(tree: Any, where: str) -> Baseline:
    """Return a baseline from its layout, read from ``where``. Raises ``BaselineError``."""
    try:
        return _parse(tree)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise BaselineError(f"{where}: not a baseline of schema {SCHEMA}: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    return f"it has no {error.args[0]!r}" if isinstance(error, KeyError) and error.args else str(error)


def _parse(tree: Any) -> Baseline:
    if not isinstance(tree, dict):
        raise TypeError(f"it is {shown(tree)}, not an object")
    if tree.get("schema") != SCHEMA:
        raise ValueError(f"it has schema {shown(tree.get('schema', 'none'))}, this version reads {SCHEMA}")
    score = _finite(tree["score"], "score")
    samples = {str(id): _finite(value, f"the score of {id}") for id, value in tree["samples"].items()}
    table = None if tree.get("table") is None else Table.from_wire(tree["table"], "table")
    # A large baseline has a table instead of its samples, and never both.
    if not (len(samples) if table is None else table.n) == tree["n"] >= 1 or (table is not None and samples):
        raise ValueError(f"it says n = {shown(tree['n'])} and holds {len(samples)} samples")
    if tree["direction"] not in ("higher", "lower"):
        raise ValueError(f"direction is {shown(tree['direction'])}, not 'higher' or 'lower'")
    noise, interval = tree.get("noise"), tree.get("interval")
    scores = CorpusScore(
        metric=dict(tree["metric"]),
        higher_is_better=tree["direction"] == "higher",
        score=score,
        samples=samples,
        paths={},
        sample_ids=_text(tree["sample_ids"], "sample_ids"),
        reference=None if tree["reference"] is None else _text(tree["reference"], "reference"),
        clips=_clips(tree.get("clips", {})),
        reference_clips=_clips(tree.get("reference_clips", {})),
        inputs={str(id): _text(value, f"the input of {id}") for id, value in tree["inputs"].items()},
    )
    return Baseline(
        scores=scores,
        recorded_by=Recorder.from_json(tree["recorded_by"]),
        noise=None if noise is None else _noise(noise),
        interval=None if interval is None else _interval(interval),
        environment={str(key): str(value) for key, value in dict(tree.get("environment") or {}).items()},
        policy=None if tree.get("policy") is None else Policy.from_wire(tree["policy"], "policy"),
        table=table,
        order=None if tree.get("order") is None else _text(tree["order"], "order"),
    )


def _clips(tree: Mapping[str, Any]) -> dict[str, ClipFacts]:
    """Return the facts of clips; none of a baseline that was recorded before they were kept."""
    return {str(id): facts_from(facts, f"the clip {id}") for id, facts in tree.items()}


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {shown(value)}, not text")
    return value


def _finite(value: Any, what: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{what} is {shown(value)}, not a finite number")
    return float(value)


def _interval(ends: Any) -> tuple[float, float]:
    if not isinstance(ends, list) or len(ends) != 2:
        raise ValueError(f"the interval is {shown(ends)}, not two numbers")
    return _finite(ends[0], "the interval's low end"), _finite(ends[1], "the interval's high end")


def _noise(tree: Mapping[str, Any]) -> Noise:
    sigma, runs, kind = _finite(tree["sigma"], "the noise"), tree["runs"], tree["kind"]
    if type(runs) is not int:
        raise ValueError(f"the noise is that of {shown(runs)} runs, not of a whole number of at least 2")
    if kind not in get_args(NoiseKind):
        raise ValueError(f"the noise is of the kind {shown(kind)}, not one of {', '.join(get_args(NoiseKind))}")
    modes = tree.get("modes")
    facts = {str(name): _pair(values) for name, values in tree.get("facts", {}).items()}
    return Noise(sigma, runs, kind, None if modes is None else _interval(modes), facts)


def _pair(values: Any) -> tuple[str, str]:
    if not isinstance(values, list) or len(values) != 2:
        raise ValueError(f"a fact of the noise is {shown(values)}, not two texts")
    return _text(values[0], "a fact of the noise"), _text(values[1], "a fact of the noise")
