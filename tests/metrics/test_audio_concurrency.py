"""Audio metrics twice at once, in threads and in processes, and what they leave as it was."""

from __future__ import annotations

import inspect
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from pytest_vidmetrics.engine.evaluator import Evaluator
from pytest_vidmetrics.networks import shared
from tests.support.audio_weights import shallow_weights, write_clip
from tests.support.oracle_fill import clip_uint8, tone

LIGHT = ("clap_score", "kl_divergence", "frechet_distance", "kad", "wer")
HEAVY = ("audiobox_aesthetics", "desync", "imagebind_score")
PARAMS: dict[str, dict[str, Any]] = {
    f"audio.{name}": {"protocol": {"window_s": 1.6, "hop_s": 0.8}}
    for name in ("kl_divergence", "frechet_distance", "kad")
}
BY_LIBRARIES = ("TORCHINDUCTOR_CACHE_DIR", "KMP_DUPLICATE_LIB_OK")
"""What PyTorch's compiler and threadpoolctl set when libraries import them for the first time."""
CHILD = """
import json, sys
from pytest_vidmetrics.engine.evaluator import Evaluator
spec = json.load(sys.stdin)
with Evaluator(spec["metrics"], "cpu", metric_kwargs=spec["params"]) as evaluator:
    found = evaluator.evaluate(spec["samples"])
rows = [{name: [one.score, one.details] for name, one in row.items()} for row in [*found, found.corpus]]
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Sequence[str]], None]]:
    """Yield what writes the weights of some metrics, where they look for them."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:

        def write(names: Sequence[str]) -> None:
            for name, value in shallow_weights(*names).items():
                patch.setenv(name, value)

        patch.setenv("VIDMETRICS_CACHE", str(folder / "cache"))
        patch.delenv("FASTVIDEO_FAD_REF_FEATURES", raising=False)
        yield write
    shared.clear()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("clips")
    short = [write_clip(folder / f"{i}.mp4", clip_uint8(8, 24, 32, i), tone(1.0, 48000, i)) for i in range(4)]
    long = write_clip(folder / "long.mp4", clip_uint8(122, 24, 32, 4), tone(4.9, 48000, 4))
    text = {"text_prompt": "a car passes", "reference_text": "hello there"}
    light = [{"video": short[i], "reference": short[i + 2], "id": str(i), **text} for i in range(2)]
    return {"light": light, "heavy": [{"video": long}]}


def spec(names: Sequence[str], samples: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    metrics = [f"audio.{name}" for name in names]
    clips = samples["heavy" if names[0] in HEAVY else "light"]
    return {"metrics": metrics, "samples": clips, "params": {k: v for k, v in PARAMS.items() if k in metrics}}


def evaluate(asked: dict[str, Any]) -> list[Any]:
    evaluator = Evaluator(asked["metrics"], "cpu", metric_kwargs=asked["params"])
    found = evaluator.evaluate(asked["samples"])
    rows = [{name: [one.score, one.details] for name, one in row.items()} for row in [*found, found.corpus]]
    assert {name for row in rows for name in row} == set(asked["metrics"])
    assert all(score is not None for row in rows for score, _ in row.values())
    return json.loads(json.dumps(rows))


def start(asked: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a process that scores the same, on the same cache."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert child.stdin is not None
    with child.stdin:
        child.stdin.write(json.dumps(asked).encode())
    return child


def printed(child: subprocess.Popen[bytes]) -> list[Any]:
    assert child.stdout is not None
    with child.stdout:
        output = child.stdout.read()
    assert child.wait() == 0
    return json.loads(output.splitlines()[-1])


def state() -> dict[str, Any]:
    """Return what is global: generators, settings, and the functions of the libraries by name."""
    numpy_state = np.random.get_state()
    modules = (torch, torch.nn.functional, torch.nn.init, torch.hub, torch.serialization, np, np.random, np.fft)
    return {
        "python": random.getstate(),
        "numpy": (numpy_state[0], numpy_state[1].tobytes(), *numpy_state[2:]),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "device": str(torch.get_default_device()),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "mkldnn": torch.backends.mkldnn.enabled,
        "attention": (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled()),
        "floats": np.geterr(),
        "variables": {name: value for name, value in os.environ.items() if name not in BY_LIBRARIES},
        "functions": {f"{module.__name__}.{name}": value for module in modules for name, value in vars(module).items()},
    }


@pytest.mark.slow
@pytest.mark.parametrize("names", [pytest.param(LIGHT, id="light"), pytest.param(HEAVY, id="heavy")])
def test_two_threads_and_two_processes_give_identical_numbers(
    names: Sequence[str], samples: dict[str, list[dict[str, Any]]], weights: Callable[[Sequence[str]], None]
) -> None:
    weights(names)
    asked = spec(names, samples)
    children = [start(asked) for _ in range(2)]
    alone = evaluate(asked)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(evaluate, [asked, asked])) == [alone, alone]
    assert [printed(child) for child in children] == [alone, alone]


@pytest.mark.parametrize("name", [*LIGHT, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)])
def test_nothing_global_is_touched(
    name: str, samples: dict[str, list[dict[str, Any]]], weights: Callable[[Sequence[str]], None]
) -> None:
    weights([name])
    shared.clear()
    before = state()
    evaluate(spec([name], samples))
    after = state()
    functions, found = before.pop("functions"), after.pop("functions")
    assert after == before
    # What a library loads later is no change; what it had is the same object. PyTorch's compiler wraps one function
    # of PyTorch when a library imports it.
    changed = {key for key, value in functions.items() if found.get(key) is not value}
    assert changed <= {"torch.manual_seed"}
    assert inspect.unwrap(torch.manual_seed).__module__ == "torch.random"
