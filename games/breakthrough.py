"""Breakthrough: be first to walk a piece to the far side of the board.

Rules: Dan Troyka, 2000; https://en.wikipedia.org/wiki/Breakthrough_(board_game)
Seat 0 starts on the top rows and walks down, seat 1 on the bottom rows and walks up; each fills
two rows, or one on a board of fewer than six. A piece walks one row ahead, straight or diagonally,
to an empty cell; diagonally it may capture, straight it never may. Who reaches the far row wins,
and so does who captures all. There is always a legal move: nothing of one's own is ahead of one's
foremost piece, so it can walk or capture diagonally.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import LETTERS, cell_name, check_range, draw, find_action
from games.game import Symmetry
from games.layout import Arrow, Board, Piece, discs, squares

EMPTY = -1
DIRECTIONS = 3  # left, straight ahead, right, as the mover sees it


class State(NamedTuple):
    board: jax.Array  # int8[rows * cols], the seat whose piece stands on each cell, or EMPTY
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[rows * cols * 3], all False once terminated
    terminated: jax.Array  # bool[]; whoever moved last has won


@dataclasses.dataclass(frozen=True)
class Breakthrough:
    """Breakthrough, on 8x8 unless told otherwise.

    Actions are (row * cols + col) * 3 + direction, with directions as the mover sees them: seat 0
    looks down the board, so its left is towards higher columns. The observation keeps the board as
    it is: the mover's pieces, the other's, and whether the mover walks down. Exchanging left and
    right is a symmetry.
    """

    rows: int = 8
    cols: int = 8

    def __post_init__(self) -> None:
        check_range("rows", self.rows, 2, 19)
        check_range("cols", self.cols, 2, 19)

    @property
    def num_actions(self) -> int:
        return self.rows * self.cols * DIRECTIONS

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.rows, self.cols, 3)

    @property
    def max_plies(self) -> int:
        # Every move takes a piece one row on, and all but the last stop short of the far row.
        steps_of_a_seat = sum(self.cols * (self.rows - 2 - row) for row in range(self._filled_rows))
        return 2 * steps_of_a_seat + 1

    @property
    def _filled_rows(self) -> int:
        return 2 if self.rows >= 6 else 1

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        board = np.full((self.rows, self.cols), EMPTY, np.int8)
        board[: self._filled_rows] = 0
        board[-self._filled_rows :] = 1
        cells = jnp.asarray(board.reshape(-1))
        return State(
            board=cells,
            to_play=jnp.int8(0),
            legal_action_mask=self._legal_moves(cells, jnp.int8(0)),
            terminated=jnp.bool_(False),
        )

    def step(self, state: State, action: jax.Array) -> State:
        seat, last_cell = state.to_play, self.rows * self.cols - 1
        piece, direction = jnp.divmod(action, DIRECTIONS)
        source = jnp.where(seat == 0, last_cell - piece, piece)  # as the mover sees it
        target = source - self.cols + direction - 1
        cells = jnp.arange(self.rows * self.cols)
        seen = jnp.where(cells == source, jnp.int8(EMPTY), _seen_by(seat, state.board))
        seen = jnp.where(cells == target, seat, seen)
        won = (target < self.cols) | ~(seen == 1 - seat).any()
        board = _seen_by(seat, seen)
        after = State(
            board=board,
            to_play=1 - seat,
            legal_action_mask=self._legal_moves(board, 1 - seat) & ~won,
            terminated=won,
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def _legal_moves(self, board: jax.Array, seat: jax.Array) -> jax.Array:
        """Returns bool[A]: the moves of `seat` on int8[rows * cols]."""
        seen = _seen_by(seat, board).reshape(self.rows, self.cols)
        beyond = ((1, 0), (1, 1))  # nobody may walk off the board
        empty = jnp.pad(seen == EMPTY, beyond)[:-1]  # what lies one row ahead of each cell
        open_ = jnp.pad(seen != seat, beyond)[:-1]
        ahead = jnp.stack([open_[:, :-2], empty[:, 1:-1], open_[:, 2:]], axis=-1)
        moves = (seen == seat)[:, :, None] & ahead
        return _seen_by(seat, moves.reshape(-1, DIRECTIONS)).reshape(-1)

    def observe(self, state: State) -> jax.Array:
        own, other = state.board == state.to_play, state.board == 1 - state.to_play
        down = jnp.full(own.shape, state.to_play == 0)
        return jnp.stack([own, other, down], axis=-1).reshape(self.observation_shape)

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.to_play, -1.0, 1.0)
        return jnp.where(state.terminated, result, 0.0)

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(self.rows * self.cols, dtype=np.int32).reshape(self.rows, self.cols)
        actions = np.arange(self.num_actions, dtype=np.int32).reshape(*cells.shape, DIRECTIONS)
        return (
            Symmetry(cells.reshape(-1), actions.reshape(-1)),
            Symmetry(cells[:, ::-1].reshape(-1), actions[:, ::-1, ::-1].reshape(-1)),
        )

    def action_to_string(self, state: State, action: int) -> str:
        lines = range(self.rows, 0, -1)
        return "".join(cell_name(row, col, lines) for row, col in self._ends(state, action))

    def _ends(self, state: State, action: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Returns row and column of where a piece walks from and to."""
        cell, direction = divmod(action, DIRECTIONS)
        row, col = divmod(cell, self.cols)
        down = 1 if int(state.to_play) == 0 else -1
        return (row, col), (row + down, col + (1 - direction) * down)

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        symbols = np.array([".", "X", "O"])[np.asarray(state.board) + 1]
        return draw(symbols.reshape(self.rows, self.cols), range(self.rows, 0, -1))

    def board(self) -> Board:
        names, lines = LETTERS[: self.cols], range(self.rows, 0, -1)
        colours = ("black", "white")
        return squares(
            self.rows, self.cols, columns=names, lines=lines, surface="checked", colours=colours
        )

    def place(self, state: State, action: int) -> Arrow:
        start, end = (row * self.cols + col for row, col in self._ends(state, action))
        return Arrow(start, end)

    def pieces(self, state: State) -> list[Piece]:
        return discs(np.asarray(state.board).tolist())


def _seen_by(seat: jax.Array, cells: jax.Array) -> jax.Array:
    """Turns the board (its first axis) so that `seat` walks up; the same again turns it back."""
    return jnp.where(seat == 0, cells[::-1], cells)
