"""Connect Four: drop a stone into a column; four in a line wins.

Rules: Allis, "A Knowledge-based Approach of Connect-Four", 1988, section 2; the standard board of
six rows and seven columns. Solved: seat 0 wins with perfect play by opening in the centre.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Symmetry

ROWS, COLS = 6, 7
EMPTY = -1
# (rows down, columns right) of the four directions in which a line can run.
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


class State(NamedTuple):
    board: jax.Array  # int8[6, 7], row 0 at the top; the seat that owns each cell, or EMPTY
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[7], all False once terminated
    terminated: jax.Array  # bool[]
    winner: jax.Array  # int8[], a seat, or EMPTY for none


@dataclasses.dataclass(frozen=True)
class ConnectFour:
    """Four in a row, column or diagonal wins on a 6x7 board; a full board without is a draw."""

    num_actions = COLS  # the column, from the left
    observation_shape = (ROWS, COLS, 2)
    max_plies = ROWS * COLS

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        return State(
            board=jnp.full((ROWS, COLS), EMPTY, jnp.int8),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(COLS, bool),
            terminated=jnp.bool_(False),
            winner=jnp.int8(EMPTY),
        )

    def step(self, state: State, action: jax.Array) -> State:
        # Dense comparisons instead of a scatter: on a GPU, a batch of these fuses into one kernel.
        row = (state.board == EMPTY).sum(axis=0, dtype=jnp.int32)[action] - 1
        here = (jnp.arange(ROWS)[:, None] == row) & (jnp.arange(COLS)[None, :] == action)
        board = jnp.where(here, state.to_play, state.board)
        won = _has_line(board == state.to_play)
        terminated = won | (board[0] != EMPTY).all()
        after = State(
            board=board,
            to_play=1 - state.to_play,
            legal_action_mask=(board[0] == EMPTY) & ~terminated,
            terminated=terminated,
            winner=jnp.where(won, state.to_play, jnp.int8(EMPTY)),
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])  # the mover's stones first
        return state.board[:, :, None] == seats[None, None, :]

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner == EMPTY, 0.0, result)

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(ROWS * COLS, dtype=np.int32).reshape(ROWS, COLS)
        columns = np.arange(COLS, dtype=np.int32)
        return (
            Symmetry(cells.reshape(-1), columns),
            Symmetry(cells[:, ::-1].reshape(-1), columns[::-1]),  # left and right exchanged
        )

    def action_to_string(self, state: State, action: int) -> str:
        del state
        return str(action + 1)  # columns are counted from 1, from the left

    def string_to_action(self, state: State, text: str) -> int:
        columns = [str(a + 1) for a in np.flatnonzero(np.asarray(state.legal_action_mask))]
        if text.strip() not in columns:
            raise ValueError(f"no legal move {text!r}; legal columns: {' '.join(columns)}")
        return int(text) - 1

    def render(self, state: State) -> str:
        cells = np.array([".", "X", "O"])[np.asarray(state.board) + 1]
        return "\n".join([*(" ".join(row) for row in cells), "1 2 3 4 5 6 7"])


def _has_line(own: jax.Array) -> jax.Array:
    """Returns bool[]: whether bool[6, 7] `own` has four in a line."""
    padded = jnp.pad(own, ((0, 3), (3, 3)))
    lines = [
        [padded[i * down : i * down + ROWS, 3 + i * right : 3 + i * right + COLS] for i in range(4)]
        for down, right in DIRECTIONS
    ]
    return jnp.stack([a & b & c & d for a, b, c, d in lines]).any()
