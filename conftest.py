"""What pytest wants to find at the root. The examples are run from here too, without the libraries of the tests."""

from __future__ import annotations

pytest_plugins = ["pytester"]
