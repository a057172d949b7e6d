"""The settings of a run, out of the options, the ini file and the environment: read, and checked, once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vidmetrics.plugin.options import SWITCHES, TEXTS

if TYPE_CHECKING:
    from _pytest.config import Config

    from pytest_vidmetrics.core.precision import Precision


@dataclass(frozen=True)
class Settings:
    """What the options, ini values and environment of one run come down to.

    ``step_summary`` is the file of a CI step, which is appended to where no ``summary`` is named.
    """

    selection: tuple[str, ...] | None
    baseline_dir: Path
    checkpoint: str | None
    device: str
    precision: Precision | None
    cache: Path | None
    store: str | None
    verify_content: float
    cohort: str | None
    shard: tuple[int, int] | None
    shard_from: str
    report: Path | None
    report_budget: float | None
    summary: Path | None
    step_summary: Path | None
    ranking: Path | None
    calibrate: tuple[str, ...] | int | None
    update: bool
    extend: bool
    prune: bool
    judge: bool
    generate: bool
    allow_unavailable: bool

    @property
    def part(self) -> tuple[int, int] | None:
        """The part of the samples that this run scores, without judging; ``None`` for all of them (1/1 too)."""
        return self.shard if self.shard is not None and self.shard[1] > 1 else None

    @property
    def tells(self) -> bool:
        """Whether scores of single clips are to be reported."""
        return any(path is not None for path in (self.report, self.summary, self.step_summary))

    @property
    def writes(self) -> str:
        """The option that makes this run write baselines; empty for a run that judges only."""
        if self.update:
            return "--update-baselines"
        if self.extend:
            return "--extend-baselines"
        return "--vidmetrics-calibrate" if self.calibrate else ""


SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()


def _value(config: Config, flag: str, dest: str) -> tuple[Any, str]:
    """Return an option's value, from the command line or else from the ini file, and how messages name it."""
    chosen = config.getoption(dest)
    if chosen is not None:
        return chosen, flag
    try:
        return config.getini(dest), f"the ini option {dest}"
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"the ini option {dest}: {error}") from error


def _text(config: Config, flag: str, dest: str) -> str | None:
    """Return a text option. One that is given and empty is a mistake: a variable of the shell that is not set."""
    value, name = _value(config, flag, dest)
    if value is None:
        return None
    from pytest_vidmetrics.core.wording import encodable, printable, shown

    if not isinstance(value, str):
        raise pytest.UsageError(f"{name}: expected text, got {shown(value)}")
    if dest == "vidmetrics" and not value.replace(",", "").strip():
        raise pytest.UsageError(
            f"{name}={value} names no metric, and nothing would be compared: give metrics or groups, or 'all'"
        )
    if not value.strip():
        raise pytest.UsageError(f"{name} is empty: give it a value, or leave it out")
    if value != printable(encodable(value), keep=""):
        raise pytest.UsageError(f"{name}={shown(value)}: expected text without control characters, in UTF-8")
    return value


def read_settings(config: Config) -> Settings:
    """Return the settings of a run. Raises ``pytest.UsageError`` for a value that makes no sense."""
    text = {dest: _text(config, flag, dest) for flag, dest, _, _ in TEXTS}
    switch = {dest: bool(_value(config, flag, dest)[0]) for flag, dest, _ in SWITCHES}
    names = tuple(name.strip() for name in (text["vidmetrics"] or "").split(",") if name.strip())
    settings = Settings(
        selection=names or None,
        # From the rootdir: baselines are committed with the code, wherever pytest is started.
        baseline_dir=config.rootpath / (_folder(text, "vidmetrics_baseline_dir") or "baselines"),
        checkpoint=text["vidmetrics_checkpoint"],
        device=text["vidmetrics_device"] or "auto",
        precision=_precision(text["vidmetrics_precision"]),
        cache=_path(config, text, "vidmetrics_cache"),
        store=_store(config, text),
        verify_content=_share(text["vidmetrics_verify_content"]),
        cohort=text["vidmetrics_cohort"],
        # A judge reads what all parts stored.
        shard=None if switch["vidmetrics_judge"] else _shard(text["vidmetrics_shard"]),
        shard_from="--vidmetrics-shard",
        report=_path(config, text, "vidmetrics_report"),
        report_budget=_budget(text["vidmetrics_report_budget"]),
        summary=_path(config, text, "vidmetrics_summary"),
        step_summary=None if text["vidmetrics_summary"] else _step_summary(),
        ranking=_path(config, text, "vidmetrics_ranking"),
        calibrate=_calibration(text["vidmetrics_calibrate"]),
        update=switch["vidmetrics_update_baselines"],
        extend=switch["vidmetrics_extend_baselines"],
        prune=switch["vidmetrics_prune_baselines"],
        judge=switch["vidmetrics_judge"],
        generate=switch["vidmetrics_generate"],
        allow_unavailable=switch["vidmetrics_allow_unavailable"],
    )
    _check(settings, allow_ci=switch["vidmetrics_allow_ci_update"])
    return settings


