"""The game of a question, and its positions along a line of moves."""

import functools
import threading
from typing import Any

import jax
import numpy as np

import games
from games import consent, registry
from games.game import Game, State
from scripts.web.ops.permission import require
from scripts.web.ops.question import Args, text
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
            legal = line[-1].legal_action_mask
            if not (0 <= action < len(legal) and legal[action]):
                break
            line.append(_on_host(positions.step(game, line[-1], np.int32(action))))
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


def _on_host(state: State) -> State:
    moved: State = jax.tree.map(np.asarray, state)
    return moved


LINES = Lines(kept=64)
