"""A toy game of double moves: on a row of cells, three adjacent stones of one's own win.

Seat 0 places one stone, then both seats place two a turn; a full row without a winner is a draw.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from games.game import Symmetry, identity

CELLS = 8
EMPTY = -1


class State(NamedTuple):
    board: jax.Array  # int8[8], the seat that owns each cell, or EMPTY
    to_play: jax.Array  # int8[]
    legal_action_mask: jax.Array  # bool[8]
    terminated: jax.Array  # bool[]
    winner: jax.Array  # int8[], a seat, or EMPTY for none


@dataclasses.dataclass(frozen=True)
class Tandem:
    num_actions = CELLS
    observation_shape = (1, CELLS, 3)
    max_plies = CELLS

    def init(self, key: jax.Array) -> State:
        del key
        return State(
            board=jnp.full(CELLS, EMPTY, jnp.int8),
            to_play=jnp.int8(0),
            legal_action_mask=jnp.ones(CELLS, bool),
            terminated=jnp.bool_(False),
            winner=jnp.int8(EMPTY),
        )

    def step(self, state: State, action: jax.Array) -> State:
        board = state.board.at[action].set(state.to_play)
        own = board == state.to_play
        won = (own[:-2] & own[1:-1] & own[2:]).any()
        terminated = won | (board != EMPTY).all()
        stones = (board != EMPTY).sum()
        after = State(
            board=board,
            to_play=((stones + 1) // 2 % 2).astype(jnp.int8),
            legal_action_mask=(board == EMPTY) & ~terminated,
            terminated=terminated,
            winner=jnp.where(won, state.to_play, jnp.int8(EMPTY)),
        )
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        second = (state.board != EMPTY).sum() % 2 == 0  # of the two stones of a turn
        planes = [
            state.board == state.to_play,
            state.board == 1 - state.to_play,
            jnp.full(CELLS, second),
        ]
        return jnp.stack(planes, axis=-1)[None]

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.winner, 1.0, -1.0)
        return jnp.where(state.winner == EMPTY, 0.0, result)

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (identity(self.observation_shape, CELLS),)

    def action_to_string(self, state: State, action: int) -> str:
        del state
        return str(action)

    def string_to_action(self, state: State, text: str) -> int:
        del state
        return int(text)

    def render(self, state: State) -> str:
        return " ".join(".XO"[int(cell) + 1] for cell in state.board)
