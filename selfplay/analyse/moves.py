"""Replay of move lists to positions, a whole batch at once, each move checked against the rules."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import positions

ANY_SEAT = -1


class Row(NamedTuple):
    """A list of moves, and the position on its way that is asked for."""

    actions: tuple[int | str, ...]  # text in the game's notation, or numbers
    seats: tuple[int, ...]  # who plays them; `ANY_SEAT` for whoever's turn it is
    ply: int  # of the position: the number of moves before it


class Reached(NamedTuple):
    """The positions of N rows."""

    states: State  # batched, [N, ...]
    returns: np.ndarray  # float32[N, 2], zero where the game goes on
    actions: list[list[int]]  # the moves before each position, as numbers
    illegal: list[int | None]  # the index of each row's first move that the rules forbid


class MoveReader:
    """Reaches positions of one game; each batch is of the same size, so that it compiles once.

    Text is read ply by ply, by the host, all rows in step; only the device goes through numbers.
    """

    def __init__(self, game: Game[Any], batch: int) -> None:
        self.game, self.batch = game, batch

    def reach(self, rows: Sequence[Row]) -> Reached:
        """Returns the positions of up to `batch` rows, filled up with the opening position."""
        rows = [*rows, *[Row((), (), 0)] * (self.batch - len(rows))]
        read = self._read(rows)
        most = self.game.max_plies + 1  # a list longer than any game is wrong whatever follows
        history, seats = (
            positions.pad_moves([one[:most] for one in lists], most)
            for lists in (read, [list(row.seats) for row in rows])
        )
        plies = np.array([min(row.ply, most) for row in rows], np.int32)
        states, returns, legal = _replay(self.game, history, seats, plies)
        illegal = [
            int(count) if count < len(row.actions) else None
            for row, count in zip(rows, np.asarray(legal), strict=True)
        ]
        before = [one[: row.ply] for one, row in zip(read, rows, strict=True)]
        return Reached(states, np.asarray(returns), before, illegal)

    def _read(self, rows: Sequence[Row]) -> list[list[int]]:
        """Returns rows as numbers, each up to its first text that names no legal action."""
        if not any(isinstance(action, str) for row in rows for action in row.actions):
            return [[int(action) for action in row.actions] for row in rows]
        read: list[list[int]] = [[] for _ in rows]
        opening = positions.opening_position(self.game)
        states: State = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (len(rows), *leaf.shape)), opening
        )
        for ply in range(min(max(len(row.actions) for row in rows), self.game.max_plies)):
            chosen = np.zeros(len(rows), np.int32)
            host = jax.tree.map(np.asarray, states)
            for index, row in enumerate(rows):
                if ply >= len(row.actions) or len(read[index]) < ply:
                    continue
                action = row.actions[ply]
                try:
                    if isinstance(action, str):
                        state = positions.take(host, index)
                        action = int(self.game.string_to_action(state, action))
                except Exception:  # of a text; or a game of somebody's has not foreseen it
                    continue
                if 0 <= action < self.game.num_actions:
                    read[index].append(action)
                    chosen[index] = action
            states = positions.step_all(self.game, states, chosen)
        return read


@functools.partial(jax.jit, static_argnums=0)
def _replay(
    game: Game[Any], history: jax.Array, seats: jax.Array, plies: jax.Array
) -> tuple[State, jax.Array, jax.Array]:
    """Returns the positions at int32[N] `plies`, their returns, and how many moves are legal."""
    count, length = history.shape

    def ply(state: Any, stopped: jax.Array, action: jax.Array, seat: jax.Array) -> Any:
        in_turn = (seat == ANY_SEAT) | (seat == state.to_play)
        stopped = stopped | (action < 0) | ~(in_turn & state.legal_action_mask[action])
        after = game.step(state, jnp.where(stopped, 0, action))
        return jax.tree.map(lambda old, new: jnp.where(stopped, old, new), state, after), stopped

    def keep(is_there: jax.Array, state: Any, kept: Any) -> Any:
        return jax.tree.map(lambda new, old: jnp.where(is_there, new, old), state, kept)

    def goes_on(carry: Any) -> jax.Array:
        *_, stopped, at = carry
        return (at < length) & ~stopped.all()

    def next_ply(carry: Any) -> Any:
        states, kept, legal, stopped, at = carry
        states, stopped = jax.vmap(ply)(states, stopped, history[:, at], seats[:, at])
        kept = jax.vmap(keep)(at + 1 == plies, states, kept)
        return states, kept, legal + ~stopped, stopped, at + 1

    opening = positions.opening_position(game)
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), opening)
    start = (states, states, jnp.zeros(count, jnp.int32), jnp.zeros(count, bool), jnp.int32(0))
    _, kept, legal, _, _ = jax.lax.while_loop(goes_on, next_ply, start)
    return kept, jax.vmap(game.returns)(kept), legal
