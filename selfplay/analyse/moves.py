"""Lists of moves, as text or numbers, to positions: a whole batch at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import positions


class Reached(NamedTuple):
    """The positions after N lists of moves."""

    states: State  # batched, [N, ...]
    returns: np.ndarray  # float32[N, 2], zero where the game goes on
    actions: list[list[int]]  # the moves as numbers, up to the first that cannot be read
    problems: list[str]  # what is wrong with each list; empty if nothing is


class _Unseen:
    """Stands for a position; whoever looks at it fails."""

    __slots__ = ()

    def __bool__(self) -> bool:
        raise TypeError("this position is not to be looked at")


class MoveReader:
    """Reads lists of moves of one game; each batch is of the same size, so that it compiles once.

    Most games name a move without a look at the position. Of these, names are looked up, and only
    the device goes from position to position. Of others, and where a name is not known, the host
    reads ply by ply, all lists in step.
    """

    def __init__(self, game: Game[Any], batch: int) -> None:
        self.game, self.batch = game, batch
        self._names = _names(game)

    def reach(self, lists: Sequence[Sequence[str | int]]) -> Reached:
        """Returns the positions after up to `batch` lists, filled up with the opening position."""
        rows = [*lists, *[()] * (self.batch - len(lists))]
        found = [self._look_up(row) for row in rows]
        problems = [""] * len(rows)
        if None in found:
            unknown = [row if known is None else () for row, known in zip(rows, found, strict=True)]
            read, problems = self._read_by_ply(unknown)
            found = [a if known is None else known for a, known in zip(read, found, strict=True)]
        actions = [row or [] for row in found]
        reached = positions.replay(self.game, actions, longest=self.game.max_plies)
        for index, (row, legal) in enumerate(zip(actions, reached.legal_plies, strict=True)):
            if legal < len(row):  # before what could not be read
                problems[index] = self._illegal(row, int(legal), rows[index])
        return Reached(reached.states, reached.returns, actions, problems)

    def _look_up(self, row: Sequence[str | int]) -> list[int] | None:
        """Returns a list as numbers; None if a text in it is not known."""
        found = [move if isinstance(move, int) else self._names.get(move, -1) for move in row]
        unknown = any(a < 0 and isinstance(m, str) for a, m in zip(found, row, strict=True))
        return None if unknown else found

    def _read_by_ply(
        self, rows: Sequence[Sequence[str | int]]
    ) -> tuple[list[list[int]], list[str]]:
        """Returns lists as numbers, and what is wrong with a text, if something is."""
        actions: list[list[int]] = [[] for _ in rows]
        problems = [""] * len(rows)
        states = _openings(self.game, self.batch)
        for ply in range(min(max(map(len, rows)), self.game.max_plies + 1)):
            chosen = np.zeros(len(rows), np.int32)
            host = jax.tree.map(np.asarray, states)
            for index, row in enumerate(rows):
                if ply >= len(row) or len(actions[index]) < ply:
                    continue
                try:
                    action = self._read(positions.take(host, index), row[ply])
                except Exception as error:  # of a text; or a game of somebody's has not foreseen it
                    problems[index] = f"move {ply + 1}: {error}"
                    continue
                actions[index].append(action)
                chosen[index] = action if 0 <= action < self.game.num_actions else 0
            states = positions.step_all(self.game, states, chosen)
        return actions, problems

    def _read(self, state: State, move: str | int) -> int:
        if isinstance(move, int):
            return move
        return int(self.game.string_to_action(state, move))

    def _illegal(self, row: Sequence[int], ply: int, given: Sequence[str | int]) -> str:
        """Returns what is wrong with a move, in words that name the legal ones."""
        before = positions.replay(self.game, [row[:ply]], longest=self.game.max_plies)
        state = positions.take(before.states, 0)
        move = given[ply]
        said = repr(move) if isinstance(move, str) else f"action {move}"
        if len(said) > 60:
            said = f"{said[:60]}..."
        if state.terminated:
            return f"move {ply + 1}: {said} comes after the end of the game"
        legal = np.flatnonzero(state.legal_action_mask).tolist()
        names = (f"{self.game.action_to_string(state, a)} ({a})" for a in legal)
        return f"move {ply + 1}: {said} is not legal; legal moves (actions): {' '.join(names)}"


def _names(game: Game[Any]) -> dict[str, int]:
    """Returns each action by its name, if names do not depend on the position; else nothing."""
    unseen: Any = _Unseen()
    try:
        names = {game.action_to_string(unseen, a): a for a in range(game.num_actions)}
    except Exception:  # it has looked
        return {}
    return names if len(names) == game.num_actions else {}


def _openings(game: Game[Any], count: int) -> State:
    opening = positions.opening_position(game)
    states: State = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), opening)
    return states
