"""Raiders: men that go forward and take aslant; who takes moves again. As texts, and as a board.

Nothing about it is like our games: 4 x 3 cells, two clicks a move, turns that do not alternate, and
a picture with a frame, coordinates and a line that says whose turn it is.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.game import identity
from games.layout import Arrow, Piece, squares

ROWS, COLS = 4, 3
NOBODY = -1
LETTERS = "abc"


class State(NamedTuple):
    """One position."""

    cells: jax.Array  # int8[4, 3], the seat whose man stands there, -1 for none
    to_play: jax.Array  # int8[]
    legal_action_mask: jax.Array  # bool[36]
    terminated: jax.Array  # bool[]
    winner: jax.Array  # int8[], -1 for none


@dataclasses.dataclass(frozen=True)
class Raiders:
    """Action 3 c + d moves the man of cell c forward: d 0 to the left, 1 straight, 2 to the right.

    Cells are counted from the enemy's side.

    Straight onto an empty cell, aslant onto an enemy, which is taken: then the same seat goes on.
    Who reaches the last row wins, or takes all men; who cannot move loses.
    """

    num_actions = 3 * ROWS * COLS
    observation_shape = (ROWS, COLS, 2)
    max_plies = 18

    def init(self, key):
        cells = jnp.full((ROWS, COLS), NOBODY, jnp.int8).at[0].set(1).at[-1].set(0)
        return self._with_moves(cells, jnp.int8(0))

    def step(self, state, action):
        row, col, to_row, to_col = self._ends(state.to_play, action)
        column = jnp.clip(to_col, 0, COLS - 1)
        line = jnp.clip(to_row, 0, ROWS - 1)
        taken = state.cells[line, column] == 1 - state.to_play
        cells = state.cells.at[row, col].set(NOBODY).at[line, column].set(state.to_play)
        mover = jnp.where(taken, state.to_play, 1 - state.to_play).astype(jnp.int8)
        home = jnp.where(state.to_play == 0, 0, ROWS - 1)
        won = (line == home) | ~(cells == 1 - state.to_play).any()
        after = self._with_moves(cells, mover)
        stuck = ~after.legal_action_mask.any()
        winner = jnp.where(won, state.to_play, jnp.where(stuck, 1 - mover, NOBODY))
        over = winner != NOBODY
        after = after._replace(
            terminated=over,
            winner=winner.astype(jnp.int8),
            legal_action_mask=after.legal_action_mask & ~over,
        )
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def _with_moves(self, cells, seat):
        actions = jnp.arange(self.num_actions)
        row, col, to_row, to_col = self._ends(seat, actions)
        inside = (to_row >= 0) & (to_row < ROWS) & (to_col >= 0) & (to_col < COLS)
        there = cells[jnp.clip(to_row, 0, ROWS - 1), jnp.clip(to_col, 0, COLS - 1)]
        wanted = jnp.where(actions % 3 == 1, NOBODY, 1 - seat)
        legal = (cells[row, col] == seat) & inside & (there == wanted)
        return State(cells, seat, legal, jnp.array(False), jnp.int8(NOBODY))

    def _ends(self, seat, action):
        forward = jnp.where(seat == 0, -1, 1)
        line, col = action // 3 // COLS, action // 3 % COLS  # as the mover sees them
        row = jnp.where(seat == 0, line, ROWS - 1 - line)
        return row, col, row + forward, col + action % 3 - 1

    def observe(self, state):
        own = jnp.where(state.to_play == 0, state.cells, state.cells[::-1])
        return jnp.stack([own == state.to_play, own == 1 - state.to_play], axis=-1)

    def returns(self, state):
        first = jnp.where(state.winner == 0, 1.0, jnp.where(state.winner == 1, -1.0, 0.0))
        return jnp.stack([first, -first])

    def symmetries(self):
        return (identity(self.observation_shape, self.num_actions),)

    def action_to_string(self, state, action):
        row, col, to_row, to_col = map(int, self._ends(int(state.to_play), np.int32(action)))
        mark = "x" if action % 3 != 1 else "-"
        return f"{LETTERS[col]}{ROWS - row}{mark}{(LETTERS + '??')[to_col]}{ROWS - to_row}"

    def string_to_action(self, state, text):
        for action in np.flatnonzero(np.asarray(state.legal_action_mask)).tolist():
            if self.action_to_string(state, action) == text.strip():
                return action
        raise ValueError(f"no legal move {text!r}")

    def render(self, state):
        rows = [
            f"{ROWS - row} | {' | '.join('xo.'[cell] for cell in line)} |"
            for row, line in enumerate(np.asarray(state.cells).tolist())
        ]
        rule = "  +---+---+---+"
        over = bool(state.terminated)
        turn = "over" if over else f"{'xo'[int(state.to_play)]} to move"
        body = f"\n{rule}\n".join(rows)
        return f"turn: {turn}\n{rule}\n{body}\n{rule}\n    a   b   c"


@dataclasses.dataclass(frozen=True)
class RaidersDrawn(Raiders):
    """The same, with a board that it declares."""

    def board(self):
        return squares(ROWS, COLS, columns=LETTERS, lines=range(ROWS, 0, -1))

    def place(self, state, action):
        row, col, to_row, to_col = map(int, self._ends(int(state.to_play), np.int32(action)))
        return Arrow(row * COLS + col, to_row * COLS + to_col)

    def pieces(self, state):
        cells = np.asarray(state.cells).reshape(-1).tolist()
        return [Piece(place, seat) for place, seat in enumerate(cells) if seat != NOBODY]
