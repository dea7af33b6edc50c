"""How Sphinx makes the pages of docs/, and runs the notebook among them: `make docs`."""

import os

project = "selfplay-zero"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "selfplay"
autodoc_preserve_defaults = True  # as the source has them, not as objects
default_role = "literal"  # `name` in a docstring is code, as in Markdown
myst_heading_anchors = 3  # headings can be linked to, as in the repository's Markdown

nb_execution_mode = "force"  # what the notebook holds may be of an older version
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # here `import games` would find the folder of pages of that name
nb_execution_timeout = 600  # seconds of a cell, on a busy machine too
# The kernel `python3` is this environment's, whatever else its user has installed by that name.
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
os.environ["JUPYTER_PATH"] = ""
