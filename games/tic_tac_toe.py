"""Tic-tac-toe: the smallest complete game, and the template for a new one."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Symmetry
from games.layout import Board, Piece, Point, squares

EMPTY = -1
LINES = np.array(  # cells in row-major order; NumPy: importing starts no device
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]],
    np.int32,
)


class State(NamedTuple):
    board: jax.Array  # int8[9], the seat that owns each cell, or EMPTY
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[9], all False once terminated
    terminated: jax.Array  # bool[]
    winner: jax.Array  # int8[], a seat, or EMPTY for none


@dataclasses.dataclass(frozen=True)
class TicTacToe:
    """Three in a row wins on a 3x3 board; a full board with no line is a draw."""

    num_actions = 9  # row * 3 + col
    observation_shape = (3, 3, 2)
    max_plies = 9

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        return State(
            board=jnp.full(9, EMPTY, jnp.int8),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(9, bool),
            terminated=jnp.bool_(False),
            winner=jnp.int8(EMPTY),
        )

    def step(self, state: State, action: jax.Array) -> State:
        board = state.board.at[action].set(state.to_play)
        won = (board[LINES] == state.to_play).all(axis=1).any()
        terminated = won | (board != EMPTY).all()
        after = State(
            board=board,
            to_play=1 - state.to_play,
            legal_action_mask=(board == EMPTY) & ~terminated,
            terminated=terminated,
            winner=jnp.where(won, state.to_play, jnp.int8(EMPTY)),
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])  # the mover's stones first
        return (state.board[:, None] == seats[None, :]).reshape(self.observation_shape)

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner == EMPTY, 0.0, result)

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(9, dtype=np.int32).reshape(3, 3)
        turned = [np.rot90(board, k) for board in (cells, cells.T) for k in range(4)]
        return tuple(Symmetry(image.reshape(9), image.reshape(9)) for image in turned)

    def action_to_string(self, state: State, action: int) -> str:
        del state
        return f"{'abc'[action % 3]}{3 - action // 3}"  # column letter, row number from below

    def string_to_action(self, state: State, text: str) -> int:
        legal = {self.action_to_string(state, int(a)): int(a) for a in _legal(state)}
        if text.strip().lower() not in legal:
            raise ValueError(f"no legal move {text!r}; legal: {' '.join(legal)}")
        return legal[text.strip().lower()]

    def render(self, state: State) -> str:
        cells = np.array([".", "X", "O"])[np.asarray(state.board) + 1].reshape(3, 3)
        rows = [f"{3 - row} {' '.join(line)}" for row, line in enumerate(cells)]
        return "\n".join([*rows, "  a b c"])

    def board(self) -> Board:
        return squares(3, 3, columns="abc", lines=range(3, 0, -1), colours=("blue", "red"))

    def place(self, state: State, action: int) -> Point:
        del state
        return Point(action)

    def pieces(self, state: State) -> list[Piece]:
        cells = [np.flatnonzero(np.asarray(state.board) == seat).tolist() for seat in range(2)]
        return [
            Piece(cell, seat, "letter", "XO"[seat]) for seat in range(2) for cell in cells[seat]
        ]


def _legal(state: State) -> np.ndarray:
    return np.flatnonzero(np.asarray(state.legal_action_mask))
