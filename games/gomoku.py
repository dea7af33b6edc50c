"""Gomoku, and any other m,n,k-game: put stones on a board, make a line of k.

Rules: https://en.wikipedia.org/wiki/Gomoku and https://en.wikipedia.org/wiki/M,n,k-game
Freestyle: k stones or more in a row, column or diagonal win. Exact (standard gomoku): just k do, a
longer line ("overline") wins nothing. No opening rule. A full board without a line is a draw.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import LETTERS, cell_name, check_range, dihedral, draw, find_action, star_points
from games.game import Symmetry
from games.layout import Board, Piece, Point, discs, points

EMPTY = -1
# (rows down, columns right) from a stone to its neighbours; each direction next to its opposite.
DIRECTIONS = np.array(
    [[0, 1], [0, -1], [1, 0], [-1, 0], [1, 1], [-1, -1], [1, -1], [-1, 1]], np.int32
)


class State(NamedTuple):
    board: jax.Array  # int8[rows * cols], the seat that owns each cell, or EMPTY
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[rows * cols], all False once terminated
    terminated: jax.Array  # bool[]
    winner: jax.Array  # int8[], a seat, or EMPTY for none


@dataclasses.dataclass(frozen=True)
class Gomoku:
    """A line of `k` on `rows` x `cols`, five on 15x15 unless told otherwise.

    The observation's planes are the mover's stones and the other's.
    """

    rows: int = 15
    cols: int = 15
    k: int = 5
    exact: bool = False

    def __post_init__(self) -> None:
        check_range("rows", self.rows, 3, 19)
        check_range("cols", self.cols, 3, 19)
        check_range("k", self.k, 2, max(self.rows, self.cols))

    @property
    def num_actions(self) -> int:
        return self.rows * self.cols  # row * cols + col

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.rows, self.cols, 2)

    @property
    def max_plies(self) -> int:
        return self.rows * self.cols

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        cells = self.rows * self.cols
        return State(
            board=jnp.full(cells, EMPTY, jnp.int8),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(cells, bool),
            terminated=jnp.bool_(False),
            winner=jnp.int8(EMPTY),
        )

    def step(self, state: State, action: jax.Array) -> State:
        # A dense comparison instead of a scatter: on a GPU it fuses with the rest of the step.
        here = jnp.arange(self.num_actions) == action
        board = jnp.where(here, state.to_play, state.board)
        longest = self._lines(state.board == state.to_play, action)
        won = ((longest == self.k) if self.exact else (longest >= self.k)).any()
        empty = board == EMPTY
        terminated = won | ~empty.any()
        after = State(
            board=board,
            to_play=1 - state.to_play,
            legal_action_mask=empty & ~terminated,
            terminated=terminated,
            winner=jnp.where(won, state.to_play, jnp.int8(EMPTY)),
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def _lines(self, own: jax.Array, cell: jax.Array) -> jax.Array:
        """Returns int32[4]: the lengths of the lines of `own` that a new stone on `cell` makes.

        Lengths above `k` are cut short, though not to `k`.
        """
        distance = np.arange(1, self.k + 1, dtype=np.int32)
        row, col = jnp.divmod(cell, self.cols)
        rows = row + DIRECTIONS[:, :1] * distance[None, :]  # [8, k]
        cols = col + DIRECTIONS[:, 1:] * distance[None, :]
        inside = (rows >= 0) & (rows < self.rows) & (cols >= 0) & (cols < self.cols)
        run_on = inside & own[jnp.where(inside, rows * self.cols + cols, 0)]
        run = jnp.where(run_on, self.k, distance[None, :] - 1).min(axis=1)  # up to the first gap
        return 1 + run.reshape(4, 2).sum(axis=1)

    def observe(self, state: State) -> jax.Array:
        seats = jnp.stack([state.to_play, 1 - state.to_play])  # the mover's stones first
        return (state.board[:, None] == seats[None, :]).reshape(self.observation_shape)

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner == EMPTY, 0.0, result)

    def symmetries(self) -> tuple[Symmetry, ...]:
        images = [image.reshape(-1) for image in dihedral(self.rows, self.cols)]
        return tuple(Symmetry(image, image) for image in images)

    def action_to_string(self, state: State, action: int) -> str:
        del state
        return cell_name(*divmod(action, self.cols), range(self.rows, 0, -1))

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        symbols = np.array([".", "X", "O"])[np.asarray(state.board) + 1]
        return draw(symbols.reshape(self.rows, self.cols), range(self.rows, 0, -1))

    def board(self) -> Board:
        names, lines = LETTERS[: self.cols], range(self.rows, 0, -1)
        stars = star_points(self.rows) if self.rows == self.cols else ()
        return points(self.rows, self.cols, columns=names, lines=lines, stars=stars)

    def place(self, state: State, action: int) -> Point:
        del state
        return Point(action)

    def pieces(self, state: State) -> list[Piece]:
        return discs(np.asarray(state.board).tolist())
