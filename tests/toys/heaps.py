"""Nim: a game whose observation is a flat vector of numbers, as a stranger would plug it in."""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import find_action
from games.game import Symmetry

HEAPS, FULL, NOBODY = 3, 3, -1


class State(NamedTuple):
    to_play: jax.Array  # int8[]
    legal_action_mask: jax.Array  # bool[9]
    terminated: jax.Array  # bool[]
    left: jax.Array  # int8[3]
    emptied_by: jax.Array  # int8[3], the seat that took the last of a heap, or NOBODY


@dataclasses.dataclass(frozen=True)
class Heaps:
    """Take one or more from one of three heaps; whoever takes the last wins."""

    num_actions = HEAPS * FULL  # heap * 3 + how many - 1
    observation_shape = (HEAPS,)
    max_plies = HEAPS * FULL

    def init(self, key: jax.Array) -> State:
        left = FULL - jax.random.randint(key, (HEAPS,), 0, 2).astype(jnp.int8)
        return State(
            jnp.int8(0),
            self.legal(left),
            jnp.bool_(False),
            left,
            jnp.full(HEAPS, NOBODY, jnp.int8),
        )

    def legal(self, left: jax.Array) -> jax.Array:
        return (jnp.arange(FULL)[None, :] < left[:, None]).reshape(-1)

    def step(self, state: State, action: jax.Array) -> State:
        heap, taken = action // FULL, action % FULL + 1
        chosen = jnp.arange(HEAPS) == heap
        left = jnp.where(chosen, jnp.maximum(state.left - taken, 0), state.left).astype(jnp.int8)
        emptied_by = jnp.where(chosen & (left == 0), state.to_play, state.emptied_by)
        other = 1 - state.to_play
        after = State(other, self.legal(left), ~left.any(), left, emptied_by)
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        return state.left.astype(jnp.float32) / FULL

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.to_play, -1.0, 1.0)
        return jnp.where(state.terminated, result, 0.0)

    def final_planes(self, state: State) -> jax.Array:
        one = jnp.where(state.emptied_by == 0, 1, -1)
        return jnp.stack([one, -one]).astype(jnp.int8)

    def symmetries(self) -> tuple[Symmetry, ...]:
        actions = np.arange(self.num_actions, dtype=np.int32).reshape(HEAPS, FULL)
        orders = np.array(list(itertools.permutations(range(HEAPS))), np.int32)
        return tuple(Symmetry(order, actions[order].reshape(-1)) for order in orders)

    def action_to_string(self, state: State, action: int) -> str:
        return f"{'abc'[action // FULL]}{action % FULL + 1}"

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        return " ".join(map(str, np.asarray(state.left).tolist()))
