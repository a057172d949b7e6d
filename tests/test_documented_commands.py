"""Every command, program and manifest of the pages is one that this version understands."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_vidmetrics import create_evaluator, get_dataset
from pytest_vidmetrics.cli import build_parser
from pytest_vidmetrics.datasets import base as datasets
from pytest_vidmetrics.gates.manifest import load_manifest
from pytest_vidmetrics.metrics import registry
from pytest_vidmetrics.metrics.registry import expand
from tests.plugin.conftest import PLAIN
from tests.support.pages import ROOT, Block, blocks, pages

SHELL = blocks("console", "bash", "sh")
FOREIGN = ("sharp.", "mine.")
"""Metrics that the pages about metrics of one's own define."""
BY_NATURE = ("pip", "uv", "uvx", "pipx", "sbatch", "git")
"""Programs that need a package index, a cluster or a repository."""
ELSEWHERE = {
    "CONTRIBUTING.md": ".ci/run",
    "docs/first-gate.md": "tests/test_site.py",
    "examples/i2v/README.md": "tests/test_i2v_example.py",
    "examples/plugin_metric/README.md": "tests/test_plugin_example.py",
}
"""Pages whose commands another test runs in an order of its own."""


def arguments(command: str) -> list[list[str]]:
    """Return the words of each command that a line chains, without variables before it."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    calls: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";&|"):
            calls.append([])
        elif calls[-1] or not re.fullmatch(r"[A-Z_]+=.*", word, re.DOTALL):
            calls[-1].append(word)
    return [words[2:] if words[:2] == ["python", "-m"] else words for words in calls if words]


def calls_of(program: str) -> list[pytest.param]:
    return [
        pytest.param(words[1:], id=f"{block}-{number}")
        for block in SHELL
        for number, command in enumerate(block.commands())
        for words in arguments(command)
        if words[0] == program
    ]


@pytest.mark.parametrize("words", calls_of("vidmetrics"))
def test_vidmetrics_knows_the_command(words: list[str]) -> None:
    assert build_parser().parse_args(words).run


def test_pytest_knows_the_options(pytester: pytest.Pytester) -> None:
    calls = calls_of("pytest")
    for folder in ("trial", "duel"):  # what --rootdir names
        pytester.mkdir(folder)
    assert len(calls) > 10
    for call in calls:
        (words,) = call.values
        pytester.parseconfig(*PLAIN, *words)


def subparsers() -> dict[str, argparse.ArgumentParser]:
    (found,) = [one for one in build_parser()._actions if isinstance(one, argparse._SubParsersAction)]
    return dict(found.choices)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_in_a_sentence_exist(page: Path, pytestconfig: pytest.Config) -> None:
    text = page.read_text(encoding="utf-8")
    known = subparsers()
    for inline in re.findall(r"`vidmetrics ([^`]+)`", text):
        name, *words = inline.split()
        for one in name.split("|"):
            assert one in known, f"vidmetrics {inline}"
            options = {option for action in known[one]._actions for option in action.option_strings}
            assert {word.split("=")[0] for word in words if word.startswith("-")} <= options, f"vidmetrics {inline}"
    ours = {name for option in pytestconfig._parser.getgroup("vidmetrics").options for name in option.names()}
    named = set(re.findall(r"(--vidmetrics(?:-[a-z]+)*|--[a-z]+-baselines?)\b", text))
    assert named <= ours | {"--baseline-dir"} | {o for one in known.values() for o in one._option_string_actions}


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_programs_compile_and_import_what_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pytest_vidmetrics"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


def test_the_page_about_writing_metrics_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is found is found before the copies are made: modules register themselves once.
    assert registry.list_metrics()
    assert datasets.list_datasets()
    for module in (registry, datasets):
        monkeypatch.setattr(module, "_registry", dict(module._registry))
    names: dict[str, Any] = {"__name__": __name__}
    for block in blocks("python"):
        if block.page == "docs/writing-a-metric.md":
            exec(compile(block.text, str(block), "exec"), names)
    dark, light = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.5)
    found = create_evaluator("mine.brightness", device="cpu").evaluate(video=light)
    assert found["mine.brightness"].score == pytest.approx(0.5)
    samples = [{"video": dark, "reference": light}, {"video": dark, "reference": light}]
    corpus = create_evaluator("mine.distance", device="cpu").evaluate(samples=samples).corpus
    assert corpus["mine.distance"].score == pytest.approx(1.5)
    (tmp_path / "said.json").write_text('{"*": ["video_1", "tie"]}')
    answers = {"client": "recorded", "recording": str(tmp_path / "said.json")}
    judge = create_evaluator("mine.sharper", device="cpu", metric_kwargs={"mine.sharper": answers})
    assert judge.evaluate(video=light, reference=dark)["mine.sharper"].details["calls"]
    assert [get_dataset("mine").filename(row, 1) for row in get_dataset("mine")] == [
        "waves-1.mp4",
        "rain-1.mp4",
        "a clock-1.mp4",
    ]


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_manifests_are_read(block: Block, tmp_path: Path) -> None:
    tree = tomllib.loads(block.text)
    if "case" not in tree:
        return
    head = "" if "schema" in tree else "schema = 1\n"
    for name in tree["case"]:
        if f"[case.{name}]\n" not in block.text:  # a table of a case that the page showed before
            head += f'[case.{name}]\nvideo = "clips/*.mp4"\nreference = "reference/*.mp4"\nmetrics = ["common"]\n'
    path = tmp_path / "page.vidmetrics.toml"
    path.write_text(head + block.text.replace('dataset = "mine"', 'dataset = "vbench"'))
    for case in load_manifest(path).cases:
        for entry in case.metrics or ():
            metric = case.configs[entry][0] if entry in case.configs else entry
            assert metric.startswith(FOREIGN) or expand([metric])


BENCH = """schema = 1
[case.t2v]
checkpoint = "step-1000"
video = "clips/{checkpoint}/*.mp4"
reference = "clips/teacher/*.mp4"
metrics = ["common.psnr", "vbench.temporal_flickering"]

