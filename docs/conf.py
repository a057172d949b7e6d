"""The site of the documentation: ``sphinx-build -W docs build/site``. Builds without a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

project = "pytest-vidmetrics"
copyright = "the pytest-vidmetrics authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "pytest-vidmetrics"
html_static_path = ["static"]
html_css_files = ["site.css"]
exclude_patterns = ["_build"]

# A link to a file of the repository is one to its copy in the sources' browser; headings can be linked to.
myst_heading_anchors = 4
myst_all_links_external = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True


def setup(app: Any) -> None:
    """Show links to files of the repository, which are not pages, as their paths."""

    def as_paths(app: Any, name: str, source: list[str]) -> None:
        if name == "metrics":
            from metric_facts import all_metrics

            source[0] += all_metrics()
        source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", r"\1 (`\2`)", source[0])

    app.connect("source-read", as_paths)
