"""Manifest files to cases: the schema, strictly checked, with the line and the closest valid spelling."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vidmetrics.core.errors import UnavailableError, closest
from pytest_vidmetrics.core.names import LONGEST, name_fault, word_fault
from pytest_vidmetrics.core.policy import Policy, policy_fault
from pytest_vidmetrics.core.types import SampleValues
from pytest_vidmetrics.core.wording import shown
from pytest_vidmetrics.gates.case import Case, Location, Manifest, manifest_stem
from pytest_vidmetrics.gates.cohort import AUTO
from pytest_vidmetrics.gates.files import PathReader, has_parts
from pytest_vidmetrics.gates.manifest_syntax import Lines, read_tree
from pytest_vidmetrics.gates.manifest_table import TypedTable, refuse_unknown
from pytest_vidmetrics.gates.method import Method, method_of
from pytest_vidmetrics.gates.values import fault
from pytest_vidmetrics.metrics import registry

SCHEMA = 1
_CASE_KEYS = (
    "video",
    "reference",
    "audio",
    "reference_audio",
    "pair",
    "samples",
    "rename",
    "metrics",
    "metric",
    "gate",
    "marks",
    "fixtures",
    "clips_per_item",
    "scoring",
    "allow",
    "checkpoint",
    "cluster",
    "cohort",
    "dataset",
    "dataset_root",
    "method",
    "common",
)
_MEDIA = ("video", "reference", "audio", "reference_audio")


def load_manifest(path: Path) -> Manifest:
    """Parse and check one manifest.

    Raises :class:`~pytest_vidmetrics.core.errors.ManifestError` whose message starts with ``file:line``.
    """
    top = Location(path, 1)
    if problem := name_fault(manifest_stem(path), LONGEST):
        raise top.error(f"the manifest's name {shown(path.name)}: {problem}")
    tree, lines = read_tree(path)
    refuse_unknown(tree, ("schema", "case"), lines, (), path)
    if type(tree.get("schema")) is not int or tree["schema"] != SCHEMA:
        line = Location(path, lines.get(("schema",), 1))
        raise line.error(f"this version reads schema = {SCHEMA}, got {shown(tree.get('schema', 'none'))}")
    cases = tree.get("case")
    if not isinstance(cases, dict) or not cases:
        raise top.error("a manifest needs at least one [case.NAME] table")
    _distinct(cases, lines, ("case",), path)
    for name, body in cases.items():
        for group in ("metric", "method"):
            if isinstance(body, dict) and isinstance(body.get(group), dict):
                _distinct(body[group], lines, ("case", name, group), path)
    return Manifest(path, tuple(_case(name, body, lines, path) for name, body in cases.items()))


def _distinct(tree: Mapping[str, Any], lines: Lines, at: tuple[str, ...], path: Path) -> None:
    """Refuse names that differ in case only: on some file systems their baselines would be one file."""
    folded: dict[str, str] = {}
    for name in tree:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            where = Location(path, lines.get((*at, name), 1))
            raise where.error(f"[{'.'.join((*at, name))}] and {other!r} differ in case only; rename one of them")


def sample_keys() -> set[str]:
    """Return every sample key that some registered metric reads."""
    keys = set(SampleValues.__annotations__)
    for name in registry.list_metrics():
        cls = registry.metric_class(name)
        keys.update(cls.requires, cls.reads)
    return keys


def _case(name: str, body: Any, lines: Lines, path: Path) -> Case:
    at = ("case", name)
    where = Location(path, lines.get(at, 1))
    if problem := word_fault(name):
        raise where.error(f"the case name {shown(name)}: {problem}")
    if not isinstance(body, dict):
        raise where.error(f"[case.{name}] must be a table, got {type(body).__name__}")
    keys = sample_keys()
    refuse_unknown(body, {*_CASE_KEYS, *keys}, lines, at, path)
    check = TypedTable(path, lines, at)
    media = {key: check.strings(body, key) for key in _MEDIA if key in body}
    if not media and "samples" not in body:
        raise where.error(f"[case.{name}] names no clips: give video, audio or samples")
    metrics = check.strings(body, "metrics") if "metrics" in body else None
    configs = _configs(body, check)
    for entry in metrics or ():
        if entry not in configs:
            check.selectable(entry, "metrics", configs)
    return Case(
        name=name,
        where=where,
        media=media,
        pair=_pair(body, check),
        samples=check.string(body, "samples"),
        rename=_rename(body, check, {*keys, "id", "metrics"}),
        broadcast=_broadcast(body, check, keys),
        metrics=metrics,
        configs=configs,
        policies=_policies(body, check, _gates(metrics, configs)),
        marks=_marks(body, check),
        fixtures=check.strings(body, "fixtures") if "fixtures" in body else (),
        clips_per_item=check.count(body, "clips_per_item", 1),
        scoring=check.choice(body, "scoring", ("items", "engine"), "items"),
        checkpoint=check.string(body, "checkpoint"),
        cohort=_cohort(body, check),
        # VBench has several clips of one prompt: they are not independent.
        cluster=check.string(body, "cluster") or ("text_prompt" if body.get("dataset") == "vbench" else None),
        allow=_allow(body, check),
        dataset=_dataset(body, check),
        dataset_root=check.string(body, "dataset_root"),
        methods=_methods(body, check),
        common=check.choice(body, "common", ("refuse", "intersect"), "refuse"),
        lines={key: line for key, line in lines.items() if key[:2] == at},
    )


def _methods(body: Mapping[str, Any], check: TypedTable) -> dict[str, Method]:
    """Return the generators of ``[case.NAME.method.METHOD]`` tables. Their clips are the case's, who lists the rows."""
    found = {
        name: method_of(name, table, lambda *keys, name=name: check.at("method", name, *keys))
        for name, table in check.tables(body, "method")
    }
    if not found and "common" in body:
        raise check.at("common").error("common says how methods are ranked, and the case has none")
    for key in ("video", "audio", "dataset", "dataset_root") if found else ():
        if key in body:
            raise check.at(key).error(f"the methods of a case bring its clips: leave {key} out")
    if found and "samples" not in body:
        raise check.at("method").error("a case with methods needs samples: the rows that clips are generated for")
    return found


