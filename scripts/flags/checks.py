"""Mistakes seen at first sight, told before anything heavy is imported."""

import os

from games import registry


def game(spec: str) -> None:
    """Raises ValueError for the name of a game that nobody knows; an empty one is left out."""
    if spec:
        registry.check_name(spec)


def run(path: str) -> None:
    """Raises ValueError if there is no run folder R, nor that of R@STEP."""
    if not os.path.exists(path) and not os.path.isdir(path.rpartition("@")[0]):
        raise ValueError(f"no such run folder: {path}")
