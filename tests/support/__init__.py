"""What test modules share: they import from here, and never from each other."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
