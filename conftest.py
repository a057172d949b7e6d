"""Settings that must be in place before any test module is imported."""

from __future__ import annotations

import os

# huggingface_hub reads these once, at import; no test may look for a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

pytest_plugins = ["pytester"]
