"""A game looked at again by a player: what each move was worth, and which were mistakes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from games.game import Game, State
from mcts import SearchResult
from selfplay.analysis import FEW_VISITS, has_value, think
from selfplay.players import Player

# The value that such a move gives away at least, of 2 in all: a tenth of the chance to win, and
# three tenths.
MISTAKE, BLUNDER = 0.2, 0.6


class Exact(NamedTuple):
    """What is known of a move, for the seat that makes it: win 1, draw 0, loss -1."""

    best: int  # with perfect play
    played: int


class Reviewed(NamedTuple):
    """A position of a game, and the move made there."""

    ply: int
    to_play: int
    value: float  # for seat 0, by the search; the result where the game is over
    visits: int  # of the search in all; 0 where there was none
    best: int | None  # the player's move; None where it gives up, or the game is over
    played: int | None  # None behind the last move
    # How much less the move made is worth than the player's, for the mover, at least 0.
    regret: float | None
    mistake: str | None  # "mistake" or "blunder"
    exact: Exact | None  # where perfect play is known
    # Whether the search calls the move a mistake, and perfect play says that it kept the result.
    excused: bool
    certain: int | None  # `value` with perfect play, where that is known and the game goes on


def review(
    player: Player,
    game: Game[Any],
    states: Sequence[State],
    moves: Sequence[int],
    outcomes: Sequence[np.ndarray | None],
    key: jax.Array,
) -> Iterator[Reviewed]:
    """Yields the positions of a game in their order, each when the next one has been searched.

    Args:
      states: the `len(moves) + 1` positions, unbatched, in NumPy.
      outcomes: of each, as `in_time.outcomes_along` returns them. They decide what is a mistake
        where there are any: a move that keeps the result is none, but `excused` if the search
        would call it one.
      key: PRNG key; plies are folded in.
    """
    before: SearchResult | None = None
    for ply, state in enumerate(states):
        result = None
        if not state.terminated:
            result = think(player, state, jax.random.fold_in(key, ply), moves[:ply])
        value = _value(game, state, result)
        if before is not None:
            exact = _exact(ply - 1, states, moves, outcomes)
            yield _reviewed(ply - 1, states, moves, before, value, exact)
        before = result
    last = len(moves)
    value = _value(game, states[last], before)
    known = outcomes[last]
    best = None if known is None else int(known.max())
    yield _position(last, states[last], value, before, best)


def _exact(
    ply: int, states: Sequence[State], moves: Sequence[int], outcomes: Sequence[np.ndarray | None]
) -> Exact | None:
    """The verdict on a move: by its own position, or because it led to a certain win."""
    # Solved positions before and after the move settle it.
    here, after = outcomes[ply], outcomes[ply + 1]
    if here is not None:
        return Exact(int(here.max()), int(here[moves[ply]]))
    if after is None:
        return None
    passes = states[ply].to_play != states[ply + 1].to_play
    reached = -int(after.max()) if passes else int(after.max())
    return Exact(1, 1) if reached == 1 else None  # of another result the best move may be better


def _reviewed(
    ply: int,
    states: Sequence[State],
    moves: Sequence[int],
    result: SearchResult,
    after: float,
    exact: Exact | None,
) -> Reviewed:
    """Returns a move; `after` is the value for seat 0 of what it led to."""
    played, mover = moves[ply], int(states[ply].to_play)
    # Otherwise the search's values decide.
    regret = _regret(result, played, after if mover == 0 else -after)
    if exact is None:
        lost, is_vast = regret >= MISTAKE, regret >= BLUNDER
    else:
        lost, is_vast = exact.played < exact.best, exact.best - exact.played > 1
    value = float(result.value) if mover == 0 else -float(result.value)
    return _position(ply, states[ply], value, result, exact and exact.best)._replace(
        played=played,
        regret=regret,
        mistake=("blunder" if is_vast else "mistake") if lost else None,
        exact=exact,
        excused=not lost and regret >= MISTAKE,
    )


def _regret(result: SearchResult, played: int, after: float) -> float:
    """Returns how much less a move is worth than the player's own.

    That is by the search's own values, if it has looked at the move in earnest; else by `after`,
    the value for the mover of what the move led to, which a search of its own has found.
    """
    best = int(result.action)
    if played == best:
        return 0.0
    known, visits = has_value(result), result.visit_counts
    top = float(result.q[best]) if best >= 0 and known[best] else float(result.value)
    # A move with few visits has a noisy value: the search of the next position knows better.
    in_earnest = known[played] and (best < 0 or visits[played] * FEW_VISITS >= visits[best])
    return max(0.0, top - (float(result.q[played]) if in_earnest else after))


def _position(
    ply: int,
    state: State,
    value: float,
    result: SearchResult | None,
    reachable: int | None,
) -> Reviewed:
    """Returns a position without its move; `reachable` is the mover's, with perfect play."""
    seat = int(state.to_play)
    best = int(result.action) if result is not None and result.action >= 0 else None
    visits = 0 if result is None else int(result.visit_counts.sum())
    certain = reachable if reachable is None or seat == 0 else -reachable
    return Reviewed(ply, seat, value, visits, best, None, None, None, None, False, certain)


def _value(game: Game[Any], state: State, result: SearchResult | None) -> float:
    """Returns the value of a position for seat 0."""
    if result is None:
        return float(np.asarray(game.returns(state))[0])
    return float(result.value) if state.to_play == 0 else -float(result.value)
