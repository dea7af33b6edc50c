"""Connect Four: drop a stone into a column; four in a line wins.

Rules: Allis, "A Knowledge-based Approach of Connect-Four", 1988, section 2; the standard board of
six rows and seven columns. Solved: seat 0 wins with perfect play by opening in the centre.

A row of the board is a byte, a bit for each column and one, never set, that keeps lines from
running on into the next row: four rows fill a 32-bit word, in which eight shifts find all lines.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Symmetry
from games.layout import Area, Board, Piece, discs, squares

ROWS, COLS = 6, 7
EMPTY = -1
FULL_ROW = 2**COLS - 1
DIRECTIONS = (1, 7, 8, 9)  # bits to the cell on the right; below on the left; below; on the right


class State(NamedTuple):
    stones: jax.Array  # uint8[2, 6], by seat and row, row 0 at the top; column c is bit c
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[7], all False once terminated
    terminated: jax.Array  # bool[]
    winner: jax.Array  # int8[], a seat, or EMPTY for none


@dataclasses.dataclass(frozen=True)
class ConnectFour:
    """Four in a line win on a 6x7 board; a full board with no line is a draw.

    The observation's planes are the mover's stones and the other's.
    """

    num_actions = COLS  # the column, from the left
    observation_shape = (ROWS, COLS, 2)
    max_plies = ROWS * COLS

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        return State(
            stones=jnp.zeros((2, ROWS), jnp.uint8),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(COLS, bool),
            terminated=jnp.bool_(False),
            winner=jnp.int8(EMPTY),
        )

    def step(self, state: State, action: jax.Array) -> State:
        taken = state.stones[0] | state.stones[1]
        floor = jnp.append(taken[1:], jnp.uint8(FULL_ROW))  # what a stone can come to lie on
        column = jnp.left_shift(jnp.uint8(1), jnp.asarray(action, jnp.uint8))
        stone = column & floor & ~taken
        mover = (jnp.arange(2) == state.to_play)[:, None]
        stones = state.stones | jnp.where(mover, stone[None, :], jnp.uint8(0))
        won = _has_line(jnp.where(state.to_play == 0, stones[0], stones[1]))
        top = taken[0] | stone[0]
        terminated = won | (top == FULL_ROW)
        after = State(
            stones=stones,
            to_play=1 - state.to_play,
            legal_action_mask=~_columns(top) & ~terminated,
            terminated=terminated,
            winner=jnp.where(won, state.to_play, jnp.int8(EMPTY)),
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        board = _columns(state.stones)
        mover_first = jnp.where(state.to_play == 0, board, board[::-1])
        return jnp.moveaxis(mover_first, 0, -1)

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
        symbols = np.array([".", "X", "O"])[_owners(state) + 1]
        return "\n".join([*(" ".join(row) for row in symbols), "1 2 3 4 5 6 7"])

    def board(self) -> Board:
        return squares(ROWS, COLS, columns="1234567", surface="holes", colours=("red", "yellow"))

    def place(self, state: State, action: int) -> Area:
        column = np.arange(ROWS) * COLS + action
        empty = np.flatnonzero(_owners(state)[:, action] == EMPTY)
        falls_to = int(empty.max(initial=0))
        return Area((int(column[falls_to]), *np.delete(column, falls_to).tolist()))

    def pieces(self, state: State) -> list[Piece]:
        return discs(_owners(state).reshape(-1).tolist())


def _owners(state: State) -> np.ndarray:
    """Returns int[6, 7]: the seat that owns each cell, or EMPTY."""
    rows = np.asarray(state.stones)
    first, second = rows[:, :, None] >> np.arange(COLS, dtype=np.uint8) & 1
    return EMPTY + first.astype(int) + 2 * second


def _columns(rows: jax.Array) -> jax.Array:
    """Returns bool[..., 7]: the cells of uint8[...] rows."""
    bit = np.arange(COLS, dtype=np.uint8).reshape(*[1] * rows.ndim, COLS)
    return jnp.right_shift(rows[..., None], bit) % 2 == 1


def _has_line(rows: jax.Array) -> jax.Array:
    """Returns bool[]: whether the stones uint8[6] have four in a line."""
    row = [rows[i].astype(jnp.uint32) for i in range(ROWS)]
    four = jnp.bool_(False)
    for top in range(ROWS - 3):  # no line is higher than four rows
        word = row[top] | row[top + 1] << 8 | row[top + 2] << 16 | row[top + 3] << 24
        for by in DIRECTIONS:
            pairs = word & (word >> by)
            four |= (pairs & (pairs >> 2 * by)) != 0
    return four
