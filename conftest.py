"""Settings that must be in place before any test module is imported."""

from __future__ import annotations

import gc
import os

from hypothesis import settings

# huggingface_hub reads these once, at import; no test may look for a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# The plugin behaves otherwise where it is set (a run in CI records nothing); a test that means it sets it.
for variable in ("CI", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
    os.environ.pop(variable, None)

# What a busy machine takes longer for is not wrong: no test fails by the clock.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

pytest_plugins = ["pytester"]


def pytest_collection_finish() -> None:
    """Keep what was imported out of garbage collection.

    Runs of pytest inside a test collect several times each, and 0.2 s of every collection are torch's objects.
    """
    gc.collect()
    gc.freeze()
