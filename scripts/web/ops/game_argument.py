"""The game of a question, and its positions along a line of moves."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

import games
from games import consent, registry
from games.game import Game, State
from scripts.web.ops.permission import require
from scripts.web.ops.question import Args, Tell, text
from selfplay import positions

KEPT = 2048  # positions


def game_of(args: Args) -> tuple[str, Game[Any]]:
    """Returns the spec and the game of a question.

    Raises:
      ConsentError: it would import a module that nobody has allowed.
      ValueError: there is no such game.
    """
    spec = text(args, "game")
    if registry.names_a_module(spec):
        require(consent.module(spec), f"the game {spec!r}")
    return spec, _game(spec)


@functools.lru_cache(maxsize=32)
def _game(spec: str) -> Game[Any]:
    return games.load(spec)


def state_of(game: Game[Any], args: Args) -> tuple[list[int], list[State]]:
    """Returns the moves of a question, and all positions on their way.

    Raises:
      ValueError: a move is illegal; says which.
    """
    moves = args.get("moves", [])
    if not (isinstance(moves, list) and all(type(action) is int for action in moves)):
        raise ValueError("'moves' must be a list of action numbers")
    if len(moves) > game.max_plies:
        raise ValueError(f"{len(moves)} moves, and a game has {game.max_plies} at most")
    states = []
    for ply in range(len(moves) + 1):
        state = _position(game, tuple(moves[:ply]))  # type: ignore[arg-type]
        if state is None:
            raise ValueError(f"move {ply}, action {moves[ply - 1]}, is illegal")
        states.append(state)
    return moves, states


def variations_of(args: Args, plies: int) -> list[tuple[int, int]]:
    """Returns the variations of a question, beside a line of `plies` moves.

    Each is a move, `[parent, action]`: parents are numbered, from 0 to `plies` the positions of the
    line, then those after the moves of this list.

    Raises:
      ValueError: they are none; they may be illegal.
    """
    given = args.get("variations", [])
    if not isinstance(given, list):
        raise ValueError("'variations' must be a list of [parent, action]")
    for number, one in enumerate(given, start=plies + 1):
        if not (isinstance(one, list) and [type(part) for part in one] == [int, int]):
            raise ValueError(f"'variations' must be pairs [parent, action], got {str(one)[:40]}")
        if not 0 <= one[0] < number:
            raise ValueError(f"in 'variations' {one} comes before its parent")
    return [(parent, action) for parent, action in given]


def beside(
    game: Game[Any], states: Sequence[State], variations: Sequence[tuple[int, int]], tell: Tell
) -> Iterator[tuple[State | None, State | None]]:
    """Yields the positions before and after each move of variations; None is none.

    There is none after an illegal move.

    Args:
      states: the positions of the line beside which they are.
    """
    known: list[State | None] = list(states)
    for parent, action in variations:
        tell.often(f"replaying {len(variations)} moves of variations")
        before = known[parent]
        after = None if before is None else _after(game, before, action)
        known.append(after)
        yield before, after


@functools.lru_cache(maxsize=KEPT)
def _position(game: Game[Any], moves: tuple[int, ...]) -> State | None:
    """Returns the position after moves from the opening on, in NumPy; None if one is illegal."""
    if not moves:
        return _on_host(positions.opening_position(game))
    # The next click adds a move: all before it are kept.
    before = _position(game, moves[:-1])  # type: ignore[arg-type]
    return None if before is None else _after(game, before, moves[-1])


def _after(game: Game[Any], state: State, action: int) -> State | None:
    """Returns the position after a move, in NumPy; None if it is illegal."""
    legal = state.legal_action_mask
    if not (0 <= action < len(legal) and legal[action]):
        return None
    return _on_host(positions.step(game, state, np.int32(action)))


def _on_host(state: State) -> State:
    moved: State = jax.tree.map(np.asarray, state)
    return moved