def _dataset(body: Mapping[str, Any], check: TypedTable) -> str | None:
    """Return the name of a registered dataset: those of this package and those of users."""
    from pytest_vidmetrics.datasets.base import list_datasets

    name = check.string(body, "dataset")
    if name is not None and name not in (known := list_datasets()):
        raise check.at("dataset").error(
            f"unknown dataset {shown(name)}{closest(name, known)} (known: {', '.join(known)})"
        )
    return name


def _broadcast(body: Mapping[str, Any], check: TypedTable, keys: Collection[str]) -> dict[str, Any]:
    """Return the sample values that hold for every clip of the case."""
    # A key such as video is both a sample key and a key of the case: it is not a value for all.
    values = {key: body[key] for key in body if key in keys and key not in _CASE_KEYS}
    for key, value in values.items():
        if problem := fault(key, value):
            raise check.at(key).error(problem)
    return values


def _pair(body: Mapping[str, Any], check: TypedTable) -> str:
    value = body.get("pair", "stem")
    if isinstance(value, str) and has_parts(value):
        try:
            PathReader.of(value, check.at("pair"))
        except re.error as error:
            raise check.at("pair").error(f"pair = {value!r} is not a pattern of names: {error}") from error
    elif value not in ("stem", "set"):
        hint = closest(str(value), ("stem", "set"))
        raise check.at("pair").error(
            f"pair must be one of stem, set, or a pattern with {{id}}, got {shown(value)}{hint}"
        )
    return str(value)


def _rename(body: Mapping[str, Any], check: TypedTable, known: Collection[str]) -> dict[str, str]:
    """Return ``{key of the rows: sample key}``."""
    table = body.get("rename", {})
    if not isinstance(table, dict) or not all(isinstance(ours, str) for ours in table.values()):
        raise check.at("rename").error(f'rename must be a table of texts, {{their_key = "our_key"}}, got {table!r:.60}')
    if table and "samples" not in body:
        raise check.at("rename").error("rename is for the rows of samples, and the case has none")
    # A column may be there for the clusters alone.
    allowed = {*known, str(body.get("cluster", "id"))}
    for theirs, ours in table.items():
        if ours not in allowed:
            raise check.at("rename", theirs).error(f"rename: {ours!r} is not a sample key{closest(ours, allowed)}")
        if list(table.values()).count(ours) > 1:
            raise check.at("rename", theirs).error(f"rename: {ours!r} is given to two keys")
    return dict(table)