def whole_number(text: str) -> int | None:
    """Return the number that a text of up to nine ASCII digits is; ``None`` for any other, such as ``"²"``."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def cut(text: str) -> str:
    """Return a given value as a message may show it."""
    from pytest_vidmetrics.core.wording import printable

    return printable(text if len(text) <= 60 else text[:57] + "...", keep="")


def _path(config: Config, texts: Mapping[str, str | None], dest: str) -> Path | None:
    path = _folder(texts, dest)
    # From where pytest was started, as a shell completes it.
    return None if path is None else config.invocation_params.dir / path


def _folder(texts: Mapping[str, str | None], dest: str) -> Path | None:
    """Return the path that an option gives, with ``~`` filled in: a shell does not do that behind ``=``."""
    if (text := texts[dest]) is None:
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        flag = next(flag for flag, own, _, _ in TEXTS if own == dest)
        raise pytest.UsageError(f"{flag}={cut(text)}: {error}") from error


def _store(config: Config, texts: Mapping[str, str | None]) -> str | None:
    """Return the URL of a store, or its folder as an absolute path."""
    text = texts["vidmetrics_store"]
    return text if text is None or "://" in text else str(_path(config, texts, "vidmetrics_store"))


def _step_summary() -> Path | None:
    """Return the file in which GitHub Actions shows what a step has to say."""
    named = os.environ.get("GITHUB_STEP_SUMMARY", "").strip()
    return Path(named) if named else None


def _precision(text: str | None) -> Precision | None:
    known: dict[str | None, Precision | None] = {None: None, "tf32": "tf32", "fp32": "fp32", "bf16": "bf16"}
    if text not in known:
        raise pytest.UsageError(f"--vidmetrics-precision={cut(str(text))}: expected tf32, fp32 or bf16")
    return known[text]


def _budget(text: str | None) -> float | None:
    try:
        budget = None if text is None else float(text)
    except ValueError:
        budget = -1.0
    if budget is not None and not 0 <= budget < 4096:
        raise pytest.UsageError(f"--vidmetrics-report-budget={cut(str(text))}: expected a number of MiB from 0 to 4096")
    return budget


def _share(text: str | None) -> float:
    try:
        share = 0.01 if text is None else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise pytest.UsageError(f"--vidmetrics-verify-content={cut(str(text))}: expected a share from 0 to 1, as 0.01")
    return share


def _calibration(text: str | None) -> tuple[str, ...] | int | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    number = whole_number(text)
    runs = len(names) if number is None else number
    # A number of ten digits or more is not a checkpoint's name either.
    if runs < 2 or len(set(names)) < len(names) or (len(names) == 1 and text.strip().isdigit() and number is None):
        raise pytest.UsageError(
            f"--vidmetrics-calibrate={cut(text)}: expected a number of at least 2, or a list of different checkpoints"
        )
    return names if number is None else number


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    given, _, parts = text.partition("/")
    k, n = whole_number(given), whole_number(parts)
    if k is None or n is None or not 1 <= k <= n:
        raise pytest.UsageError(f"--vidmetrics-shard={cut(text)}: expected K/N with 1 <= K <= N, as in 1/4")
    return k, n


def check_writes(settings: Settings) -> None:
    """Raise ``pytest.UsageError`` when a shard is asked to record baselines."""
    if settings.writes and settings.part:
        raise pytest.UsageError(
            f"{settings.writes} cannot go with {settings.shard_from}: a part of the samples is not a baseline"
        )


def _check(settings: Settings, *, allow_ci: bool) -> None:
    if settings.writes and not allow_ci:
        # Here: an idle run imports nothing beside the plugin.
        from pytest_vidmetrics.core.ci import in_ci

        if in_ci():
            raise pytest.UsageError(
                f"{settings.writes} is refused because CI={os.environ['CI']} is set: a CI run that rewrites its own "
                "baselines cannot fail. Record them on your machine, or add --vidmetrics-allow-ci-update"
            )
    check_writes(settings)
    if settings.update and settings.extend:
        raise pytest.UsageError(
            "--update-baselines records everything, --extend-baselines new samples only: choose one"
        )
    if settings.calibrate and settings.judge:
        raise pytest.UsageError("--vidmetrics-calibrate scores clips, --vidmetrics-judge computes nothing: choose one")
    if settings.generate and settings.judge:
        raise pytest.UsageError("--vidmetrics-generate makes clips, --vidmetrics-judge computes nothing: choose one")
    if settings.report is not None and settings.report.suffix not in (".json", ".html", ""):
        raise pytest.UsageError(
            f"--vidmetrics-report={settings.report}: expected FILE.json, FILE.html, or a folder without a suffix"
        )
    if settings.cohort is not None and not re.fullmatch(r"[A-Za-z0-9_.-]{1,50}", settings.cohort):
        raise pytest.UsageError(
            f"--vidmetrics-cohort={cut(settings.cohort)}: expected letters, digits, '_', '.' and '-', 50 at most"
        )
    known = ("auto", "cpu", "cuda")
    if settings.device not in known and whole_number(settings.device.removeprefix("cuda:")) is None:
        raise pytest.UsageError(f"--vidmetrics-device={cut(settings.device)}: expected auto, cpu, cuda or cuda:N")
