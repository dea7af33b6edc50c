"""The game of a question, and its positions along a line of moves."""

import functools
import threading
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
    return moves, list(LINES.walk(game, tuple(moves)))


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


class Lines:
    """Positions along lines of moves, of which the newest are kept: the next click adds one."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._lines: dict[tuple[Game[Any], tuple[int, ...]], tuple[State, ...]] = {}
        self._lock = threading.Lock()

    def walk(self, game: Game[Any], moves: tuple[int, ...]) -> tuple[State, ...]:
        """Returns the `len(moves) + 1` positions from the opening on, in NumPy.

        Raises:
          ValueError: a move is illegal; says which.
        """
        line = self.legal(game, moves)
        if (ply := len(line) - 1) < len(moves):
            raise ValueError(f"move {ply + 1}, action {moves[ply]}, is illegal")
        return line

    def legal(self, game: Game[Any], moves: tuple[int, ...]) -> tuple[State, ...]:
        """Returns the positions on the way, in NumPy, up to where a move is illegal."""
        line = list(self._known(game, moves))
        for action in moves[len(line) - 1 :]:
            after = _after(game, line[-1], action)
            if after is None:
                break
            line.append(after)
        known = moves[: len(line) - 1]
        with self._lock:
            self._lines[game, known] = self._lines.pop((game, known), tuple(line))
            if len(self._lines) > self.kept:
                del self._lines[next(iter(self._lines))]
        return tuple(line)

    def _known(self, game: Game[Any], moves: tuple[int, ...]) -> tuple[State, ...]:
        """Returns the longest line on the way that is known; the opening position at least."""
        for length in range(len(moves), 0, -1):
            if (line := self._lines.get((game, moves[:length]))) is not None:
                return line
        return (_on_host(positions.opening_position(game)),)


def _after(game: Game[Any], state: State, action: int) -> State | None:
    """Returns the position after a move, in NumPy; None if it is illegal."""
    legal = state.legal_action_mask
    if not (0 <= action < len(legal) and legal[action]):
        return None
    return _on_host(positions.step(game, state, np.int32(action)))


def _on_host(state: State) -> State:
    moved: State = jax.tree.map(np.asarray, state)
    return moved


LINES = Lines(kept=64)
