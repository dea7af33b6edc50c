"""MCTS-Solver: exact bounds on a node's return, and proven results, backed up through the tree.

Every edge keeps the least and the most that seat 0 can get beyond it under perfect play: -1 and 1
until more is known, both the result where the game has ended. A result is proven where they meet.
At a node, seat 0 to play, the least is the largest least of its edges, and the most likewise. For
seat 1 it is the smallest.

So along a path each node maps what is below it by a maximum or a minimum with a constant: what its
other edges offer. Such maps are clamps, and clamps compose to clamps. So an associative scan
composes them all, in a number of steps that grows with the logarithm of the depth.

After Winands et al., "Monte-Carlo Tree Search Solver", 2008, and Cazenave and Saffidine,
"Score Bounded Monte-Carlo Tree Search", 2010.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

LEAST, MOST = range(2)  # the columns of an edge's bounds


class Clamp(NamedTuple):
    """The map from x to `min(max(x, low), high)`."""

    low: jax.Array
    high: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.clip(x, self.low, self.high)


def leaf_bounds(value: jax.Array, terminated: jax.Array) -> jax.Array:
    """Returns float[B, 3]: value, least and most for seat 0 of positions just evaluated.

    Args:
      value: float[B], for seat 0; the result where bool[B] `terminated`.
    """
    least, most = jnp.where(terminated, value, -1), jnp.where(terminated, value, 1)
    return jnp.stack([value, least, most], axis=-1)


def new_bounds(legal: jax.Array, sign: jax.Array) -> jax.Array:
    """Returns float[B, 2, A]: the bounds of unvisited edges; an illegal one loses.

    Args:
      legal: bool[B, A].
      sign: float[B], 1 where seat 0 is to play, else -1.
    """
    lost = -sign[:, None]
    return jnp.stack([jnp.where(legal, -1, lost), jnp.where(legal, 1, lost)], axis=1)


def for_mover(bounds: jax.Array, sign: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns float[..., A], the least and the most for the seat to play.

    Args:
      bounds: float[..., 2, A], those for seat 0.
      sign: float[..., 1], 1 where seat 0 is to play, else -1.
    """
    least, most = bounds[..., LEAST, :], bounds[..., MOST, :]
    return jnp.where(sign > 0, least, -most), jnp.where(sign > 0, most, -least)


def sibling_bounds(bounds: jax.Array, sign: jax.Array, action: jax.Array) -> jax.Array:
    """Returns float[..., 3]: what the other edges of nodes on a path give seat 0, and the sign.

    The mover's best of them gives at least the first number and at most the second.

    Args:
      bounds: float[..., 2, A], those for seat 0.
      sign: float[..., 1], 1 where seat 0 is to play, else -1.
      action: int32[...], the path's edge.
    """
    taken = jax.nn.one_hot(action, bounds.shape[-1], dtype=bool)
    least, most = (jnp.where(taken, -1, x).max(axis=-1) for x in for_mover(bounds, sign))
    sign = sign[..., 0]
    low, high = jnp.where(sign > 0, least, -most), jnp.where(sign > 0, most, -least)
    return jnp.stack([low, high, sign], axis=-1)


def back_up(siblings: jax.Array, leaf: jax.Array) -> jax.Array:
    """Returns float[3, B, D]: value, least and most for seat 0, for every edge of B paths.

    A value is kept within what the nodes that it passes are known to be worth.

    Args:
      siblings: float[B, D, 3], the `sibling_bounds` of the nodes along the paths; sign 0 beyond.
      leaf: float[B, 3], the `leaf_bounds` of the ends of the paths.
    """
    # Each node clamps the value below it: from below where seat 0 moves, else from above.
    low, high, sign = jnp.moveaxis(siblings, -1, 0)
    floor, ceiling = jnp.stack([low, low, high]), jnp.stack([high, low, high])
    nodes = Clamp(jnp.where(sign > 0, floor, -jnp.inf), jnp.where(sign < 0, ceiling, jnp.inf))
    # Compose the clamps from every node down to the leaf, and apply them to its bounds.
    leaf = leaf.T[..., None]
    worth = jax.lax.associative_scan(_then, nodes, reverse=True, axis=2)(leaf)
    return jnp.concatenate([worth[..., 1:], leaf], axis=2)  # an edge is worth what the next node is


def _then(inner: Clamp, outer: Clamp) -> Clamp:
    """Returns the clamp that applies `inner` first."""
    return Clamp(outer(inner.low), outer(inner.high))
