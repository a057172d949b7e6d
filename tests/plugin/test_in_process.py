"""``vidmetrics_generate``: a pipeline of the test, the keys and the store of methods."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Bench
from tests.support.methods import params, write_rows

MANIFEST = """
schema = 1
[case.i2v]
samples = "rows.jsonl"
metrics = ["vbench.temporal_flickering"]
[case.i2v.method.mine]
generate = "in-process"
identity = "mine@1"
suffix = ".mkv"
seeds = [0, 1]
"""
CODE = """
import numpy as np
import pytest

@pytest.fixture(scope="session")
def pipeline():
    with open("built.txt", "a") as log:
        log.write("built\\n")
    def make(request):
        with open("made.txt", "a") as log:
            log.write(f"{request['id']}#{request['seed']}\\n")
        if request["prompt"] == "raise":
            raise RuntimeError("out of memory, say")
        rng = np.random.Generator(np.random.PCG64(request["seed"]))
        p = request["params"]
        return rng.integers(0, 255, (p["frames"], p["height"], p["width"], 3), dtype=np.uint8)
    return make

@pytest.mark.parametrize("turn", [1, 2])
def test_generate(vidmetrics_generate, pipeline, turn):
    paths = vidmetrics_generate("bench.vidmetrics.toml::i2v::mine", pipeline)
    assert len(paths) == 4
    assert all(path.is_file() for path in paths)
"""


@pytest.fixture
def case(bench: Bench) -> Bench:
    write_rows(bench.root, ("waves", "clouds"))
    bench.manifest(MANIFEST + params())
    bench.pytester.makepyfile(CODE)
    return bench


def lines(bench: Bench, name: str) -> list[str]:
    path = bench.root / name
    return path.read_text().split() if path.exists() else []


def test_a_pipeline_is_built_once_and_each_clip_made_once(case: Bench) -> None:
    case.run("--vidmetrics-generate", "--update-baselines").assert_outcomes(passed=7)
    assert lines(case, "built.txt") == ["built"]
    assert sorted(lines(case, "made.txt")) == ["p0#0", "p0#1", "p1#0", "p1#1"]
    case.run("--vidmetrics-generate").assert_outcomes(passed=7)
    case.run().assert_outcomes(passed=7)  # without the option what is there is returned
    assert len(lines(case, "made.txt")) == 4


def test_without_the_option_nothing_is_made(case: Bench) -> None:
    result = case.run("-k", "test_generate")
    result.assert_outcomes(failed=2, deselected=5)
    result.stdout.fnmatch_lines(["4 clips of 4 were not generated", "p0.s0: *run with --vidmetrics-generate"])
    assert lines(case, "made.txt") == []


def test_a_clip_that_cannot_be_made_is_named_and_the_others_are_kept(case: Bench) -> None:
    write_rows(case.root, ("waves", "raise"))
    result = case.run("--vidmetrics-generate", "-k", "not score")
    result.assert_outcomes(failed=3, deselected=4)
    result.stdout.fnmatch_lines(["2 clips of 4 were not generated", "p1.s0: RuntimeError: out of memory, say"])
    result.stdout.fnmatch_lines(["ERROR: 2 of 4 samples have no score; first: p1.s0: RuntimeError: out of memory, say"])
    assert sorted(lines(case, "made.txt")) == ["p0#0", "p0#1", "p1#0", "p1#1"]  # not tried again in the same run


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('suffix = ".mkv"', "", "written without loss: say suffix = '.mkv'"),
        ("frames = 6", "frames = 7", "6 frames, the method says params.frames = 7"),
        ('generate = "in-process"', 'generate = ["x", "{requests}", "{output}"]', 'says generate = "in-process"'),
        ('identity = "mine@1"', "", "needs identity or inputs"),
        ("method.mine", "method.other", "names no method: expected MANIFEST::CASE::METHOD"),
    ],
)
def test_what_does_not_fit_is_said(case: Bench, old: str, new: str, said: str) -> None:
    text = (MANIFEST + params()).replace(old, new)
    if "frames" in old:
        case.pytester.makepyfile(CODE.replace('p["frames"]', "6"))
    case.manifest(text)
    result = case.run("--vidmetrics-generate", "-k", "test_generate and 1")
    assert said in result.stdout.str()
    assert result.ret == 1
