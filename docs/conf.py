"""How Sphinx makes the pages of docs/: `make docs`."""

project = "selfplay-zero"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "selfplay"
autodoc_preserve_defaults = True  # as the source has them, not as objects
default_role = "literal"  # `name` in a docstring is code, as in Markdown
myst_heading_anchors = 3  # headings can be linked to, as in the repository's Markdown
