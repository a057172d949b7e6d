"""What a metric from outside of the package says about its code, found without a look at all that is installed."""

from __future__ import annotations

import importlib.metadata
import types

import pluggy
import pytest
import yaml

from pytest_vidmetrics.engine.identity import _version


@pytest.mark.parametrize("module", [pytest, pluggy, yaml], ids=lambda module: str(module.__name__))
def test_the_version_of_a_module_is_that_of_its_distribution(module: types.ModuleType) -> None:
    (name,) = set(importlib.metadata.packages_distributions()[module.__name__])
    assert _version(module.__name__) == importlib.metadata.version(name)


def test_a_module_of_the_project_has_none_and_no_list_of_files_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata.PathDistribution, "files", property(lambda self: pytest.fail("read")))
    assert _version(__name__) is None
