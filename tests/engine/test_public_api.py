from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_vidmetrics

NAMES = """
    Evaluator create_evaluator evaluate EvalResults MetricResult Video BaseMetric register list_metrics get_metric
    resolve_group missing_dependencies samples_from as_video load_video extract_frames extract_audio_track
    NoAudioStreamError sanitize_prompt default_filename glob_videos build_eval_kwargs ensure_checkpoint get_cache_dir
    PromptDataset register_dataset get_dataset list_datasets
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_public_name(name: str) -> None:
    assert getattr(pytest_vidmetrics, name).__name__ == name
    assert name in pytest_vidmetrics.__all__
    assert name in dir(pytest_vidmetrics)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'evaluator'"):
        _ = pytest_vidmetrics.evaluator


def test_the_package_itself_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import pytest_vidmetrics\n"
        "mine = {name for name in set(sys.modules) - before if name.startswith('pytest_vidmetrics')}\n"
        "assert mine == {'pytest_vidmetrics'}, mine"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_is_importable_with_the_core_dependencies() -> None:
    """Optional libraries are hidden; every module must still import, and every metric must still be listed."""
    code = (
        "import sys, pkgutil, importlib\n"
        "for name in ('jiwer', 'hear21passt', 'xdist', 'execnet', 'hypothesis'): sys.modules[name] = None\n"
        "import pytest_vidmetrics\n"
        "for found in pkgutil.walk_packages(pytest_vidmetrics.__path__, 'pytest_vidmetrics.'):\n"
        "    importlib.import_module(found.name)\n"
        "print(len(pytest_vidmetrics.list_metrics()), len(pytest_vidmetrics.list_datasets()))"
    )
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.split()[0]) > 0