[case.i2v]
samples = "rows.jsonl"
metrics = ["vbench.temporal_flickering"]

[case.i2v.method.wan]
video = "clips/step-1000/{id}.mp4"

[case.i2v.method.old]
video = "clips/teacher/{id}.mp4"
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader of the pages has: the examples, a folder ``bench``, clips, and records of runs."""
    root = tmp_path_factory.mktemp("reader")
    for folder in ("examples", "baselines", "benchmarks"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "constraints.txt", root)
    clips = root / "examples" / "quickstart" / "clips"
    places = {
        "candidate": ["bench/clips/step-1000", "bench/clips/step-2000", "renders/prompt_2"]
        + [f"generated/{method}/c" for method in ("wan", "framepack")],
        "reference": ["bench/clips/teacher", "data/clips", "renders/prompt_1"],
    }
    rows = []
    for name in ("waves", "rain", "ball"):
        for side, folders in places.items():
            for folder in folders:
                (root / folder).mkdir(parents=True, exist_ok=True)
                shutil.copy(clips / side / f"{name}.mp4", root / folder)
        for method in "ab":
            (root / f"gen/{method}/c").mkdir(parents=True, exist_ok=True)
            shutil.copy(clips / "candidate" / f"{name}.mp4", root / f"gen/{method}/c/{name}_{method}.mp4")
        rows.append({"video_id": name, "category": "c", "caption": name, "path": f"clips/{name}.mp4"})
    shutil.copy(clips / "reference" / "waves.mp4", root / "clip.mp4")
    (root / "data/manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "bench/rows.jsonl").write_text("".join(json.dumps({"id": row["video_id"]}) + "\n" for row in rows))
    (root / "bench/bench.vidmetrics.toml").write_text(BENCH)
    (root / "pytest.ini").write_text("[pytest]\n")
    command = "pytest bench --vidmetrics=all --update-baselines --vidmetrics-report="
    for record in ("run.json", "before.json", "after.json"):
        shell(root, command + record)
    return root


def shell(root: Path, command: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "SLURM_", "CI"))}
    bin = root / "bin"
    bin.mkdir(exist_ok=True)
    for name, module in (("python", ""), ("pytest", "-m pytest"), ("vidmetrics", "-m pytest_vidmetrics.cli")):
        (bin / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        (bin / name).chmod(0o755)
    environment |= {
        "PATH": os.pathsep.join([str(bin), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "VIDMETRICS_CACHE": str(root / "cache"),
        "PYTEST_ADDOPTS": "-p no:randomly -p no:cacheprovider",
        "HF_HUB_OFFLINE": "1",
    }
    command = command.replace("/shared/", f"{root}/shared/")
    done = subprocess.run(
        ["bash", "-c", command], cwd=root, env=environment, capture_output=True, text=True, timeout=900
    )
    # The runs with a broken clip are red, and say so.
    wanted = 1 if "checkpoint=degraded" in command else 0
    assert done.returncode == wanted, f"$ {command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({block.page for block in SHELL} - ELSEWHERE.keys()))
def test_the_commands_of_a_page_do_what_they_are_there_for(page: str, reader: Path) -> None:
    commands = [command for block in SHELL if block.page == page for command in block.commands(marked=False)]
    for block in blocks("toml"):
        if block.page == page and "[case.duel]" in block.text:
            (reader / "duel").mkdir(exist_ok=True)
            (reader / "duel/duel.vidmetrics.toml").write_text(block.text)
            (reader / "duel/pytest.ini").write_text("[pytest]\n")
    for command in commands:
        kept = [part for part in command.split(" && ") if arguments(part)[0][0] not in BY_NATURE]
        if kept and "-n auto" not in command:  # the tests of this project: .ci/run has that line
            shell(reader, " && ".join(kept))
