"""Which of our games are played by UCI, what they are called there, and their moves.

The variants' names and moves are those of Fairy-Stockfish. White moves first and starts at the
bottom. In Breakthrough our seat 0 starts on top, so its ranks are counted from the other side.
"""

from typing import Any

import numpy as np

from games.breakthrough import Breakthrough
from games.game import Game, State
from games.registry import spec_of

VARIANTS = {  # our spec, by the name of `UCI_Variant`
    "chess": "pgx:chess",
    "breakthrough": "breakthrough",
    "dobutsu": "pgx:animal_shogi",
    "gardner": "pgx:gardner_chess",
    "shogi": "pgx:shogi",
}
_UPSIDE_DOWN = str.maketrans("12345678", "87654321")


def variant_of(game: Game[Any]) -> str:
    """Returns what UCI calls a game. Raises ValueError if it has no moves there."""
    spec = spec_of(game)
    found = next((variant for variant, known in VARIANTS.items() if known == spec), None)
    if found is None:
        raise ValueError(f"{spec} is not played by UCI, only {', '.join(VARIANTS.values())}")
    return found


def move_name(game: Game[Any], state: State, action: int) -> str:
    """Returns what UCI calls a legal action."""
    name = game.action_to_string(state, action)
    return name.translate(_UPSIDE_DOWN) if isinstance(game, Breakthrough) else name


def find_move(game: Game[Any], state: State, name: str) -> int:
    """Returns the legal action of a name. Raises ValueError if there is none.

    By pgx a chick that reaches the far rank promotes; Fairy-Stockfish leaves it the choice.
    """
    also = f"{name}+" if variant_of(game) == "dobutsu" else name
    for action in np.flatnonzero(np.asarray(state.legal_action_mask)).tolist():
        if move_name(game, state, action).lower() in (name.lower(), also.lower()):
            return int(action)
    raise ValueError(f"no legal move {name!r}")
