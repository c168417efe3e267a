"""How Sphinx makes the site: staged pages in Markdown, docstrings, notebooks as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pygments.lexers.sql import SqlLexer

import tapdb
from tools.site.policy import move_inline_parts

project = "tapdb"
version = release = tapdb.__version__
html_title = f"tapdb {release}"
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

# Links to headings as code hosts make them; nothing else that Markdown does not have there.
myst_heading_anchors = 6
myst_enable_extensions: list[str] = []

# Tests execute them; pages show what is stored.
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [
    ("html", "image/svg+xml", 0),
    ("html", "image/png", 1),
    ("html", "text/plain", 2),
]

napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
add_module_names = False
# Each page would copy all of them for its navigation; headings are there for what is exported.
toc_object_entries = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80

# Names of other projects, for which there are no inventories without a network, and of ours that only
# annotations mention: what is for users is in the pages.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!(obscore_view|adql|tap_schema|ppdb_replay|prompt_products|tapdb)\.).*"),
    # Aliases, and what is private.
    (r"py:.*", r"(\w+\.)+(_\w+|Annotated)"),
]

# Several classes have an attribute of one name, which autodoc takes for an ambiguous reference.
suppress_warnings = ["ref.python"]

# Names in docstrings, which numpydoc puts between single backticks.
default_role = "code"

html_theme = "furo"
html_favicon = "../../services/page/static/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options: dict[str, Any] = {"top_of_page_buttons": [], "navigation_with_keys": False}
html_search_language = "en"
pygments_style = "tango"
pygments_dark_style = "monokai"


def setup(app: Any) -> dict[str, Any]:
    """Move what is inline into files when the pages are written, for the service's policy forbids it."""
    # Queries in ADQL have the words of SQL, and what is wrong on purpose is shown too.
    app.add_lexer("adql", SqlLexer)
    app.connect("build-finished", lambda done, error: error or move_inline_parts(Path(done.outdir)))
    return {"version": release, "parallel_read_safe": True, "parallel_write_safe": True}