def _configs(body: Mapping[str, Any], check: TypedTable) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return ``{gate: (metric, parameters)}`` of the ``[case.NAME.metric.GATE]`` tables, tried out once each."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for gate, table in check.tables(body, "metric"):
        where = check.at("metric", gate)
        if problem := word_fault(gate):
            raise where.error(f"the gate name {shown(gate)}: {problem}")
        params = {key: value for key, value in table.items() if key != "use"}
        metric = table.get("use", gate)
        if not isinstance(metric, str) or metric not in registry.list_metrics():
            raise where.error(f"unknown metric {shown(metric)}{registry.hint(str(metric), registry.list_metrics())}")
        try:
            # Made once here, so that a wrong parameter is an error of collection with its line.
            registry.get_metric(metric, **params)
        except UnavailableError:
            pass  # a missing library is the gate's verdict, not a fault of the manifest
        except (TypeError, ValueError) as error:
            raise where.error(str(error)) from error
        except Exception as error:
            raise where.error(f"{metric} cannot be made with these: {type(error).__name__}: {error}") from error
        found[gate] = (metric, params)
    return found


def _gates(metrics: Sequence[str] | None, configs: Collection[str]) -> list[str]:
    """Return every gate that the case can have."""
    groups = [entry for entry in metrics if entry not in configs] if metrics is not None else ["all"]
    return [*configs, *registry.expand(groups)]


# They take arguments, which a manifest cannot give, or mean nothing on an item.
_NO_MARKS = ("parametrize", "usefixtures", "skipif", "filterwarnings")


def _marks(body: Mapping[str, Any], check: TypedTable) -> tuple[str, ...]:
    marks = check.strings(body, "marks") if "marks" in body else ()
    for mark in marks:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", mark):
            raise check.at("marks").error(f"{shown(mark)} is not the name of a mark")
        if mark in _NO_MARKS:
            raise check.at("marks").error(f"the mark {mark!r} takes arguments, which a manifest cannot give")
        if mark == "xfail":
            raise check.at("marks").error("the mark 'xfail' would turn regressions green; give the gate a margin")
    return marks


def _policies(body: Mapping[str, Any], check: TypedTable, gates: Sequence[str]) -> dict[str, Policy]:
    fields = {field.name for field in dataclasses.fields(Policy)}
    policies: dict[str, Policy] = {}
    chosen: dict[str, Any]
    for gate, table in check.tables(body, "gate"):
        if gate not in gates and gate != "default":
            known = [*gates, "default"]
            raise check.at("gate", gate).error(f"the case has no gate {shown(gate)}{closest(gate, known)}")
        check.known(table, fields, ("gate", gate))
        for key, value in table.items():
            if problem := policy_fault(key, value):
                raise check.at("gate", gate, key).error(problem)
        chosen = {key: tuple(value) if key == "allow" else value for key, value in table.items()}
        try:
            policies[gate] = Policy(**chosen)
        except ValueError as error:  # of two keys that do not go together
            raise check.at("gate", gate).error(str(error)) from error
    return policies


def _cohort(body: Mapping[str, Any], check: TypedTable) -> tuple[str, ...]:
    """Return the names of the facts that key the baselines of a case."""
    names = check.strings(body, "cohort") if "cohort" in body else ()
    if body.get("cohort") == "auto":
        return AUTO
    if isinstance(body.get("cohort"), str):
        raise check.at("cohort").error(
            f'cohort must be "auto" or a list of facts, got {shown(names[0])}; the option --vidmetrics-cohort=NAME '
            "names one cohort"
        )
    return names


def _allow(body: Mapping[str, Any], check: TypedTable) -> tuple[str, ...]:
    """Return in what the clips of the case may differ from what they are compared with."""
    value = body.get("allow", [])
    if problem := policy_fault("allow", value):
        raise check.at("allow").error(problem)
    return tuple(value)
