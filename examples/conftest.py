"""What `pytest examples` runs: what needs an installed package or a generator is run when it is named."""

from __future__ import annotations

from pathlib import Path

WHEN_NAMED = [Path(__file__).parent / name for name in ("i2v", "plugin_metric")]


def pytest_ignore_collect(collection_path, config):
    """Leave a folder out unless an argument lies in it."""
    named = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    inside = any(path.is_relative_to(collection_path) for path in named)
    return True if collection_path in WHEN_NAMED and not inside else None
