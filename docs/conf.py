"""The site of the documentation: ``sphinx-build -W docs build/site``. Builds without a network."""

from __future__ import annotations

project = "pytest-vidmetrics"
copyright = "the pytest-vidmetrics authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "pytest-vidmetrics"
exclude_patterns = ["_build"]

# A link to a file of the repository is one to its copy in the sources' browser; headings can be linked to.
myst_heading_anchors = 4
myst_all_links_external = False
suppress_warnings = ["myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
