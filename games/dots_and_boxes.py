"""Dots and Boxes: draw edges between dots; who closes a box owns it and moves again.

Rules: Berlekamp, "The Dots and Boxes Game", 2000, chapter 1;
https://en.wikipedia.org/wiki/Dots_and_Boxes
A move that closes one or two boxes keeps the turn; one has to move even if no edge is safe. When
all edges are drawn, whoever owns more boxes wins; as many each is a draw.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import (
    LETTERS,
    cell_name,
    check_range,
    dihedral,
    find_action,
    symmetry_of_moves,
)
from games.game import Symmetry
from games.layout import Board, Edge, Line, Piece

EMPTY = -1


class State(NamedTuple):
    """One position. The drawn edges are the illegal actions, so they have no field."""

    boxes: jax.Array  # int8[rows, cols], the seat that owns each box, or EMPTY
    to_play: jax.Array  # int8[], seat 0 or 1
    legal_action_mask: jax.Array  # bool[A], all False once terminated: then all edges are drawn
    terminated: jax.Array  # bool[]


@dataclasses.dataclass(frozen=True)
class DotsAndBoxes:
    """Dots and Boxes, `rows` x `cols` boxes, 5x5 unless told otherwise.

    Actions are the horizontal edges row by row, then the vertical edges row by row. The observation
    is a lattice of 2 * rows + 1 by 2 * cols + 1 cells: box (i, j) on cell (2i + 1, 2j + 1), its
    edges on the four cells beside it, dots on the corners. Planes: the mover's boxes, the other's,
    the drawn edges, the open ones (which tell edges from dots and boxes).
    """

    rows: int = 5
    cols: int = 5

    def __post_init__(self) -> None:
        check_range("rows", self.rows, 1, 18)
        check_range("cols", self.cols, 1, 18)

    @property
    def num_actions(self) -> int:
        return (self.rows + 1) * self.cols + self.rows * (self.cols + 1)

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (2 * self.rows + 1, 2 * self.cols + 1, 4)

    @property
    def max_plies(self) -> int:
        return self.num_actions

    def init(self, key: jax.Array) -> State:
        del key  # one opening position
        return State(
            boxes=jnp.full((self.rows, self.cols), EMPTY, jnp.int8),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(self.num_actions, bool),
            terminated=jnp.bool_(False),
        )

    def step(self, state: State, action: jax.Array) -> State:
        undrawn = state.legal_action_mask & (jnp.arange(self.num_actions) != action)
        across, down = self._split(~undrawn)
        closed = across[:-1] & across[1:] & down[:, :-1] & down[:, 1:]
        won = closed & (state.boxes == EMPTY)
        after = State(
            boxes=jnp.where(won, state.to_play, state.boxes),
            to_play=jnp.where(won.any(), state.to_play, 1 - state.to_play),
            legal_action_mask=undrawn,
            terminated=~undrawn.any(),
        )
        # The search steps past the end of games: there, nothing may change.
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def _split(self, edges: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the horizontal [rows + 1, cols] and the vertical [rows, cols + 1] of [A]."""
        across, down = edges[: (self.rows + 1) * self.cols], edges[(self.rows + 1) * self.cols :]
        return across.reshape(self.rows + 1, self.cols), down.reshape(self.rows, self.cols + 1)

    def observe(self, state: State) -> jax.Array:
        seats = (state.to_play, 1 - state.to_play)  # the mover's boxes first
        boxes = [_spread(state.boxes == seat, 1, 1) for seat in seats]
        edges = [
            _spread(across, 0, 1) | _spread(down, 1, 0)
            for across, down in map(
                self._split, (~state.legal_action_mask, state.legal_action_mask)
            )
        ]
        return jnp.stack([*boxes, *edges], axis=-1)

    def returns(self, state: State) -> jax.Array:
        lead = self._lead(state)
        result = jnp.sign(jnp.stack([lead, -lead])).astype(jnp.float32)
        return jnp.where(state.terminated, result, 0.0)

    def _lead(self, state: State) -> jax.Array:
        return (state.boxes == 0).sum() - (state.boxes == 1).sum()

    @property
    def largest_margin(self) -> float:
        return float(self.rows * self.cols)

    def margin(self, state: State) -> jax.Array:
        """Returns float32[]: seat 0's boxes less seat 1's."""
        return self._lead(state).astype(jnp.float32)

    def final_planes(self, state: State) -> jax.Array:
        """Returns int8[2, 2 * rows + 1, 2 * cols + 1]: whose each box is; 0 on edges and dots."""
        own, other = (_spread(state.boxes == seat, 1, 1).astype(jnp.int8) for seat in range(2))
        return jnp.stack([own - other, other - own])

    def symmetries(self) -> tuple[Symmetry, ...]:
        height, width, _ = self.observation_shape
        places = np.arange(height * width).reshape(height, width)
        edges = np.concatenate([places[::2, 1::2].reshape(-1), places[1::2, ::2].reshape(-1)])
        return tuple(symmetry_of_moves(board, edges[:, None]) for board in dihedral(height, width))

    def action_to_string(self, state: State, action: int) -> str:
        """Returns the two dots that the edge joins; columns have letters, rows count from above."""
        del state
        lines = range(1, self.rows + 2)
        return "".join(cell_name(row, col, lines) for row, col in self._ends(action))

    def _ends(self, action: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Returns row and column of both dots of an edge, the upper or left one first."""
        vertical = action - (self.rows + 1) * self.cols
        row, col = divmod(action, self.cols) if vertical < 0 else divmod(vertical, self.cols + 1)
        return (row, col), ((row, col + 1) if vertical < 0 else (row + 1, col))

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        across, down = (np.asarray(edges) for edges in self._split(~state.legal_action_mask))
        owners = np.array([" ", "X", "O"])[np.asarray(state.boxes) + 1]
        lines = []
        for row in range(self.rows + 1):
            edges = [("+---" if drawn else "+   ") for drawn in across[row]]
            lines.append(f"{row + 1:>2} {''.join(edges)}+")
            if row < self.rows:
                sides = ["|" if drawn else " " for drawn in down[row]]
                cells = [
                    f"{side} {owner} " for side, owner in zip(sides, owners[row], strict=False)
                ]
                lines.append(f"   {''.join(cells)}{sides[-1]}")
        lines.append("   " + "   ".join(LETTERS[: self.cols + 1]))
        return "\n".join(line.rstrip() for line in lines)

    def board(self) -> Board:
        """Returns the dots, row by row, then the boxes' centres."""
        height, width = self.rows + 1, self.cols + 1
        dots = [(float(col), float(row)) for row in range(height) for col in range(width)]
        boxes = [(col + 0.5, row + 0.5) for row in range(self.rows) for col in range(self.cols)]
        labels = [(float(col), height - 0.3, LETTERS[col]) for col in range(width)]
        labels += [(-0.7, float(row), str(row + 1)) for row in range(height)]
        return Board(
            geometry="custom",
            centres=(*dots, *boxes),
            lines=tuple(self._dots(action) for action in range(self.num_actions)),
            stars=tuple(range(len(dots))),
            labels=tuple(labels),
            colours=("blue", "red"),
        )

    def _dots(self, action: int) -> tuple[int, int]:
        start, end = (row * (self.cols + 1) + col for row, col in self._ends(action))
        return start, end

    def place(self, state: State, action: int) -> Line:
        del state
        return Line(*self._dots(action))

    def pieces(self, state: State) -> list[Piece | Edge]:
        drawn = np.flatnonzero(~np.asarray(state.legal_action_mask)).tolist()
        first = (self.rows + 1) * (self.cols + 1)  # of the boxes' places
        owners = enumerate(np.asarray(state.boxes).reshape(-1).tolist(), first)
        boxes = [Piece(place, seat, "square") for place, seat in owners if seat != EMPTY]
        return [*boxes, *(Edge(*self._dots(action)) for action in drawn)]


def _spread(cells: jax.Array, top: int, left: int) -> jax.Array:
    """Puts bool cells on every other row and column of a lattice, from row `top`, column `left`."""
    return jax.lax.pad(cells, np.False_, [(top, top, 1), (left, left, 1)])
