"""Hex: join your two edges of the board with a chain of stones.

Rules: Hayward and Toft, "Hex: The Full Story", 2019, chapter 1; https://www.hexwiki.net/index.php/Rules
Seat 0 joins the top and the bottom, seat 1 the left and the right. Cells touch along the row, along
the column, and along one diagonal (up and right, down and left): the board is drawn as a rhombus
whose rows move to the right on their way down. There are no draws: a full board has one winner.

Swap rule, an option: instead of their first move the second player may take over the opening. Seats
keep their edges, so the opening stone becomes seat 1's and is mirrored in the long diagonal, from
(row, col) to (col, row), which is the same to them as the stone was to seat 0. Seat 0 then moves.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import LETTERS, cell_name, check_range, draw, find_action
from games.game import Symmetry
from games.layout import Board, Piece, Point, Text, discs, hexagons

# (rows down, columns right) to the six cells that touch a cell.
NEIGHBOURS = np.array([[-1, 0], [-1, 1], [0, 1], [1, 0], [1, -1], [0, -1]], np.int32)
# Groups are numbered from 1: those joined to the top or left edge, those joined to the bottom or
# right edge, then any other by the cell of the stone that joined it last.
FIRST_EDGE, LAST_EDGE, INNER = 1, 2, 3


class State(NamedTuple):
    # int8[n * n], int16 where n > 11: the number of the group that a stone is in, positive for
    # seat 0 and negative for seat 1; zero on empty cells.
    groups: jax.Array
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[n * n], one more for the swap; all False once terminated
    terminated: jax.Array  # bool[]; whoever moved last has won


@dataclasses.dataclass(frozen=True)
class Hex:
    """Hex on a rhombus, 11x11 unless told otherwise, with or without the swap rule.

    The observation's planes are the mover's stones, the other's, and whether the mover joins top
    and bottom. Half a turn of the board is a symmetry. Reflection in a diagonal exchanges the
    seats, so it isn't one.
    """

    size: int = 11
    swap: bool = False

    def __post_init__(self) -> None:
        check_range("size", self.size, 1, 19)

    @property
    def num_actions(self) -> int:
        return self.size**2 + self.swap  # row * size + col, then the swap if it is played

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.size, self.size, 3)

    @property
    def max_plies(self) -> int:
        return self.size**2 + self.swap

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        cells = self.size**2
        dtype = jnp.int8 if cells + INNER <= 127 else jnp.int16
        return State(
            groups=jnp.zeros(cells, dtype),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.arange(self.num_actions) < cells,
            terminated=jnp.bool_(False),
        )

    def step(self, state: State, action: jax.Array) -> State:
        groups, cell = state.groups, action
        if self.swap:
            # A swap is the move on the mirrored cell of a board without the opening stone.
            swapped = action == self.size**2
            row, col = jnp.divmod(jnp.argmax(groups != 0), self.size)
            cell = jnp.where(swapped, col * self.size + row, action)
            groups = jnp.where(swapped, jnp.zeros_like(groups), groups)
        groups, won = _place(groups, state.to_play, cell, self.size)
        legal = (groups == 0) & ~won
        if self.swap:
            first_move = state.legal_action_mask[: self.size**2].all()
            legal = jnp.append(legal, first_move & ~won)
        after = State(
            groups=groups, to_play=1 - state.to_play, legal_action_mask=legal, terminated=won
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        sign = 1 - 2 * state.to_play
        own = state.groups * sign  # positive: the mover's
        vertical = jnp.full(own.shape, state.to_play == 0)
        return jnp.stack([own > 0, own < 0, vertical], axis=-1).reshape(self.observation_shape)

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.to_play, -1.0, 1.0)
        return jnp.where(state.terminated, result, 0.0)

    def final_planes(self, state: State) -> jax.Array:
        """Returns int8[2, n, n]: whose stone lies on each cell, of the winning chain or not."""
        board = jnp.sign(state.groups).astype(jnp.int8).reshape(self.size, self.size)
        return jnp.stack([board, -board])

    def symmetries(self) -> tuple[Symmetry, ...]:
        cells = np.arange(self.size**2, dtype=np.int32)
        actions = np.arange(self.num_actions, dtype=np.int32)
        turned = np.concatenate([cells[::-1], actions[self.size**2 :]])
        return Symmetry(cells, actions), Symmetry(cells[::-1], turned)

    def action_to_string(self, state: State, action: int) -> str:
        del state
        if action == self.size**2:
            return "swap"
        return cell_name(*divmod(action, self.size), range(1, self.size + 1))

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        stones = np.array([".", "X", "O"])[np.sign(np.asarray(state.groups))]
        lines = range(1, self.size + 1)
        picture = draw(stones.reshape(self.size, self.size), lines).splitlines()
        return "\n".join(" " * row + line for row, line in enumerate(picture))

    def board(self) -> Board:
        names, lines = LETTERS[: self.size], range(1, self.size + 1)
        return hexagons(self.size, self.size, columns=names, lines=lines, borders=(0, 1))

    def place(self, state: State, action: int) -> Point | Text:
        del state
        return Text("swap") if action == self.size**2 else Point(action)

    def pieces(self, state: State) -> list[Piece]:
        sign = np.sign(np.asarray(state.groups))
        return discs(np.array([-1, 0, 1])[sign].tolist())


def _place(
    groups: jax.Array, to_play: jax.Array, cell: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """Puts a stone on `cell`; returns the new groups and whether it joins the mover's edges."""
    sign = (1 - 2 * to_play).astype(groups.dtype)
    own = groups * sign  # positive: the mover's
    row, col = jnp.divmod(cell, size)
    rows, cols = row + NEIGHBOURS[:, 0], col + NEIGHBOURS[:, 1]
    inside = (rows >= 0) & (rows < size) & (cols >= 0) & (cols < size)
    near = jnp.where(inside, own[rows * size + cols], 0)

    line = jnp.where(to_play == 0, row, col)
    first = (line == 0) | (near == FIRST_EDGE).any()
    last = (line == size - 1) | (near == LAST_EDGE).any()
    number = jnp.where(first, FIRST_EDGE, jnp.where(last, LAST_EDGE, INNER + cell))
    # All stones of the neighbouring groups at once: dense comparisons instead of a flood fill.
    joined = (own > 0) & (own[:, None] == near[None, :]).any(axis=1)
    joined |= jnp.arange(size**2) == cell
    return jnp.where(joined, number.astype(own.dtype), own) * sign, first & last
