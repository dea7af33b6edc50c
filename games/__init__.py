"""Board games as pure functions, and how to find one by name.

>>> load("tic_tac_toe").num_actions
9
"""

import importlib
from typing import TYPE_CHECKING, Any

from games.consent import allow
from games.registry import load, names

if TYPE_CHECKING:
    from games.game import Game, State, Symmetry

__all__ = ["Game", "State", "Symmetry", "allow", "load", "names", "picture"]
# Imported when they are asked for: the contract needs jax, which takes a second, and finding a name
# does not; and games are played without being drawn.
_HOMES = {
    "games.game": ("Game", "State", "Symmetry"),
    "games.drawing.picture": ("picture",),
}


def __getattr__(name: str) -> Any:
    for module, offered in _HOMES.items():
        if name in offered:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
