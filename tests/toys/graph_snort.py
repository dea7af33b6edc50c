"""Snort on a graph: a game whose observation is a row of numbers for each node, not a board."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from games.board import find_action
from games.game import Symmetry

EMPTY = -1
RING = 5
NODES = 2 * RING  # a prism: two rings, and an edge between the two nodes of each number


def _edges() -> np.ndarray:
    edges = np.zeros((NODES, NODES), bool)
    for ring in (0, RING):
        for i in range(RING):
            edges[ring + i, ring + (i + 1) % RING] = True
    for i in range(RING):
        edges[i, RING + i] = True
    return edges | edges.T


EDGES = _edges()


class State(NamedTuple):
    to_play: jax.Array  # int8[]
    legal_action_mask: jax.Array  # bool[N]
    terminated: jax.Array  # bool[]
    owner: jax.Array  # int8[N], the seat that owns a node, or EMPTY


@dataclasses.dataclass(frozen=True)
class GraphSnort:
    """A stone on any node that is not beside the other's; whoever cannot move loses."""

    num_actions = NODES
    observation_shape = (NODES, 3)
    max_plies = NODES

    @property
    def adjacency(self) -> np.ndarray:
        return EDGES

    def init(self, key: jax.Array) -> State:
        owner = jnp.full(NODES, EMPTY, jnp.int8)
        return State(jnp.int8(0), jnp.ones(NODES, bool), jnp.bool_(False), owner)

    def step(self, state: State, action: jax.Array) -> State:
        owner = jnp.where(jnp.arange(NODES) == action, state.to_play, state.owner)
        beside = (EDGES & (owner == state.to_play)[None, :]).any(axis=1)
        mask = (owner == EMPTY) & ~beside
        after = State(1 - state.to_play, mask, ~mask.any(), owner)
        return jax.tree.map(lambda old, new: jnp.where(state.terminated, old, new), state, after)

    def observe(self, state: State) -> jax.Array:
        """Of each node: whether it is free, the mover's, the other's."""
        wanted = jnp.stack([jnp.int8(EMPTY), state.to_play, 1 - state.to_play])
        return state.owner[:, None] == wanted[None, :]

    def returns(self, state: State) -> jax.Array:
        result = jnp.where(jnp.arange(2) == state.to_play, -1.0, 1.0)
        return jnp.where(state.terminated, result, 0.0)

    def final_planes(self, state: State) -> jax.Array:
        one = jnp.where(state.owner == 0, 1, jnp.where(state.owner == 1, -1, 0))
        return jnp.stack([one, -one]).astype(jnp.int8)

    def symmetries(self) -> tuple[Symmetry, ...]:
        images = []
        for exchanged in (0, RING):
            for way in (1, -1):
                for start in range(RING):
                    ring = (start + way * np.arange(RING)) % RING
                    nodes = (np.concatenate([ring, ring + RING]) + exchanged) % NODES
                    images.append(Symmetry(nodes.astype(np.int32), nodes.astype(np.int32)))
        return tuple(images)

    def action_to_string(self, state: State, action: int) -> str:
        return f"n{action}"

    def string_to_action(self, state: State, text: str) -> int:
        return find_action(self, state, text)

    def render(self, state: State) -> str:
        marks = [".XO"[owner + 1] for owner in np.asarray(state.owner).tolist()]
        return f"{' '.join(marks[:RING])}\n{' '.join(marks[RING:])}"
