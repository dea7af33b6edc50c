"""Shared parts of test modules: they import from here, and never from each other."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]
