"""Matches between players, from paired openings: how they are played, kept, and told.

What is imported from here is imported when it is first asked for: matches are read without jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfplay.arena.match import play_blocks, play_match
    from selfplay.arena.result import MatchResult, PlayedGame

__all__ = ["MatchResult", "PlayedGame", "play_blocks", "play_match"]
_HOMES = {"match": ("play_blocks", "play_match"), "result": ("MatchResult", "PlayedGame")}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"selfplay.arena.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
