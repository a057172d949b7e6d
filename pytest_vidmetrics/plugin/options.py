"""Command line options and their ini twins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _pytest.config.argparsing import Parser

TEXTS: tuple[tuple[str, str, str, str], ...] = (
    (
        "--vidmetrics",
        "vidmetrics",
        "SEL",
        "run the metrics and groups in this comma list ('all': all that a case lists)",
    ),
    ("--baseline-dir", "vidmetrics_baseline_dir", "DIR", "folder of the baseline files (default: baselines)"),
    ("--vidmetrics-checkpoint", "vidmetrics_checkpoint", "NAME", "value of {checkpoint} in manifests"),
    ("--vidmetrics-device", "vidmetrics_device", "DEVICE", "auto, cpu, cuda or cuda:N (default: auto)"),
    ("--vidmetrics-precision", "vidmetrics_precision", "P", "tf32 (default on GPUs), fp32 (elsewhere) or bf16"),
    ("--vidmetrics-cache", "vidmetrics_cache", "DIR", "folder of the result store (default: the user's cache folder)"),
    (
        "--vidmetrics-store",
        "vidmetrics_store",
        "URL",
        "result store of several machines: s3://, gs://, az:// or a folder (default: below --vidmetrics-cache)",
    ),
    (
        "--vidmetrics-verify-content",
        "vidmetrics_verify_content",
        "SHARE",
        "of the clips whose content a judge takes from the store's index, read so many all the same (default: 0.01)",
    ),
    ("--vidmetrics-cohort", "vidmetrics_cohort", "NAME", "prefer baselines recorded for this kind of machine"),
    ("--vidmetrics-shard", "vidmetrics_shard", "K/N", "score only the K-th of N parts, judge nothing"),
    (
        "--vidmetrics-calibrate",
        "vidmetrics_calibrate",
        "N",
        "record the noise of N scorings, or of a list of checkpoints",
    ),
    (
        "--vidmetrics-report",
        "vidmetrics_report",
        "FILE",
        "write every gate's numbers to FILE.json, or a page for reviewers to FILE.html or DIR",
    ),
    (
        "--vidmetrics-report-budget",
        "vidmetrics_report_budget",
        "MIB",
        "room for media in a page of --vidmetrics-report (default: 24)",
    ),
    (
        "--vidmetrics-summary",
        "vidmetrics_summary",
        "FILE.md",
        "write a summary in Markdown, worst first (default: what $GITHUB_STEP_SUMMARY names, where it is set)",
    ),
    ("--vidmetrics-ranking", "vidmetrics_ranking", "DIR", "write the rankings of methods as JSON and Markdown to DIR"),
)
SWITCHES: tuple[tuple[str, str, str], ...] = (
    ("--update-baselines", "vidmetrics_update_baselines", "record the scores of the selected gates as baselines"),
    (
        "--extend-baselines",
        "vidmetrics_extend_baselines",
        "where samples were added, removed or changed and the others did not get worse: take that over",
    ),
    ("--prune-baselines", "vidmetrics_prune_baselines", "delete baselines that no gate of a full run uses"),
    ("--vidmetrics-judge", "vidmetrics_judge", "judge what the store holds, compute nothing"),
    (
        "--vidmetrics-generate",
        "vidmetrics_generate",
        "let methods of manifests generate the clips that are missing",
    ),
    (
        "--vidmetrics-allow-unavailable",
        "vidmetrics_allow_unavailable",
        "skip gates whose weights or library are missing",
    ),
    ("--vidmetrics-allow-ci-update", "vidmetrics_allow_ci_update", "let --update-baselines run where CI is set"),
)


def add_options(parser: Parser) -> None:
    """Declare every option in a group of its own, each with an ini twin of its dest."""
    group = parser.getgroup("vidmetrics", "video and audio generation metrics")
    for flag, dest, metavar, text in TEXTS:
        # `None` tells an option that was not given from an empty one.
        group.addoption(flag, dest=dest, metavar=metavar, default=None, help=text)
        parser.addini(dest, f"{text} (ini twin of {flag})", default=None)
    for flag, dest, text in SWITCHES:
        # `None` again: False would hide the ini value.
        group.addoption(flag, dest=dest, action="store_true", default=None, help=text)
        parser.addini(dest, f"{text} (ini twin of {flag})", type="bool", default=False)
