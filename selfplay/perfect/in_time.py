"""Perfect play along a game, as far as it is found soon: its last positions, mostly."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from games.connect_four import ConnectFour
from games.game import Game, State
from games.othello import WORD, Othello
from selfplay.perfect import connect_four, othello
from selfplay.perfect.player import outcomes_of
from selfplay.perfect.solver import ILLEGAL, TooLongError

SECONDS = 1.0  # for all positions of a game
OTHELLO_EMPTY = 10  # cells; the time trebles with each further one, and it cannot be stopped

# Of an unbatched position, and until when: int8[A], see `SolvedSet`; it may raise TooLongError.
Find = Callable[[State, float], np.ndarray]


def outcomes_along(
    game: Game[Any], states: Sequence[State], seconds: float = SECONDS
) -> list[np.ndarray | None]:
    """Returns each move's outcome in positions that follow each other; None where it takes long.

    It begins at the last one, the easiest, and stops at the first that it cannot finish in time.

    Args:
      states: unbatched, in NumPy. Where the game is over there is no outcome, thus None.
      seconds: for all of them.

    Returns:
      int8[A] for each: for the mover, win 1, draw 0, loss -1, `ILLEGAL`.
    """
    found: list[np.ndarray | None] = [None] * len(states)
    find, until = _finder(game), time.monotonic() + seconds
    for place in reversed(range(len(states)) if find else ()):
        if states[place].terminated:
            continue
        try:
            found[place] = find(states[place], until)  # type: ignore[misc]
        except TooLongError:
            break
    return found


def _finder(game: Game[Any]) -> Find | None:
    if isinstance(game, ConnectFour):
        return functools.partial(_connect_four, connect_four.Solver())
    if isinstance(game, Othello):
        return functools.partial(_othello, game)
    try:
        outcomes = outcomes_of(game)
    except ValueError:  # nobody has solved it
        return None
    return lambda state, until: outcomes(_batch(state), until)[0]


def _connect_four(solver: connect_four.Solver, state: Any, until: float) -> np.ndarray:
    seats = [0, 0]
    for seat, rows in enumerate(np.asarray(state.stones).tolist()):
        for below, row in enumerate(reversed(rows)):
            for col in range(connect_four.COLS):
                seats[seat] |= (row >> col & 1) << connect_four.HEIGHT * col + below
    mover = int(state.to_play)
    return _row(state, solver.outcomes(seats[mover], seats[1 - mover], until))


def _othello(game: Othello, state: Any, until: float) -> np.ndarray:
    discs = [
        sum(word << WORD * place for place, word in enumerate(words))
        for words in np.asarray(state.discs).tolist()
    ]
    empty = game.size**2 - (discs[0] | discs[1]).bit_count()
    if empty > OTHELLO_EMPTY or time.monotonic() > until:
        raise TooLongError
    mover = int(state.to_play)
    return _row(state, othello.outcomes(discs[mover], discs[1 - mover], game.size))


def _row(state: State, outcomes: dict[int, int]) -> np.ndarray:
    row = np.full(np.shape(state.legal_action_mask), ILLEGAL, np.int8)
    row[list(outcomes)] = list(outcomes.values())
    return row


def _batch(state: State) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)
