"""Board games as pure functions, and how to find one by name.

>>> load("tic_tac_toe").num_actions
9
"""

from typing import TYPE_CHECKING, Any

from games.consent import allow
from games.registry import load, names

if TYPE_CHECKING:
    from games.drawing.picture import picture
    from games.game import Game, State, Symmetry

__all__ = ["Game", "State", "Symmetry", "allow", "load", "names", "picture"]


def __getattr__(name: str) -> Any:
    # The contract of a game needs jax, which takes a second to import; finding a name does not.
    if name in ("Game", "State", "Symmetry"):
        from games import game

        return getattr(game, name)
    if name == "picture":
        from games.drawing import picture

        return picture.picture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
